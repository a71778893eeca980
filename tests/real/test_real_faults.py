"""Whatever a provider does, the client gets a whole answer or an error in its own dialect: nothing between."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.real.processes import Gateway
from tests.real.setting import BEHIND, KEY, Fakes

from fairlead.fakes import FAULT_NAMES

pytestmark = pytest.mark.real

ELSEWHERE = {"stall", "stall_stream", "refuse", "401", "403", "429_quota"}
"""Faults that take long or that a provider as a whole suffers from; other tests have them."""
AMOUNTS = {"429": ":0.01", "429_date": ":0", "slow": ":0.05", "huge": ":40"}
TEXT = "You said: one two three four five six"
CASES = sorted(set(FAULT_NAMES) - ELSEWHERE)
TERMINAL = {"/v1/chat/completions": b"data: [DONE]", "/v1/messages": b"event: message_stop"}


def ask(gate: Gateway, path: str, model: str, *, stream: bool) -> tuple[int, bytes, bool]:
    """Status, body, and whether the answer came to its clean end."""
    address = urlsplit(gate.origin)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    asked = {"model": model, "stream": stream, "max_tokens": 99}
    asked["messages"] = [{"role": "user", "content": TEXT.removeprefix("You said: ")}]
    try:
        connection.request("POST", path, json.dumps(asked), {"authorization": f"Bearer {KEY}"})
        answer = connection.getresponse()
        try:
            return answer.status, answer.read(), True
        except http.client.IncompleteRead as cut:
            return answer.status, cut.partial, False
    finally:
        connection.close()


def text_of(path: str, body: bytes, *, stream: bool) -> str:
    if not stream:
        answer: Any = json.loads(body)
        return str(answer["content"][0]["text"] if "content" in answer else answer["choices"][0]["message"]["content"])
    data = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
    if path == "/v1/messages":
        return "".join(event["delta"].get("text", "") for event in data if event["type"] == "content_block_delta")
    return "".join(choice["delta"].get("content") or "" for event in data for choice in event["choices"])


def judge(path: str, status: int, body: bytes, *, clean: bool, stream: bool) -> None:
    if status != 200:
        error = json.loads(body)["error"]
        assert clean
        assert error["message"]
        assert error.get("code") != "internal_error"
    elif clean:
        assert text_of(path, body, stream=stream) == TEXT
        assert not stream or TERMINAL[path] in body
    else:
        assert stream
        assert b'"error"' in body
        assert TERMINAL[path] not in body


@pytest.mark.parametrize("fault", CASES)
def test_an_answer_is_whole_or_it_is_an_error(gate: Gateway, fake: Fakes, lone: str, fault: str) -> None:
    prefixes = ("openai", "self") if fault == "no_choices" else ("openai", "claude", "self")
    for prefix in prefixes:  # an answer without content is a legal answer of Anthropic's
        for path, stream in (("/v1/chat/completions", False), ("/v1/chat/completions", True), ("/v1/messages", True)):
            fake[BEHIND[prefix]].script(*[fault + AMOUNTS.get(fault, "")] * 2)
            status, body, clean = ask(gate, path, f"once-{prefix}-{lone}", stream=stream)
            judge(path, status, body, clean=clean, stream=stream)
