"""What `fairlead keys` and `fairlead migrate` take on the command line. It imports nothing that takes time."""

import argparse
from collections.abc import Callable


def migrate(parser: argparse.ArgumentParser) -> None:
    _place(parser)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where there is something to do")
    parser.add_argument("--json", action="store_true", help="print JSON")


def keys(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    for name, (summary, arguments) in ACTIONS.items():
        action = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        arguments(action)
        _place(action)
        action.add_argument("--json", action="store_true", help="print JSON")


def _place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="F", help="the file; default: $FAIRLEAD_CONFIG, then ./fairlead.yaml")
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="where the embedded database is kept; overrides data; enough where nothing is configured",
    )


def _create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="what the key is called in lists, logs and usage")
    _fields(parser)


def _update(parser: argparse.ArgumentParser) -> None:
    _id(parser)
    parser.add_argument("--name", help="what the key is called in lists, logs and usage")
    _fields(parser)


def _fields(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", metavar="T", help="who pays: a name under tenants")
    parser.add_argument("--tier", metavar="T", help="a name under tiers, beside those of the tenant")
    parser.add_argument("--limits", metavar="JSON", help="limits of its own, as under tiers")
    for flag, what in (("model", "a model that it may ask for"), ("route", "a route that it may use")):
        parser.add_argument(f"--{flag}", dest=f"{flag}s", metavar="M", action="append", help=f"{what}; may be repeated")
    parser.add_argument("--cidr", dest="cidrs", metavar="NET", action="append", help="a network that it may come from")
    parser.add_argument("--tag", dest="tags", metavar="NAME=VALUE", action="append", help="a word that usage groups by")
    parser.add_argument("--metadata", metavar="JSON", help="an object of your own, kept with the key")
    parser.add_argument(
        "--expires", metavar="WHEN", help="30d from now, 2027-01-31, 2027-01-31T12:00:00Z, or never; UTC without a zone"
    )


def _list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", metavar="T", help="only this tenant's keys")
    parser.add_argument("--name", metavar="N", help="only keys of this name")
    parser.add_argument("--limit", metavar="N", type=int, default=100, help="how many, up to 1000; default: 100")
    parser.add_argument("--cursor", metavar="C", help="where the page before ended")


def _rotate(parser: argparse.ArgumentParser) -> None:
    _id(parser)
    parser.add_argument("--overlap", metavar="D", help="how long the key so far stays good: 0s, 1h, 7d; default: 1d")


def _id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the key's id, as lists show it")


ACTIONS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "create": ("make a key and print it, this once", _create),
    "list": ("list keys, newest first", _list),
    "show": ("show a key", _id),
    "update": ("change what a key may do; an empty value clears a list", _update),
    "revoke": ("end a key for good", _id),
    "rotate": ("give a key another secret and print it, this once", _rotate),
}
