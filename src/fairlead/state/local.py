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

from fairlead.canonical.limits import DAY, Demand, Rule, Standing, Unavailable, Unseeded, Verdict
from fairlead.policy import holds
from fairlead.policy.budget import BUDGETS, seeded
from fairlead.policy.limits import State
from fairlead.state.local_file import MAP_SIZE, open_file, steady
from fairlead.state.port import CLAIM, LEASE, Hold, Overdue, Settlement, Spending, StateError
from fairlead.state.records import decode_record, encode_record, encode_rule, overdue

KEY_SIZE = 400
"""Bytes of a key from which on its digest stands for it; LMDB takes 511."""
KNOWN_RULES = 50_000
"""Rules of which a process keeps the encoded form."""
Result = TypeVar("Result")
_HEAD = Struct(">qq")
"""Of a hold: the end of its lease, and since when it is held; its record follows."""
_encode = msgspec.msgpack.Encoder().encode
_decode_state: Callable[[bytes], list[int]] = msgspec.msgpack.Decoder(list[int]).decode
"""The instant at which the state is as good as none, then the state."""


class _Known(NamedTuple):
    """A rule as it is stored. The rule itself is here so that its id is not given to another one."""

    rule: Rule
    key: bytes
    encoded: msgspec.Raw
    budget: bool


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
        try:
            with self._begin(write=True) as txn:
                return self._reserve(txn, self._clock(), hold, demands, note)
        except lmdb.Error as error:
            raise self._unusable(error) from None

    async def reserve_alone(self, hold: str, demands: Sequence[Demand], note: bytes) -> Verdict:
        del hold, demands, note
        return Unavailable()

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        return self.settle_now(settlements)

    def settle_now(self, settlements: Sequence[Settlement]) -> list[bool]:
        """`settle` for who needs no task to wait: nothing here ever does."""
        try:
            with self._begin(write=True) as txn:
                now = self._clock()
                return [self._settle(txn, now, settlement) for settlement in settlements]
        except lmdb.Error as error:
            raise self._unusable(error) from None

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
                return [holds.standing(rule, self._load(txn, rule), now) for rule in rules]
        except lmdb.Error as error:
            raise self._unusable(error) from None

    @property
    def trouble(self) -> str:
        return ""

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
        states, get, put = self._states, txn.get, txn.put
        rules: list[_Known] = []
        found: list[State] = []
        for demand in demands:
            rule = self._known.get(id(demand.rule)) or self._know(demand.rule)
            stored = get(rule.key, None, states)
            if rule.budget and stored is None:
                return Unseeded(demand.rule)
            rules.append(rule)
            found.append(_decode_state(stored)[1:] if stored else [])
        verdict, new = holds.reserve(demands, found, now)
        if new is None:
            return verdict
        held: list[tuple[msgspec.Raw, int]] = []
        for rule, demand, state, standing in zip(rules, demands, new, verdict.standings, strict=True):
            lifetime = holds.lifetime(rule.rule, standing.reset) if rule.budget else standing.reset
            put(rule.key, _encode([now + lifetime, *state]), db=states)
            held.append((rule.encoded, demand.amount))
        put(_key(hold), _HEAD.pack(now + LEASE, now) + encode_record(held, note), db=self._holds)
        return verdict

    def _settle(self, txn: Any, now: int, settlement: Settlement) -> bool:
        hold = settlement.hold
        if not txn.delete(_key(hold.id), db=self._holds):
            return False
        states = self._states
        for demand, used in zip(hold.demands, settlement.used, strict=True):
            if holds.is_exact(demand, used):
                continue
            rule = self._known.get(id(demand.rule)) or self._know(demand.rule)
            stored = txn.get(rule.key, None, states)
            if rule.budget and stored is None:
                continue  # it will be told its past, this settlement included
            kept = _decode_state(stored) if stored else []
            new = holds.settle(demand, kept[1:], now, hold.since, used)
            if rule.budget:
                idle = max(kept[0], now + DAY)  # one that is collected too early is told its past again
            elif used > demand.amount or not kept:
                idle = now + holds.standing(demand.rule, new, now).reset
            else:
                idle = kept[0]  # the state has only become lighter, and is idle by then at the latest
            txn.put(rule.key, _encode([idle, *new]), db=states)
        return True

    def _renew(self, txn: Any, until: int, renewed: Sequence[Hold]) -> None:
        for hold in renewed:
            key = _key(hold.id)
            value = txn.get(key, None, self._holds)
            if value is not None:
                self._extend(txn, key, value, until)

    def _extend(self, txn: Any, key: bytes, value: bytes, until: int) -> None:
        _, since = _HEAD.unpack_from(value)
        txn.put(key, _HEAD.pack(until, since) + value[_HEAD.size :], db=self._holds)

    def _overdue(self, txn: Any, before: int, whose: tuple[frozenset[str], bytes], most: int) -> list[Overdue]:
        slots, prefix = whose
        found: list[tuple[bytes, bytes, Overdue]] = []
        for key, value in txn.cursor(self._holds):
            ends, since = _HEAD.unpack_from(value)
            if ends >= before or not key.startswith(prefix):
                continue
            record = decode_record(value[_HEAD.size :])
            if any(rule.slot in slots for rule, _ in record.demands):
                found.append((key, value, overdue(key.decode(), since, record)))
                if len(found) == most:
                    break
        for key, value, _ in found:
            self._extend(txn, key, value, self._clock() + CLAIM)
        return [late for _, _, late in found]

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
                cursor.delete()
                there = bool(cursor.key())  # it is on the next one now, if there is one
                deleted += 1
            else:
                there = cursor.next()
        self._collected = cursor.key() if there else b""
        return deleted

    def _load(self, txn: Any, rule: Rule) -> State:
        stored = txn.get(self._know(rule).key, None, self._states)
        return _decode_state(stored)[1:] if stored else []

    def _know(self, rule: Rule) -> _Known:
        known = self._known.get(id(rule))
        if known is None:
            if len(self._known) >= KNOWN_RULES:
                self._known.clear()
            key = _key(f"{rule.slot}\0{rule.key}")
            known = _Known(rule, key, encode_rule(rule), rule.algorithm in BUDGETS)
            self._known[id(rule)] = known
        return known

    def _unusable(self, error: lmdb.Error) -> StateError:
        return StateError(f"the local state in {str(self._folder)!r} cannot be used: {error}")


def _key(name: str) -> bytes:
    encoded = name.encode()
    return encoded if len(encoded) <= KEY_SIZE else blake2b(encoded).digest()
