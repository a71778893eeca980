"""Requests come in the order in which they came, whatever the order of their records, and as whose they were."""

from collections.abc import Iterator
from random import Random

import msgspec
import pytest
from tests.simulator.recording import BEGINS, TWO, a_record, an_attempt, configured, traced

from fairlead.canonical.routing import RequestRecord
from fairlead.canonical.tenants import VirtualKey
from fairlead.canonical.usage import Usage
from fairlead.simulator import trace as module
from fairlead.simulator.setting import Setting
from fairlead.simulator.simulate import simulate
from fairlead.simulator.trace import arrivals, by_end, traffic

SNAPSHOT = configured(TWO)


def scattered(count: int, seed: int = 1) -> list[RequestRecord]:
    """Requests of all lengths, by their end."""
    rng = Random(seed)
    made = [a_record(number, duration=rng.expovariate(0.05)) for number in range(count)]
    return sorted(made, key=lambda record: record.answered_at)


def test_requests_come_by_their_beginning_though_records_come_by_their_end() -> None:
    records = scattered(500)
    assert [record.id for record in records] != [f"r{number}" for number in range(500)]
    assert [one.at for one in arrivals(traced(records), records)] == [float(number) for number in range(500)]


def test_no_more_wait_than_the_longest_request_makes_necessary() -> None:
    """An arrival is given out before the records that end too late to be before it are read."""
    records = [a_record(number, duration=2.5) for number in range(100)]
    read = 0

    def reading() -> Iterator[RequestRecord]:
        nonlocal read
        for record in records:
            read += 1
            yield record

    coming = arrivals(traced(records), reading())
    for number in range(90):
        assert next(coming).at == number
        assert read <= number + 2


def test_the_order_of_time_holds_where_too_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 3)
    records = scattered(200)
    times = [one.at for one in arrivals(traced(records), records)]
    assert len(times) == 200
    assert times == sorted(times)


def test_files_are_merged_by_the_end_of_their_records_and_begun_when_due() -> None:
    records = scattered(90)
    begun: list[int] = []

    def file(number: int) -> Iterator[RequestRecord]:
        begun.append(number)
        yield from parts[number]

    parts = [records[0:30:2], records[1:30:2], records[30:60], records[60:]]
    merged = by_end([(part[0].answered_at, file(number)) for number, part in enumerate(parts)])
    found = [next(merged) for _ in range(20)]
    assert sorted(begun) == [0, 1]
    assert [record.id for record in (*found, *merged)] == [record.id for record in records]
    assert not list(by_end([(0.0, iter(()))]))


def test_what_a_record_tells_of_tokens_is_taken_and_else_the_median() -> None:
    known = [a_record(number, usage=Usage(input=500, output=50)) for number in range(9)]
    failed = a_record(10, ended="failed", usage=None, attempts=(an_attempt("overloaded"),))
    cut = a_record(11, ended="cut", usage=Usage(input=70, output=80))
    charged = a_record(12, ended="failed", usage=None, attempts=(an_attempt("timeout", usage=Usage(input=300)),))
    records = [*known, failed, cut, charged]
    found = list(arrivals(traced(records), records))
    assert {(one.prompt, one.answer) for one in found[:9]} == {(500, 50)}
    assert [(one.prompt, one.answer) for one in found[9:]] == [
        (pytest.approx(500, rel=0.01), pytest.approx(50, rel=0.02)), (70, 81), (300, pytest.approx(50, rel=0.02)),
    ]  # fmt: skip


def test_what_was_cached_goes_along() -> None:
    used = Usage(input=1000, output=10, cache_read=900)
    records = [a_record(0), a_record(1, usage=used)]
    plain, cached = arrivals(traced(records), records)
    assert (plain.usage, cached.usage) == (None, used)


def test_callers_are_the_configurations_keys_where_it_has_them() -> None:
    key = VirtualKey(id="key_1", name="ci", tenant="acme")
    snapshot = msgspec.structs.replace(SNAPSHOT, keys={"mac": key})
    records = [
        a_record(0, tenant="acme", key="key_1"), a_record(1, tenant="old", key="ci"),
        a_record(2, tenant="acme", key="gone"), a_record(3, tenant="acme", key="gone"), a_record(4),
    ]  # fmt: skip
    senders = traffic(traced(records), records, snapshot).senders
    assert [sender.name for sender in senders] == ["acme/key_1", "old/ci", "acme/gone", "everyone"]
    assert [sender.key for sender in senders] == [
        key, key, VirtualKey(id="gone", tenant="acme"), VirtualKey(id=""),
    ]  # fmt: skip


def test_a_request_has_the_tags_that_it_had() -> None:
    records = [a_record(number, key="ci", tags=(("run", str(number)),)) for number in range(3)]
    assert [one.tags for one in arrivals(traced(records), records)] == [(("run", str(number)),) for number in range(3)]


def test_a_trace_takes_the_place_of_synthetic_traffic() -> None:
    records = [a_record(number * 3, tenant="acme", key="ci") for number in range(50)]
    trace = traced(records)
    setting = Setting(snapshot=SNAPSHOT, requests=trace.requests)
    found = simulate(setting, trace=traffic(trace, records, SNAPSHOT))
    assert (found.requests, [sender.name for sender in found.senders]) == (50, ["acme/ci"])
    assert found.senders[0].tokens_per_request.value == 111
    assert found.duration == pytest.approx(147, abs=30)
    assert trace.begins == BEGINS
