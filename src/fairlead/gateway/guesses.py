"""Addresses that fail to prove who they are, counted in this worker: who fails too often waits before any look-up.

It knows addresses and when they failed. It must not know credentials.
"""

from collections import OrderedDict

from fairlead.canonical.errors import GatewayError
from fairlead.policy.failures import Failures, failed, is_over, source, wait

MOST_ADDRESSES = 10_000


class Guesses:
    """The failures of each address. Counts begin in the order in which they end, so the oldest goes first."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, Failures] = OrderedDict()

    def check(self, peer: str, now: float) -> None:
        """Raises GatewayError `rate_limit_exceeded` for an address that has to wait, whatever it presents."""
        if not self._failures:
            return
        seconds = wait(self._failures.get(source(peer)), now)
        if seconds:
            raise GatewayError(
                "rate_limit_exceeded",
                "too many requests from this address came without a valid key; wait, and check the key",
                retry_after=seconds,
            )

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
