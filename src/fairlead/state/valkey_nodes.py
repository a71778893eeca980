"""Which server keeps a slot: one for all, or the masters of a cluster, and the connections to them.

It knows URLs, hash slots and topology. It must not know the script that is run there.
"""

import asyncio
import ssl
from bisect import bisect_right
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from fairlead.state.port import StateError
from fairlead.state.valkey_line import Access, Address, Line, Refusal, Word, connect
from fairlead.state.valkey_names import SLOTS, slot_of

SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
"""And whether they mean TLS."""
UNIX_SCHEMES = ("redis+unix", "valkey+unix", "unix")
OPTIONS = frozenset(("ca", "cert", "key", "db"))
_NO_CLUSTER = ("ERR", "NOPERM")
"""How a server refuses CLUSTER SLOTS that is no part of a cluster, or does not let this user know."""


def parse(url: str, timeout: float) -> tuple[Address, Access]:
    """Where a URL leads, and how to begin there. Raises StateError, which never repeats the password."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unix = parts.scheme in UNIX_SCHEMES
    try:
        port = parts.port or 6379
    except ValueError:
        raise StateError("the port in the URL of the shared state is no port number") from None
    if (not unix and parts.scheme not in SCHEMES) or not (parts.path if unix else parts.hostname):
        raise StateError(
            f"the URL of the shared state has the scheme {parts.scheme!r}; "
            "use redis://host:6379, rediss://…, valkey://… or valkeys://…"
        )
    if unknown := options.keys() - OPTIONS:
        raise StateError(f"the URL of the shared state has the unknown option {min(unknown)!r}; it takes ca, cert, key")
    greeting: list[tuple[Word, ...]] = []
    if parts.password:
        names = (unquote(parts.username),) if parts.username else ()
        greeting.append(("AUTH", *names, unquote(parts.password)))
    database = options.get("db") or ("" if unix else parts.path.strip("/"))
    if database not in ("", "0"):
        greeting.append(("SELECT", database))
    address = Address("", 0, parts.path) if unix else Address(parts.hostname or "", port)
    tls = _tls(options) if SCHEMES.get(parts.scheme) else None
    return address, Access(tuple(greeting), tls, timeout)


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.get("ca"))
        if "cert" in options:
            context.load_cert_chain(options["cert"], options.get("key"))
    except (OSError, ssl.SSLError) as error:
        raise StateError(f"the certificates of the shared state cannot be read: {error}") from None
    return context


class Node:
    """One server and the connection to it, which is opened when it is needed."""

    def __init__(self, address: Address, access: Access, script: str) -> None:
        self.address = address
        self._access = access
        self._script = script
        self._line: Line | None = None
        self._opening: asyncio.Task[Line] | None = None

    @property
    def line(self) -> Line | None:
        """The connection, where one stands."""
        return None if self._line is None or self._line.broken else self._line

    async def reach(self) -> Line:
        """The connection. All who ask while it is opened wait for the same one."""
        if self.line is not None:
            return self.line
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
        return await asyncio.shield(self._opening)

    async def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._line is not None:
            self._line.close()
            await self._line.gone

    async def _open(self) -> Line:
        """Kept here, and not by who asked for it: they may have gone away by now."""
        self._line = await connect(self.address, self._access, self._script)
        return self._line


class Map(msgspec.Struct, frozen=True):
    """Which node serves which hash slots: `nodes[i]` those from `begins[i]` on."""

    begins: tuple[int, ...]
    nodes: tuple[Node, ...]

    def node(self, key: bytes) -> Node:
        if len(self.nodes) == 1:
            return self.nodes[0]
        return self.nodes[bisect_right(self.begins, slot_of(key)) - 1]

    def ranges(self) -> list[tuple[int, int, Node]]:
        ends = (*self.begins[1:], SLOTS)
        return list(zip(self.begins, ends, self.nodes, strict=True))


class Nodes:
    """The servers behind one URL. Whether they are a cluster is asked of them."""

    def __init__(self, url: str, script: str, timeout: float) -> None:
        address, self._access = parse(url, timeout)
        self._script = script
        self._seed = Node(address, self._access, script)
        self._known = {address: self._seed}
        self._learning: asyncio.Task[Map] | None = None
        self.map: Map | None = None
        self.clustered = False

    async def learn(self) -> Map:
        """Asks who serves what; all who ask at the same time wait for the same answer."""
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._learn())
        return await asyncio.shield(self._learning)

    async def close(self) -> None:
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.gather(self._learning, return_exceptions=True)
        for node in self._known.values():
            await node.close()

    async def _learn(self) -> Map:
        failed = StateError("")
        for node in tuple(self._known.values()):
            try:
                answer = await (await node.reach()).call(("CLUSTER", "SLOTS"))
            except StateError as error:
                failed = error
                continue
            self.map = self._read(node, answer)
            return self.map
        raise failed

    def _read(self, node: Node, answer: Any) -> Map:
        if isinstance(answer, Refusal):
            if not str(answer).startswith(_NO_CLUSTER):
                raise StateError(f"the shared state at {node.address} cannot be used: {answer}")
            return Map((0,), (node,))
        self.clustered = True
        rows = sorted((row[0], row[1], *row[2][:2]) for row in answer)
        whole = rows and rows[0][0] == 0 and rows[-1][1] == SLOTS - 1
        if not whole or any(after[0] != before[1] + 1 for before, after in pairwise(rows)):
            raise StateError(f"the cluster at {node.address} does not serve all hash slots")
        return Map(tuple(row[0] for row in rows), tuple(self._node(node, *row[2:]) for row in rows))

    def _node(self, told_by: Node, host: bytes | None, port: int) -> Node:
        """A server that names no host is the one that was asked."""
        address = Address(host.decode() if host else told_by.address.host, port)
        if address not in self._known:
            self._known[address] = Node(address, self._access, self._script)
        return self._known[address]
