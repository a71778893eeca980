"""Signed notes and checkpoints: C2SP's own example, a key that openssl made, and everything that is not one."""

import base64
import subprocess
from collections.abc import Callable

import pytest

from fairlead.audit import note
from fairlead.audit.note import Checkpoint, NoteError, Signer

VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n\n\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
SIGNER = Signer("fairlead.test/log", b"s" * 32)
OTHER = Signer("fairlead.test/log", b"o" * 32)
CHECKPOINT = Checkpoint("fairlead.test/log", 20852163, b"r" * 32)


def test_the_example_of_the_specification_verifies() -> None:
    key = note.verifier_of(VKEY)
    assert key.vkey == VKEY
    assert note.text_of(NOTE, key) == "This is an example message.\n"


def test_a_checkpoint_survives_being_signed_and_opened() -> None:
    signed = SIGNER.sign(CHECKPOINT.text())
    assert note.opened(signed, note.verifier_of(SIGNER.verifier.vkey)) == CHECKPOINT
    assert note.claimed(signed) == CHECKPOINT


def test_further_signatures_of_strangers_are_ignored() -> None:
    signed = SIGNER.sign(CHECKPOINT.text())
    both = signed + OTHER.sign(CHECKPOINT.text()).rpartition("\n\n")[2]
    assert note.opened(both, SIGNER.verifier) == CHECKPOINT
    assert note.opened(both, OTHER.verifier) == CHECKPOINT


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("20852163", "20852164"),
        lambda text: text.replace("\n\n", "\n"),
        lambda text: text[:-1],
        lambda text: text.replace("\u2014", "-"),
        lambda text: text + "\u2014 a b c\n",
        lambda text: text.replace("\n\n", "\n\t\n\n"),
        lambda text: "x\n" + text,
        lambda text: text + "x" * 70_000,
        lambda text: "",
    ],
)
def test_a_note_that_was_changed_is_refused(spoil: Callable[[str], str]) -> None:
    with pytest.raises(NoteError):
        note.opened(spoil(SIGNER.sign(CHECKPOINT.text())), SIGNER.verifier)


def test_a_note_of_an_unknown_key_is_refused() -> None:
    with pytest.raises(NoteError, match="no known key"):
        note.opened(OTHER.sign(CHECKPOINT.text()), SIGNER.verifier)


def test_a_wrong_signature_of_a_known_key_spoils_the_note_whoever_else_has_signed_it() -> None:
    good, other = SIGNER.sign(CHECKPOINT.text()), OTHER.sign("another\n")
    forged = good + other.rpartition("\n\n")[2]
    with pytest.raises(NoteError, match="wrong"):
        note.opened(forged, SIGNER.verifier, OTHER.verifier)


ROOT = base64.b64encode(b"r" * 32).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"\n5\n{ROOT}\n", f"o\n05\n{ROOT}\n", f"o\n-5\n{ROOT}\n", f"o\n٥\n{ROOT}\n", f"o\n5\n{ROOT}", "o\n5\n",
        f"o\n5\n{ROOT[:-4]}\n", f"o\n5\n{ROOT}\n\nx\n", "o\n5\n!!\n", f"o\n5\n{ROOT[:-2]}9=\n",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        note.checkpoint_of(text)


def test_extension_lines_are_allowed() -> None:
    assert note.checkpoint_of(f"o\n5\n{ROOT}\nextension\n").size == 5


@pytest.mark.parametrize(
    "vkey",
    ["", "a+b", VKEY.replace("530d903a", "530d903b"), VKEY[:-4], VKEY.replace("+Ae", "+Be"), "a b" + VKEY, "x+y+zzz"],
)
def test_what_is_no_key_is_refused(vkey: str) -> None:
    with pytest.raises(NoteError):
        note.verifier_of(vkey)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n"])
def test_a_name_without_spaces_and_plus_signs(name: str) -> None:
    with pytest.raises(NoteError):
        Signer(name, b"s" * 32)


def test_a_key_of_openssl_is_read_and_written_back() -> None:
    pem = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519"], check=True, capture_output=True, text=True
    ).stdout
    seed = note.seed_of(pem)
    assert note.pem_of(seed) == pem
    assert len(seed) == 32


@pytest.mark.parametrize(
    "pem",
    ["", "x", note.pem_of(b"k" * 31), note.pem_of(b"k" * 33), note.pem_of(b"k" * 32).replace("PRIVATE", "PUBLIC"),
     "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n",
     "-----BEGIN PRIVATE KEY-----\nMC4=A\n-----END PRIVATE KEY-----\n"],
)  # fmt: skip
def test_what_is_no_private_key_is_refused_without_being_quoted(pem: str) -> None:
    with pytest.raises(NoteError, match="openssl genpkey") as caught:
        note.seed_of(pem)
    assert "MC4" not in str(caught.value)
