"""What each process of the family is started with, made of the configuration and the command line.

It knows the posts of control and workers. It must not know sockets or signals.
"""

import contextlib
import os
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from fairlead.canonical.routing import Snapshot
from fairlead.config.load import ENVIRONMENT, Loaded
from fairlead.config.secrets import Fetched
from fairlead.config.units import Address, is_loopback
from fairlead.control import process as control
from fairlead.control.audit_post import AuditPost
from fairlead.control.configuring import ConfigPost, ConfigRejectedError
from fairlead.control.secrets.store import Machine
from fairlead.control.tenancy_post import TenancyPost
from fairlead.database.place import Place
from fairlead.gateway import worker
from fairlead.state.keepsake import Keepsake


class UnusableError(Exception):
    """Why nothing can be served."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run, once configuration and command line are put together."""

    listen: Address
    admin: Address
    workers: int
    drain: float
    data: Path
    file: str
    load: Callable[..., Loaded]
    """With `fetched`: what stores gave."""
    first: Snapshot
    place: Place
    admin_key: str | None
    admin_guarded: bool
    told: frozenset[str]
    """Warnings that are on stderr already."""

    def __repr__(self) -> str:
        return f"Plan({self.file})"


class Folders(msgspec.Struct, frozen=True):
    """Where the processes of a family meet, on disk and on a socket."""

    data: Path
    socket: Path
    machine: str
    """What names this machine among those that share its state."""

    @property
    def journals(self) -> Path:
        return self.data / "journal"

    @property
    def projections(self) -> Path:
        return self.data / "projections"

    @property
    def limits(self) -> Path:
        return self.data / "state" / "limits"

    @property
    def audit(self) -> Path:
        return self.data / "audit"

    @property
    def audit_private(self) -> Path:
        return self.data / "audit-private"

    @property
    def keys(self) -> Path:
        return self.data / "state" / "keys"


def control_post(plan: Plan, listen: Address, folders: Folders, *, lifeline: int, keepsake: Keepsake) -> control.Post:
    return control.Post(
        host=listen.host,
        port=listen.port,
        socket=folders.socket,
        lifeline=lifeline,
        projections=folders.projections,
        admin_key=plan.admin_key,
        admin_guarded=plan.admin_guarded,
        config=ConfigPost(
            watched=() if plan.file == ENVIRONMENT else (Path(plan.file),),
            compile=partial(_compiled, plan),
            first=plan.first,
            machine=Machine(environ=dict(os.environ)),
            keepsake=keepsake,
            told=plan.told,
        ),
        tenancy=TenancyPost(
            place=plan.place,
            index=folders.keys,
            limits=folders.limits,
            journals=folders.journals,
            machine=folders.machine,
        ),
        audit=AuditPost(folder=folders.audit, private=folders.audit_private, machine=folders.machine),
    )


def worker_post(number: int, listen: Address, folders: Folders, lifeline: int) -> worker.Post:
    return worker.Post(
        number=number,
        host=listen.host,
        port=listen.port,
        socket=folders.socket,
        journals=folders.journals,
        state=folders.limits,
        keys=folders.keys,
        machine=folders.machine,
        lifeline=lifeline,
    )


def machine_name(data: Path) -> str:
    """What names this machine among those that share its state; made at the first start, kept in the data folder."""
    file = data / "machine"
    try:
        data.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), file.open("x") as stream:
            stream.write(secrets.token_hex(4))
        return file.read_text()
    except OSError as error:
        raise UnusableError(f"{data} cannot be written: {error.strerror}; choose another with --data") from None


def _compiled(plan: Plan, fetched: Fetched) -> Loaded:
    loaded = plan.load(fetched=fetched)
    if loaded.snapshot is None:
        raise ConfigRejectedError("\n".join(str(problem) for problem in loaded.errors))
    if not is_loopback(plan.listen.host):
        return msgspec.structs.replace(loaded, snapshot=msgspec.structs.replace(loaded.snapshot, open=False))
    return loaded
