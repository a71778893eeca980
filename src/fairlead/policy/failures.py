"""When an address that keeps failing to prove who it is must wait: a small value for each, in a bounded table.

Pure: the clock is an argument. It must not know what is guessed, nor in what words a guesser is sent away.
"""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

import msgspec

MOST_FAILURES = 20
MOST_ADDRESSES = 10_000
WITHIN = 60.0
"""Seconds from a first failure in which the others are counted with it."""
PREFIX = 64
"""Bits of an IPv6 address that its holder did not choose."""


class Failures(msgspec.Struct, frozen=True):
    """How often an address failed, and the instant of the first time."""

    count: int
    began: float


class Guesses:
    """The failures of each address. Counts begin in the order in which they end, so the oldest goes first."""

    def __init__(self, most: int = MOST_FAILURES) -> None:
        """`most` failures within a minute are the last."""
        self._most = most
        self._failures: OrderedDict[str, Failures] = OrderedDict()

    def wait(self, peer: str, now: float) -> float:
        """Seconds until the address may try again; 0: now."""
        return wait(self._failures.get(source(peer)), now, self._most) if self._failures else 0.0

    def failed(self, peer: str, now: float) -> None:
        """`peer` presented nothing that is known."""
        address = source(peer)
        before = self._failures.get(address)
        after = self._failures[address] = failed(before, now)
        if before is not None and after.began != before.began:
            self._failures.move_to_end(address)
        self._forget(now)

    def _forget(self, now: float) -> None:
        """Counts that are over, and the oldest where there are too many."""
        while self._failures:
            oldest = next(iter(self._failures.values()))
            if not is_over(oldest, now) and len(self._failures) <= MOST_ADDRESSES:
                return
            self._failures.popitem(last=False)


def failed(failures: Failures | None, now: float) -> Failures:
    """One failure more; the first of a new count where the old one is over."""
    if failures is None or is_over(failures, now):
        return Failures(1, now)
    return Failures(failures.count + 1, failures.began)


def wait(failures: Failures | None, now: float, most: int = MOST_FAILURES) -> float:
    """Seconds until the address may try again; 0: now."""
    if failures is None or failures.count < most or is_over(failures, now):
        return 0.0
    return failures.began + WITHIN - now


def is_over(failures: Failures, now: float) -> bool:
    return now >= failures.began + WITHIN


def source(peer: str) -> str:
    """What counts as one address: an IPv4 address, or the network that an IPv6 address is from."""
    if ":" not in peer:
        return peer
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if not isinstance(address, IPv6Address):
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> PREFIX << PREFIX)}/{PREFIX}"
