"""`fairlead advise`: picks a gateway and says why, from flags or from answers in a terminal.

It must not judge: facts, rules and the answer are the advisor's.
"""

import argparse
import sys
from functools import cache
from importlib.resources import files

from fairlead.advisor import facts, rules
from fairlead.advisor.advise import advise
from fairlead.advisor.conflicts import Conflict, conflicts
from fairlead.advisor.needs import Needs
from fairlead.advisor.questions import QUESTIONS, Question
from fairlead.cli.advise_answers import answer_to, given, needs_from
from fairlead.cli.advise_print import exclusion, print_advice
from fairlead.cli.output import print_json


def run(args: argparse.Namespace) -> int:
    """0 where a gateway can be recommended, else 1."""
    known, table = tables()
    try:
        answers = given(vars(args))
        if answers or args.json or not sys.stdin.isatty():
            needs = needs_from(answers, table, known)
        else:
            needs = _asked(known, table)
    except ValueError as error:
        print("\n".join(f"fairlead advise: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 1
    advice = advise(needs, known, table)
    if args.json:
        print_json(advice)
    else:
        print_advice(advice, known)
    return 0 if advice.ranking else 1


@cache
def tables() -> tuple[facts.Facts, rules.Rules]:
    """The facts and the rules that ship with the package."""
    folder = files("fairlead.advisor")
    return (
        facts.parse((folder / "facts.toml").read_text(encoding="utf-8")),
        rules.parse((folder / "rules.toml").read_text(encoding="utf-8")),
    )


def _asked(known: facts.Facts, table: rules.Rules) -> Needs:
    """The answers of whoever sits at the terminal, one question after the other; an empty answer is none.

    Two that exclude each other are told at once, and both asked again.
    """
    print("Return leaves a question open.\n", file=sys.stderr)
    answers: dict[str, str | bool] = {}
    for question in QUESTIONS:
        _ask(question, answers, known, table)
        while clash := conflicts(needs_from(answers, table, known), known, table):
            print("".join(f"  {line}\n" for line in exclusion(clash[0])), end="", file=sys.stderr)
            for each in _of(clash[0]):
                _ask(each, answers, known, table)
    print(file=sys.stderr)
    return needs_from(answers, table, known)


def _of(clash: Conflict) -> list[Question]:
    flags = {said.split()[0] for said in clash.between}
    return [question for question in QUESTIONS if question.flag in flags]


def _ask(question: Question, answers: dict[str, str | bool], known: facts.Facts, table: rules.Rules) -> None:
    """Puts the answer in its place; a question that rests on an open one is open too."""
    answers.pop(question.name, None)
    if question.after and question.after not in answers:
        return
    if answer := _answer(question, known, table):
        answers[question.name] = answer


def _answer(question: Question, known: facts.Facts, table: rules.Rules) -> str:
    """What was typed, asked for again until it can be read."""
    while True:
        print(f"{question.text} ({question.hint}) ", end="", file=sys.stderr, flush=True)
        # What is no text becomes U+FFFD, which is no answer to anything: the question is asked again.
        typed = sys.stdin.buffer.readline().decode(sys.stdin.encoding, errors="replace")
        answer = typed.strip()
        if not typed:
            raise ValueError("the answers ended; give them as flags, or answer every question (Return: open)")
        try:
            if answer:
                answer_to(question, answer, table, known)
            return answer
        except ValueError as error:
            print(f"  {str(error).removeprefix(f'{question.flag} ')}", file=sys.stderr)
