"""Frames: what went in comes out whole, whatever happens to the file; what did not go in never does."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.journal.journal_records import RECORD, numbered

from fairlead.journal.frames import HEADER, Frames, decode, encode, frame, header, salt_of

SALT = 0x5EED5EED
FRAMES = [encode(numbered(number, user="x" * (number * 7 % 40)), SALT) for number in range(6)]
FILE = header(SALT) + b"".join(FRAMES)


def test_a_record_comes_back_as_it_went_in() -> None:
    assert list(decode(encode(RECORD))) == [RECORD]
    assert list(decode(header(SALT) + encode(RECORD, SALT))) == [RECORD]


@given(cut=st.integers(HEADER, len(FILE)), zeros=st.integers(0, 200))
def test_a_torn_tail_costs_only_the_record_that_it_tore(cut: int, zeros: int) -> None:
    """Also where a crash of the machine left zeros behind it."""
    frames = Frames(FILE[HEADER:cut] + bytes(zeros), SALT)
    whole = list(frames)
    ends = [sum(map(len, FRAMES[: count + 1])) for count in range(len(FRAMES))]
    assert len(whole) == sum(end <= cut - HEADER for end in ends)
    assert frames.end == sum(map(len, FRAMES[: len(whole)]))
    assert frames.damage == []


@given(bit=st.integers(HEADER * 8, len(FILE) * 8 - 1))
def test_a_flipped_bit_costs_the_record_that_it_hits_and_no_other(bit: int) -> None:
    damaged = bytearray(FILE[HEADER:])
    at, start = bit // 8 - HEADER, 0
    damaged[at] ^= 1 << bit % 8
    frames = Frames(bytes(damaged), SALT)
    found = [record.id for record in frames]
    hit = next(number for number in range(len(FRAMES)) if at < sum(map(len, FRAMES[: number + 1])))
    start = sum(map(len, FRAMES[:hit]))
    assert found == [f"r{number}" for number in range(len(FRAMES)) if number != hit]
    last = hit == len(FRAMES) - 1  # it cannot be told from a torn tail
    assert frames.damage == ([] if last else [(start, start + len(FRAMES[hit]))])
    assert frames.end == (start if last else len(damaged))


@given(first=st.integers(HEADER, len(FILE)), size=st.integers(1, 60))
def test_zeros_in_the_middle_are_damage_and_what_follows_is_read(first: int, size: int) -> None:
    """What a write to the disk that never happened leaves where a later one did."""
    damaged = bytearray(FILE[HEADER:])
    begin, end = first - HEADER, min(first - HEADER + size, len(damaged))
    damaged[begin:end] = bytes(end - begin)
    starts = [sum(map(len, FRAMES[:number])) for number in range(len(FRAMES))]
    spared = [
        f"r{number}"
        for number, start in enumerate(starts)
        if damaged[start : start + len(FRAMES[number])] == FRAMES[number]
    ]
    assert [record.id for record in Frames(bytes(damaged), SALT)] == spared


@given(bit=st.integers(0, HEADER * 8 - 1))
def test_one_flipped_bit_of_the_header_costs_nothing(bit: int) -> None:
    damaged = bytearray(FILE)
    damaged[bit // 8] ^= 1 << bit % 8
    assert len(list(decode(bytes(damaged)))) == len(FRAMES)


@given(noise=st.binary(max_size=300))
def test_noise_is_no_record(noise: bytes) -> None:
    assert list(Frames(noise, SALT)) == []
    assert list(decode(noise)) == []
    assert salt_of(noise) is None


def test_a_frame_that_is_whole_and_no_record_is_damage() -> None:
    """Another version may have written it: nobody stops for ever because of it."""
    odd = frame(msgspec.msgpack.encode({"id": 7}), SALT)
    frames = Frames(FRAMES[0] + odd + FRAMES[1] + odd, SALT)
    assert [record.id for record in frames] == ["r0", "r1"]
    begin = len(FRAMES[0])
    assert frames.damage[0] == (begin, begin + len(odd))
    assert frames.end == len(FRAMES[0] + odd + FRAMES[1] + odd)


def test_what_a_client_sends_is_never_taken_for_a_frame() -> None:
    """A damaged record may hold a text that looks like one: only who knows the file's salt could forge it."""
    forged = encode(numbered(666)).decode("latin-1")
    damaged = bytearray(encode(numbered(1, user=forged), SALT))
    damaged[10] ^= 1
    assert [record.id for record in Frames(bytes(damaged) + FRAMES[0], SALT)] == ["r0"]
