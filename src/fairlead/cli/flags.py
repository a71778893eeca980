"""Which flags of a command cannot be, or not together: tables of sentences. It must not read files."""

import argparse
from collections.abc import Callable, Mapping, Sequence

from fairlead.cli.stores import UnusableError

Rule = tuple[Callable[[argparse.Namespace], object], str]
"""What is true of flags that cannot be, and a sentence about it, in which `{flag}` is what the flag says."""


def refuse(args: argparse.Namespace, texts: Mapping[str, str], rules: Sequence[Rule] = ()) -> None:
    """Raises UnusableError for the first flag of `texts` that says nothing, and for the first rule that is broken.

    `texts` tells by flag what it takes.
    """
    for flag, takes in texts.items():
        given = getattr(args, flag)
        if given is not None and not given.strip():
            raise UnusableError(f"--{flag} is empty; write {takes}, or leave it out")
    for is_broken, sentence in rules:
        if is_broken(args):
            raise UnusableError(sentence.format(**vars(args)))
