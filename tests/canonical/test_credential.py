"""A minted key is well-formed, nothing near it is, and its MAC depends on every byte."""

import hmac
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fairlead.canonical.credential import ENTROPY, is_garbage, is_id, is_well_formed, mac, mint

ENTROPIES = st.binary(min_size=ENTROPY, max_size=ENTROPY)


@given(ENTROPIES)
@example(bytes(ENTROPY))
@example(b"\xff" * ENTROPY)
def test_a_minted_key_has_the_one_form(entropy: bytes) -> None:
    minted = mint(entropy)
    mark, id_, rest = minted.text.split("_")
    assert (mark, id_, len(rest)) == ("fl", minted.id, 49)
    assert is_id(id_)
    assert is_well_formed(minted.text.encode())
    assert not is_garbage(minted.text.encode())
    assert minted.text not in repr(minted)


@given(ENTROPIES, st.integers(0, 62), st.integers(0, 255))
def test_no_key_with_another_byte_in_it_is_well_formed(entropy: bytes, place: int, byte: int) -> None:
    text = bytearray(mint(entropy).text.encode())
    if text[place] == byte:
        byte ^= 1
    text[place] = byte
    assert not is_well_formed(bytes(text))


@given(ENTROPIES, st.binary(min_size=1, max_size=8))
def test_nothing_may_stand_around_a_key(entropy: bytes, more: bytes) -> None:
    text = mint(entropy).text.encode()
    for other in (text + more, more + text, text[: -len(more)], text + b"\n"):
        assert not is_well_formed(other)


@given(st.binary(max_size=100))
def test_what_begins_like_a_key_and_is_none_is_garbage(rest: bytes) -> None:
    assert is_garbage(b"fl_" + rest)
    assert not is_garbage(b"sk-" + rest)


@given(ENTROPIES, ENTROPIES)
def test_another_secret_of_a_key_keeps_its_id(first: bytes, second: bytes) -> None:
    one = mint(first)
    other = mint(second, one.id)
    assert other.id == one.id
    assert is_well_formed(other.text.encode())
    assert (other.text == one.text) == (first[8:] == second[8:])


def test_the_secret_keeps_all_of_its_256_bits() -> None:
    low, high = bytes(8), os.urandom(8)
    texts = {mint(low + bit.to_bytes(32, "big")).text for bit in (0, *(1 << place for place in range(256)))}
    assert len(texts) == 257
    assert mint(low + bytes(32)).id != mint(high + bytes(32)).id


def test_entropy_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a key takes 40 random bytes, not 16"):
        mint(bytes(16))


def test_the_mac_is_hmac_sha256_under_the_pepper() -> None:
    assert mac(b"p" * 32, b"text") == hmac.new(b"p" * 32, b"text", "sha256").digest()
    assert mac(b"q" * 32, b"text") != mac(b"p" * 32, b"text")


@pytest.mark.parametrize("text", ["", "short", "x" * 11, "abc_efghij", "abcdefghi\n", "\x00bcdefghij"])
def test_what_is_no_id(text: str) -> None:
    assert not is_id(text)
