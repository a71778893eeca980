"""How often an address has guessed wrong, so that guessing is slow.

Pure: the clock is an argument. It must not know what is guessed.
"""

MOST = 10
"""Wrong guesses of an address in a period."""
PERIOD = 60.0
ADDRESSES = 4096
"""That are remembered; beyond, the one that guessed the longest ago is forgotten."""


class Guesses:
    """Wrong guesses by address, in periods that begin with the first of them."""

    def __init__(self) -> None:
        self._missed: dict[str, tuple[float, int]] = {}

    def must_wait(self, address: str, now: float) -> bool:
        """Whether it has guessed wrong too often to be listened to."""
        since, count = self._missed.get(address, (now, 0))
        return count >= MOST and now - since < PERIOD

    def missed(self, address: str, now: float) -> None:
        """It has guessed wrong."""
        since, count = self._missed.pop(address, (now, 0))
        if now - since >= PERIOD:
            since, count = now, 0
        self._missed[address] = (since, count + 1)
        if len(self._missed) > ADDRESSES:
            del self._missed[next(iter(self._missed))]
