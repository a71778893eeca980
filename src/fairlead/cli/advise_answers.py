"""From answers as they were typed to needs: each mistake is one sentence with the flag, the value and the way out."""

import argparse
import math
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from fairlead.advisor.facts import Facts
from fairlead.advisor.needs import Needs
from fairlead.advisor.questions import QUESTIONS, Question
from fairlead.advisor.rules import Rules
from fairlead.cli.advise_arguments import advise as add_arguments

ABOVE_ZERO = {"rps", "ttft_p99"}
YES_OR_NO = {"yes": True, "y": True, "no": False, "n": False}


def needs_of(flags: Sequence[str], rules: Rules, facts: Facts) -> Needs:
    """The needs that flags state. Raises ValueError with one line for each mistake."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return needs_from(vars(parser.parse_args(flags)), rules, facts)


def needs_from(answers: Mapping[str, Any], rules: Rules, facts: Facts) -> Needs:
    """The needs that answers by name state; None and "" are no answer. Raises ValueError, one line for each mistake."""
    read: dict[str, Any] = {}
    mistakes = []
    for question in QUESTIONS:
        answer = answers.get(question.name)
        if not answer:
            continue
        try:
            read[question.name] = answer_to(question, answer, rules, facts)
        except ValueError as error:
            mistakes.append(str(error))
        if question.after and not answers.get(question.after):
            other = question.after.replace("_", "-")
            mistakes.append(f"{question.flag} {answer}: says nothing without --{other}; give both or neither")
    if mistakes:
        raise ValueError("\n".join(mistakes))
    return Needs(**read)


def answer_to(question: Question, answer: str | bool, rules: Rules, facts: Facts) -> Any:
    """What was answered, read. Raises ValueError with a sentence that says what is wrong and what would be right."""
    if isinstance(answer, bool):
        return answer
    if not question.metavar:
        return _yes_or_no(question, answer.strip().lower())
    if question.metavar in ("N", "MS"):
        return _number(question, answer)
    allowed = choices(question.name, rules, facts)
    if question.metavar != "LIST":
        return _choice(question, answer.strip(), allowed)
    parts = dict.fromkeys(part.strip() for part in answer.split(",") if part.strip())
    return tuple(_choice(question, part, allowed) for part in parts)


def choices(name: str, rules: Rules, facts: Facts) -> list[str]:
    """The answers that the tables know to a question that has some."""
    known: dict[str, Iterable[str]] = {
        "ops": rules.ops,
        "data": rules.data,
        "compliance": rules.compliance,
        "require": rules.features,
        "among": facts.gateways,
        "stack": _stacks(facts),
    }
    return list(known[name])


def _stacks(facts: Facts) -> list[str]:
    found = [fact.value for one in facts.gateways.values() for fact in one.facts if fact.name == "stack"]
    return sorted({part for value in found if isinstance(value, tuple) for part in value})


def _yes_or_no(question: Question, answer: str) -> bool:
    if answer not in YES_OR_NO:
        raise ValueError(f"{question.flag} {answer}: must be yes or no")
    return YES_OR_NO[answer]


def _number(question: Question, answer: str) -> float:
    least = "a number above 0" if question.name in ABOVE_ZERO else "a number from 0 up"
    try:
        number = float(answer)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0 or (number == 0 and question.name in ABOVE_ZERO):
        example = "200" if question.name == "rps" else "300"
        raise ValueError(f"{question.flag} {answer}: must be {least}, such as {question.flag} {example}")
    return number


def _choice(question: Question, answer: str, allowed: list[str]) -> str:
    if answer in allowed:
        return answer
    close = get_close_matches(answer, allowed, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"{question.flag} {answer}: must be among {', '.join(allowed)}{hint}")
