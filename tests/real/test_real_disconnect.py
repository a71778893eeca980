"""A client that goes away takes its request at the provider with it, at once and everywhere on the way."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.real.processes import Gateway
from tests.real.setting import BEHIND, KEY, Fakes

pytestmark = pytest.mark.real
BOUND = 5.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def ask(gate: Gateway, model: str, *, stream: bool, path: str) -> socket.socket:
    """A request on a connection of its own, whose answer nobody has read yet."""
    body: Any = {
        "model": model,
        "stream": stream,
        "max_tokens": 5000,
        "messages": [{"role": "user", "content": "count to 1000"}],
    }
    raw = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(raw)}\r\n\r\n"
    address = urlsplit(gate.origin)
    sock = socket.create_connection((address.hostname or "", address.port or 0), timeout=BOUND)
    sock.sendall(head.encode() + raw)
    return sock


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("prefix", ["openai", "claude"])
def test_while_the_provider_has_said_nothing_yet(
    gate: Gateway, fake: Fakes, lone: str, prefix: str, stream: bool, path: str
) -> None:
    behind = fake[BEHIND[prefix]]
    behind.script("stall")
    sock = ask(gate, f"once-{prefix}-{lone}", stream=stream, path=path)
    until(lambda: behind.open() == 1)
    sock.close()
    until(lambda: behind.open() == 0)
    (seen,) = behind.log()
    assert seen["disconnected_at"] is not None


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("prefix", ["openai", "claude"])
def test_in_the_middle_of_a_stream(gate: Gateway, fake: Fakes, lone: str, prefix: str, path: str) -> None:
    behind = fake[BEHIND[prefix]]
    behind.pace(interval=0.05)
    sock = ask(gate, f"once-{prefix}-{lone}", stream=True, path=path)
    got = b""
    while b"4 " not in got and b" 4" not in got:
        got += sock.recv(4096)
    sock.close()
    until(lambda: behind.open() == 0)
    (seen,) = behind.log()
    assert seen["disconnected_at"] is not None
    assert seen["written"] < 500


def test_while_waiting_between_two_attempts(gate: Gateway, fake: Fakes, lone: str) -> None:
    """Nobody waits for the second attempt any more, so there is none."""
    fake["openai"].script("429:1")
    sock = ask(gate, f"openai-{lone}", stream=False, path="/v1/chat/completions")
    until(lambda: [entry["status"] for entry in fake["openai"].log()] == [429])
    sock.close()
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        assert len(fake["openai"].log()) == 1
        time.sleep(0.1)


def test_a_client_that_stays_is_unharmed_by_one_that_leaves(gate: Gateway, fake: Fakes, lone: str) -> None:
    fake["openai"].pace(interval=0.001)
    leaving = ask(gate, f"once-openai-{lone}", stream=True, path="/v1/chat/completions")
    staying = ask(gate, f"once-openai-{lone}", stream=True, path="/v1/chat/completions")
    leaving.recv(1000)
    leaving.close()
    got = b""
    while not got.endswith(b"0\r\n\r\n"):
        data = staying.recv(65536)
        assert data, "the stream was cut"
        got += data
    staying.close()
    assert b"data: [DONE]" in got
    assert b" 1000" in got
