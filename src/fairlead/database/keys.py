"""The rows of virtual keys: written with a version each, read by id, by page and by change.

It must not know how a key is checked, nor what may be written: `control.keyring` decides that. A key's text never
comes here, only its MAC.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, Select, delete, insert, or_, select, tuple_, update

from fairlead.canonical.limits import Limit
from fairlead.database.tables import key_secrets, keys, meta

MOST = 1000
"""The most keys of a page, and of one reading of changes."""
WRITABLE = frozenset(
    {"name", "tenant", "tier", "limits", "models", "routes", "cidrs", "tags", "metadata", "expires_at"}
)
"""What an update may touch."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `keys`."""

    id: str
    name: str
    tenant: str = ""
    tier: str = ""
    limits: tuple[Limit, ...] = ()
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    cidrs: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    metadata: dict[str, Any] = {}
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    version: int = 0


class Secret(msgspec.Struct, frozen=True):
    """One MAC under which a key is known, and until when."""

    mac: bytes
    expires_at: float | None = None


class Change(msgspec.Struct, frozen=True):
    """A key as it stands now."""

    key: Key
    secrets: tuple[Secret, ...]


class Page(msgspec.Struct, frozen=True):
    """Some keys, newest first; `after` asks for those that follow, None where there are none."""

    keys: tuple[Key, ...]
    after: tuple[float, str] | None


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys a page is made of; None: whichever."""

    tenant: str | None = None
    name: str | None = None


def identity(connection: Connection) -> tuple[str, int]:
    """The database's uid and the version of its newest change."""
    uid, version = connection.execute(select(meta.c.uid, meta.c.version)).one()
    return uid, version


def create(connection: Connection, key: Key, mac: bytes) -> Key:
    """Adds `key`, known by `mac`; as it stands then."""
    key = msgspec.structs.replace(key, version=next_version(connection))
    connection.execute(insert(keys).values(msgspec.structs.asdict(key)))
    connection.execute(insert(key_secrets).values(mac=mac, key_id=key.id, expires_at=None))
    return key


def get(connection: Connection, id: str) -> Key | None:  # noqa: A002
    row = connection.execute(select(keys).where(keys.c.id == id)).mappings().one_or_none()
    return None if row is None else _key(row)


def names(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    """The names of those of these keys that are here, by their ids."""
    query = select(keys.c.id, keys.c.name).where(keys.c.id.in_(list(ids)))
    return {str(id): str(name) for id, name in connection.execute(query)}  # noqa: A001


def page(connection: Connection, limit: int, *, wanted: Filter, after: tuple[float, str] | None = None) -> Page:
    """Up to `limit` keys after `after`, newest first."""
    limit = min(limit, MOST)
    place = tuple_(keys.c.created_at, keys.c.id)
    query = select(keys).order_by(keys.c.created_at.desc(), keys.c.id.desc()).limit(limit + 1)
    if wanted.tenant is not None:
        query = query.where(keys.c.tenant == wanted.tenant)
    if wanted.name is not None:
        query = query.where(keys.c.name == wanted.name)
    if after is not None:
        query = query.where(place < after)
    found = _read(connection, query)
    more = len(found) > limit
    found = found[:limit]
    return Page(found, (found[-1].created_at, found[-1].id) if more else None)


def change(connection: Connection, id: str, values: dict[str, Any]) -> Key | None:  # noqa: A002
    """Sets some of the WRITABLE fields; the key as it stands then, None where there is none."""
    if foreign := values.keys() - WRITABLE:
        raise ValueError(f"a key's {sorted(foreign)} cannot be set")
    return _write(connection, id, values)


def revoke(connection: Connection, id: str, at: float) -> Key | None:  # noqa: A002
    """Ends the key for good; its first revocation is what is remembered."""
    found = get(connection, id)
    if found is None or found.revoked_at is not None:
        return found
    return _write(connection, id, {"revoked_at": at})


def rotate(connection: Connection, id: str, mac: bytes, *, now: float, until: float) -> Key | None:  # noqa: A002
    """Makes `mac` the key's own; those it had end at `until`, or earlier where that was said before."""
    found = _write(connection, id, {})
    if found is None:
        return None
    of_key = key_secrets.c.key_id == id
    connection.execute(delete(key_secrets).where(of_key, key_secrets.c.expires_at <= now))
    late = or_(key_secrets.c.expires_at.is_(None), key_secrets.c.expires_at > until)
    connection.execute(update(key_secrets).where(of_key, late).values(expires_at=until))
    connection.execute(insert(key_secrets).values(mac=mac, key_id=id, expires_at=None))
    return found


def changes_since(connection: Connection, version: int, limit: int = MOST) -> list[Change]:
    """Keys that changed after `version`, in the order of their newest change."""
    found = _read(connection, select(keys).where(keys.c.version > version).order_by(keys.c.version).limit(limit))
    secrets = _secrets(connection, [key.id for key in found])
    return [Change(key, tuple(secrets.get(key.id, ()))) for key in found]


def next_version(connection: Connection) -> int:
    """The number of this change.

    Its row stays locked until the transaction ends, so writers come one after the other, and whoever has seen a version
    can see every one before it.
    """
    taken = update(meta).values(version=meta.c.version + 1).returning(meta.c.version)
    return int(connection.execute(taken).scalar_one())


def _write(connection: Connection, id: str, values: dict[str, Any]) -> Key | None:  # noqa: A002
    values = {**values, "version": next_version(connection)}
    row = connection.execute(update(keys).where(keys.c.id == id).values(values).returning(keys)).mappings()
    found = row.one_or_none()
    return None if found is None else _key(found)


def _secrets(connection: Connection, ids: Sequence[str]) -> dict[str, list[Secret]]:
    found: dict[str, list[Secret]] = {}
    query = select(key_secrets).where(key_secrets.c.key_id.in_(ids)).order_by(key_secrets.c.mac)
    for mac, key_id, expires_at in connection.execute(query):
        found.setdefault(key_id, []).append(Secret(bytes(mac), expires_at))
    return found


def _read(connection: Connection, query: Select[Any]) -> tuple[Key, ...]:
    return tuple(_key(row) for row in connection.execute(query).mappings())


def _key(row: RowMapping) -> Key:
    return Key(**row)
