"""Rules for request heads that need no socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.http.head import RequestRefused, check, split, status_line


@pytest.mark.parametrize("host", [b"a", b"a.b-c.example:443", b"127.0.0.1:1", b"[::1]", b"[fe80::1]:80", b"a_b", b"a:"])
def test_hosts(host: bytes) -> None:
    check("1.1", "GET", {b"host": host})


@given(st.binary().filter(lambda value: any(byte in value for byte in b'/?#@, \t\\"<>^`{|}\0\r\n\x7f\xe9')))
def test_no_host_has_a_delimiter(host: bytes) -> None:
    with pytest.raises(RequestRefused):
        check("1.1", "GET", {b"host": host})


def test_http_1_0_needs_no_host() -> None:
    check("1.0", "GET", {})


def test_http_1_0_has_no_expectations() -> None:
    check("1.0", "GET", {b"expect": b"miracles"})


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/", ("/", "")),
        (b"/a?b?c", ("/a", "b?c")),
        (b"/a?", ("/a", "")),
        (b"//a/b", ("//a/b", "")),
        (b"/a://b", ("/a://b", "")),
        (b"*", ("*", "")),
        (b"HTTPS://a:1/b/c?d=http://e", ("/b/c", "d=http://e")),
    ],
)
def test_targets(target: bytes, expected: tuple[str, str]) -> None:
    assert split(target) == expected


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126)))
def test_a_path_is_rooted_or_refused(target: str) -> None:
    try:
        path, query = split(target.encode())
    except RequestRefused:
        return
    assert path == "*" or path.startswith("/")
    assert "#" not in path + query


def test_status_lines() -> None:
    assert status_line(200) == b"HTTP/1.1 200 OK\r\n"
    assert status_line(599) == b"HTTP/1.1 599 \r\n"
