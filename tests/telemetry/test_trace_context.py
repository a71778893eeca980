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


def state_of(text: str) -> str:
    parent = parse(GOOD, text.encode())
    assert parent is not None
    return parent.state


@pytest.mark.parametrize(
    ("given", "passed_on"),
    [
        ("foo=1,bar=2", "foo=1,bar=2"),
        ("foo=1 \t , \tbar=2", "foo=1,bar=2"),
        ("foo=1,,bar=2,", "foo=1,bar=2"),
        ("foo@=1,bar=2", ""),
        ("@foo=1,bar=2", ""),
        ("foo@@bar=1", ""),
        ("foo@bar@baz=1", ""),
        ("foo =1", ""),
        ("FOO=1", ""),
        ("foo.bar=1", ""),
        ("foo", ""),
        ("foo=", ""),
        ("foo=1=2", ""),
        ("foo=\xe9", ""),
        ("foo=a\tb", ""),
        ("foo=1,foo=1", ""),
        ("foo=1,foo=2,bar=3", ""),
        ("a b=1", ""),
        ("0foo=1", ""),
        ("fw529a3039@dt=FfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffF", None),
        ("tenant1@sys=1", None),
        ("1@sys=1", None),
        ("1@1sys=1", ""),
        ("k" * 256 + "=1", None),
        ("k" * 257 + "=1", ""),
        ("t" * 241 + "@" + "v" * 14 + "=1", None),
        ("t" * 242 + "@v=1", ""),
        ("t@" + "v" * 15 + "=1", ""),
        ("a=" + "v" * 256, None),
        ("a=" + "v" * 257, ""),
        (",".join(f"k{number}=1" for number in range(32)), None),
        (",".join(f"k{number}=1" for number in range(33)), ""),
        ("a=!\"#$%&'()*+-./0123456789:;<>?@[\\]^_`{|}~", None),
        ("a= b", None),
    ],
)
def test_a_state_is_passed_on_as_it_came_or_not_at_all(given: str, passed_on: str | None) -> None:
    """The forms of the standard's own test suite. None: as it came."""
    assert state_of(given) == (given if passed_on is None else passed_on)


def test_of_a_long_state_the_last_members_are_left_out() -> None:
    members = [f"k{number}=" + "x" * 96 for number in range(8)]
    assert state_of(",".join(members)) == ",".join(members[:5])
    assert state_of("a=" + "x" * 250 + ",b=" + "y" * 256 + ",c=1") == "a=" + "x" * 250 + ",b=" + "y" * 256


MEMBERS = st.lists(
    st.tuples(
        st.from_regex(r"[a-z][a-z0-9_*/-]{0,20}(@[a-z]{1,10})?", fullmatch=True),
        st.from_regex(r"[ -+\--<>-~]{0,20}[!-+\--<>-~]", fullmatch=True),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda member: member[0],
)


@given(MEMBERS)
def test_every_good_state_passes(members: list[tuple[str, str]]) -> None:
    state = ",".join(f"{key}={value}" for key, value in members)
    assert state_of(state) == state
    assert state_of(state + f",{members[0][0]}=again") == ""
