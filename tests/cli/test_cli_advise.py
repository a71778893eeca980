"""`fairlead advise` as users run it: flags, questions in a terminal, JSON, and what it says to a mistake."""

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from fairlead.advisor.advise import advise
from fairlead.advisor.needs import Needs
from fairlead.advisor.questions import QUESTIONS
from fairlead.cli import main
from fairlead.cli.advise import tables
from fairlead.cli.advise_answers import choices
from fairlead.cli.advise_print import print_advice

Capture = pytest.CaptureFixture[str]


@contextmanager
def typing(text: str | bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody at a terminal who types the text."""
    ours, theirs = os.openpty()
    os.write(ours, text.encode() if isinstance(text, str) else text)
    with open(theirs) as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", terminal)
        yield
    os.close(ours)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--rps -5", "--rps -5: must be a number above 0, such as --rps 200"),
        ("--rps 0", "--rps 0: must be a number above 0, such as --rps 200"),
        ("--rps many", "--rps many: must be a number above 0, such as --rps 200"),
        ("--rps nan", "--rps nan: must be a number above 0, such as --rps 200"),
        ("--rps inf", "--rps inf: must be a number above 0, such as --rps 200"),
        ("--ttft-p99 0", "--ttft-p99 0: must be a number above 0, such as --ttft-p99 300"),
        ("--ttft-p99 9 --baseline -1", "--baseline -1: must be a number from 0 up, such as --baseline 300"),
        ("--baseline 300", "--baseline 300: says nothing without --ttft-p99; give both or neither"),
        ("--rps 1,5", "--rps 1,5: must be a number above 0, such as --rps 200"),
        ("--rps 200ms", "--rps 200ms: must be a number above 0, such as --rps 200"),
        ("--rps 1e999", "--rps 1e999: must be a number above 0, such as --rps 200"),
        ("--rps 1M", "--rps 1M: must be a number above 0, such as --rps 200"),
        ("--rps 5 --rps 6", "--rps says 5 and 6; give it once"),
        ("--ops managed --rps 1 --ops ''", "--ops says managed and ''; give it once"),
        ("--rps ''", "--rps '': must be a number above 0, such as --rps 200"),
        ("--ops ''", "--ops '': must be among self-hosted, hybrid, managed"),
        ("--require ''", "--require '': names nothing; leave it out, or name some of pii, jailbreak, topics"),
        ("--require ' , '", "--require ' , ': names nothing; leave it out, or name some of pii, jailbreak, topics"),
        ("--among ,", "--among ,: names nothing; leave it out, or name some of fairlead, litellm, portkey, kong"),
        ("--among 'Kong Gate'", "--among 'Kong Gate': must be among fairlead, litellm, portkey, kong, bifrost"),
        ("--ops selfhost", "--ops selfhost: must be among self-hosted, hybrid, managed; did you mean 'self-hosted'?"),
        ("--compliance hipaa,sox", "--compliance sox: must be among hipaa, gdpr, soc2, iso27001"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("json_too", [False, True])
def test_a_mistake_is_one_sentence(flags: str, said: str, json_too: bool, capsys: Capture) -> None:
    assert main(["advise", *shlex.split(flags), *(["--json"] if json_too else [])]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"fairlead advise: {said}")
    assert err.count("\n") == 1


def test_every_mistake_is_told(capsys: Capture) -> None:
    assert main(["advise", "--rps", "-5", "--ops", "mars"]) == 1
    assert [line.split()[2] for line in capsys.readouterr().err.splitlines()] == ["--rps", "--ops"]


@pytest.mark.parametrize(
    ("flags", "between"),
    [
        ("--ops managed --data on-premises", ["--ops managed", "--data on-premises"]),
        ("--ops hybrid --data air-gapped", ["--ops hybrid", "--data air-gapped"]),
        ("--ttft-p99 200 --baseline 300", ["--ttft-p99 200", "--baseline 300"]),
        ("--ttft-p99 300 --baseline 300", ["--ttft-p99 300", "--baseline 300"]),
    ],
)
def test_what_contradicts_itself_is_named(flags: str, between: list[str], capsys: Capture) -> None:
    assert main(["advise", *flags.split(), "--json"]) == 1
    advice = json.loads(capsys.readouterr().out)
    assert [conflict["between"] for conflict in advice["conflicts"]] == [between]
    assert advice["ranking"] == []
    assert main(["advise", *flags.split()]) == 1
    assert f"{between[0]} and {between[1]} exclude each other" in " ".join(capsys.readouterr().out.split())


def test_a_target_below_the_baseline_is_met_by_none_and_says_what_a_budget_would_be(capsys: Capture) -> None:
    main(["advise", "--ttft-p99", "200", "--baseline", "300", "--json"])
    advice = json.loads(capsys.readouterr().out)
    assert "never takes away" in advice["conflicts"][0]["reason"]
    assert "cache" in advice["conflicts"][0]["reason"]
    assert advice["would_change"][0]["change"].startswith("--ttft-p99 301: 1 ms")
    assert "Vercel" in advice["would_change"][-1]["because"]
    assert "Cloudflare" not in advice["would_change"][-1]["because"]


def test_json_has_all_that_people_read(capsys: Capture) -> None:
    assert main(["advise", "--ops", "self-hosted", "--rps", "300", "--among", "litellm,kong,vercel", "--json"]) == 0
    advice = json.loads(capsys.readouterr().out)
    assert list(advice) == ["facts", "asked", "ranking", "excluded", "conflicts", "would_change", "migration"]
    assert [one["gateway"] for one in advice["ranking"]] == ["litellm", "kong"]
    assert [(one["gateway"], one["rule"]) for one in advice["excluded"]] == [("vercel", "hosting")]
    assert advice["migration"]["to"] == "kong"
    assert (advice["migration"]["above_rps"], advice["migration"]["planned_to"]) == (760, 1000)
    for one in advice["ranking"]:
        assert {"gateway", "score", "rule", "reasons"} <= set(one)
        assert one["score"] == round(sum(reason["points"] for reason in one["reasons"]), 2)


def test_a_leader_that_is_left_at_any_load_is_told_so(capsys: Capture) -> None:
    facts, rules = tables()
    advice = advise(Needs(ops="self-hosted", among=("litellm", "kong")), facts, rules)
    assert advice.migration is not None
    at_once = msgspec.structs.replace(advice.migration, above_rps=0)
    print_advice(msgspec.structs.replace(advice, migration=at_once), facts)
    told = " ".join(capsys.readouterr().out.split())
    assert "When to migrate: at any load, once --rps tells one, to Kong AI Gateway" in told
    assert "at the latest" not in told


def test_questions_are_asked_one_by_one_and_again_where_the_answer_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    with typing("300\nmars\nself-hosted\n\n\n\n\n\nperhaps\nno\nlitellm,kong\n", monkeypatch):
        assert main(["advise"]) == 0
    out, err = capsys.readouterr()
    assert "Asked: --rps 300 --ops self-hosted --among litellm,kong." in out
    assert "mars: must be among self-hosted, hybrid, managed" in err
    assert [question.text for question in QUESTIONS if question.text not in err] == [
        "How late does it come without a gateway?"
    ]
    assert "perhaps: must be yes or no" in err
    assert err.count("Who is to run it?") == 2


def test_a_question_that_rests_on_another_is_asked_after_its_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    with typing("\n\n\n\n\n320\n300\n\nyes\n\n", monkeypatch):
        assert main(["advise"]) == 0
    assert "Asked: --ttft-p99 320 --baseline 300 --free." in capsys.readouterr().out


def test_answers_that_end_early_are_told(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    with typing("300\n\x04", monkeypatch):
        assert main(["advise"]) == 1
    assert "the answers ended" in capsys.readouterr().err


def test_without_a_terminal_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert main(["advise"]) == 0
    out, err = capsys.readouterr()
    assert "Asked: nothing in particular." in out
    assert err == ""


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        ("--among 'LiteLLM, Kong AI Gateway'", "--among litellm,kong"),
        ("--compliance 'HIPAA,SOC 2,iso-27001'", "--compliance hipaa,soc2,iso27001"),
        ("--require 'PII redaction,Audit Log,hard_budgets,pii'", "--require pii,audit,hard-budgets"),
        ("--ops 'Self hosted' --stack Python", "--ops self-hosted --stack python"),
        ("--rps 1,000", "--rps 1000"),
        ("--rps 1k", "--rps 1000"),
        ("--rps 1.5K/s", "--rps 1500"),
        ("--rps 5 --rps 5", "--rps 5"),
        ("--require pii --require audit,pii", "--require pii,audit"),
        ("--rps '1,234,567 rps'", "--rps 1234567"),
        ("--rps 1e3", "--rps 1000"),
        ("--rps 0.1", "--rps 0.1"),
        ("--ttft-p99 350.25MS --baseline 0.3s", "--ttft-p99 350.25 --baseline 300"),
        ("--ttft-p99 5 --baseline 0", "--ttft-p99 5 --baseline 0"),
    ],
)
def test_an_answer_may_be_written_as_people_write_and_is_printed_in_full(
    flags: str, asked: str, capsys: Capture
) -> None:
    main(["advise", *shlex.split(flags), "--json"])
    assert " ".join(json.loads(capsys.readouterr().out)["asked"]) == asked


def test_what_is_left_of_a_budget_is_told_without_the_noise_of_floats(capsys: Capture) -> None:
    main(["advise", "--ttft-p99", "1234567.3", "--baseline", "1234567.1"])
    told = " ".join(capsys.readouterr().out.split())
    assert "ms of the 0.2 that are left" in told


def test_two_answers_that_exclude_each_other_are_told_at_once_and_asked_again(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    typed = "\nmanaged\non-premises\nself-hosted\non-premises\n\n\n200\n300\n\n\n\n\n"
    with typing(typed, monkeypatch):
        assert main(["advise"]) == 0
    out, err = capsys.readouterr()
    told = " ".join(err.split())
    assert "Asked: --ops self-hosted --data on-premises." in out
    for between, before in [
        ("--ops managed and --data on-premises", "What must it comply with?"),
        ("--ttft-p99 200 and --baseline 300", "What do you build on?"),
    ]:
        assert told.index(f"{between} exclude each other") < told.index(before)
    assert [told.count(text) for text in ("Who is to run it?", "Where may prompts go?")] == [2, 2]


def test_an_answer_that_is_no_text_is_asked_for_again(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    with typing(b"\xff\xfe\n300\n\n\n\n\n\n\n\n\n", monkeypatch):
        assert main(["advise"]) == 0
    out, err = capsys.readouterr()
    assert "Asked: --rps 300." in out
    assert "must be a number above 0" in err


@pytest.mark.parametrize("name", ["ops", "data", "compliance", "require", "stack", "among"])
def test_the_hint_of_a_question_has_exactly_the_answers_that_there_are(name: str) -> None:
    facts, rules = tables()
    hint = next(question.hint for question in QUESTIONS if question.name == name)
    words = hint.replace(" or ", ", ").split(", ")
    assert {word.split()[0] for word in words} == set(choices(name, rules, facts))


@pytest.mark.parametrize(
    ("flags", "status", "said"),
    [
        ("--require hard-budgets,topics", 1, "No gateway fulfils all of it."),
        ("--require hard-budgets,topics", 1, "without --require topics: Fairlead leads"),
        ("--free --among portkey --ops hybrid", 1, "Portkey: a licence or a paid plan for running it so"),
        ("--stack envoy", 0, "When to migrate: at no load that the facts speak of"),
        ("--among kong --ops self-hosted", 0, "above 11,800 requests/s none of these is shown to hold the load"),
        ("--among kong,cloudflare --ops managed --require topics", 0, "topics: the last other, Cloudflare AI Gateway"),
    ],
)
def test_what_people_read(flags: str, status: int, said: str, capsys: Capture) -> None:
    assert main(["advise", *flags.split()]) == status
    assert said in " ".join(capsys.readouterr().out.split())
