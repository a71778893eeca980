"""The attempts loop, played with scripted outcomes: what is tried, in which order, and when it stops."""

from collections.abc import Callable, Iterable
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.canonical.errors import KINDS
from fairlead.canonical.routing import (
    Answered,
    Backoff,
    Choice,
    Deployment,
    Failed,
    Outcome,
    Retry,
    Route,
    Timeouts,
    Try,
)
from fairlead.policy.attempts import Plan, attempts, backoff
from fairlead.policy.health import Fleet
from fairlead.policy.select import Needs

Reply = Callable[[Try], Outcome]
NO_WAIT = Backoff(base=0.0, cap=0.0)


def deployment(name: str, **facts: object) -> Deployment:
    return Deployment(
        name=name,
        provider=name,
        model="m",
        dialect="openai_chat",
        base_url="http://x",
        **facts,  # type: ignore[arg-type]
    )


def order(*names: str, **settings: object) -> Route:
    """A route that tries its deployments in this order."""
    choices = tuple(Choice(deployment=deployment(name), rank=rank) for rank, name in enumerate(names))
    defaults: dict[str, object] = {"retry": Retry(attempts=0, backoff=NO_WAIT), "select": "priority"}
    return Route(model="chat", choices=choices, **(defaults | settings))  # type: ignore[arg-type]


RETRY_ONCE = Retry(attempts=1, backoff=NO_WAIT)


def answered(step: Try) -> Outcome:
    return Answered(at=step.start_at + 0.1, first_token=0.1)


def fails(kind: str, *, after: float = 0.1, retry_after: float | None = None) -> Reply:
    return lambda step: Failed(at=step.start_at + after, kind=kind, retry_after=retry_after)


class Played(msgspec.Struct):
    tries: list[Try]
    result: Answered | Failed | None

    @property
    def names(self) -> list[str]:
        return [step.deployment.name for step in self.tries]


def play(
    route: Route, replies: Iterable[Reply], *, fleet: Fleet | None = None, needs: Needs | None = None, seed: int = 1
) -> Played:
    """Runs the loop from time 100 with these replies, in order; the last one repeats."""
    rng = Random(seed)
    plan = Plan(route, fleet or Fleet(rng), rng, needs or Needs())
    loop = attempts(plan, 100.0, 100.0 + route.timeouts.total)
    tries: list[Try] = []
    script = list(replies)
    try:
        step = next(loop)
        while True:
            tries.append(step)
            step = loop.send(script[min(len(tries), len(script)) - 1](step))
    except StopIteration as stop:
        return Played(tries, stop.value)


def test_an_answer_ends_it() -> None:
    played = play(order("a", "b"), [answered])
    assert played.names == ["a"]
    assert isinstance(played.result, Answered)


def test_a_failure_is_retried_on_the_same_deployment_and_then_falls_back() -> None:
    played = play(order("a", "b", retry=RETRY_ONCE), [fails("server_error"), fails("server_error"), answered])
    assert played.names == ["a", "a", "b"]


def test_a_timeout_falls_back_without_retrying() -> None:
    """A deployment that timed out is slow for everyone: go to the next one."""
    assert play(order("a", "b", retry=RETRY_ONCE), [fails("timeout"), answered]).names == ["a", "b"]


def test_a_timeout_is_retried_where_there_is_nowhere_else() -> None:
    assert play(order("a", retry=RETRY_ONCE), [fails("timeout"), answered]).names == ["a", "a"]


def test_retry_after_goes_elsewhere_at_once_and_cools_the_first() -> None:
    """A provider that asks for a pause gets it, and the client does not wait for it."""
    fleet = Fleet(Random(1))
    played = play(order("a", "b", retry=RETRY_ONCE), [fails("rate_limited", retry_after=2.0), answered], fleet=fleet)
    assert played.names == ["a", "b"]
    assert played.tries[1].start_at == pytest.approx(100.1)
    assert fleet.health["a"].cooldown_until == pytest.approx(102.1)
    assert fleet.health["a"].failures_in_row == 0


def test_retry_after_is_waited_for_where_there_is_nowhere_else() -> None:
    played = play(order("a", retry=RETRY_ONCE), [fails("rate_limited", retry_after=2.0), answered])
    assert played.names == ["a", "a"]
    assert 102.1 <= played.tries[1].start_at <= 102.3


def test_retry_after_beyond_the_deadline_is_the_answer() -> None:
    route = order("a", retry=RETRY_ONCE, timeouts=Timeouts(total=5.0))
    played = play(route, [fails("rate_limited", retry_after=7.0)])
    assert played.names == ["a"]
    assert isinstance(played.result, Failed)
    assert played.result.retry_after == 7.0


def test_the_shortest_retry_after_of_all_is_told() -> None:
    script = [fails("rate_limited", retry_after=70.0), fails("rate_limited", retry_after=65.0)]
    played = play(order("a", "b", retry=RETRY_ONCE), script)
    assert played.names == ["a", "b"]
    assert isinstance(played.result, Failed)
    assert played.result.retry_after == 65.0


def test_all_limited_is_said_only_when_all_were() -> None:
    script = [fails("server_error"), fails("rate_limited", retry_after=70.0)]
    played = play(order("a", "b"), script)
    assert isinstance(played.result, Failed)
    assert played.result.kind == "server_error"


@pytest.mark.parametrize("kind", [kind for kind, row in KINDS.items() if row.on is None])
def test_what_the_provider_calls_wrong_is_final(kind: str) -> None:
    assert play(order("a", "b", retry=RETRY_ONCE), [fails(kind)]).names == ["a"]


@pytest.mark.parametrize("kind", ["context_window", "content_policy"])
def test_context_and_content_fall_back_only_where_the_route_says_so(kind: str) -> None:
    assert play(order("a", "b", retry=RETRY_ONCE), [fails(kind), answered]).names == ["a"]
    told = order("a", "b", retry=RETRY_ONCE, fallback=frozenset({kind}))
    assert play(told, [fails(kind), answered]).names == ["a", "b"]


def test_a_context_that_was_too_small_leads_only_to_a_larger_one() -> None:
    sizes = {"a": 8_000, "b": 4_000, "c": 128_000}
    choices = tuple(
        Choice(deployment=deployment(name, context=size), rank=rank) for rank, (name, size) in enumerate(sizes.items())
    )
    route = Route(model="chat", choices=choices, select="priority", fallback=frozenset({"context_window"}))
    assert play(route, [fails("context_window"), answered]).names == ["a", "c"]


def test_a_refused_credential_is_quarantined_with_all_its_deployments() -> None:
    choices = (
        Choice(deployment=deployment("a", credential="k1")),
        Choice(deployment=deployment("b", credential="k1"), rank=1),
        Choice(deployment=deployment("c", credential="k2"), rank=2),
    )
    fleet = Fleet(Random(1))
    route = Route(model="chat", choices=choices, select="priority", retry=RETRY_ONCE)
    assert play(route, [fails("auth"), answered], fleet=fleet).names == ["a", "c"]
    assert play(route, [answered], fleet=fleet).names == ["c"]
    fleet.pardon("k1")
    assert play(route, [answered], fleet=fleet).names == ["a"]


def test_attempts_are_capped_over_all_deployments() -> None:
    route = order("a", "b", "c", retry=Retry(attempts=5, max_attempts=4, backoff=NO_WAIT))
    assert play(route, [fails("server_error")]).names == ["a"] * 4


def test_nothing_starts_at_or_after_the_deadline() -> None:
    route = order("a", "b", retry=RETRY_ONCE, timeouts=Timeouts(total=10.0))
    assert play(route, [fails("server_error", after=10.0)]).names == ["a"]


def test_a_probe_that_is_given_up_leaves_room_for_others() -> None:
    """Clients that leave during a probe must not keep a half-open deployment out of use for good."""
    fleet = Fleet(Random(1))
    route = order("a", "b")
    for _ in range(3):
        play(route, [fails("server_error"), answered], fleet=fleet)
    later = fleet.health["a"].cooldown_until + 1.0
    for _ in range(10):
        loop = attempts(Plan(route, fleet, Random(1)), later, later + 10.0)
        assert next(loop).deployment.name == "a"
        loop.close()


def test_several_answers_go_only_where_they_can_be_had() -> None:
    choices = (
        Choice(deployment=msgspec.structs.replace(deployment("a"), dialect="anthropic")),
        Choice(deployment=deployment("b"), rank=1),
    )
    route = Route(model="chat", choices=choices, select="priority")
    assert play(route, [answered], needs=Needs(dialect="openai_chat")).names == ["b"]


def test_a_retry_uses_up_no_turn_of_the_other_deployments() -> None:
    route = order("a", "b", "c", retry=RETRY_ONCE, select="round_robin")
    route = msgspec.structs.replace(
        route, choices=tuple(msgspec.structs.replace(choice, rank=0) for choice in route.choices)
    )
    fleet = Fleet(Random(1))
    starts = [play(route, [fails("server_error"), answered], fleet=fleet).names for _ in range(3)]
    assert starts == [["a", "a"], ["b", "b"], ["c", "c"]]


def test_the_last_deployment_is_never_cooled_to_zero() -> None:
    fleet = Fleet(Random(1))
    route = order("a")
    for _ in range(10):
        assert play(route, [fails("server_error")], fleet=fleet).names == ["a"]
    assert fleet.health["a"].cooldown_until > 110.0


def test_a_sick_deployment_is_skipped_while_another_is_well() -> None:
    fleet = Fleet(Random(1))
    route = order("a", "b")
    for _ in range(3):
        play(route, [fails("server_error"), answered], fleet=fleet)
    assert play(route, [answered], fleet=fleet).names == ["b"]


def test_retries_stay_within_the_budget() -> None:
    """1 000 requests at once that all want a retry get one in ten of all calls, and the reserve."""
    fleet = Fleet(Random(1))
    route = order("a", retry=RETRY_ONCE)
    retries = sum(len(play(route, [fails("server_error", after=0.0)], fleet=fleet).tries) - 1 for _ in range(1000))
    assert 100 <= retries <= 150


def test_no_deployment_at_all_is_none() -> None:
    route = Route(model="chat", choices=())
    assert play(route, [answered]).result is None


def test_a_deployment_without_its_secret_is_never_tried() -> None:
    choices = (Choice(deployment=deployment("a", credential="k1")), Choice(deployment=deployment("b"), rank=1))
    rng = Random(1)
    plan = Plan(Route(model="chat", choices=choices), Fleet(rng), rng, Needs(), {})
    assert next(attempts(plan, 0.0, 10.0)).deployment.name == "b"


@given(number=st.integers(0, 40), base=st.floats(0, 10), cap=st.floats(0, 60), seed=st.integers(0, 99))
def test_backoff_stays_under_its_cap(number: int, base: float, cap: float, seed: int) -> None:
    policy = Backoff(base=base, cap=cap)
    assert 0.0 <= backoff(policy, number, Random(seed)) <= min(cap, base * 2.0**number)
    assert backoff(Backoff(base=base, cap=cap, jitter="none"), number, Random(seed)) == min(cap, base * 2.0**number)


OUTCOMES = st.one_of(
    st.builds(lambda: answered),
    st.builds(
        fails,
        st.sampled_from(sorted(KINDS)),
        after=st.floats(0, 8),
        retry_after=st.one_of(st.none(), st.floats(0, 100)),
    ),
)


@given(
    replies=st.lists(OUTCOMES, min_size=1, max_size=12),
    retries=st.integers(0, 4),
    cap=st.integers(1, 8),
    names=st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True),
    seed=st.integers(0, 1000),
)
def test_no_run_exceeds_its_deadline_its_attempts_or_its_retries(
    replies: list[Reply], retries: int, cap: int, names: list[str], seed: int
) -> None:
    """Whatever the providers do."""
    route = order(
        *names, retry=Retry(attempts=retries, max_attempts=cap), timeouts=Timeouts(total=20.0), select="weighted"
    )
    played = play(route, replies, seed=seed)
    assert len(played.tries) <= cap
    assert [step.number for step in played.tries] == list(range(len(played.tries)))
    assert all(step.start_at < 120.0 for step in played.tries)
    starts = [step.start_at for step in played.tries]
    assert starts == sorted(starts)
    assert all(played.names.count(name) <= retries + 1 for name in names)
    assert played.result is not None
