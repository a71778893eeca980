"""Amounts as people write them."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.config.units import (
    Address,
    format_address,
    format_count,
    format_duration,
    format_size,
    number,
    parse_address,
    parse_boolean,
    parse_count,
    parse_duration,
    parse_number,
    parse_size,
    parse_url,
    whole,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("200ms", 0.2), ("5s", 5), ("1m", 60), ("1h", 3600), ("1d", 86400), ("1mo", 2592000), ("1.5s", 1.5), ("0s", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-12)


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "5S", "1e3s", "5sm", "5min", "٣s", "9" * 400 + "s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@given(st.integers(0, 10**12))
def test_durations_round_trip(microseconds: int) -> None:
    seconds = microseconds / 1_000_000
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-9)


@given(st.integers(1, 999_999), st.sampled_from(["ms", "s", "m", "h", "d", "mo"]))
def test_a_written_duration_is_what_was_meant(amount: int, unit: str) -> None:
    seconds = parse_duration(f"{amount}{unit}")
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"), [("32MiB", 32 << 20), ("1GiB", 1 << 30), ("4kB", 4000), ("512", 512), ("10B", 10)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@given(st.integers(0, 10**11))
def test_sizes_and_counts_round_trip(value: int) -> None:
    assert parse_size(format_size(value)) == value
    assert parse_count(format_count(value)) == value


@pytest.mark.parametrize(("text", "count"), [("42", 42), ("20k", 20_000), ("1M", 1_000_000), ("1.5k", 1500)])
def test_counts(text: str, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["1.5", "k", "20K", "-1", "1_000", "0x10"])
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(ValueError, match="is not a count"):
        parse_count(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1000", 1000),
        ("1,000", 1000),
        ("12,345.5", 12345.5),
        ("10k", 10_000),
        ("1.5M", 1_500_000),
        ("5%", 0.05),
        ("7%", 0.07),
        (" .5", 0.5),
        ("-1", -1),
        ("1e-6", 1e-6),
    ],
)
def test_numbers_as_people_type_them(text: str, value: float) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize("text", ["", "k", ".", "1,00", "1,0000", "nan", "inf", "1_000", "0x10", "5 percent", "10K"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number; write one such as"):
        parse_number(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:4000", Address("127.0.0.1", 4000)),
        ("[::1]:80", Address("::1", 80)),
        ("localhost:0", Address("localhost", 0)),
    ],
)
def test_addresses_round_trip(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert format_address(address) == text


@pytest.mark.parametrize("text", ["4000", ":4000", "localhost", "::1:80", "a:b", "h:65536", "h:1:2", "h :1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"host:port|larger"):
        parse_address(text)


@pytest.mark.parametrize("text", ["http://h", "https://a-b.c:1/v1", "http://[::1]:80/x", "http://127.0.0.1:9/v1/"])
def test_urls(text: str) -> None:
    assert parse_url(text) == text.rstrip("/")


@pytest.mark.parametrize(
    "text",
    [
        *("", "h/v1", "ftp://h", "http://", "http://h:0", "http://h:99999", "http://h:x", "http://[::1"),
        *("http://h /", "http://h\n", "http://hé/", "http://h/é"),
    ],
)
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(ValueError, match="is not an http"):
        parse_url(text)


@pytest.mark.parametrize("text", ["http://u:canary@h/", "http://h/?key=canary", "http://h/#canary"])
def test_where_a_password_could_be_the_url_is_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="without user, query and fragment") as caught:
        parse_url(text)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("text", ["yes", "no", "on", "off", "1", "tRue", ""])
def test_words_of_yaml_1_1_are_not_booleans(text: str) -> None:
    with pytest.raises(ValueError, match="true or false"):
        parse_boolean(text)


def test_bounds_hold() -> None:
    for unit, text in [(whole(1, 5), "0"), (whole(1, 5), "6"), (number(0, 1), "1.1"), (number(0, 1), "nan")]:
        with pytest.raises(ValueError, match="from"):
            unit.parse(text)
    assert whole(1, 5).parse("5") == 5
    assert number(0, 10).parse("1e1") == 10.0


@pytest.mark.parametrize(
    "parse",
    [
        parse_duration,
        parse_size,
        parse_count,
        parse_number,
        parse_address,
        parse_boolean,
        parse_url,
        number(0, 9).parse,
        whole(0, 9).parse,
    ],
)
@given(text=st.text())
def test_a_parser_gives_a_value_or_says_why_not(parse: Callable[[str], object], text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse(text) is not None
