"""Who calls: a request's credential → the virtual key that it stands for.

It knows the keys of the configuration by their MACs, the index of keys made at run time, and the issuers of tokens.
It must not know what a key may do beyond where and until when it is good.
"""

import ipaddress
from collections.abc import Callable
from typing import Protocol

import msgspec

from fairlead.canonical import credential
from fairlead.canonical.errors import GatewayError
from fairlead.canonical.routing import Snapshot
from fairlead.canonical.tenants import Issuer, VirtualKey
from fairlead.gateway.bearers import Bearers, inherited
from fairlead.gateway.presented import presented
from fairlead.http.server import Exchange
from fairlead.policy.claims import Known
from fairlead.policy.failures import Guesses

ANYONE = VirtualKey(id="")
"""Who calls when no keys are configured."""
MOST_REMEMBERED = 4096
"""Credentials of which a worker remembers what they stand for."""

TOKEN_DOTS = 2

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Index(Protocol):
    """The keys that were made at run time."""

    @property
    def is_untouched(self) -> bool: ...
    def find(self, mac: bytes, /) -> VirtualKey | None: ...


class Caller(msgspec.Struct, frozen=True):
    """A key with its networks, quick to test."""

    key: VirtualKey
    networks: tuple[Network, ...]


class Callers:
    """One worker's view of who may call.

    `generation` changes whenever a key of the index does: what was remembered of it is forgotten then, at once.
    """

    def __init__(
        self,
        *,
        generation: Callable[[], int],
        clock: Callable[[], float],
        wall: Callable[[], float],
        wanted: Callable[[str], None],
    ) -> None:
        self.index: Index | None = None
        """None: only the configuration's keys are known."""
        self._generation = generation
        self._clock = clock
        self._wall = wall
        self.wanted = wanted
        self._guesses = Guesses()
        self._seen = -1
        self._snapshot = Snapshot(version="", routes=())
        self._issuers: tuple[Issuer, ...] = ()
        self._open = False
        self._remembered: dict[bytes, Caller] = {}
        self._bearers = Bearers((), wall)

    def adopt(self, snapshot: Snapshot) -> None:
        """Lets in whom this snapshot knows, from the next request on."""
        self._issuers = inherited(snapshot.issuers, self._issuers)
        self._snapshot = snapshot
        self._seen = -1
        self._bearers = Bearers(
            self._issuers,
            self._wall,
            known=Known(tenants=snapshot.tenants.keys(), tiers=snapshot.tiers.keys()),
            wanted=self.wanted,
        )

    def admit(self, exchange: Exchange) -> VirtualKey:
        """Whose key or token the request carries. Raises GatewayError, `invalid_api_key` above all."""
        if self._generation() != self._seen:
            self._look_again()
        if self._open:
            return ANYONE
        said = presented(exchange.headers, exchange.query)
        if said is None:
            raise GatewayError("invalid_api_key", "no API key was given; send it as 'Authorization: Bearer <key>'")
        try:
            return self._proven(said, self._remembered.get(said) or self._found(said), exchange)
        except GatewayError:
            if said.count(b".") != TOKEN_DOTS:  # a signature is not guessed, and a good key never waits for others
                self._guessed(exchange.peer)
            raise

    def _guessed(self, peer: str) -> None:
        """Counts a credential that is none. Raises GatewayError for an address that has to wait."""
        now = self._clock()
        seconds = self._guesses.wait(peer, now)
        if seconds:
            raise GatewayError(
                "rate_limit_exceeded",
                "too many requests from this address came without a valid key; wait, and check the key",
                retry_after=seconds,
            )
        self._guesses.failed(peer, now)

    def _proven(self, said: bytes, caller: Caller | None, exchange: Exchange) -> VirtualKey:
        """The key, once it is known that it is good now and here."""
        key = caller.key if caller else self._bearers.caller(said)
        if key is None or (key.expires_at is not None and self._wall() >= key.expires_at):
            self._remembered.pop(said, None)  # one that has ended takes as long as one that never was
            raise GatewayError("invalid_api_key", "the API key is not known here; check it, or ask for a new one")
        if caller and caller.networks and not _is_within(exchange.peer, caller.networks):
            raise GatewayError("invalid_api_key", "this API key may not be used from this address")
        return key

    def _look_again(self) -> None:
        self._seen = self._generation()
        self._remembered.clear()
        self._open = self._snapshot.open and (self.index is None or self.index.is_untouched)

    def _found(self, said: bytes) -> Caller | None:
        """The key by its MAC; what cannot be a key is not looked up. What was found is remembered."""
        if credential.is_garbage(said):
            return None
        key = self._by_mac(self._snapshot.pepper, said)
        if key is None and self._snapshot.old_pepper:
            key = self._by_mac(self._snapshot.old_pepper, said)
        if key is None:
            return None
        self._check_known(key)
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        caller = Caller(key, tuple(ipaddress.ip_network(cidr) for cidr in key.cidrs))
        self._remembered[said] = caller
        return caller

    def _check_known(self, key: VirtualKey) -> None:
        """A key outlives the configuration it was made for: without its tenant and tier, its bounds are not known."""
        if key.tenant and key.tenant not in self._snapshot.tenants:
            raise GatewayError("invalid_api_key", "the tenant of this API key is not served here any more")
        if key.tier and key.tier not in self._snapshot.tiers:
            raise GatewayError("invalid_api_key", "the tier of this API key does not exist here any more")

    def _by_mac(self, pepper: bytes, said: bytes) -> VirtualKey | None:
        mac = credential.mac(pepper, said)
        key = self._snapshot.keys.get(mac.hex())
        return self.index.find(mac) if key is None and self.index is not None else key


def _is_within(peer: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
