"""The gateway in front of our fakes, started once for all tests of this folder, and the clients that drive it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest

sys.path.append(str(Path(__file__).parents[2]))

from tests.real.processes import Gateway, fakes, gateway
from tests.real.setting import KEY, LONE_NAMES, NUMBERS, PROVIDER_KEY, Fake, Fakes, config


@pytest.fixture(scope="session")
def fake_ports() -> Iterator[dict[str, int]]:
    addresses = [f"--{name}=127.0.0.1:0" for name in ("openai", "anthropic", "self-hosted")]
    with fakes(*addresses, "--key", PROVIDER_KEY) as ports:
        yield ports


@pytest.fixture(scope="session")
def gate(fake_ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway"), config(fake_ports)) as running:
        yield running


@pytest.fixture
def fake(fake_ports: dict[str, int]) -> Fakes:
    """The fakes behind the gateway, with empty logs and nothing scripted."""
    found = {name: Fake(port) for name, port in fake_ports.items()}
    for one in found.values():
        one.reset()
    return found


@pytest.fixture
def lone() -> str:
    """A name that no other test has, for the end of a model's name: see `setting`."""
    number = next(NUMBERS)
    assert number < LONE_NAMES, "there are more such tests than names: raise LONE_NAMES"
    return f"lone{number}"


@pytest.fixture
def chat(gate: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gate.base_url, api_key=KEY, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def claude(gate: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gate.origin, api_key=KEY, max_retries=0, timeout=30) as client:
        yield client
