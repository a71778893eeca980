"""Decompression: any cut gives the same bytes, in bounded steps, and bombs do not go off."""

import gzip
import itertools
import sys
import zlib
from collections.abc import Callable, Iterator

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.http.errors import UpstreamError
from fairlead.http.inflate import BOMB_SIZE, ENCODINGS, STEP, ZstdFrame, open_inflater


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def checked_zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress(body)


PACK: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.compress),
    "zstd with a checksum": ("zstd", checked_zstd),
}


def inflate(encoding: str, pieces: list[bytes], limit: int = STEP) -> Iterator[bytes]:
    inflater = open_inflater(encoding)
    for piece in pieces:
        inflater.feed(piece)
        while out := inflater.step(limit):
            assert len(out) <= limit
            yield out
    if not inflater.whole:
        raise EOFError


@given(
    name=st.sampled_from(sorted(PACK)),
    body=st.binary(max_size=300) | st.binary(min_size=1, max_size=9).map(lambda part: part * 20_000),
    cuts=st.sets(st.integers(1, 3000), max_size=30),
    limit=st.integers(100, STEP),
)
@settings(deadline=None)
def test_any_cut_gives_the_same_bytes(name: str, body: bytes, cuts: set[int], limit: int) -> None:
    encoding, pack = PACK[name]
    packed = pack(body)
    marks = [0, *sorted(cut for cut in cuts if cut < len(packed)), len(packed)]
    pieces = [packed[start:stop] for start, stop in itertools.pairwise(marks)]
    assert b"".join(inflate(encoding, pieces, limit)) == body


@pytest.mark.parametrize("name", PACK)
def test_a_part_is_not_whole(name: str) -> None:
    encoding, pack = PACK[name]
    packed = pack(b"hello, hello, hello")
    for size in range(1, len(packed)):
        with pytest.raises(EOFError):
            list(inflate(encoding, [packed[:size]]))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_nothing_is_whole(encoding: str) -> None:
    assert list(inflate(encoding, [])) == []


@pytest.mark.parametrize("name", PACK)
@pytest.mark.parametrize("more", [b"x", b"y" * 10_000])
def test_more_after_the_end_is_refused(name: str, more: bytes) -> None:
    encoding, pack = PACK[name]
    for pieces in ([pack(b"hello") + more], [pack(b"hello"), more]):
        with pytest.raises(UpstreamError) as failure:
            list(inflate(encoding, pieces))
        assert failure.value.kind == "protocol"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_nonsense_is_refused(encoding: str) -> None:
    with pytest.raises(UpstreamError) as failure:
        list(inflate(encoding, [b"\x1f\xff" * 1000]))
    assert failure.value.kind == "protocol"


@pytest.mark.parametrize("name", PACK)
def test_a_bomb_stops_at_the_cap(name: str) -> None:
    encoding, pack = PACK[name]
    bomb = pack(bytes(8 * BOMB_SIZE))
    sizes: list[int] = []
    with pytest.raises(UpstreamError) as failure:
        sizes.extend(map(len, inflate(encoding, [bomb])))
    size = sum(sizes)
    assert failure.value.kind == "protocol"
    assert BOMB_SIZE - STEP <= size <= BOMB_SIZE + STEP


def test_a_large_text_is_no_bomb() -> None:
    body = b"".join(b"%d " % n for n in range(3_000_000))
    assert len(body) > 2 * BOMB_SIZE
    assert sum(map(len, inflate("gzip", [gzip.compress(body, 1)]))) == len(body)


@pytest.mark.parametrize(("encoding", "library"), [("br", "brotli"), ("zstd", "zstandard")])
def test_a_missing_library_is_named(encoding: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UpstreamError, match="extra 'compression'"):
        open_inflater(encoding)


@given(body=st.binary(max_size=200_000), size=st.booleans(), checksum=st.booleans(), cut=st.integers(1, 99))
@settings(deadline=None, max_examples=50)
def test_the_end_of_a_zstd_frame_is_found(body: bytes, size: bool, checksum: bool, cut: int) -> None:
    packer = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=size)
    packed = packer.compress(body)
    frame = ZstdFrame()
    for at in range(0, len(packed), cut):
        assert not frame.finished
        assert not frame.walk(packed[at : at + cut])
    assert frame.finished
    assert frame.walk(b"x")
