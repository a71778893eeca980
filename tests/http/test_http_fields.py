"""Header blocks: what goes in comes out as one line each, or does not go in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.http.fields import encode

LATIN = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"))
TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$%&'*+-.^_`|~", min_size=1)


def test_each_pair_is_a_line() -> None:
    assert encode([("a", "b"), ("C-d", "é, ü")]) == b"a: b\r\nC-d: \xe9, \xfc\r\n"
    assert encode([]) == b""


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\rb", "a\0b", "\r\n", "…"])
def test_a_value_cannot_break_out(value: str) -> None:
    with pytest.raises(ValueError, match="'x-key'") as caught:
        encode([("fine", "y"), ("x-key", value)])
    assert repr(value)[1:-1] not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\n", "a\0", "é", "a(b)", " a"])
def test_a_name_is_a_token(name: str) -> None:
    with pytest.raises(ValueError, match="is not a header name"):
        encode([(name, "x")])


@given(st.lists(st.tuples(TOKEN, LATIN)))
def test_what_is_accepted_reads_back_the_same(pairs: list[tuple[str, str]]) -> None:
    lines = encode(pairs).decode("latin-1").split("\r\n")
    assert lines.pop() == ""
    assert [tuple(line.split(": ", 1)) for line in lines] == pairs


@given(st.text(), st.text())
def test_one_pair_is_one_line_or_an_error(name: str, value: str) -> None:
    try:
        block = encode([(name, value)])
    except ValueError:
        return
    assert block.endswith(b"\r\n")
    assert block[:-2].count(b"\n") == block[:-2].count(b"\r") == block.count(b"\0") == 0
