"""What holds for every ranking, whatever is asked."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.advisor.advise import advise
from fairlead.advisor.facts import Gateway, Value
from fairlead.advisor.needs import Needs
from fairlead.advisor.ranking import Ranked, rank
from fairlead.cli.advise import tables
from fairlead.cli.advise_answers import choices, needs_of

FACTS, RULES = tables()


def some(name: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from([*choices(name, RULES, FACTS)]), max_size=2, unique=True).map(tuple)


def one(name: str) -> st.SearchStrategy[str | None]:
    return st.none() | st.sampled_from([*choices(name, RULES, FACTS)])


NEEDS = st.builds(
    Needs,
    rps=st.none() | st.floats(1, 50_000),
    ops=one("ops"),
    data=one("data"),
    compliance=some("compliance"),
    require=some("require"),
    ttft_p99=st.none() | st.floats(301, 400),
    baseline=st.just(300.0),
    stack=some("stack"),
    free=st.booleans(),
    among=some("among"),
)


@settings(deadline=None)
@given(NEEDS)
def test_everybody_who_is_asked_for_is_either_ranked_or_out(needs: Needs) -> None:
    found = rank(needs, FACTS, RULES)
    told = [*(place.gateway for place in found.ranked), *(place.gateway for place in found.excluded)]
    assert sorted(told) == sorted(needs.among or FACTS.gateways)


@settings(deadline=None)
@given(NEEDS)
def test_a_score_is_the_sum_of_points_that_each_have_a_fact(needs: Needs) -> None:
    ranked = rank(needs, FACTS, RULES).ranked
    assert [place.score for place in ranked] == sorted((place.score for place in ranked), reverse=True)
    for place in ranked:
        assert place.score == round(sum(reason.points for reason in place.reasons), 2)
        for reason in place.reasons:
            if reason.points and reason.rule != "start" and not reason.text.startswith("no source"):
                assert reason.fact
                assert reason.source
                assert reason.date
                assert reason.by


@settings(deadline=None)
@given(NEEDS)
def test_whoever_is_ranked_fulfils_what_is_asked(needs: Needs) -> None:
    for place in rank(needs, FACTS, RULES).ranked:
        gateway = FACTS.gateways[place.gateway]
        assert needs.ops in (None, place.way)
        assert all(gateway.has(RULES.features[feature], place.way) for feature in needs.require)
        assert needs.rps is None or needs.rps * RULES.head_room <= (gateway.number("ceiling", place.way) or 1e9)
        assert needs.budget is None or (gateway.number("overhead", place.way) or 0) <= needs.budget
        assert not needs.free or not any(reason.rule == "licence" and reason.points for reason in place.reasons)


@settings(deadline=None)
@given(NEEDS, st.floats(1, 10))
def test_a_greater_load_lets_nobody_in(needs: Needs, times: float) -> None:
    loaded = msgspec.structs.replace(needs, rps=1000.0)
    more = msgspec.structs.replace(needs, rps=1000.0 * times)
    left = {place.gateway for place in rank(more, FACTS, RULES).ranked}
    assert left <= {place.gateway for place in rank(loaded, FACTS, RULES).ranked}


@settings(deadline=None, max_examples=50)
@given(NEEDS)
def test_the_leader_leads_up_to_the_load_to_migrate_at_and_another_above(needs: Needs) -> None:
    advice = advise(needs, FACTS, RULES)
    if advice.migration is None:
        return

    def leader(load: float) -> str:
        led = rank(msgspec.structs.replace(needs, rps=load), FACTS, RULES).leader
        return led.gateway if led else ""

    last, first = advice.migration.above_rps, advice.ranking[0].gateway
    assert leader(last + 1) == advice.migration.to != first
    least = needs.rps or 1
    assert [leader(load) for load in (least, (least + last) // 2, last) if least <= load <= last] in (
        [first] * count for count in range(4)
    )


@pytest.mark.parametrize(
    ("flags", "change", "then"),
    [
        ("--rps 2000 --stack python --among litellm,bifrost", "without --rps", "litellm"),
        ("--among litellm,kong --ops self-hosted", "without --among", "agentgateway"),
        ("--among litellm,kong --rps 2000 --data on-premises", "without --among", "agentgateway"),
    ],
)
def test_an_answer_that_is_taken_away_whole_may_change_who_leads(flags: str, change: str, then: str) -> None:
    found = advise(needs_of(flags.split(), RULES, FACTS), FACTS, RULES).would_change
    assert (change, then) in [(one.change, one.then) for one in found]


def test_a_load_that_nobody_has_shown_costs_points_and_is_told() -> None:
    ranked = rank(Needs(rps=1e9), FACTS, RULES).ranked
    unshown = "no source shows that it holds 1,000,000,000 requests/s: measure it first"
    assert ranked
    for place in ranked:
        assert [(one.points, one.text) for one in place.reasons if one.rule == "scale"] == [(-5, unshown)]


def test_a_load_that_is_shown_costs_nothing() -> None:
    (kong,) = rank(Needs(rps=100, among=("kong",)), FACTS, RULES).ranked
    assert [one.points for one in kong.reasons if one.rule == "scale"] == [0]


def test_who_leads_only_while_no_load_is_told_is_left_at_any_load() -> None:
    """Alike but for what a core carries: unknown of the first, which counts as soon as there is a load."""
    kong = FACTS.gateways["kong"]
    unknown = tuple(fact for fact in kong.facts if fact.name != "per_core")
    pair = {
        "a": msgspec.structs.replace(kong, id="a", title="a", facts=unknown),
        "b": msgspec.structs.replace(kong, id="b", title="b"),
    }
    advice = advise(Needs(ops="self-hosted"), msgspec.structs.replace(FACTS, gateways=pair), RULES)
    assert advice.migration is not None
    assert (advice.migration.gateway, advice.migration.above_rps, advice.migration.to) == ("a", 0, "b")


def test_two_that_differ_in_nothing_are_a_tie() -> None:
    kong = FACTS.gateways["kong"]
    twins = {name: msgspec.structs.replace(kong, id=name, title=name) for name in ("b", "a")}
    ranked = rank(Needs(), msgspec.structs.replace(FACTS, gateways=twins), RULES).ranked
    assert [(place.gateway, place.rule) for place in ranked] == [("a", "tie"), ("b", "tie")]


def known(gateway: Gateway, **values: Value) -> Gateway:
    """The gateway with facts of these values, and no others of these names."""
    like = gateway.facts[0]
    facts = [fact for fact in gateway.facts if fact.name not in values]
    told = [
        msgspec.structs.replace(like, name=name, value=value, decides=False, paid=False)
        for name, value in values.items()
    ]
    return msgspec.structs.replace(gateway, facts=(*facts, *told))


def ranked_of(needs: Needs, *gateways: Gateway) -> list[Ranked]:
    """The places of these alone."""
    return rank(needs, msgspec.structs.replace(FACTS, gateways={one.id: one for one in gateways}), RULES).ranked


def test_less_than_a_tenth_of_a_point_decides() -> None:
    kong = FACTS.gateways["kong"]
    less = known(msgspec.structs.replace(kong, id="less", title="a"), providers=50)
    more = known(msgspec.structs.replace(kong, id="more", title="b"), providers=51)
    ranked = ranked_of(Needs(), less, more)
    assert [(place.gateway, place.rule) for place in ranked] == [("more", "providers"), ("less", "providers")]
    assert ranked[0].score - ranked[1].score == pytest.approx(0.05)


def test_as_many_points_for_other_things_are_a_tie_in_the_order_of_names() -> None:
    kong = FACTS.gateways["kong"]
    plain = msgspec.structs.replace(kong, id="plain", title="a")
    other = known(msgspec.structs.replace(kong, id="other", title="B"), edge=True, services=("redis",))
    ranked = ranked_of(Needs(), other, plain)
    assert [(place.gateway, place.rule) for place in ranked] == [("plain", "tie"), ("other", "tie")]
