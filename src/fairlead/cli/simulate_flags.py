"""What `fairlead simulate` refuses of its flags alone, before any file is read, as a table."""

import argparse
from itertools import combinations

from fairlead.cli.flags import Rule, refuse
from fairlead.cli.stores import UnusableError
from fairlead.config.problems import did_you_mean
from fairlead.config.units import parse_number
from fairlead.simulator.knobs import RPS, covers
from fairlead.simulator.summary import FIGURES

MOST_REQUESTS = 1_000_000_000
TEXTS = {
    "config": "the file of a configuration",
    "compare": "the file of a configuration",
    "scenario": "the file of a scenario",
    "trace": "a journal",
    "sweep": "for example openai.error=0:0.5:0.05",
    "slo": "for example success=0.999",
    "figures": "for example success_rate,latency_ms.p99",
    "report": "a file, such as report.html",
    "requests": "how many, such as 10k",
    "rps": "requests per second, such as 50",
}
RULES: tuple[Rule, ...] = (
    (lambda args: args.demo and args.config, "--demo has a configuration of its own; leave --config out"),
    (
        lambda args: args.suggest and not args.slo,
        "--suggest needs a target, such as --slo success=0.999,ttft_p99=800ms",
    ),
    (lambda args: args.figures and args.suggest, "--figures are those of simulations; leave --suggest out"),
    (
        lambda args: args.figures and not figures(args),
        "--figures {figures} names none; write for example success_rate,latency_ms.p99",
    ),
    (lambda args: args.suggest and args.compare, "--suggest is about one configuration; leave --compare out"),
    (
        lambda args: args.sweep and args.slo,
        "--slo is about one setting; leave --sweep out, or search with --suggest",
    ),
    (lambda args: args.trace and args.rps is not None, "--trace says when requests come; leave --rps out"),
    (
        lambda args: args.trace and RPS in map(_name, [*args.set, args.sweep or ""]),
        f"--trace says when requests come; leave {RPS} out of --set and --sweep",
    ),
)


def check(args: argparse.Namespace) -> None:
    """Raises UnusableError."""
    refuse(args, TEXTS, RULES)
    requests(args)
    for name in figures(args):
        if name not in FIGURES:
            hint = did_you_mean(name, FIGURES) or f"; there are {', '.join(FIGURES)}"
            raise UnusableError(f"--figures: there is no figure {name!r}{hint}")
    for (flag, text), (other, later) in combinations(_varying(args), 2):
        if covers(_name(later), _name(text)):
            told = text.removeprefix(f"{flag}=")
            raise UnusableError(f"--{flag} {told} says nothing beside --{other} {later}; leave one of them out")


def figures(args: argparse.Namespace) -> list[str]:
    """Those that are asked for by name, each once."""
    named = (name.strip() for name in (args.figures or "").split(","))
    return list(dict.fromkeys(name for name in named if name))


def requests(args: argparse.Namespace) -> int | None:
    """How many are asked for. Raises UnusableError."""
    if args.requests is None:
        return None
    try:
        count = parse_number(args.requests)
    except ValueError:
        count = 0.0
    if not (count.is_integer() and 1 <= count <= MOST_REQUESTS):
        raise UnusableError(f"--requests {args.requests}: write a whole number from 1 to {MOST_REQUESTS}, such as 10k")
    return int(count)


def varied(args: argparse.Namespace) -> list[str]:
    """`NAME=VALUE` of all that is set otherwise, in order."""
    return [text for flag, text in _varying(args) if flag != "sweep"]


def _varying(args: argparse.Namespace) -> list[tuple[str, str]]:
    """Flags that say what is otherwise, and `NAME=VALUES`; a later one has the last word."""
    told = {
        "rps": [f"{RPS}={args.rps}"] if args.rps else [],
        "set": args.set,
        "sweep": [args.sweep] if args.sweep else [],
    }
    return [(flag, text) for flag, texts in told.items() for text in texts]


def _name(text: str) -> str:
    return text.partition("=")[0].strip()
