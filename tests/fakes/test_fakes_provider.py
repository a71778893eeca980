"""How faults are drawn, what a provider remembers, and how it notices that its client left."""

import asyncio
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fairlead.fakes import Pace, Provider, Script, demo, serve

BOUND = 5.0
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "count to 50"}]}
SOURCES = str(Path(__file__).parents[2] / "src")


async def call(
    provider: Provider, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    def go() -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", provider.port, timeout=BOUND)
        raw = None if body is None else json.dumps(body)
        connection.request(method, path, raw, headers or {})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, json.loads(data)

    return await asyncio.to_thread(go)


async def statuses(provider: Provider, count: int, model: str = "m") -> list[int]:
    body = BODY | {"model": model}
    return [(await call(provider, "POST", "/v1/chat/completions", body))[0] for _ in range(count)]


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def test_a_sequence_is_followed_and_then_all_is_well() -> None:
    async with serve("openai", script=Script.of("429", "ok", "503")) as provider:
        assert await statuses(provider, 5) == [429, 200, 503, 200, 200]


async def test_the_same_seed_draws_the_same_faults() -> None:
    script = Script.of(rates={"429": 0.3, "500": 0.3})
    drawn = []
    for seed in (1, 1, 2):
        async with serve("openai", script=script, seed=seed) as provider:
            drawn.append(await statuses(provider, 30))
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert set(drawn[0]) == {200, 429, 500}


async def test_a_model_suffix_names_a_fault_and_leaves_the_queue_alone() -> None:
    async with serve("openai", script=Script.of("500")) as provider:
        assert await statuses(provider, 1, "gpt-4o-mini@429:2") == [429]
        status, _ = await call(provider, "POST", "/v1/chat/completions", BODY, {"x-fake-fault": "404"})
        assert status == 404
        assert await statuses(provider, 2) == [500, 200]


async def test_a_script_can_be_told_at_run_time() -> None:
    async with serve("openai") as provider:
        assert await call(provider, "POST", "/__fake/script", ["429", "cut:3"]) == (200, {})
        assert await statuses(provider, 1) == [429]
        told = {"sequence": ["503"], "rates": {"401": 1.0}, "pace": {"chunks": 3}}
        assert await call(provider, "POST", "/__fake/script", told) == (200, {})
        assert await statuses(provider, 3) == [503, 401, 401]
        status, answer = await call(provider, "POST", "/__fake/script", ["nonsense"])
        assert status == 400
        assert "429_date" in answer["error"]


async def test_the_log_shows_requests_but_no_keys() -> None:
    async with serve("openai", key="sk-secret") as provider:
        good, bad = {"authorization": "Bearer sk-secret"}, {"authorization": "Bearer sk-wrong"}
        assert (await call(provider, "POST", "/v1/chat/completions", BODY, good))[0] == 200
        assert (await call(provider, "POST", "/v1/chat/completions", BODY, bad))[0] == 401
        assert (await call(provider, "POST", "/v1/chat/completions", BODY))[0] == 401
        _, log = await call(provider, "GET", "/__fake/log")
        assert [entry["headers"].get("authorization") for entry in log] == ["matched", "wrong", None]
        assert log[0]["body"] == BODY
        assert [entry["status"] for entry in log] == [200, 401, 401]
        assert log[0]["finished_at"] >= log[0]["at"]
        assert "sk-" not in json.dumps(log)
        await call(provider, "DELETE", "/__fake/log")
        assert await call(provider, "GET", "/__fake/log") == (200, [])


@pytest.mark.parametrize("dialect", ["anthropic", "openai"])
async def test_anthropic_prefers_its_own_header_over_bearer(dialect: str) -> None:
    headers = {"x-api-key": "sk-right", "authorization": "Bearer sk-wrong", "anthropic-version": "2023-06-01"}
    async with serve(dialect, key="sk-right") as provider:
        status, _ = await call(provider, "GET", "/v1/models", headers=headers)
    assert status == (200 if dialect == "anthropic" else 401)


async def test_a_self_hosted_server_needs_no_key() -> None:
    async with serve("self_hosted") as provider:
        assert await statuses(provider, 1) == [200]


@pytest.mark.parametrize("pace", [Pace(first=60), Pace(interval=60)])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_is_noticed_at_once(pace: Pace, stream: bool) -> None:
    fault = {} if stream else {"x-fake-fault": "stall"}
    async with serve("openai", script=Script(pace=pace)) as provider:
        _, writer = await asyncio.open_connection("127.0.0.1", provider.port)
        raw = json.dumps(BODY | {"stream": stream}).encode()
        extra = "".join(f"{name}: {value}\r\n" for name, value in fault.items())
        writer.write(f"POST /v1/chat/completions HTTP/1.1\r\n{extra}content-length: {len(raw)}\r\n\r\n".encode() + raw)
        await until(lambda: provider.open == 1)
        assert (await call(provider, "GET", "/__fake/open"))[1] == {"open": 1}
        writer.transport.abort()
        await until(lambda: provider.open == 0)
        assert provider.seen[0].disconnected_at is not None
        assert provider.seen[0].finished_at is None


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with serve("openai") as provider:

        def go() -> list[int]:
            connection = http.client.HTTPConnection("127.0.0.1", provider.port, timeout=BOUND)
            found = []
            for stream in (True, False, True):
                connection.request("POST", "/v1/chat/completions", json.dumps(BODY | {"stream": stream}))
                answer = connection.getresponse()
                assert answer.read()
                found.append(connection.sock.getsockname()[1])
            connection.close()
            return found

        assert len(set(await asyncio.to_thread(go))) == 1


async def test_a_body_may_come_in_chunks_and_in_pieces() -> None:
    raw = json.dumps(BODY).encode()
    parts = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (raw[:7], raw[7:])) + b"0\r\n\r\n"
    whole = b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n" + parts
    async with serve("openai") as provider:
        reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
        for at in range(0, len(whole), 11):
            writer.write(whole[at : at + 11])
            await writer.drain()
            await asyncio.sleep(0)
        assert (await asyncio.wait_for(reader.read(), BOUND)).startswith(b"HTTP/1.1 200 ")
        writer.close()
        assert provider.seen[0].body == BODY


async def test_the_pace_is_kept() -> None:
    async with serve("openai", script=Script(pace=Pace(first=0.1, interval=0.02, chunks=5))) as provider:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
        raw = json.dumps(BODY | {"stream": True}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\ncontent-length: {len(raw)}\r\n\r\n"
        writer.write(head.encode() + raw)
        answer = await asyncio.wait_for(reader.read(), BOUND)
        writer.close()
    assert answer.count(b'"content":"') == 1 + 5
    assert time.monotonic() - began >= 0.1 + 7 * 0.02


def run_fakes(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "fairlead.fakes", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": SOURCES},
    )


@pytest.mark.parametrize("end", ["stdin", "term"])
def test_the_process_says_its_ports_and_ends_when_told(end: str) -> None:
    with run_fakes("--demo", "--faults", "429=1", "--seed", "3") as process:
        assert process.stdout is not None
        assert process.stdin is not None
        ports = json.loads(process.stdout.readline())
        assert set(ports) == {"openai", "anthropic", "self_hosted"}
        connection = http.client.HTTPConnection("127.0.0.1", ports["self_hosted"], timeout=BOUND)
        connection.request("POST", "/v1/chat/completions", json.dumps(BODY))
        assert connection.getresponse().status == 429
        connection.close()
        process.stdin.close() if end == "stdin" else process.terminate()
        assert process.wait(BOUND) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.mark.parametrize("arguments", [(), ("--openai", "127.0.0.1:0", "--faults", "429")])
def test_the_process_refuses_what_makes_no_sense(arguments: tuple[str, ...]) -> None:
    with run_fakes(*arguments) as process:
        assert process.wait(BOUND) == 2


def test_the_demos_configuration_is_yaml_over_the_fakes_ports() -> None:
    config = yaml.safe_load(demo.demo_config({"openai": 1001, "anthropic": 1002, "self_hosted": 1003}))
    urls = {name: row["base_url"] for name, row in config["providers"].items()}
    assert urls["openai"] == "http://127.0.0.1:1001/v1"
    assert urls["anthropic"].startswith("http://127.0.0.1:1002")
    assert urls["self-hosted"] == "http://127.0.0.1:1003/v1"
    used = [entry["use"].partition("/")[0] for entry in config["routes"][0]["deployments"]]
    assert used == ["openai", "anthropic", "self-hosted"]
    assert [key["key"] for key in config["keys"]] == [demo.CLIENT_KEY]
    assert {row.get("api_key") for row in config["providers"].values()} == set(demo.PROVIDER_KEYS.values())
