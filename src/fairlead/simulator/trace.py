"""A journal as a workload: who asked for what, and when.

A journal is read twice: the first time for what is known of all of it (`Trace`), the second time for its requests in
the order in which they came (`arrivals`). Pure, and what is kept of records is bounded. It must not know files.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush, heapreplace
from operator import itemgetter

import msgspec

from fairlead.canonical.routing import RequestRecord, Snapshot
from fairlead.canonical.tenants import VirtualKey
from fairlead.canonical.usage import Usage
from fairlead.simulator.chance import Fixed
from fairlead.simulator.recorded import History, tried
from fairlead.simulator.setting import ANSWER, PROMPT
from fairlead.simulator.sketch import Sketch
from fairlead.simulator.traffic import Arrival, Sender, Traffic

WAITING = 1 << 18
"""Requests that may wait for earlier ones that ended later; beyond it the earliest of them no longer waits."""
MOST_MODELS = 10_000
UP_TO_US = frozenset(
    {
        "model_not_found", "model_not_allowed", "rate_limit_exceeded", "insufficient_quota", "no_healthy_deployment",
        "ledger_unavailable", "overloaded", "shutting_down",
    }
)  # fmt: skip
"""Refusals that another configuration, or another hour, would not have made. The others are the client's own doing."""
Who = tuple[str, str]
"""A tenant and a key's id, as records have them."""


class Trace:
    """What is known of a journal that was read once; `note` takes every record, in any order."""

    def __init__(self) -> None:
        self.requests = 0
        """Those that can be played again."""
        self.left_out: Counter[str] = Counter()
        """The others, by why."""
        self.histories: dict[str, History] = {}
        """By deployment."""
        self.callers: dict[Who, None] = {}
        """Whoever sent requests, in the order of their numbers."""
        self.models: set[str] = set()
        """What requests ask for; of more than MOST_MODELS not all."""
        self.prompts, self.answers = Sketch(), Sketch()
        """Tokens, as far as they are known."""
        self.unknown = self.gone = self.cached = 0
        """Requests of which it is not known what a whole answer is; whose client left; with tokens that were cached."""
        self.begins = self.ends = 0.0
        """Unix seconds, of the first and the last request that came."""
        self.longest = 0.0
        """Seconds from a request's begin to its end."""

    def note(self, record: RequestRecord) -> None:
        for name, one in tried(record):
            if name not in self.histories:
                self.histories[name] = History(name)
            self.histories[name].note(one)
        why = left_out(record)
        if why:
            self.left_out[why] += 1
            return
        self.begins = min(self.begins, record.at) if self.requests else record.at
        self.ends = max(self.ends, record.at)
        self.longest = max(self.longest, record.duration)
        self.requests += 1
        self.gone += record.ended == "client_gone"
        self.callers[record.tenant, record.key] = None
        if len(self.models) < MOST_MODELS:
            self.models.add(record.asked)
        usage = record.usage
        if usage is None or not is_known(record):
            self.unknown += 1
        else:
            self.prompts.add(usage.input)
            self.answers.add(usage.output)
            self.cached += usage.cache_read > 0

    @property
    def prompt(self) -> int:
        """The median prompt, for a request of which nobody knows it."""
        return round(self.prompts.quantile(0.5) if self.prompts.count else PROMPT.mean) or 1

    @property
    def answer(self) -> int:
        return round(self.answers.quantile(0.5) if self.answers.count else ANSWER.mean) or 1


def left_out(record: RequestRecord) -> str:
    """Why a request cannot be played again: it was lost, or a code that no configuration changes; empty: it can."""
    if record.ended == "lost":
        return "lost"
    if not record.asked:
        return record.code or record.ended
    return record.code if record.ended == "refused" and record.code not in UP_TO_US else ""


def traffic(trace: Trace, records: Iterable[RequestRecord], snapshot: Snapshot) -> Traffic:
    """The trace's requests as those of `snapshot`'s callers; `records` are all of the trace's, by their end."""
    return Traffic(senders=tuple(_senders(trace, snapshot)), arrivals=arrivals(trace, records), begins=trace.begins)


def by_end(files: Iterable[tuple[float, Iterator[RequestRecord]]]) -> Iterator[RequestRecord]:
    """The records of several files by their end; each file comes with the end of its first record.

    A file is begun only when its first record is due, so only those that overlap are open at the same time.
    """
    later = deque(sorted(files, key=itemgetter(0)))
    begun: list[tuple[float, int, RequestRecord, Iterator[RequestRecord]]] = []
    while later or begun:
        while later and (not begun or later[0][0] <= begun[0][0]):
            _, file = later.popleft()
            if (record := next(file, None)) is not None:
                heappush(begun, (record.answered_at, len(later), record, file))
        if not begun:
            return
        _, number, record, file = begun[0]
        yield record
        if (following := next(file, None)) is not None:
            heapreplace(begun, (following.answered_at, number, following, file))
        else:
            heappop(begun)


def arrivals(trace: Trace, records: Iterable[RequestRecord]) -> Iterator[Arrival]:
    """The requests in the order in which they came, from records in the order in which they ended.

    Whatever is yet to come ends later, and none lasted longer than the trace's longest: so nobody comes any more before
    a request that came longer ago than that. Who is late all the same, for a clock that was set, comes at once.
    """
    numbers = {who: number for number, who in enumerate(trace.callers)}
    prompt, answer = trace.prompt, trace.answer
    waiting: list[tuple[float, int, Arrival]] = []
    last = 0.0
    for count, record in enumerate(record for record in records if not left_out(record)):
        tokens = _tokens(record, prompt, answer)
        sender = numbers[record.tenant, record.key]
        arrival = Arrival(
            record.at - trace.begins, sender, record.asked, *tokens, record.stream, record.user, tags=record.tags
        )
        usage = record.usage if is_known(record) else None
        if usage is not None and usage != Usage(input=arrival.prompt, output=arrival.answer):
            arrival = msgspec.structs.replace(arrival, usage=usage)
        heappush(waiting, (arrival.at, count, arrival))
        due = record.answered_at - trace.begins - trace.longest
        while waiting and (waiting[0][0] < due or len(waiting) > WAITING):
            last = max(last, waiting[0][0])
            yield _no_earlier(heappop(waiting)[2], last)
    while waiting:
        last = max(last, waiting[0][0])
        yield _no_earlier(heappop(waiting)[2], last)


def is_known(record: RequestRecord) -> bool:
    """Whether the record tells what a whole answer used."""
    return record.ended == "finished" and record.usage is not None


def _tokens(record: RequestRecord, prompt: int, answer: int) -> tuple[int, int]:
    """Tokens of prompt and answer; the medians where the record does not tell them. An answer that broke was longer."""
    usage = record.usage or next((attempt.usage for attempt in record.attempts if attempt.usage), None)
    if usage is None:
        return prompt, answer
    if is_known(record):
        return usage.input or 1, usage.output or 1
    longer = max(usage.output + 1, answer) if record.ended == "cut" else answer
    return usage.input or prompt, longer


def _no_earlier(arrival: Arrival, at: float) -> Arrival:
    return arrival if arrival.at >= at else msgspec.structs.replace(arrival, at=at)


def _senders(trace: Trace, snapshot: Snapshot) -> Iterator[Sender]:
    prompt, answer = Fixed(trace.prompt), Fixed(trace.answer)
    known = known_keys(snapshot)
    for who in trace.callers:
        key = known.get(who[1]) or VirtualKey(id=who[1], tenant=who[0])
        yield Sender(name=named(who), key=key, models=(), prompt=prompt, answer=answer)


def known_keys(snapshot: Snapshot) -> dict[str, VirtualKey]:
    """A configuration's keys by what records may call them. Any other is bound by its tenant's limits alone."""
    keys = snapshot.keys.values()
    return {key.name: key for key in keys if key.name} | {key.id: key for key in keys if key.id}


def named(who: Who) -> str:
    """A caller in one word."""
    return "/".join(part for part in who if part) or "everyone"
