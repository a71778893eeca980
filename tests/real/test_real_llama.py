"""The gateway in front of the real llama.cpp server with a tiny random model: the words are noise, the wire is real."""

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anthropic
import openai
import pytest
from anthropic.types import Message
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.real.processes import SERVERS_PYTHON, Gateway, Program, gateway, json_line, need, running
from tests.real.setting import KEY

pytestmark = pytest.mark.real

HERE = Path(__file__).parent
HELLO: Any = [{"role": "user", "content": "hello"}]
ENDLESS = 32_000
"""Tokens; minutes of generation."""
POLL = 1.3
"""Seconds. llama.cpp looks for vanished clients after a second without any result, and each look at /slots is one."""
BOTH = pytest.mark.parametrize("model", ["openai-tiny", "claude-tiny"])


class Llama:
    def __init__(self, program: Program, address: str) -> None:
        self.program = program
        self.address = address

    def busy(self) -> int:
        with urllib.request.urlopen(f"{self.address}/slots", timeout=30) as answer:
            return sum(slot["is_processing"] for slot in json.loads(answer.read()))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    python = need(SERVERS_PYTHON)
    file = tmp_path_factory.mktemp("llama") / "tiny.gguf"
    subprocess.run([python, HERE / "tiny_gguf.py", file], check=True)
    with running([python, HERE / "llama_server.py", file]) as program:
        yield Llama(program, program.wait_for(json_line)["address"])


@pytest.fixture(scope="module")
def gate(llama: Llama, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    kinds = {"openai": "openai", "claude": "anthropic"}
    config = {
        "providers": {
            name: {"kind": kind, "base_url": f"{llama.address}/v1", "self_hosted": True, "auth": "none"}
            for name, kind in kinds.items()
        },
        "routes": [{"model": f"{name}-tiny", "deployments": [f"{name}/tiny"]} for name in kinds],
        "keys": [{"name": "tests", "key": KEY}],
    }
    with gateway(tmp_path_factory.mktemp("gateway"), json.dumps(config)) as running_gateway:
        yield running_gateway


@BOTH
def test_an_answer_is_strictly_valid_and_counted(chat: openai.OpenAI, model: str) -> None:
    raw = chat.chat.completions.with_raw_response.create(model=model, messages=HELLO, max_tokens=20)
    answer = ChatCompletion.model_validate_json(raw.content, strict=True)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens == 20


@BOTH
def test_a_stream_ends_with_a_reason_and_its_usage(chat: openai.OpenAI, model: str) -> None:
    stream = chat.chat.completions.create(
        model=model, messages=HELLO, max_tokens=20, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.model_dump(), strict=True)
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] in ("stop", "length")
    assert [chunk.usage.completion_tokens > 0 for chunk in chunks if chunk.usage] == [True]


@BOTH
def test_the_anthropic_client_works_in_front_of_it(claude: anthropic.Anthropic, model: str) -> None:
    raw = claude.messages.with_raw_response.create(model=model, max_tokens=20, messages=HELLO)
    answer = Message.model_validate_json(raw.read())
    assert answer.usage.output_tokens > 0
    with claude.messages.stream(model=model, max_tokens=20, messages=HELLO) as stream:
        streamed = stream.get_final_message()
    assert streamed.stop_reason in ("end_turn", "max_tokens")
    assert streamed.usage.output_tokens > 0


def test_noise_of_every_kind_comes_through_as_it_was(
    chat: openai.OpenAI, claude: anthropic.Anthropic, llama: Llama
) -> None:
    """Control characters, halves of characters, replacement characters: the same with the gateway as without it."""

    def noise(client: openai.OpenAI, seed: int) -> tuple[str, str]:
        asked: Any = {"model": "openai-tiny", "messages": HELLO, "max_tokens": 30, "seed": seed, "temperature": 1.5}
        stream = client.chat.completions.create(**asked, stream=True)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        return client.chat.completions.create(**asked).choices[0].message.content or "", streamed

    with openai.OpenAI(base_url=f"{llama.address}/v1", api_key="none") as direct:
        for seed in range(15):
            assert noise(chat, seed) == noise(direct, seed)
    for _ in range(15):
        with claude.messages.stream(
            model="openai-tiny", max_tokens=30, messages=HELLO, extra_body={"temperature": 1.0}
        ) as events:
            assert "".join(events.text_stream).encode()


def test_a_prompt_that_is_too_long_is_the_clients_fault(chat: openai.OpenAI) -> None:
    asked: Any = [{"role": "user", "content": "a b c " * 30_000}]
    with pytest.raises(openai.BadRequestError) as caught:
        chat.chat.completions.create(model="openai-tiny", messages=asked, max_tokens=5)
    failure: Any = caught.value
    assert failure.body["source"] in ("client", "provider")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_its_slot_goes_idle_when_the_client_leaves(gate: Gateway, llama: Llama, path: str, stream: bool) -> None:
    """Generation would go on for minutes; only a closed connection behind the gateway ends it early."""
    cancelled = llama.program.count("cancel task")
    body = json.dumps({"model": "openai-tiny", "messages": HELLO, "stream": stream, "max_tokens": ENDLESS}).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
    address = urlsplit(gate.origin)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as sock:
        sock.sendall(head.encode() + body)
        _wait(lambda: llama.busy() == 1)
        if stream:
            assert sock.recv(1000)
    _wait(lambda: llama.busy() == 0)
    _wait(lambda: llama.program.count("cancel task") > cancelled)


def _wait(condition: Any) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(POLL)
