"""The Merkle tree: RFC 6962's own vectors, a model written as the RFC's recursion, and proofs that are forged."""

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.forms import FULL

from fairlead.audit import tree

LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
"""The inputs of the Certificate Transparency test vectors, and below the roots of their first n."""
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LARGEST = 1000 if FULL else 130


def recursive(leaves: Sequence[bytes]) -> bytes:
    """MTH as RFC 6962, section 2.1, writes it down: over leaf hashes."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else sha256(b"").digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha256(b"\x01" + recursive(leaves[:half]) + recursive(leaves[half:])).digest()


class Grown:
    """A tree of the leaf hashes of 0, 1, 2 ... with every subtree kept."""

    def __init__(self, size: int) -> None:
        self.leaves = [tree.leaf_hash(str(number).encode()) for number in range(size)]
        self.frontier = tree.Frontier()
        self.roots = [tree.EMPTY]
        self._kept: dict[tuple[int, int], bytes] = {}
        for number, leaf in enumerate(self.leaves):
            for height, done in enumerate(self.frontier.add(leaf)):
                self._kept[height, number >> height] = done
            self.roots.append(self.frontier.root())

    def subtree(self, height: int, place: int) -> bytes:
        return self._kept[height, place]


GROWN = Grown(LARGEST)


def test_the_rfc_vectors_have_their_roots() -> None:
    frontier = tree.Frontier()
    assert frontier.root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        frontier.add(tree.leaf_hash(leaf))
        assert frontier.root().hex() == root


RFC_PATH = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]


def test_the_rfc_vectors_have_their_proofs() -> None:
    """The path of leaf 0 in a tree of 8, as the test vectors of Certificate Transparency give it."""
    grown = Grown(0)
    frontier = tree.Frontier()
    for number, leaf in enumerate(LEAVES):
        for height, done in enumerate(frontier.add(tree.leaf_hash(leaf))):
            grown._kept[height, number >> height] = done
    assert [one.hex() for one in tree.inclusion_proof(0, 8, grown.subtree)] == RFC_PATH
    proof = tree.consistency_proof(6, 8, grown.subtree)
    assert [one.hex() for one in proof] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 7, 8, 64, 100, 129])
def test_a_root_is_what_the_recursion_gives(size: int) -> None:
    assert GROWN.roots[size] == recursive(GROWN.leaves[:size]) == tree.root_of(size, GROWN.subtree)


def test_every_leaf_of_every_size_is_proven_and_at_no_other_place() -> None:
    """All sizes, all leaves in the full form; the proofs are as short as they can be."""
    for size in range(1, LARGEST + 1):
        for index in range(0, size, 1 if size < 70 else 37):
            proof = tree.inclusion_proof(index, size, GROWN.subtree)
            leaf, root = GROWN.leaves[index], GROWN.roots[size]
            assert len(proof) <= (size - 1).bit_length()
            assert tree.proves_inclusion(root, leaf, (index, size), proof)
            assert not tree.proves_inclusion(root, leaf, (index + 1, size), proof)
            assert not tree.proves_inclusion(root, leaf, (index - 1, size), proof)
            assert not tree.proves_inclusion(GROWN.roots[size - 1], leaf, (index, size), proof)
            assert not tree.proves_inclusion(root, leaf, (index, size), [*proof, tree.EMPTY])
            if proof:
                assert not tree.proves_inclusion(root, leaf, (index, size), proof[:-1])


def test_every_size_is_proven_to_begin_every_larger_one() -> None:
    for new in range(1, LARGEST + 1):
        for old in range(1, new + 1, 1 if new < 70 else 37):
            proof = tree.consistency_proof(old, new, GROWN.subtree)
            first, second = (old, GROWN.roots[old]), (new, GROWN.roots[new])
            assert tree.proves_consistency(first, second, proof)
            assert not tree.proves_consistency((old, tree.EMPTY), second, proof)
            assert not tree.proves_consistency(first, (new, tree.EMPTY), proof)
            assert not tree.proves_consistency(first, second, [*proof, tree.EMPTY])
            if proof:
                assert not tree.proves_consistency(first, second, proof[:-1])
                assert not tree.proves_consistency(first, second, proof[1:])


@given(st.integers(1, LARGEST), st.data())
def test_a_proof_with_a_flipped_bit_proves_nothing(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = tree.inclusion_proof(index, size, GROWN.subtree)
    if not proof:
        return
    place = data.draw(st.integers(0, len(proof) - 1))
    bit = data.draw(st.integers(0, 255))
    forged = list(proof)
    forged[place] = (int.from_bytes(proof[place], "big") ^ 1 << bit).to_bytes(32, "big")
    assert not tree.proves_inclusion(GROWN.roots[size], GROWN.leaves[index], (index, size), forged)


@given(st.integers(1, LARGEST), st.integers(1, LARGEST), st.data())
def test_a_proof_for_one_size_is_none_for_another(size: int, other: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, min(size, other) - 1))
    proof = tree.inclusion_proof(index, size, GROWN.subtree)
    holds = tree.proves_inclusion(GROWN.roots[other], GROWN.leaves[index], (index, other), proof)
    assert holds == (size == other)


def test_a_tree_of_nothing_proves_nothing() -> None:
    assert not tree.proves_inclusion(tree.EMPTY, tree.EMPTY, (0, 0), [])
    assert not tree.proves_inclusion(GROWN.roots[1], GROWN.leaves[0], (-1, 1), [])
    assert not tree.proves_consistency((0, tree.EMPTY), (5, GROWN.roots[5]), [])
    assert not tree.proves_consistency((5, GROWN.roots[5]), (4, GROWN.roots[4]), [])
    assert not tree.proves_consistency((2, GROWN.roots[2]), (3, GROWN.roots[3]), [b"short"])
    assert not tree.proves_consistency((3, GROWN.roots[3]), (5, GROWN.roots[5]), [])
    assert not tree.proves_inclusion(GROWN.roots[2], GROWN.leaves[0], (0, 2), [b"short"])
    for index, size in ((-1, 3), (3, 3), (0, 0)):
        with pytest.raises(ValueError, match="no leaf"):
            tree.inclusion_proof(index, size, GROWN.subtree)
    for old, new in ((0, 3), (4, 3)):
        with pytest.raises(ValueError, match="no beginning"):
            tree.consistency_proof(old, new, GROWN.subtree)
