"""References resolve, and no value is ever printed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.config.secrets import (
    Fetched,
    Secret,
    UnaskedError,
    UnresolvedError,
    is_placeholder,
    one_line,
    parse_local,
    parse_secret,
    resolve,
)

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
        ("env://NONE", "the environment variable NONE is not set"),
        ("os.environ/NONE", "the environment variable NONE is not set"),
        ("env://NAME", "the environment variable NAME is empty; give it a value"),
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
        ("evn://NAME", "unknown kind of reference evn://; did you mean 'env'?"),
        ("valt://secret/data/llm#x", "did you mean 'vault'?"),
        ("AWS_SM://name", "unknown kind of reference AWS_SM://; did you mean 'aws-sm'?"),
        ("ftp://host/key", "known: env, file, vault, aws-sm, aws-ssm, gcp-sm, azure-kv, k8s"),
        ("env://", "env://NAME, the name of an environment variable"),
        ("env://A B", "env://NAME, the name of an environment variable"),
        ("env:NAME", "env://NAME, the name of an environment variable"),
        ("vault:secret/data/llm#x", "vault://mount/data/path#field"),
        ("${NAME}", "write env://NAME"),
        ("file://relative/path", "absolute path"),
        ("vault://secret/llm#openai", "vault://mount/data/path#field"),
        ("vault://secret/data/llm", "vault://mount/data/path#field"),
        ("vault://secret/data/llm#", "vault://mount/data/path#field"),
        ("vault://secret/data/../sys#x", "vault://mount/data/path#field"),
        ("vault://secret/data/a?version=1#x", "vault://mount/data/path#field"),
        ("aws-sm://", "aws-sm://name#field"),
        ("aws-sm://name#", "aws-sm://name#field"),
        ("aws-ssm://a//b", "aws-ssm://path"),
        ("gcp-sm://P/S", "gcp-sm://projects/PROJECT/secrets/SECRET"),
        ("gcp-sm://projects/p/secrets/s/versions/", "gcp-sm://projects/PROJECT/secrets/SECRET"),
        ("azure-kv://vault", "azure-kv://vault/name"),
        ("azure-kv://evil.example/name", "azure-kv://vault/name"),
        ("k8s://ns/secret", "k8s://namespace/secret#key"),
        ("k8s://ns/../secret#key", "k8s://namespace/secret#key"),
        ("  ", "must not be empty"),
        ("two\nlines", "control characters"),
    ],
)
def test_references_that_cannot_work_are_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_secret(text)


@pytest.mark.parametrize(
    "text",
    [
        "vault://secret/data/llm#openai",
        "vault://team/kv/data/prod/llm.keys#open-ai",
        "aws-sm://llm",
        "aws-sm://arn:aws:secretsmanager:eu-west-1:123456789012:secret:llm-AbCdEf#openai",
        "aws-ssm://openai",
        "aws-ssm://prod/openai",
        "aws-ssm:///prod/openai",
        "gcp-sm://projects/acme-1/secrets/openai",
        "gcp-sm://projects/123/secrets/openai/versions/7",
        "azure-kv://acme-llm/openai",
        "azure-kv://acme-llm/openai/0123456789abcdef0123456789abcdef",
        "k8s://llm/provider-keys#openai",
    ],
)
def test_a_reference_over_the_network_is_taken_and_never_asked_here(text: str) -> None:
    secret = parse_secret(text)
    assert secret.reference == text
    assert secret.is_remote
    with pytest.raises(UnaskedError):
        resolve(secret, {})
    assert resolve(secret, {}, fetched=Fetched({text: CANARY})) == CANARY
    with pytest.raises(UnresolvedError, match="the vault is sealed"):
        resolve(secret, {}, fetched=Fetched({}, {text: "the vault is sealed"}))


def test_what_opens_a_store_cannot_lie_in_one() -> None:
    assert parse_local("env://VAULT_TOKEN") == Secret("env://VAULT_TOKEN")
    with pytest.raises(ValueError, match="before any store can be asked"):
        parse_local("vault://secret/data/me#token")


def test_a_url_with_a_password_is_no_reference_and_not_shown() -> None:
    assert Secret(f"postgresql://user:{CANARY}@host/db").reference is None
    assert CANARY not in repr(Secret(f"postgresql://user:{CANARY}@host/db"))
    with pytest.raises(ValueError, match="unknown kind") as caught:
        parse_secret(f"postgresql://user:{CANARY}@host/db")
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("text", ["", "  \n", "two\nlines", "nul\0"])
def test_what_a_store_gives_must_be_one_line(text: str) -> None:
    with pytest.raises(UnresolvedError, match="vault://a/data/b#c"):
        one_line("vault://a/data/b#c", text)


@pytest.mark.parametrize(
    "value",
    ["change-me-change-me-change", "your-admin-key-goes-here", "<put your key here, please>", "sk-xxxxxxxxxxxxxxxx"],
)
def test_an_examples_placeholder_is_told_from_a_key(value: str) -> None:
    assert is_placeholder(value)
    assert not is_placeholder("fl_01J9ZKQ3_8Qq2vTn5mWc7Rb1Xy4Lp")


@given(st.text(max_size=60))
def test_any_text_is_a_secret_or_refused_without_being_repeated(text: str) -> None:
    canary = text + CANARY
    shown = ""
    try:
        secret = parse_secret(canary)
        shown = "" if secret.reference else repr(secret)
    except ValueError as error:
        shown = str(error)
    assert CANARY not in shown


def test_no_repr_shows_a_literal() -> None:
    assert repr(Secret(CANARY)) == str(Secret(CANARY)) == "Secret(***)"
    assert f"{[Secret(CANARY)]}" == "[Secret(***)]"
    assert repr(Secret("os.environ/NAME")) == "Secret(env://NAME)"


def test_secrets_compare_by_what_was_written() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a") != "a"
