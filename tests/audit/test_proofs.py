"""Proofs as they are handed out, the stand-alone verifier that we give to others, and proofs that are forged."""

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from tests.audit.trails import admin, batch, filled, trail_at

from fairlead.audit import proofs
from fairlead.audit.note import Checkpoint, Signer, claimed
from fairlead.audit.proofs import ProofError
from fairlead.audit.segments import segments_of
from fairlead.audit.verify import verify

TOOL = Path(__file__).parents[2] / "tools" / "verify_audit.py"


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_audit", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load_tool()
Proof = dict[str, Any]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("proofs")
    filled(home, (5, 6, 300, 9))
    return home


@pytest.fixture(scope="module")
def vkey(data: Path) -> str:
    return verify(data / "audit").keys[0]


def plain(proof: Any) -> Proof:
    return dict(json.loads(msgspec.json.encode(proof)))


def says(proof: Proof, vkey: str) -> bool:
    try:
        tool.verify(proof, vkey)
    except tool.NotProvenError:
        return False
    return True


def test_every_entry_is_proven_to_the_verifier(data: Path, vkey: str) -> None:
    size = claimed((data / "audit" / "checkpoint").read_text()).size
    for index in range(size):
        proof = plain(proofs.inclusion(data / "audit", index))
        assert len(proof["hashes"]) <= 9
        assert says(proof, vkey)
        assert not says({**proof, "index": (index + 1) % size}, vkey)
        assert not says({**proof, "entry": proof["entry"] + " "}, vkey)


def test_every_signed_tree_is_proven_to_begin_every_later_one(data: Path, vkey: str) -> None:
    sizes = [1, 6, 12, 312, 321]
    for place, old in enumerate(sizes):
        for new in sizes[place:]:
            proof = plain(proofs.consistency(data / "audit", old, new))
            assert says(proof, vkey)
            if old != new:
                assert not says({**proof, "old": proof["new"], "new": proof["old"]}, vkey)
            if proof["hashes"]:
                assert not says({**proof, "hashes": proof["hashes"][:-1]}, vkey)
                assert not says({**proof, "hashes": [*proof["hashes"], proof["hashes"][0]]}, vkey)


FORGERIES: list[tuple[str, Callable[[Proof], Proof]]] = [
    ("no signature", lambda proof: {**proof, "checkpoint": proof["checkpoint"].split("\n\n")[0] + "\n"}),
    ("another size", lambda proof: {**proof, "checkpoint": proof["checkpoint"].replace("\n321\n", "\n322\n")}),
    ("another origin", lambda proof: {**proof, "checkpoint": proof["checkpoint"].replace("fairlead.test", "x", 1)}),
    ("no hashes", lambda proof: {**proof, "hashes": []}),
    ("a hash more", lambda proof: {**proof, "hashes": [*proof["hashes"], proof["hashes"][0]]}),
    ("a hash less", lambda proof: {**proof, "hashes": proof["hashes"][1:]}),
    ("hashes swapped", lambda proof: {**proof, "hashes": proof["hashes"][::-1]}),
    ("a short hash", lambda proof: {**proof, "hashes": ["AAAA", *proof["hashes"][1:]]}),
    ("no base64", lambda proof: {**proof, "hashes": ["!", *proof["hashes"][1:]]}),
    ("an index below", lambda proof: {**proof, "index": -1}),
    ("an index beyond", lambda proof: {**proof, "index": 321}),
    ("an index that is text", lambda proof: {**proof, "index": "20"}),
    ("an index that is true", lambda proof: {**proof, "index": True}),
    ("no entry", lambda proof: {name: value for name, value in proof.items() if name != "entry"}),
    ("no proof", lambda _proof: {}),
]


@pytest.mark.parametrize(("name", "forge"), FORGERIES, ids=[name for name, _ in FORGERIES])
def test_a_forged_proof_is_refused(data: Path, vkey: str, name: str, forge: Callable[[Proof], Proof]) -> None:
    assert not says(forge(plain(proofs.inclusion(data / "audit", 20))), vkey)


def test_a_proof_under_another_key_is_refused(data: Path, vkey: str) -> None:
    other = Signer("fairlead.test/m1", b"o" * 32)
    proof = plain(proofs.inclusion(data / "audit", 20))
    assert not says(proof, other.verifier.vkey)
    text = proof["checkpoint"].split("\n\n")[0] + "\n"
    assert not says({**proof, "checkpoint": other.sign(text)}, vkey)
    wrong_id = vkey.replace(vkey.split("+")[1], "00000000")
    for bad in ("", "a+b", vkey[:-4], wrong_id):
        assert not says(proof, bad)


def test_a_tree_of_nothing_proves_nothing(data: Path, vkey: str) -> None:
    proof = plain(proofs.inclusion(data / "audit", 0))
    for size in (0, 1, 2, 3):
        assert not says({**proof, "hashes": [], "checkpoint": proof["checkpoint"].replace("321", str(size))}, vkey)


def test_two_histories_of_one_size_are_no_proof() -> None:
    signer = Signer("fairlead.test/m1", b"s" * 32)
    one, other = (signer.sign(Checkpoint("fairlead.test/m1", 5, root * 32).text()) for root in (b"a", b"b"))
    assert says({"old": one, "new": one, "hashes": []}, signer.verifier.vkey)
    assert not says({"old": one, "new": other, "hashes": []}, signer.verifier.vkey)


def test_what_is_not_there_is_not_proven(data: Path, tmp_path: Path) -> None:
    for index in (-1, 321):
        with pytest.raises(ProofError, match="not in the newest signed tree"):
            proofs.inclusion(data / "audit", index)
    with pytest.raises(ProofError, match=r"nearest that were: 12, 6, 1$"):
        proofs.consistency(data / "audit", 10)
    with pytest.raises(ProofError, match="cannot be the beginning"):
        proofs.consistency(data / "audit", 12, 6)
    with pytest.raises(ProofError, match="no signed checkpoint"):
        proofs.inclusion(tmp_path, 0)


def test_a_spoilt_trail_proves_nothing(tmp_path: Path) -> None:
    filled(tmp_path, (5, 5))
    path = segments_of(tmp_path / "audit")[0].path
    path.write_bytes(path.read_bytes().replace(b'"r3"', b'"r9"'))
    with pytest.raises(ProofError, match="not what was signed"):
        proofs.inclusion(tmp_path / "audit", 4)
    hashes = tmp_path / "audit" / "hashes-0"
    hashes.write_bytes(b"x" * hashes.stat().st_size)
    with pytest.raises(ProofError, match="not what was signed"):
        proofs.consistency(tmp_path / "audit", 6)


def test_entries_behind_the_newest_checkpoint_are_not_proven_yet(tmp_path: Path) -> None:
    filled(tmp_path, (5,))
    with trail_at(tmp_path) as trail:
        trail.append([admin(1), *batch(5, 3)])
        with pytest.raises(ProofError, match="which has 6"):
            proofs.inclusion(tmp_path / "audit", 6)


def test_the_tool_is_run_as_a_command(
    data: Path, vkey: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "proof.json"
    file.write_bytes(msgspec.json.encode(proofs.inclusion(data / "audit", 7)))
    assert tool.main([str(file), "--key", vkey]) == 0
    assert "entry 7 is in the tree of 321 entries of fairlead.test/m1" in capsys.readouterr().out
    file.write_text("{}")
    assert tool.main([str(file), "--key", vkey]) == 1
    assert tool.main([str(tmp_path / "nowhere"), "--key", vkey]) == 1


def test_the_tool_needs_nothing_but_the_standard_library_and_cryptography() -> None:
    tree = ast.parse(TOOL.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} == {
        "argparse", "base64", "cryptography", "hashlib", "json", "pathlib", "sys",
    }  # fmt: skip


def test_without_cryptography_the_tool_says_what_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(TOOL), "proof.json", "--key", "k"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == "verify_audit.py needs the package 'cryptography': pip install cryptography\n"
