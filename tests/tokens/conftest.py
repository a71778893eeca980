"""The vocabularies, loaded once for all tests of this folder."""

from collections.abc import Iterator

import pytest
from tiktoken import Encoding

from fairlead.tokens.counter import Counter
from fairlead.tokens.vocabulary import PUBLISHED, load


@pytest.fixture(scope="session")
def counter() -> Iterator[Counter]:
    """A counter that has everything loaded."""
    counter = Counter()
    counter.load(PUBLISHED)
    yield counter
    counter.close()


@pytest.fixture(scope="session")
def o200k() -> Encoding:
    """The newer vocabulary by itself."""
    return load("o200k_base")


@pytest.fixture(scope="session")
def cl100k() -> Encoding:
    """The older one."""
    return load("cl100k_base")
