"""llmock, which we did not write, breaks things on demand and judges its client: no FAIL is allowed to the gateway."""

import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.real.processes import SERVERS_PYTHON, Gateway, gateway, need, running
from tests.real.setting import KEY

pytestmark = pytest.mark.real

PATHS = {"openai": "/v1", "anthropic": "/anthropic/v1"}
BOTH = pytest.mark.parametrize("kind", list(PATHS))
NAMES = [f"case{number}" for number in range(60)]
HELLO: Any = [{"role": "user", "content": "hello there"}]


class Judge:
    """llmock's control paths."""

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def script(self, *behaviors: dict[str, Any]) -> None:
        self._call("POST", "scenario", {"behaviors": behaviors})

    def reset(self) -> None:
        self._call("POST", "reset", {})

    def verdict(self) -> dict[str, Any]:
        found: dict[str, Any] = self._call("GET", "verdict")
        return found

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.origin}/_llmock/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    llmock = need(SERVERS_PYTHON.with_name("llmock"))
    with running([llmock, "serve", "--host", "127.0.0.1", "-p", "0"]) as program:
        yield program.wait_for(
            lambda line: found[0] if (found := re.findall(r"Uvicorn running on (http://\S+)", line)) else None
        )


@pytest.fixture
def judge(origin: str) -> Judge:
    found = Judge(origin)
    found.reset()
    return found


@pytest.fixture(scope="module")
def gate(origin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Two further attempts, and a deployment of its own for every case."""
    config = {
        "providers": {
            kind: {"kind": kind, "base_url": origin + path, "api_key": "sk-mock"} for kind, path in PATHS.items()
        },
        "routes": [
            {
                "model": f"{kind}-{name}",
                "deployments": [f"{kind}/{name}"],
                "retry": {"attempts": 2, "backoff": {"base": "100ms", "cap": "2s"}},
                "timeout": {"total": "20s", "first_token": "3s", "idle": "2s"},
            }
            for kind in PATHS
            for name in NAMES
        ],
        "keys": [{"name": "tests", "key": KEY}],
    }
    with gateway(tmp_path_factory.mktemp("llmock"), json.dumps(config)) as running_gateway:
        yield running_gateway


@pytest.fixture
def model(kind: str, request: pytest.FixtureRequest) -> str:
    """This case's own model name."""
    names = request.session.stash.setdefault(NEXT, list(NAMES))
    assert names, "there are more cases than names: raise the number of NAMES"
    return f"{kind}-{names.pop()}"


NEXT = pytest.StashKey[list[str]]()


def ask(client: openai.OpenAI, model: str, *, stream: bool) -> str:
    if not stream:
        return client.chat.completions.create(model=model, messages=HELLO).choices[0].message.content or ""
    chunks = client.chat.completions.create(model=model, messages=HELLO, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def assert_no_fail(judge: Judge, *, attempts: int) -> None:
    verdict = judge.verdict()
    assert verdict["errors"] == 0, verdict["findings"]
    assert verdict["attempts"] == attempts, verdict


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "retry_after": 1, "times": 2},
        {"status": 503, "retry_after": 0.5},
        {"status": 500, "times": 2},
        {"status": 529},
        {"status": 408},
    ],
    ids=lambda fault: f"{fault['status']}",
)
@BOTH
def test_what_a_retry_can_cure_is_cured(
    chat: openai.OpenAI, judge: Judge, model: str, fault: dict[str, Any], stream: bool
) -> None:
    judge.script({"type": "fail", **fault})
    assert ask(chat, model, stream=stream)
    assert_no_fail(judge, attempts=1 + fault.get("times", 1))


@pytest.mark.parametrize("status", [400, 404, 422])
@BOTH
def test_what_no_retry_can_cure_is_not_retried(chat: openai.OpenAI, judge: Judge, model: str, status: int) -> None:
    judge.script({"type": "fail", "status": status})
    with pytest.raises(openai.APIStatusError):
        ask(chat, model, stream=False)
    assert_no_fail(judge, attempts=1)


@pytest.mark.parametrize("status", [429, 500])
@BOTH
def test_a_lasting_failure_is_given_up_in_time(chat: openai.OpenAI, judge: Judge, model: str, status: int) -> None:
    judge.script({"type": "fail", "status": status, "times": None})
    with pytest.raises(openai.APIStatusError):
        ask(chat, model, stream=False)
    assert_no_fail(judge, attempts=3)


@pytest.mark.parametrize("fault", ["disconnect", "truncate", "malformed", "stall"])
@BOTH
def test_a_stream_that_broke_is_never_taken_for_whole(
    chat: openai.OpenAI, judge: Judge, model: str, fault: str
) -> None:
    """After its first event nothing can be retried for the client: it is told, and asks again itself."""
    judge.script({"type": "stream_fault", "kind": fault, "after_chunks": 3, "stall_seconds": 6})
    with pytest.raises(openai.APIError, match="broke off"):
        ask(chat, model, stream=True)
    assert ask(chat, model, stream=True)
    assert_no_fail(judge, attempts=2)


@BOTH
def test_a_stream_that_breaks_before_its_first_event_is_retried(chat: openai.OpenAI, judge: Judge, model: str) -> None:
    judge.script({"type": "stream_fault", "kind": "disconnect", "after_chunks": 0})
    assert ask(chat, model, stream=True)
    assert_no_fail(judge, attempts=2)
