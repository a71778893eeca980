"""What holds for every ranking, whatever is asked."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.advisor.advise import advise
from fairlead.advisor.needs import Needs
from fairlead.advisor.ranking import rank
from fairlead.cli.advise import tables
from fairlead.cli.advise_answers import choices

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
        assert place.score == round(sum(reason.points for reason in place.reasons), 1)
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
