"""The command line: which commands there are, and what each takes. Every command is imported only when it runs.

A command module has `run(args) -> int`, the exit status. Results go to stdout, everything else to stderr.
"""

import argparse
import errno
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from fairlead import __version__
from fairlead.cli import (
    advise_arguments,
    audit_arguments,
    key_arguments,
    replay_arguments,
    simulate_arguments,
    usage_arguments,
)

Arguments = Callable[[argparse.ArgumentParser], None]
READER_LEFT = 141
"""The status of a command that could not end because nobody read on, as a shell has it of one that SIGPIPE ended."""


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="F", help="the file; default: $FAIRLEAD_CONFIG, then ./fairlead.yaml")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _serve(parser: argparse.ArgumentParser) -> None:
    _config(parser)
    parser.add_argument("--demo", action="store_true", help="three fake providers on this machine; no account needed")
    parser.add_argument("--listen", metavar="H:P", help="where clients connect; overrides server.listen")
    parser.add_argument("--admin-listen", metavar="H:P", help="the admin port; overrides admin.listen")
    parser.add_argument("--workers", metavar="N", type=_count, help="worker processes; overrides server.workers")
    parser.add_argument("--data", metavar="DIR", help="where the journal is kept; overrides data")


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 256")
    return int(text)


def _check(parser: argparse.ArgumentParser) -> None:
    _config(parser)
    _json(parser)


def _explain(parser: argparse.ArgumentParser) -> None:
    _config(parser)
    _json(parser)
    parser.add_argument("--model", metavar="M", required=True, help="the model that the request asks for")
    parser.add_argument("--tenant", metavar="T", help="whose request it is: its residency and demands hold")
    parser.add_argument("--tools", action="store_true", help="the request has tools")
    parser.add_argument("--images", action="store_true", help="the request has images")


def _init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", metavar="DIR", nargs="?", default=".", help="where to; default: here")


def _models(parser: argparse.ArgumentParser) -> None:
    _json(parser)
    parser.add_argument("--provider", metavar="P", help="only this provider's models")


def _none(_: argparse.ArgumentParser) -> None:
    pass


COMMANDS: dict[str, tuple[str, Arguments]] = {
    "serve": ("run the gateway", _serve),
    "init": ("write a commented fairlead.yaml", _init),
    "check": ("validate the configuration: every error with its line, and what is probably not meant", _check),
    "explain": ("which deployments a request would try, in which order, and why others are skipped", _explain),
    "keys": ("make, list, change, revoke and rotate virtual keys", key_arguments.keys),
    "audit": ("verify, show and prove the audit trail, and erase personal fields", audit_arguments.audit),
    "usage": ("what was used, what it cost and what was wasted", usage_arguments.usage),
    "simulate": ("what a configuration would do, under a virtual clock", simulate_arguments.simulate),
    "replay": ("what another configuration would have changed for traffic that was recorded", replay_arguments.replay),
    "migrate": ("bring the database's schema to this version's", key_arguments.migrate),
    "advise": ("pick a gateway for your needs, ours or another, and say why", advise_arguments.advise),
    "schema": ("print the configuration's JSON Schema, for editors", _none),
    "providers": ("the providers that Fairlead knows", _json),
    "models": ("the models that Fairlead knows, with prices and their dates", _models),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    parser = _parser()
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        (args.parser if args.command else parser).error(f"unrecognized arguments: {' '.join(unknown)}")
    if args.command is None:
        parser.print_help(sys.stderr)
        return 2
    args.typed = shlex.join(("fairlead", *(sys.argv[1:] if argv is None else argv)))
    run: Callable[[argparse.Namespace], int] = import_module(f"fairlead.cli.{args.command}").run
    status = READER_LEFT
    try:
        status = run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough; what the interpreter would still flush must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"fairlead {args.command}: the output cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fairlead", description="An AI gateway: one API in front of every model provider."
    )
    parser.add_argument("--version", action="version", version=f"fairlead {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, (summary, arguments) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        command.set_defaults(parser=command)
        arguments(command)
    return parser
