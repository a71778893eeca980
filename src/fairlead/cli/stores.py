"""Where the commands that need no running gateway find the database and the pepper."""

import argparse
import os
from pathlib import Path

import msgspec

from fairlead.cli.output import print_problems
from fairlead.config.load import load
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
    """Reads the configuration. Raises UnusableError."""
    loaded = load(args.config, os.environ, pepper=lambda config: load_pepper(Path(args.data or config.data)))
    if loaded.config is None or loaded.snapshot is None:
        print_problems(loaded.errors)
        raise UnusableError("nothing is done: the configuration has errors")
    place = Place(data=Path(args.data or loaded.config.data), url=loaded.database)
    return Store(config=loaded.config, place=place, pepper=loaded.snapshot.pepper)


def machine_of(data: Path) -> str:
    """What names the gateway of this data folder among others; empty: none has run here yet."""
    try:
        return (data / "machine").read_text()
    except OSError:
        return ""
