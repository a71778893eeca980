"""The configurations whose deployments are only played, each by the name of its file. Nothing is served with them.

It must not know what they are played with.
"""

import os

from fairlead.canonical.routing import Snapshot
from fairlead.cli.output import print_problems
from fairlead.cli.stores import UnusableError
from fairlead.config.load import ENVIRONMENT, load


def configured(path: str | None, *, undone: str, otherwise: str = "") -> tuple[str, Snapshot]:
    """The file's name and what is in it: the one at `path`, or without one where every command looks.

    Raises UnusableError where it has errors, which are printed, or no routes: `undone` says what is not done then, and
    `otherwise` what may be done where no file is named.
    """
    loaded = load(path, os.environ)
    if loaded.snapshot is None:
        print_problems(loaded.errors)
        why = "name a configuration with --config" if loaded.file == ENVIRONMENT else f"{loaded.file} has errors"
        raise UnusableError(f"{undone}: {why}{otherwise if path is None else ''}")
    if not loaded.snapshot.routes:
        raise UnusableError(f"{undone}: {loaded.file} has no routes; nobody would be asked")
    return loaded.file, loaded.snapshot
