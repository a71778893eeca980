"""Shared state of one machine: an LMDB file that its processes write in turn, one transaction per call.

It knows the file and `policy.holds`. It must not know who asks, nor what for.

Nothing is synced to the disk: the file has to outlive the processes, not the machine. After a reboot, or where the file
is no LMDB file any more, it is discarded, and budgets are told their past anew (`seed`).
Time is the clock since boot plus what the wall clock was ahead of it when the file was made: a wall clock that jumps
moves neither limits nor leases, and every process reads the same.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple, TypeVar

import lmdb
import msgspec

from fairlead.canonical.limits import Demand, Rule, Standing, Unseeded, Verdict
from fairlead.policy import holds
from fairlead.policy.budget import BUDGETS, seeded
from fairlead.policy.limits import State
from fairlead.state.local_file import MAP_SIZE, open_file, steady
from fairlead.state.port import CLAIM, LEASE, Hold, Overdue, Settlement, Spending, StateError

KEY_SIZE = 400
"""Bytes of a key from which on its digest stands for it; LMDB takes 511."""
KNOWN_RULES = 50_000
"""Rules of which a process keeps the encoded form."""
Result = TypeVar("Result")
_LEASE = Struct(">q")
_encode = msgspec.msgpack.Encoder().encode
_decode_state: Callable[[bytes], State] = msgspec.msgpack.Decoder(list[int]).decode


class _Known(NamedTuple):
    """A rule as it is stored. The rule itself is here so that its id is not given to another one."""

    rule: Rule
    key: bytes
    encoded: msgspec.Raw
    budget: bool


class _Held(msgspec.Struct, frozen=True, array_like=True):
    since: int
    demands: tuple[tuple[Rule, int], ...]
    note: bytes


_decode_held = msgspec.msgpack.Decoder(_Held).decode


class LocalState:
    """A `State` that all processes of a machine share by its folder. To be opened after fork, once per process."""

    def __init__(self, folder: Path, *, clock: Callable[[], int] | None = None, map_size: int = MAP_SIZE) -> None:
        """`clock` gives microseconds since 1970 and must be the same for all processes; without one, see above."""
        self._file = open_file(folder, map_size)
        self._folder = folder
        env = self._file.env
        self._begin = env.begin
        self._states, self._holds = map(env.open_db, (b"states", b"holds"))
        offset = self._file.offset
        self._clock = clock or (lambda: steady() + offset)
        self._known: dict[int, _Known] = {}
        self._collected = b""

    async def reserve(self, hold: str, demands: Sequence[Demand], note: bytes, *, strict: bool = False) -> Verdict:
        del strict
        return self._write(lambda txn, now: self._reserve(txn, now, hold, demands, note))

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        return self._write(lambda txn, now: [self._settle(txn, now, settlement) for settlement in settlements])

    async def renew(self, holds: Sequence[Hold]) -> None:
        self._write(lambda txn, now: self._renew(txn, now + LEASE, holds))

    async def overdue(self, slots: Sequence[str], *, owner: str = "", by: int = 0, most: int = 100) -> list[Overdue]:
        wanted, prefix = frozenset(slots), f"{owner}-".encode() if owner else b""
        return self._write(lambda txn, now: self._overdue(txn, now - by, (wanted, prefix), most))

    async def seed(self, spending: Spending) -> bool:
        return self._write(lambda txn, now: self._seed(txn, now, spending))

    async def standings(self, rules: Sequence[Rule]) -> list[Standing]:
        now = self._clock()
        try:
            with self._begin() as txn:
                return [holds.standing(rule, self._load(txn, self._know(rule))[1], now) for rule in rules]
        except lmdb.Error as error:
            raise self._unusable(error) from None

    async def close(self) -> None:
        self._file.close()

    def collect(self, most: int = 1000) -> int:
        """Looks at up to `most` further states, deletes those that are as good as none, and tells how many those were.

        For the control process, now and then: a call goes on where the one before it stopped.
        """
        return self._write(lambda txn, now: self._collect(txn, now, most))

    def _write(self, step: Callable[[Any, int], Result]) -> Result:
        """One atomic step; it has not happened where this raises."""
        try:
            with self._begin(write=True) as txn:
                return step(txn, self._clock())
        except lmdb.Error as error:
            raise self._unusable(error) from None

    def _reserve(self, txn: Any, now: int, hold: str, demands: Sequence[Demand], note: bytes) -> Verdict:
        known = [self._know(demand.rule) for demand in demands]
        loaded = [self._load(txn, rule)[1] for rule in known]
        for rule, state in zip(known, loaded, strict=True):
            if rule.budget and not state:
                return Unseeded(rule.rule)
        verdict, new = holds.reserve(demands, loaded, now)
        if new is None:
            return verdict
        states = self._states
        for rule, state, standing in zip(known, new, verdict.standings, strict=True):
            idle = now + holds.lifetime(rule.rule, standing.reset)
            txn.put(rule.key, _encode([idle, *state]), db=states)
        held = [(rule.encoded, demand.amount) for rule, demand in zip(known, demands, strict=True)]
        txn.put(_key(hold), _LEASE.pack(now + LEASE) + _encode((now, held, note)), db=self._holds)
        return verdict

    def _settle(self, txn: Any, now: int, settlement: Settlement) -> bool:
        hold = settlement.hold
        if not txn.delete(_key(hold.id), db=self._holds):
            return False
        for demand, used in zip(hold.demands, settlement.used, strict=True):
            rule = self._know(demand.rule)
            idle, state = self._load(txn, rule)
            if rule.budget and not state:
                continue  # it will be told its past, this settlement included
            new = holds.settle(demand, state, now, hold.since, used)
            if used > demand.amount or rule.budget or not state:
                # Otherwise the state has only become lighter, and is idle by then at the latest.
                reset = holds.standing(demand.rule, new, now).reset
                idle = max(idle, now + holds.lifetime(demand.rule, reset))
            txn.put(rule.key, _encode([idle, *new]), db=self._states)
        return True

    def _renew(self, txn: Any, until: int, renewed: Sequence[Hold]) -> None:
        for hold in renewed:
            self._extend(txn, _key(hold.id), txn.get(_key(hold.id), None, self._holds), until)

    def _extend(self, txn: Any, key: bytes, value: bytes | None, until: int) -> None:
        if value is not None:
            txn.put(key, _LEASE.pack(until) + value[_LEASE.size :], db=self._holds)

    def _overdue(self, txn: Any, before: int, whose: tuple[frozenset[str], bytes], most: int) -> list[Overdue]:
        slots, prefix = whose
        found: list[tuple[bytes, bytes, Overdue]] = []
        for key, value in txn.cursor(self._holds):
            if _LEASE.unpack_from(value)[0] >= before or not key.startswith(prefix):
                continue
            held = _decode_held(value[_LEASE.size :])
            if any(rule.slot in slots for rule, _ in held.demands):
                demands = tuple(Demand(rule, amount) for rule, amount in held.demands)
                found.append((key, value, Overdue(Hold(key.decode(), demands, held.since), held.note)))
                if len(found) == most:
                    break
        for key, value, _ in found:
            self._extend(txn, key, value, self._clock() + CLAIM)
        return [overdue for _, _, overdue in found]

    def _seed(self, txn: Any, now: int, spending: Spending) -> bool:
        rule = spending.rule
        state = seeded(rule, list(spending.spent), now)
        idle = now + holds.lifetime(rule, holds.standing(rule, state, now).reset)
        told: bool = txn.put(self._know(rule).key, _encode([idle, *state]), overwrite=False, db=self._states)
        return told

    def _collect(self, txn: Any, now: int, most: int) -> int:
        cursor = txn.cursor(self._states)
        there = cursor.set_range(self._collected) if self._collected else cursor.first()
        deleted = 0
        for _ in range(most):
            if not there:
                break
            if _decode_state(cursor.value())[0] <= now:
                there = cursor.delete()  # the cursor is on the next one then
                deleted += 1
            else:
                there = cursor.next()
        self._collected = cursor.key() if there else b""
        return deleted

    def _load(self, txn: Any, rule: _Known) -> tuple[int, State]:
        """The instant at which the state is as good as none, and the state."""
        found = txn.get(rule.key, None, self._states)
        if found is None:
            return 0, []
        idle, *state = _decode_state(found)
        return idle, state

    def _know(self, rule: Rule) -> _Known:
        known = self._known.get(id(rule))
        if known is None:
            if len(self._known) >= KNOWN_RULES:
                self._known.clear()
            key = _key(f"{rule.slot}\0{rule.key}")
            known = _Known(rule, key, msgspec.Raw(_encode(rule)), rule.algorithm in BUDGETS)
            self._known[id(rule)] = known
        return known

    def _unusable(self, error: lmdb.Error) -> StateError:
        return StateError(f"the local state in {str(self._folder)!r} cannot be used: {error}")


def _key(name: str) -> bytes:
    encoded = name.encode()
    return encoded if len(encoded) <= KEY_SIZE else blake2b(encoded).digest()
