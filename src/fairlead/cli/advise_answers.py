"""From answers as they were typed to needs: each mistake is one sentence with the flag, the value and the way out.

It must not know whether flags or a terminal brought them, nor what follows from them.
"""

import argparse
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from fairlead.advisor.facts import Facts
from fairlead.advisor.needs import Needs
from fairlead.advisor.questions import QUESTIONS, Question
from fairlead.advisor.rules import Rules
from fairlead.cli.advise_arguments import advise as add_arguments

ABOVE_ZERO = {"rps", "ttft_p99"}
YES_OR_NO = {"yes": True, "y": True, "no": False, "n": False}
NUMBER = re.compile(r"(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+(?:e\+?\d+)?)\s*([a-z/]*)", re.IGNORECASE)
UNITS = {"N": {"": 1, "rps": 1, "/s": 1, "k": 1000, "k/s": 1000}, "MS": {"": 1, "ms": 1, "s": 1000}}
"""What may follow a number, by the metavar of its question, and how many of the question's own unit it is."""


def needs_of(flags: Sequence[str], rules: Rules, facts: Facts) -> Needs:
    """The needs that flags state. Raises ValueError with one line for each mistake."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return needs_from(given(vars(parser.parse_args(flags))), rules, facts)


def given(arguments: Mapping[str, Any]) -> dict[str, str | bool]:
    """The answers among the arguments of a command line: the flags that stand there, even with nothing in them.

    Lists that are given in parts are one. Raises ValueError with one line for each flag that says two things.
    """
    said = {question: arguments[question.name] for question in QUESTIONS if arguments[question.name]}
    mistakes = [f"{question.flag} says {answers}; give it once" for question, answers in _torn(said)]
    if mistakes:
        raise ValueError("\n".join(mistakes))
    return {
        question.name: answer if answer is True else ",".join(dict.fromkeys(answer))
        for question, answer in said.items()
    }


def _torn(said: Mapping[Question, Any]) -> Iterator[tuple[Question, str]]:
    """The questions that have one answer and were given several, and those."""
    for question, answers in said.items():
        if question.metavar not in ("", "LIST") and len(set(answers)) > 1:
            yield question, " and ".join(shlex.quote(answer) for answer in dict.fromkeys(answers))


def needs_from(answers: Mapping[str, str | bool], rules: Rules, facts: Facts) -> Needs:
    """The needs that answers by name state. Raises ValueError with one line for each mistake."""
    read: dict[str, Any] = {}
    mistakes = []
    for question in QUESTIONS:
        if question.name not in answers:
            continue
        try:
            if question.after and question.after not in answers:
                raise _idle(question, answers[question.name])
            read[question.name] = answer_to(question, answers[question.name], rules, facts)
        except ValueError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ValueError("\n".join(mistakes))
    return Needs(**read)


def answer_to(question: Question, answer: str | bool, rules: Rules, facts: Facts) -> Any:
    """What was answered, read. Raises ValueError with a sentence that says what is wrong and what would be right."""
    if isinstance(answer, bool):
        return answer
    if not question.metavar:
        return _yes_or_no(question, answer.strip())
    if question.metavar in UNITS:
        return _number(question, answer.strip())
    allowed = choices(question.name, rules, facts)
    if question.metavar != "LIST":
        return _choice(question, answer.strip(), allowed)
    parts = [part.strip() for part in answer.split(",") if part.strip()]
    if not parts:
        raise _mistake(question, answer, f"names nothing; leave it out, or name some of {', '.join(allowed)}")
    return tuple(dict.fromkeys(_choice(question, part, allowed) for part in parts))


def choices(name: str, rules: Rules, facts: Facts) -> dict[str, str]:
    """The answers that the tables know to a question that has some, and what each is called."""
    known = {
        "ops": {ops: ops for ops in rules.ops},
        "data": {data: data for data in rules.data},
        "compliance": {law: place.title for law, place in rules.compliance.items()},
        "require": {feature: facts.titles[fact] for feature, fact in rules.features.items()},
        "stack": {part: part for part in _stacks(facts)},
        "among": {one.id: one.title for one in facts.gateways.values()},
    }
    return known[name]


def _stacks(facts: Facts) -> list[str]:
    found = [fact.value for one in facts.gateways.values() for fact in one.facts if fact.name == "stack"]
    return sorted({part for value in found if isinstance(value, tuple) for part in value})


def _yes_or_no(question: Question, answer: str) -> bool:
    if answer.lower() not in YES_OR_NO:
        raise _mistake(question, answer, "must be yes or no")
    return YES_OR_NO[answer.lower()]


def _number(question: Question, answer: str) -> float:
    least = "a number above 0" if question.name in ABOVE_ZERO else "a number from 0 up"
    units = UNITS[question.metavar]
    written = NUMBER.fullmatch(answer)
    number = math.inf
    if written is not None and written[2].lower() in units:
        number = float(written[1].replace(",", "")) * units[written[2].lower()]
    if not math.isfinite(number) or (number == 0 and question.name in ABOVE_ZERO):
        example = "200" if question.name == "rps" else "300"
        raise _mistake(question, answer, f"must be {least}, such as {question.flag} {example}")
    return number


def _choice(question: Question, answer: str, allowed: Mapping[str, str]) -> str:
    """The choice that is meant: by its name or by what it is called, in any case, hyphens and blanks aside."""
    meant = {_bare(word): name for name, title in allowed.items() for word in (title, name)}
    if _bare(answer) in meant:
        return meant[_bare(answer)]
    close = get_close_matches(_bare(answer), meant, n=1)
    hint = f"; did you mean {meant[close[0]]!r}?" if close else ""
    raise _mistake(question, answer, f"must be among {', '.join(allowed)}{hint}")


def _bare(word: str) -> str:
    return re.sub(r"[\W_]", "", word.casefold())


def _idle(question: Question, answer: str | bool) -> ValueError:
    other = question.after.replace("_", "-")
    return _mistake(question, str(answer), f"says nothing without --{other}; give both or neither")


def _mistake(question: Question, answer: str, sentence: str) -> ValueError:
    return ValueError(f"{question.flag} {shlex.quote(answer)}: {sentence}")
