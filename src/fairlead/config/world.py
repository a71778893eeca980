"""What compiling needs of the machine, and how it reads a secret there.

Reading files, the environment and what stores gave is passed in, so the same input gives the same result.
"""

from collections.abc import Callable, Mapping

import msgspec

from fairlead.catalog.table import Catalog
from fairlead.config.problems import Findings
from fairlead.config.secrets import (
    Fetched,
    Secret,
    UnaskedError,
    UnresolvedError,
    is_placeholder,
    read_text,
    resolve,
)

SHORTEST_KEY = 20


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What compiling needs of the machine and of us."""

    environ: Mapping[str, str]
    catalog: Catalog
    pepper: bytes = b""
    """This machine's own, for a configuration without one."""
    read_file: Callable[[str], str] = read_text
    shortest_key: int = SHORTEST_KEY
    fetched: Fetched | None = None
    """What stores over the network gave; None: none has been asked, and their absence is no news."""


def resolved(secret: Secret, path: str, world: World, findings: Findings) -> str | None:
    """The secret's value; None, with a warning where that is news, when it has none yet."""
    try:
        return resolve(secret, world.environ, world.read_file, world.fetched)
    except UnaskedError:
        return None
    except UnresolvedError as error:
        findings.warn(path, str(error))
        return None


def is_strong(value: str, path: str, world: World, findings: Findings) -> bool:
    """Whether nobody can guess a key that lets others in; an error where somebody can."""
    if len(value) < world.shortest_key:
        findings.error(path, f"the key has {len(value)} characters; it must have {world.shortest_key} or more")
    elif is_placeholder(value):
        findings.error(path, "the key is an example's placeholder; make one of your own, with `openssl rand -hex 24`")
    else:
        return True
    return False
