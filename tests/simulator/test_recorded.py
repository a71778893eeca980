"""What records tell of providers: times, failures, and when."""

import pytest
from tests.simulator.recording import BEGINS, TWO, a_record, an_attempt, configured

from fairlead.canonical.usage import Usage
from fairlead.simulator import recorded
from fairlead.simulator.chance import Fixed
from fairlead.simulator.recorded import History, Tried, tried
from fairlead.simulator.scenario import Provider, Scenario, Time
from fairlead.simulator.setting import Setting, SettingError
from fairlead.simulator.simulate import trial_of


def test_a_stream_tells_its_first_token_and_its_pace() -> None:
    [(name, one)] = tried(a_record(usage=Usage(input=1, output=11), first_token=0.5, duration=1.5))
    assert (name, one.at, one.first, one.fault) == ("a/one", BEGINS, 0.5, None)
    assert one.per_token == pytest.approx(0.1)


def test_a_whole_answer_is_divided_and_adds_up_to_what_it_took() -> None:
    [(_, one)] = tried(a_record(stream=False, usage=Usage(input=1, output=34), attempts=(an_attempt(duration=0.66),)))
    assert one.per_token is not None
    assert one.first == pytest.approx(0.33)
    assert one.first + 33 * one.per_token == pytest.approx(0.66)


def test_an_attempt_is_at_its_instant_and_the_first_one_where_its_request_came() -> None:
    attempts = (an_attempt("overloaded", started_at=0.25), an_attempt(started_at=1.0))
    assert [one.at - BEGINS for _, one in tried(a_record(attempts=attempts))] == pytest.approx([0.0, 0.75])


def test_a_failure_keeps_its_kind_its_status_and_its_retry_after() -> None:
    limited = an_attempt("rate_limited", status=429, retry_after=7.0, duration=0.1)
    [(_, one)] = tried(a_record(attempts=(limited,), ended="failed", usage=None))
    assert one.fault is not None
    assert (one.fault.stage, one.fault.kind, one.fault.status, one.fault.retry_after) == (
        "refusal", "rate_limited", 429, 7.0,
    )  # fmt: skip
    assert one.first == 0.1


@pytest.mark.parametrize("outcome", ["limited", "client_gone"])
def test_what_a_provider_did_not_do_tells_nothing_of_it(outcome: str) -> None:
    assert not list(tried(a_record(attempts=(an_attempt(outcome),))))


def test_an_answer_that_nobody_waited_for_has_no_pace() -> None:
    [(_, one)] = tried(a_record(ended="client_gone"))
    assert (one.first, one.per_token, one.broke_after) == (0.5, None, 0)


def test_an_answer_that_broke_says_after_how_many_tokens() -> None:
    [(_, one)] = tried(a_record(ended="cut", usage=Usage(input=1, output=11)))
    assert one.broke_after == 11


def test_of_too_many_attempts_a_fair_sample_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "KEPT", 1000)
    history = History("a/one")
    for number in range(20_000):
        history.note(Tried(float(number), 1.0 if number % 2 else 2.0))
    kept = history.in_order()
    assert history.is_sample
    assert (len(kept), history.count) == (1000, 20_000)
    assert [one.at for one in kept] == sorted(one.at for one in kept)
    assert sum(one.first == 1.0 for one in kept) == pytest.approx(500, abs=80)
    assert sum(one.at < 10_000 for one in kept) == pytest.approx(500, abs=80)


def test_times_are_those_of_answers_and_of_refusals() -> None:
    history = History("a/one")
    for record in (
        a_record(usage=Usage(input=1, output=11)),
        a_record(attempts=(an_attempt("overloaded", duration=0.2),), ended="failed", usage=None),
        a_record(attempts=(an_attempt("timeout", duration=5.0),), ended="failed", usage=None),
    ):
        for _, one in tried(record):
            history.note(one)
    times = history.times()
    assert (times.first_token, times.per_token, times.refusal) == (Fixed(0.5), Fixed(0.1), Fixed(0.2))


def measured_setting(told: Provider) -> Setting:
    return Setting(snapshot=configured(TWO), scenario=Scenario(providers={"a": told}))


def test_a_scenario_takes_its_times_from_a_journal() -> None:
    history = History("a/one")
    history.note(Tried(0.0, 0.25, 0.01))
    asked: list[str] = []

    def measured(journal: str) -> dict[str, recorded.Times]:
        asked.append(journal)
        return {"a/one": history.times()}

    trial, _ = trial_of(measured_setting(Provider(first_token=Time(journal="j"))), measured)
    assert asked == ["j"]
    assert trial.providers["a/one"].behavior.first_token == Fixed(0.25)  # type: ignore[attr-defined]


def test_a_time_that_the_journal_does_not_tell_is_refused_in_words() -> None:
    history = History("a/one")
    history.note(Tried(0.0, 0.25, 0.01))
    times = {"a/one": history.times()}
    with pytest.raises(SettingError, match="no attempt on 'a/one' in j tells its refusal") as found:
        trial_of(measured_setting(Provider(refusal=Time(journal="j"))), lambda _: times)
    assert found.value.path == "providers.a.refusal"
    with pytest.raises(SettingError, match="j has no attempt on 'a/one'; it has mistral/small"):
        trial_of(measured_setting(Provider(refusal=Time(journal="j"))), lambda _: {"mistral/small": times["a/one"]})
