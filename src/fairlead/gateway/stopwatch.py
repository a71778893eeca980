"""Where a request's time goes: every instant belongs to exactly one part, so the parts sum to the whole.

It knows parts and a clock. It must not know what happens in a part.
"""

from collections.abc import Callable

from fairlead.canonical.routing import Latency

BODY, QUEUE, GUARDRAILS, CONNECT, FIRST_TOKEN, ANSWER, GATEWAY = range(7)
"""The parts, in the order of `Latency`."""


class Stopwatch:
    """Runs from its making on. Times in seconds."""

    __slots__ = ("_clock", "_lap_at", "parts", "started_at")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.started_at = self._lap_at = clock()
        self.parts = [0.0] * 7

    def lap(self, part: int) -> float:
        """What has passed since the last lap belongs to `part`; gives the instant."""
        now = self._clock()
        self.parts[part] += now - self._lap_at
        self._lap_at = now
        return now

    def move(self, seconds: float, source: int, target: int) -> None:
        """So much of what was counted in one part belongs to another."""
        self.parts[source] -= seconds
        self.parts[target] += seconds

    def gateway(self) -> float:
        """What the gateway itself took so far, if it has been at work since the last lap."""
        return self.parts[GATEWAY] + self._clock() - self._lap_at

    def latency(self) -> Latency:
        """The parts as they stand."""
        body, queue, guardrails, connect, first_token, answer, gateway = self.parts
        return Latency(
            body=body,
            queue=queue,
            guardrails=guardrails,
            connect=connect,
            first_token=first_token,
            answer=answer,
            gateway=gateway,
        )
