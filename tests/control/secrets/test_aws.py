"""Secrets Manager and Systems Manager, as moto plays them, through boto3."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.control.secrets.servers import moto

from fairlead.config import vaults
from fairlead.control.secrets.aws import Parameters, SecretsManager
from fairlead.control.secrets.store import StoreError

CANARY = "sk-canary-at-aws"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with moto() as running:
        yield running


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def filled(address: str) -> str:
    """moto with two secrets and two parameters in it."""
    import boto3  # type: ignore[import-untyped]

    facts = {"region_name": "eu-west-1", "endpoint_url": address}
    session = boto3.session.Session("test", "test")
    secrets = session.client("secretsmanager", **facts)
    secrets.create_secret(Name="plain", SecretString=CANARY)
    secrets.create_secret(Name="prod/llm", SecretString=json.dumps({"openai": CANARY, "n": 1}))
    secrets.create_secret(Name="binary", SecretBinary=CANARY.encode())
    parameters = session.client("ssm", **facts)
    parameters.put_parameter(Name="/prod/openai", Value=CANARY, Type="SecureString")
    parameters.put_parameter(Name="openai", Value="plain " + CANARY, Type="String")
    return address


async def trouble(store: Any, rest: str) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await store.read(rest)
    assert CANARY not in str(caught.value)
    return caught.value


async def test_a_secret_is_read_whole_or_by_field(filled: str) -> None:
    store = SecretsManager(vaults.Aws(region="eu-west-1", endpoint=filled))
    assert await store.read("plain") == CANARY
    assert await store.read("prod/llm#openai") == CANARY


async def test_a_secure_parameter_is_read_decrypted(filled: str) -> None:
    store = Parameters(vaults.Aws(region="eu-west-1", endpoint=filled))
    assert await store.read("prod/openai") == await store.read("/prod/openai") == CANARY
    assert await store.read("openai") == "plain " + CANARY


@pytest.mark.parametrize(
    ("rest", "kind", "words"),
    [
        ("nothing", "missing", "does not have it (ResourceNotFoundException)"),
        ("prod/llm#anthropic", "missing", "no field 'anthropic'"),
        ("prod/llm#n", "unusable", "not text"),
        ("plain#openai", "unusable", "is not JSON"),
        ("binary", "unusable", "is binary"),
    ],
)
async def test_what_is_not_there_is_named(filled: str, rest: str, kind: str, words: str) -> None:
    error = await trouble(SecretsManager(vaults.Aws(region="eu-west-1", endpoint=filled)), rest)
    assert error.trouble == kind
    assert words in error.reason


async def test_a_missing_parameter_is_named(filled: str) -> None:
    error = await trouble(Parameters(vaults.Aws(region="eu-west-1", endpoint=filled)), "prod/nothing")
    assert (error.trouble, "ParameterNotFound" in error.reason) == ("missing", True)


async def test_without_a_region_the_way_out_is_told(filled: str) -> None:
    error = await trouble(SecretsManager(vaults.Aws(endpoint=filled)), "plain")
    assert error.trouble == "unconfigured"
    assert "set AWS_REGION or secrets.aws.region" in error.reason


async def test_aws_that_does_not_answer_is_unreachable() -> None:
    error = await trouble(SecretsManager(vaults.Aws(region="eu-west-1", endpoint="http://127.0.0.1:9")), "plain")
    assert error.trouble == "unreachable"


async def test_without_boto3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    error = await trouble(SecretsManager(vaults.Aws(region="eu-west-1")), "plain")
    assert error.trouble == "unconfigured"
    assert error.reason == "boto3 is not installed; in a clone of Fairlead: pip install '.[aws]'"
