"""Random tampering with a copied trail: every one is found, and named as exactly as it can be."""

import base64
import random
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from tests.audit.trails import ORIGIN, admin, batch, filled, trail_at
from tests.forms import FULL

from fairlead.audit import checkpoints, keys
from fairlead.audit.entry import decode, encode
from fairlead.audit.note import Checkpoint, NoteError, Signer, claimed, seed_of
from fairlead.audit.segments import segments_of
from fairlead.audit.tree import Frontier, leaf_hash
from fairlead.audit.verify import Finding, verify

TRIALS = 10_000 if FULL else 300
SIZES = (7, 9, 16, 30, 3)
"""Batches of the trail, each with a checkpoint behind it; the first entry is the trail's own."""
LAST = 1 + sum(SIZES)

Chance = random.Random


class Trail:
    """A whole trail, and what a witness had of it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        filled(home, SIZES)
        self.folder = home / "audit"
        self.lines = segments_of(self.folder)[0].path.read_bytes().splitlines(keepends=True)
        self.notes = checkpoints.all_of(self.folder)
        self.vkey = verify(self.folder).keys[0]
        self.seed = seed_of((home / "audit-private" / keys.CURRENT).read_text())
        other = home / "fork"
        (other / "audit-private").mkdir(parents=True)
        shutil.copy(home / "audit-private" / keys.CURRENT, other / "audit-private")
        with trail_at(other) as trail:
            trail.append([admin(number) for number in range(LAST - 1)])
            trail.sign()
        self.fork = other / "audit"


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Trail:
    return Trail(tmp_path_factory.mktemp("trail"))


def put(copy: Path, lines: list[bytes]) -> None:
    segments_of(copy)[0].path.write_bytes(b"".join(lines))


def flip(trail: Trail, copy: Path, chance: Chance) -> int | None:
    """One bit anywhere in the entries."""
    at = chance.randrange(LAST)
    line = bytearray(trail.lines[at])
    line[chance.randrange(len(line))] ^= 1 << chance.randrange(8)
    put(copy, [*trail.lines[:at], bytes(line), *trail.lines[at + 1 :]])
    return at


def flip_elsewhere(trail: Trail, copy: Path, chance: Chance) -> int | None:
    """One bit in a checkpoint or in a file of hashes."""
    path = copy / chance.choice(["checkpoints", "checkpoint", "hashes-0"])
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data) - 1)] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return None


def delete(trail: Trail, copy: Path, chance: Chance) -> int | None:
    at = chance.randrange(LAST)
    put(copy, [*trail.lines[:at], *trail.lines[at + 1 :]])
    return at


def insert(trail: Trail, copy: Path, chance: Chance) -> int | None:
    at = chance.randrange(LAST)
    put(copy, [*trail.lines[:at], chance.choice(trail.lines), *trail.lines[at:]])
    return None


def swap(trail: Trail, copy: Path, chance: Chance) -> int | None:
    one, other = sorted(chance.sample(range(LAST), 2))
    lines = list(trail.lines)
    lines[one], lines[other] = lines[other], lines[one]
    put(copy, lines)
    return one


def truncate(trail: Trail, copy: Path, chance: Chance) -> int | None:
    """The end is gone, perhaps with the checkpoints over it; the witness has the last one."""
    keep = chance.randrange(1, LAST)
    put(copy, trail.lines[:keep])
    if chance.random() < 0.5:
        forget(trail, copy, keep)
    return None


def forget(trail: Trail, copy: Path, size: int) -> None:
    left = [note for note in trail.notes if claimed(note).size <= size] or trail.notes[:1]
    (copy / "checkpoints").write_text("".join(f"{note}\n" for note in left))
    (copy / "checkpoint").write_text(left[-1])
    for name in ("hashes-0", "hashes-8", "positions"):
        (copy / name).unlink(missing_ok=True)


def rewrite(trail: Trail, copy: Path, chance: Chance) -> int | None:
    """Another entry, and everything behind it and all hashes made to fit; the key is not the writer's to use."""
    at = chance.randrange(1, LAST)
    lines, prev = list(trail.lines), ""
    frontier = Frontier()
    leaves = b""
    for number in range(LAST):
        entry = decode(lines[number])
        if number >= at:
            said = {"actor": "someone else"} if number == at else {}
            lines[number] = encode(msgspec.structs.replace(entry, prev=prev, **said)) + b"\n"
        leaf = leaf_hash(lines[number][:-1])
        prev = leaf.hex()
        leaves += leaf
        frontier.add(leaf)
    put(copy, lines)
    (copy / "hashes-0").write_bytes(leaves)
    if chance.random() < 0.5:
        forged = Signer(ORIGIN, chance.randbytes(32)).sign(Checkpoint(ORIGIN, LAST, frontier.root()).text())
        (copy / "checkpoint").write_text(forged)
        (copy / "checkpoints").write_text("".join(f"{note}\n" for note in [*trail.notes[:-1], forged]))
    return None


def roll_back(trail: Trail, copy: Path, chance: Chance) -> int | None:
    """An older copy that was right when it was taken, with its checkpoint."""
    size = claimed(chance.choice(trail.notes[:-1])).size
    put(copy, trail.lines[:size])
    forget(trail, copy, size)
    return None


def fork(trail: Trail, copy: Path, chance: Chance) -> int | None:
    """Another history of the same size, signed by the same key."""
    shutil.rmtree(copy)
    shutil.copytree(trail.fork, copy)
    return None


TAMPERINGS: list[Callable[[Trail, Path, Chance], int | None]] = [
    flip, flip, flip, flip_elsewhere, delete, insert, swap, truncate, rewrite, roll_back, fork,
]  # fmt: skip


def found(copy: Path, trail: Trail) -> Finding | str | None:
    try:
        return verify(copy, vkey=trail.vkey, held=[trail.notes[-1]]).finding
    except NoteError as error:
        return str(error)


def test_the_trail_as_it_is_has_nothing_to_be_found(trail: Trail) -> None:
    assert found(trail.folder, trail) is None


def test_every_tampering_is_found(trail: Trail, tmp_path: Path) -> None:
    """Flips, deletions and swaps are named by the first bad entry; what was made to fit again, by a range."""
    copy = tmp_path / "copy"
    for number in range(TRIALS):
        chance = random.Random(number)
        tamper = TAMPERINGS[number % len(TAMPERINGS)]
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(trail.folder, copy)
        first = tamper(trail, copy, chance)
        finding = found(copy, trail)
        assert finding is not None, (tamper.__name__, number)
        if first is not None:
            assert isinstance(finding, Finding), (tamper.__name__, number, finding)
            assert finding.first == first, (tamper.__name__, number, finding)


def test_without_the_kept_hashes_the_chain_still_finds_every_flip(trail: Trail, tmp_path: Path) -> None:
    for number in range(TRIALS // 5):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(trail.folder, copy)
        (copy / "hashes-0").unlink()
        at = flip(trail, copy, random.Random(number))
        finding = found(copy, trail)
        assert isinstance(finding, Finding)
        assert at is not None
        assert finding.first <= at, "the entry, or a range that begins before it"
        assert finding.end >= at


def test_a_rewriting_is_named_as_what_lies_between_two_checkpoints(trail: Trail, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(trail.folder, copy)
    lines = list(trail.lines)
    for at in range(20, LAST):
        entry = decode(lines[at])
        prev = leaf_hash(lines[at - 1][:-1]).hex()
        lines[at] = encode(msgspec.structs.replace(entry, prev=prev, actor="x")) + b"\n"
    put(copy, lines)
    (copy / "hashes-0").unlink()
    finding = verify(copy).finding
    assert finding is not None
    assert (finding.first, finding.end) == (17, 33), "checkpoints are over 1, 8, 17, 33, 63 and 66 entries"


def test_what_is_cut_off_behind_the_last_checkpoint_that_anybody_has_is_not_found(tmp_path: Path) -> None:
    """The one thing that no hash can show, as docs/audit.md says."""
    filled(tmp_path)
    with trail_at(tmp_path) as trail:
        size = trail.size
        trail.append([admin(1), admin(2)])
    path = segments_of(tmp_path / "audit")[0].path
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:size]))
    (tmp_path / "audit" / "hashes-0").unlink()
    assert verify(tmp_path / "audit").finding is None


def test_a_skipped_part_of_a_journal_is_found(tmp_path: Path) -> None:
    """Whoever changes where the trail thinks it is in a journal leaves requests out; that shows."""
    filled(tmp_path)
    with trail_at(tmp_path) as trail:
        trail.append(batch(20, 5))
    finding = verify(tmp_path / "audit").finding
    assert finding is not None
    assert "goes on at 20, not at 15" in finding.message


def test_an_own_key_entry_of_a_thief_is_found(trail: Trail, tmp_path: Path) -> None:
    """A change of key that the old key has not signed."""
    home = tmp_path / "home"
    shutil.copytree(trail.home, home)
    thief = Signer(ORIGIN, sha256(b"thief").digest())
    with trail_at(home) as opened:
        signature = base64.b64encode(thief.raw(b"something")).decode()
        detail = {"vkey": thief.verifier.vkey, "signature": signature}
        opened.append([msgspec.structs.replace(admin(1), action="audit.key", detail=detail)])
    finding = verify(home / "audit").finding
    assert finding is not None
    assert "not signed by the key before" in finding.message


def test_a_first_entry_that_is_half_an_entry_is_found(trail: Trail, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(trail.folder, copy)
    (copy / "hashes-0").unlink()
    put(copy, [trail.lines[0].replace(b'"at":', b'"au":'), *trail.lines[1:]])
    assert found(copy, trail) == Finding(0, 1, "it is no entry")
