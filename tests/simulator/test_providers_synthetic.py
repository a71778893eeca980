"""Synthetic providers: queues against a model by brute force, quotas that tell the truth, deadlines, outages."""

from heapq import heappop, heappush
from math import inf
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.worlds import INSTANT, PATIENT, arrival, is_share, poisson

from fairlead.canonical.limits import SECOND, Limit
from fairlead.canonical.routing import Answered, Failed, Timeouts
from fairlead.simulator.chance import Empirical, Fixed, Gamma, Spells
from fairlead.simulator.faults import FAULTS, Struck, parse
from fairlead.simulator.providers import Behavior, Played, Provider, Trouble
from fairlead.simulator.supply import Places, Quota

TIMEOUTS = Timeouts(total=60.0, first_token=10.0)


def behavior(**facts: object) -> Behavior:
    return msgspec.structs.replace(INSTANT, **facts)


def provider(
    seed: int = 1,
    *,
    quota: tuple[Limit, ...] = (),
    capacity: int | None = None,
    queue: int | None = None,
    **facts: object,
) -> Provider:
    return Provider(behavior(**facts), Random(seed), quota=Quota(quota), places=Places(capacity), queue=queue)


def play(
    one: Provider, now: float = 0.0, *, timeouts: Timeouts = PATIENT, deadline: float = 1e9, **asks: object
) -> Played:
    return one.play(arrival(now, **asks), now, timeouts, deadline)  # type: ignore[arg-type]


# answers


def test_an_answer_takes_its_first_token_and_then_one_after_the_other() -> None:
    played = play(provider(first_token=Fixed(0.5), per_token=Fixed(0.1)), 7.0, answer=11)
    assert played == Played(Answered(at=7.5, first_token=0.5), 8.5)
    assert not played.broken


def test_an_answer_that_is_no_stream_is_there_when_it_is_over() -> None:
    played = play(provider(first_token=Fixed(0.5), per_token=Fixed(0.1)), 7.0, answer=11, stream=False)
    assert played == Played(Answered(at=8.5, first_token=1.5), 8.5)


def test_slowness_is_as_many_times_slower_as_it_says() -> None:
    slow = provider(first_token=Fixed(0.5), per_token=Fixed(0.1), faults=parse("slow=1x4"))
    assert play(slow, 7.0, answer=11).ends == pytest.approx(7.0 + 4 * 1.5)


def test_a_refusal_comes_after_its_time_with_what_it_says() -> None:
    played = play(provider(refusal=Fixed(0.2), faults=parse("429:3=1")), 1.0)
    assert played.outcome == Failed(at=1.2, kind="rate_limited", status=429, retry_after=3.0)
    assert played.ends == 1.2


@pytest.mark.parametrize("stream", [True, False])
def test_silence_lasts_as_long_as_the_gateway_waits(stream: bool) -> None:
    played = play(provider(faults=parse("timeout=1")), 5.0, timeouts=TIMEOUTS, deadline=65.0, stream=stream)
    assert played == Played(Failed(at=15.0, kind="timeout"), 15.0)
    late = play(provider(faults=parse("timeout=1")), 60.0, timeouts=TIMEOUTS, deadline=65.0, stream=stream)
    assert late.outcome == Failed(at=65.0, kind="timeout")


@pytest.mark.parametrize("first", [9.9, 10.0])
def test_nobody_waits_beyond_the_first_tokens_time(first: float) -> None:
    played = play(provider(first_token=Fixed(first)), timeouts=TIMEOUTS, deadline=60.0)
    assert isinstance(played.outcome, Failed if first == 10.0 else Answered)
    assert played.outcome.at == first


def test_nobody_waits_longer_for_a_refusal() -> None:
    played = play(provider(refusal=Fixed(11.0), faults=parse("503=1")), timeouts=TIMEOUTS, deadline=60.0)
    assert played.outcome == Failed(at=10.0, kind="timeout")


def test_a_stream_is_cut_where_the_requests_time_is_up() -> None:
    played = play(provider(per_token=Fixed(1.0)), timeouts=TIMEOUTS, deadline=25.0, answer=101)
    assert (played.outcome, played.ends) == (Answered(at=0.0), 25.0)
    assert played.part == 0.25


def test_a_cut_leaves_a_part_of_a_stream_and_nothing_of_a_whole_answer() -> None:
    one = provider(first_token=Fixed(1.0), per_token=Fixed(0.1), faults=parse("cut=1"))
    parts = []
    for _ in range(2000):
        played = play(one, answer=101)
        assert played.broken
        assert played.ends == pytest.approx(1.0 + 10.0 * played.part)
        parts.append(played.part)
    assert sum(parts) / len(parts) == pytest.approx(0.5, abs=0.03)
    whole = play(one, answer=101, stream=False).outcome
    assert isinstance(whole, Failed)
    assert (whole.kind, whole.status) == ("cut", None)


def test_faults_strike_as_often_as_they_say() -> None:
    one = provider(faults=parse("429=0.1,503=0.2,connect=0.05"))
    kinds = [outcome.kind for _ in range(20_000) if isinstance(outcome := play(one).outcome, Failed)]
    for kind, share in {"rate_limited": 0.1, "overloaded": 0.2, "connect": 0.05}.items():
        assert is_share(kinds.count(kind), 20_000, share)


@pytest.mark.parametrize("name", sorted(FAULTS))
@pytest.mark.parametrize("stream", [True, False])
def test_every_fault_leads_to_its_own_kind_or_to_a_part_of_an_answer(name: str, stream: bool) -> None:
    one = provider(first_token=Fixed(0.1), per_token=Fixed(0.01), faults=parse(f"{name}=1"))
    played = play(one, timeouts=TIMEOUTS, deadline=60.0, answer=50, stream=stream)
    if isinstance(played.outcome, Failed):
        assert (played.outcome.kind, played.outcome.retry_after) == (FAULTS[name].kind, FAULTS[name].retry_after)
    else:
        assert (name == "cut") == played.broken
        assert name in {"cut", "slow"}


# quota


def bucket(unit: str, limit: int, per: int = 60 * SECOND) -> Limit:
    return Limit(unit=unit, algorithm="token_bucket", limit=limit, per=per)  # type: ignore[arg-type]


def test_a_quota_lets_its_burst_pass_and_then_its_rate() -> None:
    one = provider(quota=(bucket("requests", 60),))
    answered = [isinstance(play(one, 0.25 * number).outcome, Answered) for number in range(4 * 120)]
    assert all(answered[:60])
    assert sum(answered) == pytest.approx(60 + 120, abs=1)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.floats(0, 20), st.integers(1, 40), st.integers(1, 40)), min_size=5, max_size=40),
    st.integers(1, 10),
    st.integers(80, 300),
)
def test_who_comes_back_when_told_is_let_in_and_not_much_sooner(
    asks: list[tuple[float, int, int]], requests: int, tokens: int
) -> None:
    """Over both of its limits: it is the longer of the two waits that is told."""
    one = provider(refusal=Fixed(0.001), quota=(bucket("requests", requests), bucket("tokens", tokens)))
    now = 0.0
    for pause, prompt, answer in asks:
        now += pause
        outcome = play(one, now, prompt=prompt, answer=answer).outcome
        if isinstance(outcome, Failed):
            assert (outcome.kind, outcome.status) == ("rate_limited", 429)
            assert outcome.retry_after is not None
            sooner = outcome.at + outcome.retry_after - 0.002
            if sooner > now:
                assert isinstance(play(one, sooner, prompt=prompt, answer=answer).outcome, Failed)
            now = outcome.at + outcome.retry_after
            assert isinstance(play(one, now, prompt=prompt, answer=answer).outcome, Answered)


def test_a_quota_counts_nothing_of_what_it_refused() -> None:
    one = provider(quota=(bucket("requests", 2), bucket("tokens", 100)))
    assert isinstance(play(one, prompt=90, answer=5).outcome, Answered)
    for _ in range(5):
        assert isinstance(play(one, prompt=90, answer=5).outcome, Failed)
    assert isinstance(play(one, prompt=4, answer=1).outcome, Answered)


def test_what_is_larger_than_a_quota_is_told_to_come_back_tomorrow() -> None:
    outcome = play(provider(quota=(bucket("tokens", 100),)), prompt=100, answer=5).outcome
    assert isinstance(outcome, Failed)
    assert outcome.retry_after == 86_400.0


# capacity


def by_hand(
    arrivals: list[float], services: list[float], places: int, room: float, patience: float
) -> list[tuple[str, float]]:
    """First come, first served, event by event: how each one ends and when it was begun or gave up."""
    events: list[tuple[float, int, str, int]] = []
    for number, at in enumerate(arrivals):
        heappush(events, (at, 2, "arrives", number))
    queue: list[int] = []
    working: set[int] = set()
    ended: list[tuple[str, float]] = [("", 0.0)] * len(arrivals)

    def begin(number: int, now: float) -> None:
        working.add(number)
        gives_up = arrivals[number] + patience
        done = now + services[number]
        ended[number] = ("answered", now) if done < gives_up else ("timeout", now)
        heappush(events, (min(done, gives_up), 0, "leaves", number))

    while events:
        now, _, what, number = heappop(events)
        if what == "arrives":
            if len(working) < places:
                begin(number, now)
            elif len(queue) >= room:
                ended[number] = ("overloaded", now)
            else:
                queue.append(number)
                heappush(events, (now + patience, 1, "gives up", number))
        elif what == "leaves":
            working.discard(number)
            if queue:
                begin(queue.pop(0), now)
        elif number in queue:
            queue.remove(number)
            ended[number] = ("timeout", now)
    return ended


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    places=st.integers(1, 4),
    queue=st.none() | st.integers(1, 6),
    patience=st.sampled_from([inf, 3.0, 1.0]),
    load=st.sampled_from([0.7, 1.0, 1.6]),
)
def test_capacity_is_a_queue_of_so_many_servers(
    seed: int, places: int, queue: int | None, patience: float, load: float
) -> None:
    """Waits, refusals and those who give up, in the queue or at work, are those of a model by brute force."""
    rng = Random(seed)
    services = [rng.expovariate(1.0) for _ in range(400)]
    instants = poisson(rng, load * places, 400)
    one = provider(capacity=places, queue=queue)
    following = iter(services)
    one._first_token = lambda: next(following)
    timeouts = Timeouts(total=1e9, first_token=min(patience, 1e9))
    expected = by_hand(instants, services, places, inf if queue is None else queue, patience)
    for at, service, (ending, begun) in zip(instants, services, expected, strict=True):
        played = play(one, at, timeouts=timeouts)
        outcome = played.outcome
        assert ending == ("answered" if isinstance(outcome, Answered) else outcome.kind)
        if ending == "answered":
            assert played.waited == pytest.approx(begun - at, abs=1e-6)
            assert outcome.at == pytest.approx(begun + service)
        elif ending == "timeout":
            assert outcome.at == at + patience
            assert played.waited == pytest.approx(min(begun - at, patience), abs=1e-6)


def test_who_gives_up_waiting_makes_room_for_another_to_wait() -> None:
    one = provider(first_token=Fixed(1.0), per_token=Fixed(1.0), capacity=1, queue=1)
    outcomes = [
        play(one, at, timeouts=TIMEOUTS, deadline=at + 200.0, answer=100).outcome for at in (0.0, 1.0, 5.0, 12.0)
    ]
    assert [(outcome.at, getattr(outcome, "kind", "")) for outcome in outcomes] == [
        (1.0, ""),
        (11.0, "timeout"),
        (5.0, "overloaded"),
        (22.0, "timeout"),
    ]


def test_a_place_is_kept_until_the_stream_is_over() -> None:
    one = provider(first_token=Fixed(1.0), per_token=Fixed(1.0), capacity=1)
    assert play(one, 0.0, answer=5).ends == 5.0
    assert play(one, 1.0, answer=5).waited == 4.0


def test_a_stream_that_is_cut_gives_its_place_back() -> None:
    one = provider(per_token=Fixed(1.0), capacity=1, faults=parse("cut=1"))
    first = play(one, 0.0, answer=101)
    assert play(one, 0.0, answer=101).waited == first.ends < 100.0


def test_who_gives_up_gives_its_place_back() -> None:
    """The gateway closes the connection, and a server that is told so stops working."""
    one = provider(first_token=Empirical((100.0, 100.0)), capacity=1)
    assert isinstance(play(one, 0.0, timeouts=TIMEOUTS, deadline=60.0).outcome, Failed)
    assert play(one, 4.0, timeouts=TIMEOUTS, deadline=60.0).waited == 6.0


def test_silence_keeps_a_place_while_somebody_waits() -> None:
    one = provider(capacity=1, faults=parse("timeout=1"))
    play(one, 0.0, timeouts=TIMEOUTS, deadline=60.0)
    played = play(one, 4.0, timeouts=TIMEOUTS, deadline=60.0)
    assert (played.waited, played.outcome.at) == (6.0, 14.0)


def test_refusals_need_no_place() -> None:
    one = provider(capacity=1, first_token=Fixed(100.0))
    play(one, 0.0)
    refusing = msgspec.structs.replace(one.behavior, faults=parse("503=1"))
    one.behavior = refusing
    assert play(one, 1.0).outcome == Failed(at=1.0, kind="overloaded", status=503)


def test_a_free_place_is_taken_though_nobody_may_wait() -> None:
    one = provider(capacity=1, queue=0, first_token=Fixed(1.0))
    outcomes = [play(one, at).outcome for at in (0.0, 0.5, 1.0)]
    assert [isinstance(outcome, Answered) for outcome in outcomes] == [True, False, True]


# outages


def struck(text: str) -> Struck:
    return parse(text)[0]


def test_an_outage_strikes_its_share_of_attempts_while_it_lasts() -> None:
    rng = Random(3)
    spells = Spells(30.0, 10.0, Random(1))
    watch = Spells(30.0, 10.0, Random(1))
    one = Provider(behavior(), Random(2), [Trouble(struck("503=0.6"), spells)])
    hits = times = 0
    for now in poisson(rng, 2.0, 60_000):
        failed = isinstance(play(one, now).outcome, Failed)
        if watch.is_on(now):
            times += 1
            hits += failed
        else:
            assert not failed
    assert is_share(hits, times, 0.6)
    assert times == pytest.approx(15_000, rel=0.12)


def test_an_outage_strikes_all_of_its_providers_at_once() -> None:
    """And another one is none of their business: together they are down as often as chance has it."""
    shared = Trouble(struck("503=1"), Spells(30.0, 10.0, Random(1)))
    apart = Trouble(struck("503=1"), Spells(30.0, 10.0, Random(2)))
    a, b, c = (Provider(behavior(), Random(seed), [trouble]) for seed, trouble in enumerate([shared, shared, apart]))
    down = {"a": 0, "a and b": 0, "a and c": 0}
    for now in poisson(Random(3), 2.0, 60_000):
        out = [isinstance(play(each, now).outcome, Failed) for each in (a, b, c)]
        down["a"] += out[0]
        down["a and b"] += out[0] and out[1]
        down["a and c"] += out[0] and out[2]
    assert down["a and b"] == down["a"]
    assert down["a"] == pytest.approx(15_000, rel=0.12)
    assert down["a and c"] == pytest.approx(15_000 / 4, rel=0.25)


def test_a_brown_out_slows_down_and_adds_to_other_slowness() -> None:
    always = Trouble(struck("slow=1x3"), Spells(1e-9, 1e9, Random(1)))
    one = Provider(behavior(first_token=Gamma(1.0, 1e9), faults=parse("slow=1x2")), Random(1), [always])
    assert play(one).outcome.at == pytest.approx(6.0, rel=1e-3)


def test_chance_is_the_seeds() -> None:
    def ends(seed: int) -> list[float]:
        one = provider(seed, first_token=Gamma(1.0, 2.0), faults=parse("503=0.3,cut=0.2"))
        return [play(one, answer=20).ends for _ in range(50)]

    assert ends(1) == ends(1)
    assert ends(1) != ends(2)
