"""`fairlead advise`: picks a gateway and says why, from flags or from answers in a terminal."""

import argparse
import sys
from functools import cache
from importlib.resources import files

from fairlead.advisor import facts, rules
from fairlead.advisor.advise import advise
from fairlead.advisor.needs import Needs
from fairlead.advisor.questions import QUESTIONS, Question
from fairlead.cli.advise_answers import answer_to, needs_from
from fairlead.cli.advise_print import print_advice
from fairlead.cli.output import print_json


def run(args: argparse.Namespace) -> int:
    """0 where a gateway can be recommended, else 1."""
    known, table = tables()
    answers = {question.name: getattr(args, question.name) for question in QUESTIONS}
    try:
        if any(answers.values()) or args.json or not sys.stdin.isatty():
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
    """The answers of whoever sits at the terminal, one question after the other; an empty answer is none."""
    print("Return leaves a question open.\n", file=sys.stderr)
    answers: dict[str, str] = {}
    for question in QUESTIONS:
        if not question.after or answers[question.after]:
            answers[question.name] = _answer(question, known, table)
    print(file=sys.stderr)
    return needs_from(answers, table, known)


def _answer(question: Question, known: facts.Facts, table: rules.Rules) -> str:
    """What was typed, asked for again until it can be read."""
    while True:
        print(f"{question.text} ({question.hint}) ", end="", file=sys.stderr, flush=True)
        typed = sys.stdin.readline()
        answer = typed.strip()
        if not typed:
            raise ValueError("the answers ended; give them as flags, or answer every question (Return: open)")
        try:
            if answer:
                answer_to(question, answer, table, known)
            return answer
        except ValueError as error:
            print(f"  {str(error).removeprefix(f'{question.flag} ')}", file=sys.stderr)
