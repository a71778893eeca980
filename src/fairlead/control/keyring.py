"""Virtual keys as operators handle them: made, listed, shown, changed, revoked and given another secret.

The admin port and the command line both come here. It must not know HTTP, arguments or the configuration's file.
"""

import secrets
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import UNSET
from sqlalchemy import Connection

from fairlead.audit.change import encode_change
from fairlead.canonical import credential
from fairlead.canonical.tenants import VirtualKey
from fairlead.config.limits import written_limits
from fairlead.control.accounts import Author, change_of
from fairlead.control.wishes import RefusedError, Terms, Wish, checked, one_line
from fairlead.database import keys as rows
from fairlead.database import outbox
from fairlead.database.engine import Database
from fairlead.database.keys import Key

DEFAULT_OVERLAP = "1d"
LONGEST_OVERLAP = 90 * 86_400.0

State = Literal["active", "expired", "revoked"]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is shown."""

    id: str
    name: str
    state: State
    tenant: str
    tier: str
    limits: dict[str, Any]
    """Written as in a tier of the configuration."""
    models: tuple[str, ...]
    routes: tuple[str, ...]
    cidrs: tuple[str, ...]
    tags: dict[str, str]
    metadata: dict[str, Any]
    created_at: float
    expires_at: float | None
    revoked_at: float | None


class Made(msgspec.Struct, frozen=True):
    """A key that has a new secret: `text` is its only showing."""

    text: str
    key: Shown

    def __repr__(self) -> str:
        return f"Made({self.key.id})"


class Listed(msgspec.Struct, frozen=True):
    """A page of keys; `next` is the cursor of the page after it."""

    keys: tuple[Shown, ...]
    next: str | None


class Keyring:
    """The keys of one database. A method does its work at once, in the thread that calls it.

    Raises RefusedError for what cannot be had and DatabaseError where the database cannot be used.
    """

    def __init__(
        self,
        database: Database,
        pepper: Callable[[], bytes],
        *,
        terms: Callable[[], Terms],
        clock: Callable[[], float],
        author: Author,
        may_change: Callable[[], None] = lambda: None,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`may_change` is asked before a change is made for good; it raises RefusedError where it must not be."""
        self._database = database
        self._pepper = pepper
        self._terms = terms
        self._clock = clock
        self._author = author
        self._may_change = may_change
        self._entropy = entropy

    def create(self, wish: Wish) -> Made:
        """A new key."""
        if wish.name is UNSET:
            raise RefusedError("invalid_request_error", "name is missing; a key needs one", "name")
        now = self._clock()
        values = checked(wish, self._terms(), now)
        minted = credential.mint(self._entropy(credential.ENTROPY))
        with self._database.writing() as connection:
            key = rows.create(connection, Key(id=minted.id, created_at=now, **values), self._mac(minted))
            self._account(connection, "key.create", key, now)
        return Made(minted.text, _shown(key, now))

    def get(self, id: str) -> Shown:  # noqa: A002
        with self._database.reading() as connection:
            return _shown(_existing(connection, id), self._clock())

    def page(
        self, *, limit: int = 100, cursor: str | None = None, tenant: str | None = None, name: str | None = None
    ) -> Listed:
        """Keys that match, newest first."""
        if not 1 <= limit <= rows.MOST:
            raise RefusedError("invalid_request_error", f"limit is {limit}; it goes from 1 to {rows.MOST}", "limit")
        after = _place(cursor) if cursor is not None else None
        wanted = rows.Filter(
            tenant=None if tenant is None else one_line("tenant", tenant, empty=True),
            name=None if name is None else one_line("name", name),
        )
        with self._database.reading() as connection:
            found = rows.page(connection, limit, wanted=wanted, after=after)
        now = self._clock()
        return Listed(tuple(_shown(key, now) for key in found.keys), _cursor(found.after) if found.after else None)

    def update(self, id: str, wish: Wish) -> Shown:  # noqa: A002
        """Sets what the wish names."""
        now = self._clock()
        values = checked(wish, self._terms(), now)
        with self._database.writing() as connection:
            _living(connection, id)
            key = _there(rows.change(connection, id, values))
            self._account(connection, "key.update", key, now, changed=sorted(values))
            return _shown(key, now)

    def limited(self, id: str) -> VirtualKey:  # noqa: A002
        """What of the key its limits depend on."""
        with self._database.reading() as connection:
            key = _existing(connection, id)
        return VirtualKey(id=key.id, tenant=key.tenant, tier=key.tier, limits=key.limits)

    def revoke(self, id: str) -> Shown:  # noqa: A002
        """Ends the key for good; to revoke it again changes nothing."""
        now = self._clock()
        with self._database.writing() as connection:
            before = _existing(connection, id)
            key = _there(rows.revoke(connection, id, now))
            if before.revoked_at is None:
                self._account(connection, "key.revoke", key, now)
            return _shown(key, now)

    def rotate(self, id: str, overlap: float) -> Made:  # noqa: A002
        """Another secret for the key; the one that it has is good for `overlap` seconds more."""
        if not 0 <= overlap <= LONGEST_OVERLAP:
            most = f"{LONGEST_OVERLAP:.0f} seconds"
            raise RefusedError("invalid_request_error", f"overlap is {overlap:g}; it goes from 0 to {most}", "overlap")
        now = self._clock()
        with self._database.writing() as connection:
            _living(connection, id)
            minted = credential.mint(self._entropy(credential.ENTROPY), id)
            key = _there(rows.rotate(connection, id, self._mac(minted), now=now, until=now + overlap))
            self._account(connection, "key.rotate", key, now, overlap=round(overlap * 1_000_000))
        return Made(minted.text, _shown(key, now))

    def _account(self, connection: Connection, action: str, key: Key, now: float, **more: Any) -> None:
        """Has the audit trail told of a change in the change's own transaction."""
        self._may_change()
        change = change_of(action, key, at=now, actor=self._author.actor, **more)
        outbox.add(connection, encode_change(change), self._author.machine, version=key.version)

    def _mac(self, minted: credential.Minted) -> bytes:
        pepper = self._pepper()
        if not pepper:
            message = "the pepper has no value yet, so no key can be made; see the log, and give pepper a value"
            raise RefusedError("conflict", message)
        return credential.mac(pepper, minted.text.encode())


def _existing(connection: Connection, id: str) -> Key:  # noqa: A002
    return _there(rows.get(connection, id) if credential.is_id(id) else None)


def _living(connection: Connection, id: str) -> None:  # noqa: A002
    if _existing(connection, id).revoked_at is not None:
        raise RefusedError("conflict", f"the key {id} is revoked, which is for good; make a new one")


def _there(key: Key | None) -> Key:
    if key is None:
        raise RefusedError("not_found", "there is no key of this id; list the keys to see which there are")
    return key


def _shown(key: Key, now: float) -> Shown:
    values = msgspec.structs.asdict(key)
    del values["version"]
    shown = {"state": _state(key, now), "tags": dict(key.tags), "limits": written_limits(key.limits)}
    return Shown(**{**values, **shown})


def _state(key: Key, now: float) -> State:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"


def _cursor(after: tuple[float, str]) -> str:
    """Where a page ended, in a form that nobody is tempted to take apart."""
    return msgspec.json.encode(after).hex()


def _place(cursor: str) -> tuple[float, str]:
    try:
        at, key = msgspec.json.decode(bytes.fromhex(cursor), type=tuple[float, str])
    except ValueError:
        at, key = 0.0, ""
    if not credential.is_id(key):
        message = "cursor is not one that a page gave; leave it out to begin at the start"
        raise RefusedError("invalid_request_error", message, "cursor")
    return at, key
