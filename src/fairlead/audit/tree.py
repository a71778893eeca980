"""The Merkle tree of RFC 6962: hashes, roots, proofs of inclusion and of consistency, and how they are checked.

Pure. It must not know entries or files: a leaf is bytes, and a stored tree is a function that gives a subtree's hash.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

EMPTY = sha256(b"").digest()
"""The root of a tree without leaves."""

Subtree = Callable[[int, int], bytes]
"""The hash of the complete subtree of 2**height leaves (first argument) at this place among those of its height."""


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def fold(peaks: Sequence[bytes]) -> bytes:
    """The root above complete subtrees that stand beside each other, largest first."""
    if not peaks:
        return EMPTY
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


class Frontier:
    """The right edge of a growing tree: the roots of its complete subtrees, one for each bit of its size."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        self.size = size
        self._peaks = list(peaks)

    def add(self, leaf: bytes) -> list[bytes]:
        """Takes a leaf's hash. Every subtree that it completes, from the leaf itself upwards."""
        done = [leaf]
        size = self.size
        while size & 1:
            leaf = sha256(b"\x01" + self._peaks.pop() + leaf).digest()
            done.append(leaf)
            size >>= 1
        self._peaks.append(leaf)
        self.size += 1
        return done

    def root(self) -> bytes:
        return fold(self._peaks)


def peaks_of(start: int, end: int, subtree: Subtree) -> list[bytes]:
    """The complete subtrees that make up the leaves from `start`, where a subtree of their size begins, to `end`."""
    found = []
    while start < end:
        height = (end - start).bit_length() - 1
        found.append(subtree(height, start >> height))
        start += 1 << height
    return found


def root_of(size: int, subtree: Subtree) -> bytes:
    """The root of the first `size` leaves."""
    return fold(peaks_of(0, size, subtree))


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """What proves, together with the leaf at `index`, the root of the first `size` leaves."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    start, end = 0, size
    beside: list[bytes] = []
    while end - start > 1:
        middle = start + _left(end - start)
        if index < middle:
            beside.append(fold(peaks_of(middle, end, subtree)))
            end = middle
        else:
            beside.append(fold(peaks_of(start, middle, subtree)))
            start = middle
    return beside[::-1]


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """What proves that the first `old` of `new` leaves have the root that they had when there were no more."""
    if not 0 < old <= new:
        raise ValueError(f"a tree of {old} is no beginning of one of {new}")
    start, end = 0, new
    beside: list[bytes] = []
    while old != end:
        middle = start + _left(end - start)
        if old <= middle:
            beside.append(fold(peaks_of(middle, end, subtree)))
            end = middle
        else:
            beside.append(fold(peaks_of(start, middle, subtree)))
            start = middle
    if start:
        beside.append(fold(peaks_of(start, end, subtree)))
    return beside[::-1]


def proves_inclusion(root: bytes, leaf: bytes, place: tuple[int, int], proof: Sequence[bytes]) -> bool:
    """Whether `leaf` is at `place` (index, size) of the tree with this root (RFC 9162, 2.1.3.2)."""
    index, size = place
    if not 0 <= index < size:
        return False
    at, last = index, size - 1
    found = leaf
    for beside in proof:
        if last == 0 or len(beside) != len(EMPTY):
            return False
        if at & 1 or at == last:
            found = node_hash(beside, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def proves_consistency(old: tuple[int, bytes], new: tuple[int, bytes], proof: Sequence[bytes]) -> bool:
    """Whether the tree `old` (size, root) is the beginning of the tree `new` (RFC 9162, 2.1.4.2)."""
    (old_size, old_root), (new_size, new_root) = old, new
    if not 0 < old_size <= new_size:
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not path or any(len(one) != len(EMPTY) for one in path):
        return False
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    was = now = path[0]
    for beside in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            was, now = node_hash(beside, was), node_hash(beside, now)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            now = node_hash(now, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and was == old_root and now == new_root


def _left(size: int) -> int:
    """How many leaves are in the left subtree of a tree of `size`: the largest power of two below it."""
    return 1 << ((size - 1).bit_length() - 1)
