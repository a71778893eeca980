"""What `fairlead simulate` refuses of its flags alone, before any file is read, as a table."""

import argparse

from fairlead.cli.flags import Rule, refuse
from fairlead.cli.stores import UnusableError
from fairlead.config.problems import did_you_mean
from fairlead.simulator.knobs import LEAST_RPS, MOST_RPS, RPS, covers
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
}
RULES: tuple[Rule, ...] = (
    (
        lambda args: args.requests is not None and not 1 <= args.requests <= MOST_REQUESTS,
        f"--requests {{requests}}: write a number from 1 to {MOST_REQUESTS}",
    ),
    (
        lambda args: args.rps is not None and not LEAST_RPS <= args.rps <= MOST_RPS,
        f"--rps {{rps:g}}: write requests per second from {LEAST_RPS:g} to {MOST_RPS:g}",
    ),
    (lambda args: args.demo and args.config, "--demo has a configuration of its own; leave --config out"),
    (
        lambda args: args.suggest and not args.slo,
        "--suggest needs a target, such as --slo success=0.999,ttft_p99=800ms",
    ),
    (
        lambda args: args.figures and (args.sweep or args.suggest),
        "--figures are those of a simulation; leave --sweep and --suggest out",
    ),
    (lambda args: args.suggest and args.compare, "--suggest is about one configuration; leave --compare out"),
    (
        lambda args: args.sweep and args.slo,
        "--slo is about one setting; leave --sweep out, or search with --suggest",
    ),
    (lambda args: args.trace and args.rps is not None, "--trace says when requests come; leave --rps out"),
    (
        lambda args: args.trace and RPS in map(_name, _varied(args)),
        f"--trace says when requests come; leave {RPS} out of --set and --sweep",
    ),
)


def check(args: argparse.Namespace) -> None:
    """Raises UnusableError."""
    refuse(args, TEXTS, RULES)
    for name in figures(args):
        if name not in FIGURES:
            hint = did_you_mean(name, FIGURES) or f"; there are {', '.join(FIGURES)}"
            raise UnusableError(f"--figures: there is no figure {name!r}{hint}")
    for text in args.set:
        if args.sweep and covers(_name(args.sweep), _name(text)):
            raise UnusableError(f"--set {text} says nothing beside --sweep {args.sweep}; leave one of them out")


def figures(args: argparse.Namespace) -> list[str]:
    """Those that are asked for by name, each once."""
    named = (name.strip() for name in (args.figures or "").split(","))
    return list(dict.fromkeys(name for name in named if name))


def _varied(args: argparse.Namespace) -> list[str]:
    return [*args.set, *([args.sweep] if args.sweep else [])]


def _name(text: str) -> str:
    return text.partition("=")[0].strip()
