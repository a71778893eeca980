"""`fairlead advise` as users run it: flags, questions in a terminal, JSON, and what it says to a mistake."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fairlead.advisor.questions import QUESTIONS
from fairlead.cli import main
from fairlead.cli.advise import tables
from fairlead.cli.advise_answers import choices

Capture = pytest.CaptureFixture[str]


@contextmanager
def typing(text: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody at a terminal who types the text."""
    ours, theirs = os.openpty()
    os.write(ours, text.encode())
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
        ("--ops selfhosted", "--ops selfhosted: must be among self-hosted, hybrid, managed; did you"),
        ("--compliance hipaa,sox", "--compliance sox: must be among hipaa, gdpr, soc2, iso27001"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("json_too", [False, True])
def test_a_mistake_is_one_sentence(flags: str, said: str, json_too: bool, capsys: Capture) -> None:
    assert main(["advise", *flags.split(), *(["--json"] if json_too else [])]) == 1
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
    assert (advice["migration"]["above_rps"], advice["migration"]["planned_to"]) == (684, 1000)
    for one in advice["ranking"]:
        assert {"gateway", "score", "rule", "reasons"} <= set(one)
        assert one["score"] == round(sum(reason["points"] for reason in one["reasons"]), 1)


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


@pytest.mark.parametrize("name", ["ops", "data", "compliance", "require", "stack"])
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
        ("--stack envoy", 0, "When to migrate: at no load that the facts speak of"),
        ("--among kong --ops self-hosted", 0, "above 11,800 requests/s none of these is shown to hold the load"),
        ("--among kong,cloudflare --ops managed --require topics", 0, "topics: the last other, Cloudflare AI Gateway"),
    ],
)
def test_what_people_read(flags: str, status: int, said: str, capsys: Capture) -> None:
    assert main(["advise", *flags.split()]) == status
    assert said in " ".join(capsys.readouterr().out.split())
