"""Shared state of many machines: Redis (6.2 or newer) or Valkey, alone or as a cluster; one EVALSHA per step.

It knows keys, arguments and answers of `limits.lua`, which counts there as `policy` does here. It must not know who
asks, nor what to do while the server cannot be reached (`outage`).

A slot's keys lie on one server. Outside a cluster a step is atomic over all slots. In a cluster, what tenants share
(`*`) is held first and given back where the tenant's own rules refuse: nothing is let in too much, and for that moment
something may be refused that would have fitted.
The server must not evict keys that still count: `maxmemory-policy noeviction`.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha1
from importlib import resources
from typing import Any

import msgspec

from fairlead.canonical.limits import Demand, Denied, Granted, Rule, Standing, Unavailable, Unseeded, Verdict
from fairlead.state.port import CLAIM, LEASE, Hold, Overdue, Settlement, Spending, StateError
from fairlead.state.records import decode_record, encode_record, overdue
from fairlead.state.valkey_line import Line, Refusal, Word
from fairlead.state.valkey_names import Names, bill_key, probe_key
from fairlead.state.valkey_nodes import Node, Nodes

TIMEOUT = 0.1
"""Seconds for an answer; then the connection is given up."""
SHARED = "*"
PART_LEASE = 2 * LEASE
"""Of the part of a hold that lies in `*`: the hold itself runs out before it, and settles both."""
MANY = 64
"""Settlements in one step, which nothing else can interrupt."""
SCRIPT = resources.files("fairlead.state").joinpath("limits.lua").read_text()
SHA = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
_encode = msgspec.msgpack.Encoder().encode
_GRANTED, _DENIED, _UNSEEDED = range(3)


class ValkeyState:
    """A `State` that all machines share by its URL. One connection per server and process, opened when first needed."""

    def __init__(self, url: str, *, clock: Callable[[], int] | None = None, timeout: float = TIMEOUT) -> None:
        """`clock` stands for the server's own time where a test wants to tell it."""
        self._nodes = Nodes(url, SCRIPT, timeout)
        self._clock = clock or (lambda: 0)
        self._names = Names()
        self._undoing: set[asyncio.Task[None]] = set()

    async def reserve(self, hold: str, demands: Sequence[Demand], note: bytes, *, strict: bool = False) -> Verdict:
        del strict
        try:
            if self._nodes.map is None:
                await self._nodes.learn()
            groups = self._groups([demand.rule for demand in demands])
            if len(groups) == 1:
                return await self._reserve(hold, demands, note)
            return await self._reserve_in_parts(hold, demands, note, groups)
        except asyncio.CancelledError:
            # Whoever asked has gone away and cannot settle it: its end follows it over the same connection.
            self._in_background(self._release(hold, demands))
            raise

    async def reserve_alone(self, hold: str, demands: Sequence[Demand], note: bytes) -> Verdict:
        del hold, demands, note
        return Unavailable()

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        if self._nodes.map is None:
            await self._nodes.learn()
        if not self._nodes.clustered:
            steps = [settlements[first : first + MANY] for first in range(0, len(settlements), MANY)]
            return [told for step in steps for told in await self._settle(step)]
        return await self._settle_in_parts(settlements)

    async def renew(self, holds: Sequence[Hold]) -> None:
        if self._nodes.map is None:
            await self._nodes.learn()
        whole: dict[str, list[str]] = {}
        parts: list[str] = []
        for hold in holds:
            whole.setdefault(_home(hold.demands), []).append(hold.id)
            if len(self._groups([demand.rule for demand in hold.demands])) > 1:
                parts.append(hold.id)
        steps = [({slot: ids}, LEASE) for slot, ids in whole.items()] if self._nodes.clustered else [(whole, LEASE)]
        if parts:
            steps.append(({SHARED: parts}, PART_LEASE))
        await asyncio.gather(*[self._renew(ids, lease) for ids, lease in steps if ids])

    async def overdue(self, slots: Sequence[str], *, owner: str = "", by: int = 0, most: int = 100) -> list[Overdue]:
        if self._nodes.map is None:
            await self._nodes.learn()
        groups = [[slot] for slot in slots] if self._nodes.clustered else [list(slots)] if slots else []
        call = {"now": self._clock(), "prefix": f"{owner}-" if owner else "", "by": by, "most": most, "claim": CLAIM}
        found = [late for group in await asyncio.gather(*[self._overdue(group, call) for group in groups])
                 for late in group]  # fmt: skip
        await self._settle([Settlement(hold, _amounts(hold)) for hold, _, part in found if part])
        return [late for _, late, part in found if not part][:most]

    async def seed(self, spending: Spending) -> bool:
        known = self._names.rule(spending.rule)
        call = {"now": self._clock(), "rule": known.wire, "spent": _flat(spending.spent)}
        return bool(await self._run("seed", [known.key], call))

    async def charge(self, bill: str, rule: Rule, spent: Sequence[tuple[int, int]]) -> None:
        """Adds to a budget what was spent elsewhere: (microseconds ago, amount). The same bill counts once.

        Nothing is added of what was spent before the budget was told its past, nor where it has no state: the ledger
        tells of that.
        """
        known = self._names.rule(rule)
        call = {"now": self._clock(), "rule": known.wire, "spent": _flat(spent)}
        await self._run("charge", [known.key, bill_key(rule.slot, bill)], call)

    async def standings(self, rules: Sequence[Rule]) -> list[Standing]:
        if not rules:
            return []
        if self._nodes.map is None:
            await self._nodes.learn()
        found: dict[int, Standing] = {}
        for group in self._groups(rules):
            known = [self._names.rule(rules[place]) for place in group]
            call = {"now": self._clock(), "rules": [rule.wire for rule in known]}
            answer = await self._run("standings", [rule.key for rule in known], call)
            found.update(zip(group, _standings(answer, 0), strict=True))
        return [found[place] for place in range(len(rules))]

    async def probe(self) -> None:
        """Raises StateError unless every server that keeps a part of the state takes writes."""
        servers = await self._nodes.learn()
        for begin, end, node in servers.ranges():
            answer = await (await node.reach()).call(("SET", probe_key(begin, end), "", "PX", 1000))
            if isinstance(answer, Refusal):
                raise _refused(node, answer)

    @property
    def trouble(self) -> str:
        return ""

    def collect(self, most: int = 1000) -> int:
        """Nothing is left to do: the server lets idle states go by their time to live."""
        del most
        return 0

    async def close(self) -> None:
        await asyncio.gather(*self._undoing, return_exceptions=True)
        await self._nodes.close()

    async def _reserve(
        self, hold: str, demands: Sequence[Demand], note: bytes, *, part: bool = False, dry: bool = False,
        record: Sequence[Demand] | None = None,
    ) -> Granted | Denied | Unseeded:  # fmt: skip
        """The step on one server. `record`: all of the hold's demands, where these are not all."""
        known = [self._names.rule(demand.rule) for demand in demands]
        slot = self._names.slot(_home(demands))
        keys = [slot.holds, slot.leases, *(rule.key for rule in known)]
        kept = [(self._names.rule(demand.rule).stored, demand.amount) for demand in record or demands]
        call = {
            "now": self._clock(),
            "hold": hold,
            "lease": PART_LEASE if part else LEASE,
            "demands": [(rule.wire, demand.amount) for rule, demand in zip(known, demands, strict=True)],
            "dry": dry,
        }
        words: tuple[Word, ...] = ("EVALSHA", SHA, len(keys), *keys)
        words += ("reserve", _encode(call), encode_record(kept, note, part=part))
        answer = await self._ask(keys[0], words)
        if answer[0] == _UNSEEDED:
            return Unseeded(demands[answer[1]].rule)
        standings = tuple(_standings(answer, 2))
        return Granted(standings, answer[1]) if answer[0] == _GRANTED else Denied(standings)

    async def _reserve_in_parts(
        self, hold: str, demands: Sequence[Demand], note: bytes, groups: list[list[int]]
    ) -> Verdict:
        """In a cluster: what is shared, then the tenant's own; that is only weighed where the first was denied."""
        shared, own = ([demands[place] for place in group] for group in groups)
        first = await self._reserve(hold, shared, note, part=True)
        if isinstance(first, Unseeded):
            return first
        second: Granted | Denied | Unseeded | None = None
        try:
            second = await self._reserve(hold, own, note, record=demands, dry=isinstance(first, Denied))
        finally:
            if isinstance(first, Granted) and not isinstance(second, Granted):
                self._in_background(self._release(hold, shared))
        if isinstance(second, Unseeded):
            return second
        found = dict(zip(groups[0], first.standings, strict=True)) | dict(zip(groups[1], second.standings, strict=True))
        standings = tuple(found[place] for place in range(len(demands)))
        if isinstance(first, Granted) and isinstance(second, Granted):
            return Granted(standings, second.since)
        return Denied(standings)

    async def _settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """On one server."""
        if not settlements:
            return []
        keys: list[bytes] = []
        rows = []
        for settlement in settlements:
            demands = settlement.hold.demands
            slot = self._names.slot(_home(demands))
            known = [self._names.rule(demand.rule) for demand in demands]
            keys += (slot.holds, slot.leases, *(rule.key for rule in known))
            used = [(rule.wire, demand.amount, used)
                    for rule, demand, used in zip(known, demands, settlement.used, strict=True)]  # fmt: skip
            rows.append((settlement.hold.id, used))
        answer = await self._run("settle", keys, {"now": self._clock(), "settlements": rows})
        return [bool(told) for told in answer]

    async def _settle_in_parts(self, settlements: Sequence[Settlement]) -> list[bool]:
        """In a cluster: a step per slot. Only the hold's own slot tells whether it was still there."""
        steps: dict[str, list[tuple[int, Settlement]]] = {}
        for index, settlement in enumerate(settlements):
            hold = settlement.hold
            for group in self._groups([demand.rule for demand in hold.demands]):
                demands = tuple(hold.demands[place] for place in group)
                used = tuple(settlement.used[place] for place in group)
                steps.setdefault(_home(demands), []).append((index, Settlement(Hold(hold.id, demands, 0), used)))
        answers = await asyncio.gather(*[self._settle([part for _, part in step]) for step in steps.values()])
        told = [False] * len(settlements)
        for (slot, step), answer in zip(steps.items(), answers, strict=True):
            for (index, _), there in zip(step, answer, strict=True):
                if _home(settlements[index].hold.demands) == slot:
                    told[index] = there
        return told

    async def _renew(self, ids: dict[str, list[str]], lease: int) -> None:
        slots = [self._names.slot(slot) for slot, group in ids.items() for _ in group]
        keys = [key for slot in slots for key in (slot.holds, slot.leases)]
        call = {"now": self._clock(), "lease": lease, "holds": [hold for group in ids.values() for hold in group]}
        await self._run("renew", keys, call)

    async def _overdue(self, slots: list[str], call: Any) -> list[tuple[Hold, Overdue, bool]]:
        keys = [key for slot in map(self._names.slot, slots) for key in (slot.holds, slot.leases)]
        answer = await self._run("overdue", keys, call)
        found = []
        for hold, stored in zip(answer[::2], answer[1::2], strict=True):
            since, _, data = stored.partition(b":")
            record = decode_record(data)
            late = overdue(hold.decode(), int(since), record)
            found.append((late.hold, late, record.part))
        return found

    async def _run(self, step: str, keys: list[bytes], call: Any) -> Any:
        """The script's answer from the server that keeps `keys`."""
        return await self._ask(keys[0], ("EVALSHA", SHA, len(keys), *keys, step, _encode(call)))

    async def _ask(self, key: bytes, words: tuple[Word, ...]) -> Any:
        node = (self._nodes.map or await self._nodes.learn()).node(key)
        line = node.line or await node.reach()
        answer = await line.call(words)
        if isinstance(answer, Refusal):
            node, line = await self._mended(node, line, key, answer)
            answer = await line.call(words)
        if isinstance(answer, Refusal):
            raise _refused(node, answer)
        return answer

    async def _mended(self, node: Node, line: Line, key: bytes, refusal: Refusal) -> tuple[Node, Line]:
        """Whom to ask again, where the refusal is one that can be mended: the script is gone, or the slot has moved."""
        match str(refusal).partition(" ")[0]:
            case "NOSCRIPT":
                await line.call(("SCRIPT", "LOAD", SCRIPT))
                return node, line
            case "MOVED":
                node = (await self._nodes.learn()).node(key)
                return node, await node.reach()
        raise _refused(node, refusal)

    def _groups(self, rules: Sequence[Rule]) -> list[list[int]]:
        """Places of the rules that one step can take; in a cluster what is shared, then what is the tenant's."""
        shared = [place for place, rule in enumerate(rules) if rule.slot == SHARED] if self._nodes.clustered else []
        if not shared or len(shared) == len(rules):
            return [list(range(len(rules)))]
        return [shared, [place for place, rule in enumerate(rules) if rule.slot != SHARED]]

    async def _release(self, hold: str, demands: Sequence[Demand]) -> None:
        """Gives back what was held. Where that fails, its lease runs out."""
        try:
            await self.settle([Settlement(Hold(hold, tuple(demands), 0), (0,) * len(demands))])
        except StateError:
            return

    def _in_background(self, step: Any) -> None:
        task = asyncio.ensure_future(step)
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)


def _home(demands: Iterable[Demand]) -> str:
    """The slot in which a hold is written down: the tenant's, where it has one."""
    return next((demand.rule.slot for demand in demands if demand.rule.slot != SHARED), SHARED)


def _amounts(hold: Hold) -> tuple[int, ...]:
    return tuple(demand.amount for demand in hold.demands)


def _flat(pairs: Sequence[tuple[int, int]]) -> list[int]:
    return [number for pair in pairs for number in pair]


def _standings(answer: list[int], first: int) -> list[Standing]:
    return [Standing(*answer[place : place + 3]) for place in range(first, len(answer), 3)]


def _refused(node: Node, refusal: Refusal) -> StateError:
    return StateError(f"the shared state at {node.address} cannot be used: {refusal}")
