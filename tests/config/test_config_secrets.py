"""References resolve, and no value is ever printed."""

from pathlib import Path

import pytest

from fairlead.config.secrets import Secret, UnresolvedError, parse_secret, resolve

CANARY = "sk-canary-7f3a"


@pytest.mark.parametrize("reference", ["env://NAME", "os.environ/NAME"])
def test_the_environment_is_read(reference: str) -> None:
    assert resolve(parse_secret(reference), {"NAME": f" {CANARY}\n"}) == CANARY


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(CANARY + "\n")
    assert resolve(parse_secret(f"file://{file}"), {}) == CANARY


def test_a_literal_is_itself() -> None:
    assert resolve(parse_secret(CANARY), {}) == CANARY


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("env://NAME", "the environment variable NAME is not set"),
        ("os.environ/NAME", "the environment variable NAME is not set"),
        ("file:///nowhere/key", "the file /nowhere/key cannot be read: No such file or directory"),
    ],
)
def test_what_is_missing_is_named(reference: str, words: str) -> None:
    with pytest.raises(UnresolvedError) as caught:
        resolve(parse_secret(reference), {"NAME": ""})
    assert str(caught.value) == words


@pytest.mark.parametrize("content", [f"{CANARY}\nsecond line", f"{CANARY}\x00", ""])
def test_a_value_that_cannot_travel_in_a_header_is_not_used_nor_shown(content: str) -> None:
    with pytest.raises(UnresolvedError) as caught:
        resolve(parse_secret("file:///key"), {}, lambda _: content)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vault://secret/data/llm#openai", "vault:// references are not in this version yet"),
        ("aws-sm://name#field", "aws-sm:// references are not in this version yet"),
        ("k8s://ns/secret#key", "k8s:// references are not in this version yet"),
        ("evn://NAME", "unknown kind of reference evn://"),
        ("env://", "must be followed by the name"),
        ("env://A B", "must be followed by the name"),
        ("file://relative/path", "absolute path"),
        ("  ", "must not be empty"),
        ("two\nlines", "control characters"),
    ],
)
def test_references_that_cannot_work_are_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_secret(text)


def test_no_repr_shows_a_literal() -> None:
    assert repr(Secret(CANARY)) == str(Secret(CANARY)) == "Secret(***)"
    assert f"{[Secret(CANARY)]}" == "[Secret(***)]"
    assert repr(Secret("os.environ/NAME")) == "Secret(env://NAME)"


def test_secrets_compare_by_what_was_written() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a") != "a"
