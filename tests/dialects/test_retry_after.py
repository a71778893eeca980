"""What providers write into retry-after, and what of it is believed."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.dialects.retry_after import retry_after

WALL = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({b"retry-after": b"3"}, 3.0),
        ({b"retry-after": b" 0.25 "}, 0.25),
        ({b"retry-after": b".5"}, 0.5),
        ({b"retry-after": b"0"}, 0.0),
        ({b"retry-after-ms": b"1500"}, 1.5),
        ({b"retry-after-ms": b"1500", b"retry-after": b"9"}, 1.5),
        ({b"retry-after-ms": b"soon", b"retry-after": b"9"}, 9.0),
        ({b"retry-after": formatdate(WALL + 7, usegmt=True).encode()}, 7.0),
        ({b"retry-after": formatdate(WALL - 7, usegmt=True).encode()}, 0.0),
        ({b"retry-after": b"Fri, 15 Jan 2027 08:00:05 -0000"}, 5.0),
        ({b"retry-after": b"Friday, 15-Jan-27 08:00:05 GMT"}, 5.0),
        ({b"retry-after": b"Fri Jan 15 08:00:05 2027"}, 5.0),
        ({b"retry-after": b"Fri, 15 Jan 2077 08:00:05 GMT"}, None),
        ({b"retry-after": b"-3"}, None),
        ({b"retry-after": b"nan"}, None),
        ({b"retry-after": b"inf"}, None),
        ({b"retry-after": b"1e3"}, None),
        ({b"retry-after": b"1_0"}, None),
        ({b"retry-after": b"10s"}, None),
        ({b"retry-after": b"1000000"}, 1_000_000.0),
        ({b"retry-after": b"1000001"}, None),
        ({b"retry-after": b"9" * 400}, None),
        ({b"retry-after-ms": b"9" * 400, b"retry-after": b"2"}, None),
        ({b"retry-after": b""}, None),
        ({b"retry-after": b"\xff"}, None),
        ({b"retry-after": "٣".encode()}, None),
        ({b"retry-after": b"Fri, 99 Jan 2027 08:00:05 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[bytes, bytes], seconds: float | None) -> None:
    assert retry_after(headers, WALL) == seconds


@given(st.binary(max_size=40), st.binary(max_size=20))
def test_no_header_makes_it_fail(value: bytes, millis: bytes) -> None:
    seconds = retry_after({b"retry-after": value, b"retry-after-ms": millis}, WALL)
    assert seconds is None or 0 <= seconds <= 1_000_000


@given(st.integers(0, 999_999))
def test_a_date_means_the_seconds_until_then(seconds: int) -> None:
    assert retry_after({b"retry-after": formatdate(WALL + seconds, usegmt=True).encode()}, WALL) == seconds
