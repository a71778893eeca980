"""Recorded requests come to what they came to, unless the configuration decides otherwise."""

import msgspec
import pytest
from tests.simulator.recording import TWO, a_record, an_attempt, configured, recorded, traced

from fairlead.canonical.routing import RequestRecord, Skipped, Snapshot, Verdict
from fairlead.canonical.usage import Usage
from fairlead.policy.select import NOT_REACHED
from fairlead.simulator.faults import parse
from fairlead.simulator.replay import Side, as_recorded, beside, replayed
from fairlead.simulator.replay_figures import Count, Figures, Replay
from fairlead.simulator.scenario import Outage, Scenario
from fairlead.simulator.setting import Setting

FAULTS = {"a": parse("429:1=0.1,503=0.05,cut=0.02,timeout=0.01"), "b": parse("503=0.05")}
TWO_SNAPSHOT = configured(TWO)
FALLBACK = "      - {use: b/two, priority: 2, price: {input: 3, output: 15}}\n"
ALONE = configured(TWO.replace(FALLBACK, ""))
COUNTED = ("requests", "answered", "cut", "failed", "refused", "retried", "fallbacks", "attempts")


def sides(records: list[RequestRecord], new: Snapshot, seed: int = 1) -> tuple[Side, Side]:
    trace = traced(records)
    return as_recorded(trace, records, new), replayed(new, trace, records, seed=seed)


def compared(records: list[RequestRecord], new: Snapshot, old: Snapshot | None = None) -> Replay:
    trace = traced(records)
    return beside(
        trace,
        new,
        recorded=as_recorded(trace, records, old or new),
        old=replayed(old, trace, records) if old else None,
        new=replayed(new, trace, records),
    )


def counted(figures: Figures) -> dict[str, int]:
    return {name: getattr(figures, name) for name in COUNTED}


@pytest.fixture(scope="module")
def records() -> list[RequestRecord]:
    return recorded(Setting(snapshot=TWO_SNAPSHOT, requests=4000, rps=10.0, faults=FAULTS))


def test_the_same_configuration_comes_to_the_very_same(records: list[RequestRecord]) -> None:
    """With the same chance in backoffs, every attempt is where it was, and comes to what it came to."""
    then, now = sides(records, TWO_SNAPSHOT)
    assert counted(now.figures) == counted(then.figures)
    assert min(then.figures.fallbacks, then.figures.cut, then.figures.retried) > 20
    assert now.served == then.served
    assert now.figures.cost == pytest.approx(then.figures.cost, rel=1e-9)
    assert now.figures.wasted == pytest.approx(then.figures.wasted, rel=1e-9)
    assert now.figures.wasted > 0
    assert now.figures.latency_ms.p99 == pytest.approx(then.figures.latency_ms.p99, rel=0.02)


def test_other_chance_comes_to_nearly_the_same(records: list[RequestRecord]) -> None:
    then, now = sides(records, TWO_SNAPSHOT, seed=2)
    assert now.figures.answered == pytest.approx(then.figures.answered, rel=0.005)
    assert now.figures.fallbacks == pytest.approx(then.figures.fallbacks, rel=0.1)
    assert now.figures.attempts == pytest.approx(then.figures.attempts, rel=0.01)
    assert now.figures.cost == pytest.approx(then.figures.cost, rel=0.02)


@pytest.mark.parametrize(
    ("written", "instead", "changed"),
    [("first_token: 5s", "first_token: 1s", ["attempts"]), (FALLBACK, "", ["answered", "cost"])],
    ids=["less patience", "no fallback"],
)
def test_a_replay_foretells_what_another_configuration_comes_to(written: str, instead: str, changed: list[str]) -> None:
    """One world and two configurations in it: replaying what the one saw comes much nearer to what the other sees."""
    outage = Outage(of=("a",), every=600.0, lasting=60.0, fault="503", share=0.9)
    world = Setting(
        snapshot=TWO_SNAPSHOT, scenario=Scenario(outages=(outage,)), requests=4000, rps=0.5, faults={"a": FAULTS["a"]}
    )
    seen = recorded(world)
    other = configured(TWO.replace(written, instead))
    truly = recorded(msgspec.structs.replace(world, snapshot=other))
    truth = as_recorded(traced(truly), truly, other).figures
    then, told = (side.figures for side in sides(seen, other))
    for name in changed:
        missed = abs(getattr(told, name) - getattr(truth, name))
        assert missed < 0.35 * abs(getattr(then, name) - getattr(truth, name)), name


def test_without_the_fallback_what_it_saved_is_lost() -> None:
    """Every third first attempt failed and was saved: nothing else is recorded of the first deployment."""
    saved = (an_attempt("server_error"), an_attempt("answered", "b/two", started_at=0.6))
    records = [
        a_record(number * 60) if number % 3 else a_record(number * 60, attempts=saved, served="b/two")
        for number in range(90)
    ]
    once = ALONE.routes[0]
    no_retries = msgspec.structs.replace(
        ALONE,
        routes=(msgspec.structs.replace(once, retry=msgspec.structs.replace(once.retry, attempts=0)),),
    )
    found = compared(records, no_retries, TWO_SNAPSHOT)
    assert (found.recorded.answered, found.recorded.fallbacks) == (90, 30)
    assert (found.new.answered, found.new.fallbacks, found.new.failed) == (60, 0, 30)
    assert found.deployments == {
        "a/one": Count(recorded=60, old=found.deployments["a/one"].old, new=60),
        "b/two": Count(recorded=30, old=found.deployments["b/two"].old, new=0),
    }
    assert found.models["two"].new == 0
    assert found.change["answered"] == 60 - found.old.answered if found.old else None


def test_an_added_limit_refuses_what_is_over_it() -> None:
    """Thirty requests in each of three minutes, of which a fixed window lets ten through."""
    records = [a_record(minute * 60 + second, tenant="acme", key="k") for minute in range(3) for second in range(30)]
    begun = 1_790_000_040.0  # a minute begins
    records = [msgspec.structs.replace(one, at=one.at - 1_790_000_000.0 + begun) for one in records]
    text = TWO + "tenants: {acme: {limits: {requests: {limit: 10, per: 1m, algorithm: fixed_window}}}}\n"
    found = compared(records, configured(text))
    assert (found.new.refused, found.new.answered) == (60, 30)
    [refused] = found.refusals
    assert (refused.sender, refused.why) == ("acme/k", "10 requests per 1m of tenant 'acme'")
    assert refused.requests == Count(recorded=0, old=None, new=60)


def test_a_limit_on_a_tag_counts_the_requests_that_said_it() -> None:
    """Also of a key whose other requests said another, and beside the tags of its tenant."""
    teams = ["x", "y"] * 10
    records = [a_record(n, tenant="acme", key="k", tags=(("team", team),)) for n, team in enumerate(teams)]
    text = TWO + "limits: [{scope: tag, match: team=x, requests: {limit: 1, per: 1d, algorithm: fixed_window}}]\n"
    found = compared(records, configured(text))
    assert found.new.refused == 9
    kept = compared(records, configured(text + "tenants: {acme: {tags: {team: y}}}\n"))
    assert kept.new.refused == 0, "what a client says never takes the place of what its tenant is known for"


def test_where_nobody_could_be_tried_a_request_was_refused() -> None:
    """As it is in a replay, and as its record says."""
    nobody = {"ended": "refused", "code": "no_healthy_deployment", "attempts": (), "served": "", "usage": None}
    records = [a_record(), a_record(1, tenant="acme", cost=None, **nobody)]
    found = compared(records, configured(TWO + "tenants: {acme: {residency: eu}}\n"))
    assert (found.recorded.refused, found.recorded.failed) == (found.new.refused, found.new.failed) == (1, 0)
    assert [(one.why, one.requests.recorded, one.requests.new) for one in found.refusals] == [
        ("no_healthy_deployment", 1, 1)
    ]


def test_a_limit_that_is_lifted_lets_them_through() -> None:
    why = "10 requests per 1m of tenant 'acme'"
    refused = [
        a_record(
            n, tenant="acme", ended="refused", code="rate_limit_exceeded", limit=why, attempts=(), usage=None, cost=None
        )
        for n in range(20, 25)
    ]
    found = compared([*(a_record(n, tenant="acme") for n in range(20)), *refused], TWO_SNAPSHOT)
    assert (found.recorded.refused, found.new.refused, found.new.answered) == (5, 0, 25)
    assert found.refusals[0].requests == Count(recorded=5, old=None, new=0)
    assert any("5 requests had no whole answer" in one for one in found.assumed)


def test_a_resting_first_choice_is_a_fallback_and_a_peer_is_none() -> None:
    skipped = (Skipped(deployment="a/one", reason="cooling down"),)
    away = a_record(served="b/two", attempts=(an_attempt(deployment="b/two"),), skipped=skipped)
    peers = configured(TWO.replace("priority: 2", "priority: 1"))
    assert as_recorded(traced([away]), [away], TWO_SNAPSHOT).figures.fallbacks == 1
    assert as_recorded(traced([away]), [away], peers).figures.fallbacks == 0
    passed = msgspec.structs.replace(away, skipped=(Skipped(deployment="a/one", reason=NOT_REACHED),))
    assert as_recorded(traced([passed]), [passed], TWO_SNAPSHOT).figures.fallbacks == 0


def test_what_was_cached_costs_what_it_did() -> None:
    text = TWO.replace("{input: 1, output: 4}", "{input: 1, output: 4, cache_read: 0.1}")
    record = a_record(usage=Usage(input=1000, output=10, cache_read=900), cost="0.00023")
    found = compared([record], configured(text))
    assert found.new.cost == pytest.approx(0.00023, rel=1e-9)


def test_what_no_configuration_changes_is_left_out_of_both_sides() -> None:
    nobody = a_record(1, asked="", ended="refused", code="invalid_api_key", attempts=(), usage=None, cost=None)
    blocked = a_record(2, ended="refused", code="guardrail_blocked", attempts=(), usage=None, cost=None)
    lost = a_record(3, ended="lost", attempts=(), usage=None, cost=None)
    found = compared([a_record(), nobody, blocked, lost], TWO_SNAPSHOT)
    assert found.left_out == {"guardrail_blocked": 1, "invalid_api_key": 1, "lost": 1}
    assert found.recorded.requests == found.new.requests == 1


def test_verdicts_are_told_as_recorded() -> None:
    record = a_record(verdicts=(Verdict(guardrail="pii", stage="input", action="redact"),) * 2)
    [verdict] = compared([record], TWO_SNAPSHOT).verdicts
    assert (verdict.guardrail, verdict.stage, verdict.action, verdict.requests) == ("pii", "input", "redact", 2)


def test_who_was_served_by_what_is_told_by_caller_and_model() -> None:
    records = [a_record(0, tenant="acme", key="x"), a_record(1, tenant="acme", key="x"), a_record(2, key="y")]
    found = compared(records, TWO_SNAPSHOT)
    assert [(one.sender, one.asked, one.deployment, one.answers.new) for one in found.served] == [
        ("acme/x", "chat", "a/one", 2), ("y", "chat", "a/one", 1),
    ]  # fmt: skip


def test_a_deployment_that_the_journal_does_not_know_is_told_as_assumed() -> None:
    found = compared([a_record()], TWO_SNAPSHOT)
    assert any("b/two" in one and "tells nothing" in one for one in found.assumed)
    assert not any("a/one" in one for one in found.assumed)


def test_a_model_behind_a_wildcard_answers_as_that_model_did() -> None:
    text = TWO.replace("model: chat", 'model: "m-*"').replace("a/one", '"a/*"').replace("b/two", '"b/*"')
    record = a_record(
        asked="m-1", served="a/m-1", wildcard="a/*", attempts=(an_attempt(deployment="a/m-1"),), route="m-*"
    )
    found = compared([record], configured(text))
    assert found.deployments == {"a/m-1": Count(recorded=1, old=None, new=1)}
    assert found.new.latency_ms.p50 == pytest.approx(1500, rel=0.02)


def test_a_model_that_the_key_may_no_longer_use_is_refused() -> None:
    text = TWO + "tenants: {acme: {tier: small}}\ntiers: {small: {models: [other]}}\n"
    found = compared([a_record(tenant="acme")], configured(text))
    assert [(one.why, one.requests.new) for one in found.refusals] == [("model_not_allowed", 1)]


def test_a_client_that_left_stays_and_that_is_told() -> None:
    gone = a_record(1, ended="client_gone", usage=Usage(input=100, output=2), estimated=True)
    found = compared([a_record(), gone], TWO_SNAPSHOT)
    assert (found.recorded.left, found.recorded.answered, found.new.answered) == (1, 1, 2)
    assert any("left 1 request " in one for one in found.assumed)
    assert found.recorded.wasted == pytest.approx(0.000144)
    assert found.change["answered"] == 1
    assert compared([a_record(), gone], TWO_SNAPSHOT, TWO_SNAPSHOT).change["answered"] == 0
