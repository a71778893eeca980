"""What `fairlead audit` takes on the command line. It imports nothing that takes time."""

import argparse
from collections.abc import Callable


def audit(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    for name, (summary, arguments) in ACTIONS.items():
        action = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        arguments(action)


def _folder(parser: argparse.ArgumentParser) -> None:
    _config(parser)
    parser.add_argument("--data", metavar="DIR", help="the data folder, or a copy of its audit folder; overrides data")


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="F", help="the file; default: $FAIRLEAD_CONFIG, then ./fairlead.yaml")


def _number(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= least):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} on")
        return int(text)

    return read


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        metavar="DATA-DIR",
        nargs="?",
        help="the data folder, or a copy of its audit folder; default: the configuration's",
    )
    _config(parser)
    parser.add_argument(
        "--checkpoint",
        metavar="F",
        action="append",
        default=[],
        help="a checkpoint that a witness has; may be repeated",
    )
    parser.add_argument("--key", metavar="VKEY", help="the verifier key that you noted; it must be one of the trail's")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _show(parser: argparse.ArgumentParser) -> None:
    _folder(parser)
    parser.add_argument(
        "--from", dest="start", metavar="N", type=_number(0), help="the first entry; default: the newest"
    )
    parser.add_argument("--limit", metavar="M", type=_number(1), default=100, help="how many; default: 100")
    parser.add_argument("--json", action="store_true", help="print the entries as they are, one JSON object a line")
    parser.add_argument("--personal", action="store_true", help="with the personal fields that were not erased")


def _prove(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("number", metavar="N", type=int, help="the entry's number, from 0")
    _folder(parser)


def _consistency(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", type=int, help="the size of a signed tree")
    parser.add_argument("new", metavar="NEW", type=int, nargs="?", help="of a larger one; default: the newest")
    _folder(parser)


def _erase(parser: argparse.ArgumentParser) -> None:
    _store(parser)
    parser.add_argument("--tenant", metavar="T", required=True, help="the tenant; empty: requests of no tenant")
    parser.add_argument("--user", metavar="U", required=True, help="the end user, or key:ID for the names of a key")


def _store(parser: argparse.ArgumentParser) -> None:
    _config(parser)
    parser.add_argument("--data", metavar="DIR", help="where the trail is kept; overrides data")


ACTIONS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "verify": (
        "check every entry and checkpoint, offline; exit 1 and the first bad entry where one is not right",
        _verify,
    ),
    "show": ("print entries", _show),
    "prove": ("print a proof that an entry is in the signed trail", _prove),
    "consistency": ("print a proof that a signed tree is the beginning of another", _consistency),
    "key": ("print the verifier key that others need", _folder),
    "erase": ("destroy the key of an end user's personal fields, wherever copies of the trail are", _erase),
    "rotate-key": ("make another signing key, for the next start; the old one signs the change", _folder),
    "acknowledge": ("let a trail that raised an alarm go on; the trail says so for good", _folder),
}
