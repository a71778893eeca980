"""The port to shared state: what workers and the control process ask of it, whatever keeps it.

Engines are `local` (LMDB, one machine) and `valkey` (Redis or Valkey, many); both pass `tests/state/test_engines.py`.
An engine does the input and output around `policy.holds`, each step atomic and exact across processes. It must not
know tenants, money or requests: rules, amounts and an opaque note are all that it is given.

A hold is a lease: whoever took it renews it until it is settled. One that is overdue is settled by the control process
(see `control.sweeper`). Settling is idempotent by the hold's id, so it does not matter who comes second.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from fairlead.canonical.limits import Demand, Rule, Standing, Verdict

LEASE = 30_000_000
"""Microseconds for which a hold lives without being renewed."""
RENEW_EVERY = 10.0
"""Seconds between two renewals of what is under way."""
CLAIM = 15_000_000
"""Microseconds for which an overdue hold is left to the one who was told of it."""


class Hold(msgspec.Struct, frozen=True):
    """What a request holds: granted at `since` (the engine's time), one amount per demand."""

    id: str
    """Unique over all machines: `<machine>-<worker>-<count>`."""
    demands: tuple[Demand, ...]
    since: int


class Settlement(msgspec.Struct, frozen=True):
    """A hold's end: what was really used, one figure per demand. `concurrency` is released whatever is given."""

    hold: Hold
    used: tuple[int, ...]


class Overdue(msgspec.Struct, frozen=True):
    """A hold whose lease has run out."""

    hold: Hold
    note: bytes


class Spending(msgspec.Struct, frozen=True):
    """What the ledger says was spent of a budget: (instant in microseconds, amount), in the order of time."""

    rule: Rule
    spent: tuple[tuple[int, int], ...]


class StateError(Exception):
    """The state cannot be used; the message says why, without a secret."""


class State(Protocol):
    """Raises StateError where the state cannot be reached; nothing has happened then, as far as can be known."""

    async def reserve(self, hold: str, demands: Sequence[Demand], note: bytes, *, strict: bool = False) -> Verdict:
        """Holds every demand, or none: `Granted`, `Denied`, or `Unseeded` where a budget's past is not known.

        A budget (`calendar`, `rolling`) of which there is no state is never judged: it has to be seeded first.
        `strict` asks for `Unavailable` rather than for a stand-in's word; an engine that has no stand-in ignores it.
        """
        ...

    async def reserve_alone(self, hold: str, demands: Sequence[Demand], note: bytes) -> Verdict:
        """What this machine allows by itself, for where nobody tells a budget's past in time.

        An engine that has no stand-in answers `Unavailable`.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Settles each hold that is still there; tells which those were."""
        ...

    async def renew(self, holds: Sequence[Hold]) -> None:
        """Begins the lease of each anew, where it is still held."""
        ...

    async def overdue(self, slots: Sequence[str], *, owner: str = "", by: int = 0, most: int = 100) -> list[Overdue]:
        """Holds of these slots whose lease ran out more than `by` microseconds ago; each is claimed for CLAIM.

        `owner` asks only for those whose names begin with it and a dash.
        """
        ...

    async def seed(self, spending: Spending) -> bool:
        """Tells a budget its past. False where there is a state of it already: then nothing changes."""
        ...

    async def standings(self, rules: Sequence[Rule]) -> list[Standing]:
        """How each rule stands for a request of amount 0; changes nothing. Without a state: as if never asked for."""
        ...

    def collect(self, most: int = 1000) -> int:
        """Gets rid of states that are as good as none, if they do not go by themselves; tells how many those were.

        For the control process, now and then: a call looks at `most` states and goes on where the last one stopped.
        """
        ...

    @property
    def trouble(self) -> str:
        """Why a shared state cannot be reached, so that a stand-in answers; empty: all is well."""
        ...

    async def close(self) -> None: ...
