"""When an address that keeps failing to prove who it is must wait: pure transitions on one small value per address.

It must not know keys, nor where the values are kept.
"""

from ipaddress import IPv6Address, ip_address

import msgspec

MOST_FAILURES = 20
WITHIN = 60.0
"""Seconds from a first failure in which the others are counted with it."""
PREFIX = 64
"""Bits of an IPv6 address that its holder did not choose."""


class Failures(msgspec.Struct, frozen=True):
    """How often an address failed, and the instant of the first time."""

    count: int
    began: float


def failed(failures: Failures | None, now: float) -> Failures:
    """One failure more; the first of a new count where the old one is over."""
    if failures is None or is_over(failures, now):
        return Failures(1, now)
    return Failures(failures.count + 1, failures.began)


def wait(failures: Failures | None, now: float) -> float:
    """Seconds until the address may try again; 0: now."""
    if failures is None or failures.count < MOST_FAILURES or is_over(failures, now):
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
