"""What `fairlead advise` takes on the command line.

It must not read the answers. It imports nothing that takes time.
"""

import argparse

from fairlead.advisor.questions import QUESTIONS


def advise(parser: argparse.ArgumentParser) -> None:
    for question in QUESTIONS:
        if question.metavar:
            help_ = f"{question.text} ({question.hint})"
            parser.add_argument(question.flag, metavar=question.metavar, action="append", help=help_)
        else:
            parser.add_argument(question.flag, action="store_true", help=question.text)
    parser.add_argument("--json", action="store_true", help="print JSON, with every reason and its source")
