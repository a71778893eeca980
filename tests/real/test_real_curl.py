"""curl, as the README has it: what a terminal sees of answers, streams and refusals."""

import json
import subprocess
from typing import Any

import pytest
from tests.real.processes import Gateway
from tests.real.setting import KEY, Fakes

pytestmark = pytest.mark.real


def curl(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "30", *arguments], capture_output=True, text=True
    )


def chat(
    gate: Gateway, *arguments: str, path: str = "/v1/chat/completions", **body: Any
) -> "subprocess.CompletedProcess[str]":
    asked = {"messages": [{"role": "user", "content": "hello there world"}], **body}
    headers = ["-H", f"authorization: Bearer {KEY}", "-H", "content-type: application/json"]
    return curl(gate.origin + path, *headers, "-d", json.dumps(asked), *arguments)


def test_an_answer_is_one_json_object(gate: Gateway, fake: Fakes) -> None:
    done = chat(gate, "--fail", model="openai-x")
    assert done.returncode == 0
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "You said: hello there world"


def test_a_stream_ends_with_done_and_a_clean_connection(gate: Gateway, fake: Fakes) -> None:
    done = chat(gate, "--no-buffer", "--fail", model="openai-x", stream=True)
    assert done.returncode == 0
    assert done.stdout.endswith("data: [DONE]\n\n")
    messages = chat(gate, "--fail", path="/v1/messages", model="openai-x", stream=True, max_tokens=9)
    assert messages.returncode == 0
    assert messages.stdout.rstrip().endswith('{"type":"message_stop"}')


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("fault", ["cut:4", "ended_early:4", "error_event:4"])
def test_a_broken_stream_is_an_error_to_curl_too(gate: Gateway, fake: Fakes, lone: str, fault: str, path: str) -> None:
    fake["openai"].script(fault)
    done = chat(gate, "--no-buffer", path=path, model=f"openai-{lone}", stream=True, max_tokens=9)
    assert done.returncode != 0
    assert '"error"' in done.stdout
    assert "[DONE]" not in done.stdout
    assert "message_stop" not in done.stdout


def test_refusals_have_their_status_and_no_stack_trace(gate: Gateway) -> None:
    status = ("-o", "-", "-w", "\n%{http_code}")
    url, key = gate.base_url + "/chat/completions", f"authorization: Bearer {KEY}"
    cases = {
        "401": curl(url, "-d", "{}", *status),
        "400": curl(url, "-H", key, "-d", "{nonsense", *status),
        "404": curl(gate.origin + "/v1/nothing", "-H", key, *status),
        "405": curl(url, "-H", key, "-X", "PUT", "-d", "{}", *status),
    }
    for expected, done in cases.items():
        body, _, code = done.stdout.rpartition("\n")
        assert code == expected
        assert json.loads(body)["error"]["message"]
        assert "Traceback" not in body


def test_health_is_told_without_a_key(gate: Gateway) -> None:
    for path in ("/livez", "/readyz", "/healthz"):
        assert curl("--fail", gate.origin + path).returncode == 0


def test_expect_100_continue_and_chunked_uploads_work(gate: Gateway, fake: Fakes) -> None:
    text = "word " * 20_000
    asked: Any = [{"role": "user", "content": text}]
    expected = chat(gate, "--fail", "-H", "expect: 100-continue", model="openai-x", messages=asked)
    chunked = chat(gate, "--fail", "-H", "transfer-encoding: chunked", model="openai-x", messages=asked)
    for done in (expected, chunked):
        assert done.returncode == 0
        assert json.loads(done.stdout)["usage"]["prompt_tokens"] == 20_000
