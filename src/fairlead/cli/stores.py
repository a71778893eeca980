"""Where the commands that need no running gateway find the database and the pepper."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from fairlead.canonical.routing import Snapshot
from fairlead.cli.output import print_problems
from fairlead.config.load import Loaded, load
from fairlead.config.model import Config
from fairlead.database.place import Place
from fairlead.state.pepper import load_pepper


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
    """Reads the configuration, and makes a pepper where there is none. Raises UnusableError."""
    loaded, config, snapshot = _loaded(args, lambda config: load_pepper(Path(args.data or config.data)))
    place = Place(data=Path(args.data or config.data), url=loaded.database)
    return Store(config=config, place=place, pepper=snapshot.pepper)


def past_of(args: argparse.Namespace) -> Place:
    """The database that is only read, which must be there: nothing is made.

    A data folder alone is enough for the embedded one; no configuration is read then. Raises UnusableError.
    """
    if args.data and not args.config:
        place = Place(data=Path(args.data))
    else:
        loaded, config, _ = _loaded(args, lambda _: b"")
        place = Place(data=Path(args.data or config.data), url=loaded.database)
    if place.is_embedded and not place.file.exists():
        raise UnusableError(f"there is no database {place.file}; name the gateway's data folder with --data")
    return place


def machine_of(data: Path) -> str:
    """What names the gateway of this data folder among others; empty: none has run here yet."""
    try:
        return (data / "machine").read_text()
    except OSError:
        return ""


def _loaded(args: argparse.Namespace, pepper: Callable[[Config], bytes]) -> tuple[Loaded, Config, Snapshot]:
    loaded = load(args.config, os.environ, pepper=pepper)
    if loaded.config is None or loaded.snapshot is None:
        print_problems(loaded.errors)
        raise UnusableError("nothing is done: the configuration has errors")
    return loaded, loaded.config, loaded.snapshot
