"""Where the commands that need no running gateway find the database and the pepper."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from fairlead.canonical.routing import Snapshot
from fairlead.cli.output import print_problems
from fairlead.config.load import ENVIRONMENT, Loaded, load
from fairlead.config.model import Config
from fairlead.database.place import Place
from fairlead.state.pepper import has_pepper, load_pepper

ANOTHER = "name a gateway's data folder with --data, or its configuration with --config"


class UnusableError(Exception):
    """Why the command can do nothing; the message is for stderr."""


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration and the command line name."""

    config: Config
    place: Place
    pepper: bytes
    """Of new keys; empty where it comes from a store that only the gateway asks."""

    def __repr__(self) -> str:
        return f"Store({self.place})"


def store_of(args: argparse.Namespace) -> Store:
    """Reads the configuration, and makes a pepper where there is none.

    Where nothing is configured, the data folder that a gateway has left is enough, such as the demo's; there are no
    tenants and tiers then. Raises UnusableError.
    """
    found = _loaded(args, lambda config: load_pepper(Path(args.data or config.data)))
    if found is None:
        place = _left(args)
        if not has_pepper(place.data):
            # Keys that another pepper than the gateway's was used for would be good for nothing.
            raise UnusableError(
                f"{place.data} has no pepper: the gateway's configuration has it; name that by --config"
            )
        return Store(config=Config(), place=place, pepper=load_pepper(place.data))
    loaded, config, snapshot = found
    place = Place(data=Path(args.data or config.data), url=loaded.database)
    return Store(config=config, place=place, pepper=snapshot.pepper)


def past_of(args: argparse.Namespace) -> Place:
    """The database that is only read, which must be there: nothing is made.

    A data folder alone is enough for the embedded one: no configuration is read where `args.data` names it alone, and
    none is needed where a gateway has left it here. Raises UnusableError.
    """
    found = None if args.data and not args.config else _loaded(args, lambda _: b"")
    if found is None:
        return _left(args)
    loaded, config, _ = found
    place = Place(data=Path(args.data or config.data), url=loaded.database)
    if place.is_embedded and not place.file.exists():
        raise UnusableError(f"there is no database {place.file}; {ANOTHER}")
    return place


def machine_of(data: Path) -> str:
    """What names the gateway of this data folder among others; empty: none has run here yet."""
    try:
        return (data / "machine").read_text()
    except OSError:
        return ""


def _left(args: argparse.Namespace) -> Place:
    """The embedded database that a gateway has left where the command line says, or where it is kept by default."""
    place = Place(data=Path(args.data or Config().data))
    if not place.file.exists():
        unconfigured = "" if args.data else "nothing is configured here, and "
        raise UnusableError(f"{unconfigured}there is no database {place.file}; {ANOTHER}")
    return place


def _loaded(args: argparse.Namespace, pepper: Callable[[Config], bytes]) -> tuple[Loaded, Config, Snapshot] | None:
    """What is configured; None: nothing at all, neither by a file nor by keys in the environment."""
    loaded = load(args.config, os.environ, pepper=pepper)
    if loaded.config is None and loaded.file == ENVIRONMENT:
        return None
    if loaded.config is None or loaded.snapshot is None:
        print_problems(loaded.errors)
        raise UnusableError("nothing is done: the configuration has errors")
    return loaded, loaded.config, loaded.snapshot
