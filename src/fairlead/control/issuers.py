"""The public keys of issuers: fetched, refreshed, and kept while an issuer is down.

It knows OpenID discovery and JSON Web Key Sets. It must not know tokens: workers check those with the keys that a
snapshot brings them. Nothing is followed: no redirect, and no address but the configured ones and the one that an
issuer's own discovery document names.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import msgspec

from fairlead.canonical.routing import Snapshot
from fairlead.canonical.tenants import Issuer
from fairlead.config.units import is_loopback, parse_keys_url
from fairlead.http.client import Client, UpstreamError
from fairlead.http.origin import Origin
from fairlead.policy import issuer_keys

log = logging.getLogger("fairlead.control")

DISCOVERY = "/.well-known/openid-configuration"
LARGEST = 256 * 1024
"""Bytes of a document that are read."""
PATIENCE = 10.0
"""Seconds that a document may take."""
AT_MOST_EVERY = 10.0
"""Seconds between two fetches for one issuer, whoever asks; also how soon a failed one is tried again."""
FIELDS = b"accept: application/json\r\nuser-agent: fairlead\r\n"


class UnusableError(Exception):
    """Why an issuer's keys cannot be had; names no key material."""


class _Discovery(msgspec.Struct, frozen=True):
    issuer: str
    jwks_uri: str


class _Watched:
    """One issuer under watch."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.jwks = ""
        self.trouble: str | None = None
        self.tried = asyncio.Event()
        self.wanted = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Issuers:
    """The keys of the configured issuers. `changed` is called when some are new."""

    def __init__(self, client: Client, changed: Callable[[], None], *, at_most_every: float = AT_MOST_EVERY) -> None:
        self._client = client
        self._changed = changed
        self._at_most_every = at_most_every
        self._watched: dict[tuple[str, str], _Watched] = {}

    def watch(self, issuers: tuple[Issuer, ...]) -> None:
        """Fetches for these issuers from now on, and for no others. Keys of those that stay are kept."""
        former, self._watched = self._watched, {}
        for issuer in issuers:
            name = (issuer.issuer, issuer.jwks_url)
            watched = self._watched[name] = former.pop(name) if name in former else _Watched(issuer)
            watched.issuer = issuer
            if watched.task is None:
                watched.task = asyncio.create_task(self._keep(watched))
        for gone in former.values():
            _cancel(gone)

    def filled(self, snapshot: Snapshot) -> Snapshot:
        """`snapshot` with the keys that its issuers are known to have."""
        issuers = tuple(msgspec.structs.replace(one, jwks=self._keys_of(one)) for one in snapshot.issuers)
        return msgspec.structs.replace(snapshot, issuers=issuers)

    def wanted(self, issuer: str) -> None:
        """A token was signed with a key of `issuer` that is not known: its keys are fetched as soon as is decent."""
        for watched in self._watched.values():
            if watched.issuer.issuer == issuer:
                watched.wanted.set()

    async def tried(self, timeout: float) -> None:
        """Waits until every issuer has been asked once, at most `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                for watched in tuple(self._watched.values()):
                    await watched.tried.wait()

    def close(self) -> None:
        for watched in self._watched.values():
            _cancel(watched)
        self._watched = {}

    def _keys_of(self, issuer: Issuer) -> str:
        watched = self._watched.get((issuer.issuer, issuer.jwks_url))
        return watched.jwks if watched else ""

    async def _keep(self, watched: _Watched) -> None:
        while True:
            watched.wanted.clear()
            await self._refresh(watched)
            watched.tried.set()
            await asyncio.sleep(self._at_most_every)
            if watched.trouble is None:
                await _within(watched.wanted.wait(), watched.issuer.refresh - self._at_most_every)

    async def _refresh(self, watched: _Watched) -> None:
        issuer = watched.issuer
        try:
            found = await fetch(self._client, issuer)
        except Exception as error:  # whatever an issuer answers, it is asked again
            reason = str(error) if isinstance(error, UnusableError) else type(error).__name__
            if watched.trouble is None:
                kept = bool(watched.jwks)
                log.warning("issuer_unavailable", extra={"issuer": issuer.issuer, "reason": reason, "keys_kept": kept})
            watched.trouble = reason
            return
        if watched.trouble is not None:
            log.info("issuer_available", extra={"issuer": issuer.issuer})
        watched.trouble = None
        if found.text != watched.jwks:
            watched.jwks = found.text
            ids = [key.kid for key in found.keys]
            log.info("issuer_keys", extra={"issuer": issuer.issuer, "keys": ids, "ignored": list(found.ignored)})
            self._changed()


async def fetch(client: Client, issuer: Issuer) -> issuer_keys.KeySet:
    """The issuer's usable keys, of which there is at least one. Raises UnusableError."""
    url = issuer.jwks_url or await _discovered(client, issuer.issuer)
    try:
        found = issuer_keys.read(await _get(client, url))
    except ValueError as error:
        raise UnusableError(f"what {url} answers cannot be used: {error}") from None
    if not found.keys:
        raise UnusableError(f"{url} has no key that can be used: {'; '.join(found.ignored) or 'it is empty'}")
    return found


async def _discovered(client: Client, issuer: str) -> str:
    """Where the issuer's own discovery document says that its keys are."""
    url = issuer.rstrip("/") + DISCOVERY
    try:
        found = msgspec.json.decode(await _get(client, url), type=_Discovery)
    except (ValueError, RecursionError):
        raise UnusableError(f"what {url} answers is no discovery document; give jwks instead") from None
    if found.issuer != issuer:
        raise UnusableError(f"{url} is of the issuer {found.issuer[:200]!r}, not {issuer!r}; write exactly its name")
    try:
        parse_keys_url(found.jwks_uri)
    except ValueError:
        raise UnusableError(f"{url} names a jwks_uri that is not taken; give jwks instead") from None
    if is_loopback(_host(found.jwks_uri)) and not is_loopback(_host(issuer)):
        raise UnusableError(f"{url} names a jwks_uri on this machine; give jwks instead")
    return found.jwks_uri


async def _get(client: Client, url: str) -> bytes:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        origin = Origin.of(url, max_connections=2)
        deadline = asyncio.get_running_loop().time() + PATIENCE
        reply = await client.request(
            origin, "GET", target, FIELDS, b"", connect=PATIENCE, first_byte=PATIENCE, idle=PATIENCE, deadline=deadline
        )
        try:
            if reply.status != 200:
                followed = "; redirects are not followed" if 300 <= reply.status < 400 else ""
                raise UnusableError(f"{url} answers {reply.status}{followed}")
            return await reply.read(LARGEST)
        finally:
            reply.close()
    except (UpstreamError, ValueError) as error:
        raise UnusableError(f"{url}: {error}") from None


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


async def _within(wait: Awaitable[object], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(seconds, 0.0)):
            await wait


def _cancel(watched: _Watched) -> None:
    if watched.task is not None:
        watched.task.cancel()
