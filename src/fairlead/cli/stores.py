"""Where the commands that need no running gateway find the database and the pepper."""

import argparse
import os
from pathlib import Path

import msgspec

from fairlead.cli.output import print_problems
from fairlead.config.load import load
from fairlead.config.model import Config
from fairlead.database.place import Place
from fairlead.state.pepper import peppers


class UnusableError(Exception):
    """Why the command can do nothing; the message is for stderr."""


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration and the command line name."""

    config: Config
    place: Place

    def pepper(self) -> bytes:
        """The pepper of new keys. Raises PepperError."""
        return peppers(configured_peppers(self.config), self.place.data, shared=not self.place.is_embedded)[0]


def store_of(args: argparse.Namespace) -> Store:
    """Reads the configuration. Raises UnusableError."""
    loaded = load(args.config, os.environ)
    if loaded.config is None:
        print_problems(loaded.errors)
        raise UnusableError("nothing is done: the configuration has errors")
    config = loaded.config
    return Store(config=config, place=Place(data=Path(args.data or config.data), url=config.database or None))


def configured_peppers(config: Config) -> tuple[str, ...]:
    """What `pepper` resolves to; none: the data directory's own.

    The seam for the configuration's `pepper`, which this version does not have yet.
    """
    del config
    return ()
