"""Requests under the virtual clock meet what they would in a worker: routes, rights, limits, budgets, deployments' own
limits, fallbacks and prices.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random

import msgspec
import pytest
from tests.simulator.worlds import INSTANT, PATIENT, deployment, route, snapshot

from fairlead.canonical.limits import DAY, SECOND, Limit
from fairlead.canonical.routing import Cooldown, Facts, Retry, Route, Server, Snapshot, Timeouts
from fairlead.canonical.tenants import Scoped, Tenant, VirtualKey
from fairlead.canonical.usage import Change, Hours, Price
from fairlead.simulator.chance import Fixed
from fairlead.simulator.faults import parse
from fairlead.simulator.life import run
from fairlead.simulator.measures import Measures, Tally, Tried
from fairlead.simulator.providers import Behavior, Provider
from fairlead.simulator.traffic import Arrival, Sender
from fairlead.simulator.trial import Trial

PLAIN_KEY = VirtualKey(id="k", name="k", tenant="t")


class Outcome(msgspec.Struct):
    measures: Measures
    trial: Trial

    @property
    def tally(self) -> Tally:
        tally = Tally()
        for batch in self.measures.batches:
            for name in Tally.__slots__:
                setattr(tally, name, getattr(tally, name) + getattr(batch.senders[0], name))
        return tally

    @property
    def tried(self) -> dict[str, Tried]:
        found = {name: Tried() for name in self.measures.seen}
        for batch in self.measures.batches:
            for name, part in batch.tried.items():
                for field in Tried.__slots__:
                    setattr(found[name], field, getattr(found[name], field) + getattr(part, field))
        return found

    @property
    def attempts(self) -> dict[str, int]:
        return {name: tried.attempts for name, tried in self.tried.items() if tried.attempts}

    @property
    def refusals(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for batch in self.measures.batches:
            for (_, why), count in batch.refusals.items():
                found[why] += count
        return found


def played(
    config: Snapshot,
    arrivals: Sequence[Arrival],
    *,
    key: VirtualKey = PLAIN_KEY,
    max_tokens: int | None = 100,
    begins: float = 0.0,
    **behaviors: Behavior,
) -> Outcome:
    """What becomes of these requests; a provider of which nothing is said answers at once."""
    names = [choice.deployment.name for one in config.routes for choice in one.choices]
    made = {
        name: Provider(behaviors.get(name.partition("/")[0], INSTANT), Random(number))
        for number, name in enumerate(names)
    }
    sender = Sender(name="s", key=key, models=("m",), prompt=Fixed(10), answer=Fixed(1), max_tokens=max_tokens)
    measures = Measures(len(arrivals), ["s"], names)
    trial = Trial(config, made, [sender], measures, rng=Random(1), begins=begins)
    run(trial, arrivals, len(arrivals))
    return Outcome(measures, trial)


def asks(
    *instants: float, model: str = "m", prompt: int = 10, answer: int = 5, user: str = "", stream: bool = True
) -> list[Arrival]:
    return [Arrival(at, 0, model, prompt, answer, stream, user) for at in instants]


def limit(unit: str, amount: int, *, algorithm: str = "fixed_window", per: int = 60 * SECOND) -> Limit:
    return Limit(unit=unit, algorithm=algorithm, limit=amount, per=per)  # type: ignore[arg-type]


def tenant(**facts: object) -> dict[str, Tenant]:
    return {"t": Tenant(name="t", **facts)}  # type: ignore[arg-type]


def failing(text: str, **facts: object) -> Behavior:
    return msgspec.structs.replace(INSTANT, faults=parse(text), **facts)


CHEAP = Price(input=Decimal(1), output=Decimal(10))
"""Dollars per million tokens."""


# who may ask for what


def test_a_model_without_a_route_is_refused_and_nobody_is_asked() -> None:
    come = played(snapshot(route("a")), asks(1.0, 2.0, model="nothing"))
    assert come.refusals == {"model_not_found": 2}
    assert (come.tally.refused, come.attempts) == (2, {})


@pytest.mark.parametrize(
    ("key", "tenants"),
    [
        (VirtualKey(id="k", routes=("other",)), {}),
        (VirtualKey(id="k", models=("other", "x*")), {}),
        (PLAIN_KEY, tenant(models=("other",))),
    ],
)
def test_a_model_that_the_key_may_not_use_is_refused(key: VirtualKey, tenants: dict[str, Tenant]) -> None:
    come = played(snapshot(route("a"), tenants=tenants), asks(1.0), key=key)
    assert come.refusals == {"model_not_allowed": 1}


def test_where_nothing_may_be_tried_the_request_is_refused_and_counts_for_nothing() -> None:
    """A tenant's data must stay in a region where no deployment is: its limits are as they were."""
    limits = (limit("requests", 3),)
    come = played(snapshot(route("a"), tenants=tenant(residency="eu", limits=limits)), asks(*range(1, 9)))
    assert come.refusals == {"no_healthy_deployment": 8}
    assert (come.tally.failed, come.tally.attempts) == (0, 0)


def test_residency_leads_to_the_deployments_that_are_there() -> None:
    chain = route(deployment("a", region="us"), deployment("b", region="eu-west"))
    come = played(snapshot(chain, tenants=tenant(residency="eu")), asks(1.0))
    assert come.attempts == {"b": 1}
    assert come.tally.fallbacks == 0, "b is the first choice of those that may serve it"


# whom a worker leaves alone


@pytest.mark.parametrize("fault", ["401=1", "429_quota=1"])
def test_a_refused_credential_rests_all_of_its_deployments(fault: str) -> None:
    """For a minute, though only one of them was asked."""
    sharing = [deployment(name, credential="key") for name in ("a", "a/2")]
    come = played(snapshot(route(*sharing, "b")), asks(10.0, 20.0, 100.0), a=failing(fault))
    rests = {name: sum(seen.resting.bins) for name, seen in come.measures.seen.items()}
    assert come.attempts == {"a": 2, "b": 3}
    assert rests == {"a": 60.0, "a/2": 60.0, "b": 0.0}


def test_a_breaker_is_not_open_while_a_credential_alone_rests() -> None:
    chain = route(deployment("a", credential="key"), "b")
    come = played(snapshot(chain), asks(10.0, 100.0), a=failing("401=1"))
    assert (sum(come.measures.seen["a"].resting.bins), sum(come.measures.seen["a"].open.bins)) == (60.0, 0.0)


# limits


def test_a_limit_refuses_what_is_over_it_and_says_which() -> None:
    come = played(snapshot(route("a"), tenants=tenant(limits=(limit("requests", 3),))), asks(1, 2, 3, 4, 5, 61))
    assert come.refusals == {"3 requests per 1m of tenant 't'": 2}
    assert come.tally.answered == 4


def test_the_tags_of_a_tenant_are_limited_as_those_of_its_keys() -> None:
    scoped = (Scoped(scope="tag", match="team=x", limits=(limit("requests", 1),)),)
    come = played(snapshot(route("a"), tenants=tenant(tags=(("team", "x"),)), scoped=scoped), asks(1, 2))
    assert come.tally.refused == 1


def test_end_users_are_limited_apart() -> None:
    scoped = (Scoped(scope="user", match="*", limits=(limit("requests", 1),)),)
    come = played(snapshot(route("a"), scoped=scoped), [*asks(1, 2, user="u"), *asks(3, user="v"), *asks(4)])
    assert (come.tally.answered, come.tally.refused) == (3, 1)


def test_tokens_are_held_and_settled_at_what_was_used() -> None:
    """A hundred are asked for each time and fifteen used; at the end of the answer the rest is free again."""
    limits = (limit("tokens", 125),)
    config = snapshot(route("a"), tenants=tenant(limits=limits))
    one_by_one = played(config, asks(1, 2, 3))
    assert one_by_one.tally.answered == 2, "10 + 100 fit beside 15, and not beside 30"
    slow = msgspec.structs.replace(INSTANT, first_token=Fixed(10.0))
    at_once = played(config, asks(1, 2, 3), a=slow)
    assert at_once.tally.answered == 1


@pytest.mark.parametrize(("answering", "let_in"), [(INSTANT, 6), (failing("503=1"), 6), (failing("timeout=1"), 2)])
def test_what_is_under_way_is_limited_until_it_is_over_however_it_ends(answering: Behavior, let_in: int) -> None:
    quick = route("a", timeouts=Timeouts(total=60.0, first_token=10.0))
    config = snapshot(quick, tenants=tenant(limits=(limit("concurrency", 2, algorithm="concurrency"),)))
    come = played(config, asks(1, 2, 3, 4, 5, 6), a=answering)
    assert come.tally.attempts == let_in
    late = played(config, asks(1, 2, 3, 30, 31), a=answering)
    assert late.tally.attempts == min(let_in + 2, 5)


def test_a_hard_budget_is_never_overspent() -> None:
    """15 tokens cost 60 millionths of a dollar; a thousand are held at first, as the answer may be 100 tokens long."""
    priced = route(deployment("a", price=CHEAP))
    budget = limit("money", 3000, algorithm="calendar", per=DAY)
    come = played(snapshot(priced, tenants=tenant(limits=(budget,))), asks(*range(1, 100)))
    spent = round(come.tally.cost * 1e6)
    assert spent == 60 * come.tally.answered
    assert 3000 - 1010 - 60 < spent <= 3000
    assert come.refusals == {"a budget of 0.003 USD per 1d of tenant 't'": 99 - come.tally.answered}


def test_a_hard_budget_goes_by_what_has_no_price() -> None:
    chain = route("a", deployment("b", price=CHEAP))
    budget = limit("money", 3000, algorithm="calendar", per=DAY)
    come = played(snapshot(chain, tenants=tenant(limits=(budget,))), asks(1))
    assert come.attempts == {"b": 1}
    assert come.tally.fallbacks == 0


def test_a_budgets_day_is_that_of_the_wall_clock() -> None:
    budget = limit("money", 1100, algorithm="calendar", per=DAY)
    config = snapshot(route(deployment("a", price=CHEAP)), tenants=tenant(limits=(budget,)))
    come = played(config, asks(1, 2, 3, 3601, 3602), begins=23 * 3600.0)
    assert come.tally.answered == 4, "two before midnight, two after"


def test_a_deployments_own_limit_sends_the_request_elsewhere() -> None:
    scoped = (Scoped(scope="deployment", match="a", limits=(limit("requests", 2),)),)
    come = played(snapshot(route("a", "b"), scoped=scoped), asks(1, 2, 3, 4))
    assert come.tally.answered == 4
    assert come.tally.fallbacks == 2
    assert come.attempts == {"a": 2, "b": 2}, "the provider never heard of the others"
    assert (come.tried["a"].limited, come.tally.attempts) == (2, 6)
    assert not come.measures.seen["a"].failures
    assert sum(come.measures.seen["a"].load.bins) == 2


def test_a_failed_attempt_gives_its_deployments_tokens_back() -> None:
    """A retry asks for as many again, and they are there."""
    scoped = (Scoped(scope="deployment", match="a", limits=(limit("tokens", 120),)),)
    chain = route("a", "b", retry=Retry(attempts=1))
    come = played(snapshot(chain, scoped=scoped), asks(1), a=failing("503=1"))
    assert come.measures.seen["a"].failures == {"overloaded": 2}


# attempts


def test_a_retry_is_on_the_same_deployment_and_a_fallback_on_another() -> None:
    chain = route("a", "b", retry=Retry(attempts=1))
    come = played(snapshot(chain), asks(1, 2), a=failing("503=1"))
    tally = come.tally
    assert (tally.retried, tally.fallbacks, tally.answered) == (2, 2, 2)
    assert come.attempts == {"a": 4, "b": 2}


def test_a_bad_request_ends_it() -> None:
    come = played(snapshot(route("a", "b")), asks(1), a=failing("400=1"))
    assert (come.tally.failed, come.attempts) == (1, {"a": 1})


def test_one_deadline_is_over_everything() -> None:
    hasty = route("a", "b", timeouts=Timeouts(total=15.0, first_token=10.0))
    come = played(snapshot(hasty), asks(1.0), a=failing("timeout=1"), b=failing("timeout=1"))
    assert come.attempts == {"a": 1, "b": 1}
    assert come.measures.until == 16.0


def test_a_worker_does_not_know_what_another_has_learned() -> None:
    """Each opens its own breaker, so four send four times as much to what is dead."""
    chain = route("a", "b", cooldown=Cooldown(after=3, duration=1e6))

    def sent(workers: int) -> int:
        config = snapshot(chain, server=Server(workers=workers))
        return played(config, asks(*range(1, 200)), a=failing("503=1")).attempts["a"]

    assert (sent(1), sent(4)) == (3, 12)


def test_least_busy_sees_streams_until_their_end() -> None:
    chain = route("a", "b", select="least_busy")
    equal = msgspec.structs.replace(
        chain, choices=tuple(msgspec.structs.replace(choice, rank=0) for choice in chain.choices)
    )
    long = msgspec.structs.replace(INSTANT, per_token=Fixed(1.0))
    come = played(snapshot(equal), asks(*[1 + 0.001 * number for number in range(100)], answer=100), a=long, b=long)
    assert come.attempts == {"a": 50, "b": 50}


def test_a_session_stays_where_it_is() -> None:
    def attempts(users: Callable[[int], str]) -> dict[str, int]:
        chain = route("a", "b", "c", select="sticky")
        equal = msgspec.structs.replace(
            chain, choices=tuple(msgspec.structs.replace(choice, rank=0) for choice in chain.choices)
        )
        arrivals = [one for number in range(60) for one in asks(float(number), user=users(number))]
        return played(snapshot(equal), arrivals).attempts

    assert len(attempts(lambda _: "u")) == 1
    assert len(attempts(lambda number: f"u{number}")) == 3


# what it costs


def test_answers_cost_what_their_tokens_do() -> None:
    come = played(snapshot(route(deployment("a", price=CHEAP))), asks(1, 2, prompt=1000, answer=100))
    assert come.tally.cost == pytest.approx(2 * (1000 * 1 + 100 * 10) / 1e6)
    assert come.tally.wasted == 0.0


def test_a_cut_answer_costs_what_came_and_is_waste() -> None:
    come = played(
        snapshot(route(deployment("a", price=CHEAP))),
        asks(*range(1, 1001), prompt=1000, answer=100),
        a=failing("cut=1"),
    )
    assert come.tally.cut == 1000
    assert come.tally.cost == come.tally.wasted == pytest.approx(1000 * (1000 + 500) / 1e6, rel=0.05)


def test_an_attempt_that_timed_out_may_be_charged_for_its_prompt() -> None:
    quick = Timeouts(total=60.0, first_token=10.0)
    chain = route(deployment("a", price=CHEAP), "b", timeouts=quick)
    come = played(snapshot(chain), asks(1, prompt=1000), a=failing("timeout=1"))
    assert come.tally.cost == come.tally.wasted == pytest.approx(1000 / 1e6)


def test_models_behind_a_wildcard_have_their_own_prices() -> None:
    anything = msgspec.structs.replace(deployment("a/*"), model="*")
    dear = Price(input=Decimal(100), output=Decimal(100))
    facts = {"a": {"x": Facts(price=CHEAP), "y": Facts(price=dear)}}
    config = snapshot(route(anything, model="*"), facts=facts)
    come = played(config, [*asks(1, model="x", prompt=1000, answer=1), *asks(2, model="y", prompt=1000, answer=1)])
    assert come.tally.cost == pytest.approx((1010 + 100_100) / 1e6)
    assert not come.measures.unpriced


def test_what_has_no_price_is_told_once_it_has_served_by_the_name_of_its_model() -> None:
    anything = msgspec.structs.replace(deployment("a/*"), model="*")
    own = deployment("own", self_hosted=True)
    config = snapshot(route(own, model="m"), route(anything, "b", model="*"), facts={"a": {"x": Facts(price=CHEAP)}})
    come = played(config, [*asks(1, 2), *asks(3, model="x"), *asks(4, model="z")])
    assert come.measures.unpriced == {"a/z"}


def test_a_price_is_that_of_the_requests_own_instant() -> None:
    """Ten times as dear from the hundredth second on, and in the second minute of each hour."""
    dear = Price(input=Decimal(10), output=Decimal(100))
    changing = msgspec.structs.replace(CHEAP, changes=(Change(begin=1100.0, price=dear),))
    hourly = msgspec.structs.replace(CHEAP, hours=(Hours(begin=1, end=2, price=dear),))
    for price, begins, instants in ((changing, 1000.0, (1.0, 99.0, 101.0)), (hourly, 0.0, (1.0, 59.0, 61.0, 121.0))):
        config = snapshot(route(deployment("a", price=price)))
        come = played(config, asks(*instants, prompt=1000, answer=100), begins=begins)
        assert come.tally.cost == pytest.approx(0.002 * (len(instants) - 1) + 0.02)


# times


def test_latency_is_from_the_request_to_the_end_of_its_answer() -> None:
    chain = route("a", "b")
    slow = Behavior(first_token=Fixed(0.5), per_token=Fixed(0.1), refusal=Fixed(0.25))
    come = played(snapshot(chain), asks(1.0, answer=11), a=msgspec.structs.replace(slow, faults=parse("503=1")), b=slow)
    batch = come.measures.batches[0]
    assert batch.added.mean == pytest.approx(0.25)
    assert batch.first_token.mean == pytest.approx(0.75)
    assert batch.latency.mean == pytest.approx(1.75)
    assert come.measures.until == pytest.approx(2.75)


def test_providers_hear_of_attempts_in_the_order_of_time() -> None:
    """Retries and fallbacks of early requests come between later arrivals."""
    heard: list[float] = []

    class Listening(Provider):
        def play(self, request: Arrival, now: float, timeouts: Timeouts, deadline: float):  # type: ignore[no-untyped-def]
            heard.append(now)
            return super().play(request, now, timeouts, deadline)

    chain: Route = route("a", "b", retry=Retry(attempts=2), timeouts=PATIENT)
    behavior = failing("503=0.5", refusal=Fixed(0.7), first_token=Fixed(0.3))
    made = {name: Listening(behavior, Random(1)) for name in ("a", "b")}
    sender = Sender(name="s", key=PLAIN_KEY, models=("m",), prompt=Fixed(1), answer=Fixed(1))
    trial = Trial(snapshot(chain), made, [sender], Measures(200, ["s"], ["a", "b"]), rng=Random(2), begins=0.0)
    run(trial, asks(*[0.1 * number for number in range(200)]), 200)
    assert len(heard) > 250
    assert heard == sorted(heard)


def test_it_is_told_how_far_it_is() -> None:
    told: list[int] = []
    sender = Sender(name="s", key=PLAIN_KEY, models=("m",), prompt=Fixed(1), answer=Fixed(1))
    providers = {"a": Provider(INSTANT, Random(1))}
    trial = Trial(snapshot(route("a")), providers, [sender], Measures(3000, ["s"], ["a"]), rng=Random(2), begins=0.0)
    run(trial, asks(*[0.1 * number for number in range(3000)]), 3000, told.append)
    assert told == [0, 1024, 2048]
