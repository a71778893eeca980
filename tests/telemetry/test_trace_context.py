"""`traceparent` and `tracestate` as the standard has them; the wrong forms are those of its own test suite."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.canonical.routing import Trace
from fairlead.telemetry.trace_context import Parent, fields, parse

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01".encode()


def hexes(length: int) -> st.SearchStrategy[str]:
    """Never all zeros."""
    return st.integers(1, 16**length - 1).map(lambda number: f"{number:0{length}x}")


@given(hexes(32), hexes(16), hexes(16), st.booleans(), st.from_regex(r"[a-z]{1,8}=[!-+\--<>-~]{1,20}", fullmatch=True))
def test_what_is_told_is_what_is_read(trace: str, span: str, own: str, sampled: bool, state: str) -> None:
    told = fields(Trace(trace_id=trace, span_id=own, sampled=sampled, state=state), span)
    lines = dict(line.split(b": ", 1) for line in told.splitlines())
    assert parse(lines[b"traceparent"], lines[b"tracestate"]) == Parent(trace, span, sampled, state)


@given(st.binary(max_size=80), st.none() | st.binary(max_size=600))
def test_anything_may_come(traceparent: bytes, tracestate: bytes | None) -> None:
    parse(traceparent, tracestate)


@given(st.binary(max_size=600))
def test_a_state_never_makes_a_header_of_its_own(state: bytes) -> None:
    parent = parse(GOOD, state)
    assert parent is not None
    assert not {"\r", "\n", "\0"} & set(parent.state)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        GOOD + b"-",
        GOOD + b"-more",
        GOOD.upper(),
        b"ff" + GOOD[2:],
        b"0" + GOOD,
        b".0" + GOOD[2:],
        b"00-" + b"0" * 32 + GOOD[35:],
        GOOD.replace(SPAN.encode(), b"0" * 16),
        GOOD.replace(b"-", b"_"),
        GOOD[:-1],
        GOOD + b"0",
        GOOD.replace(b"0af7", b"0afg"),
        b"00-" + GOOD[4:],
        GOOD + b"\n",
    ],
)
def test_what_the_standard_refuses_begins_no_trace(wrong: bytes) -> None:
    assert parse(wrong, b"a=1") is None


@pytest.mark.parametrize("flags", ["00", "02", "fe"])
def test_only_the_lowest_flag_means_sampled(flags: str) -> None:
    parent = parse(f"00-{TRACE}-{SPAN}-{flags}".encode(), None)
    assert parent == Parent(TRACE, SPAN, sampled=False, state="")


def test_a_later_version_may_say_more() -> None:
    assert parse(f"cc-{TRACE}-{SPAN}-01-what-comes".encode(), None) == Parent(TRACE, SPAN, sampled=True, state="")
    assert parse(f"cc-{TRACE}-{SPAN}-01.what".encode(), None) is None


def test_blanks_around_it_do_no_harm_and_its_absence_is_no_fault() -> None:
    assert parse(b" " + GOOD + b"\t", b" a=1 ") == Parent(TRACE, SPAN, sampled=True, state="a=1")
    assert parse(None, b"a=1") is None


def test_a_state_that_is_too_long_is_left_out() -> None:
    assert parse(GOOD, b"a=" + b"x" * 511) == Parent(TRACE, SPAN, sampled=True, state="")
