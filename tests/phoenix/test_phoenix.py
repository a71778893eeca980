"""Traces in Arize Phoenix, a backend for models' traces that we did not write (`make phoenix`).

It reads the conventions' names by itself, so what it shows of a span says whether we use them as others do.
"""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.processes.family import KEY, ROOT, fetch
from tests.processes.tenants import config, fake_provider, tenants

PHOENIX = ROOT / ".phoenix" / "bin" / "phoenix"
WITHIN = 120.0

pytestmark = pytest.mark.skipif(not PHOENIX.exists(), reason="Phoenix is installed by `make phoenix`")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def phoenix(tmp_path: Path) -> Iterator[str]:
    """Its address, once it answers."""
    port, folder = free_port(), tmp_path / "phoenix"
    folder.mkdir()
    environ = {
        **os.environ,
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(PHOENIX.with_name("python")), str(PHOENIX), "serve"], env=environ, cwd=folder, stdout=log, stderr=log
        )
        try:
            end = time.monotonic() + WITHIN
            while not answers(f"http://127.0.0.1:{port}/healthz"):
                assert process.poll() is None, (folder / "log").read_text()[-3000:]
                assert time.monotonic() < end, (folder / "log").read_text()[-3000:]
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def spans_in(phoenix: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{phoenix}/v1/projects/default/spans?limit=100", timeout=20) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())["data"]
    return found


def test_phoenix_shows_model_tokens_and_attempts(tmp_path: Path, phoenix: str) -> None:
    more = f'tenants: {{acme: {{}}}}\nobservability: {{otlp: "{phoenix}", content: on}}\n'
    with fake_provider("--faults=500=0.4", "--seed=2") as port, tenants(tmp_path, config(port, more=more)) as family:
        body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "what is a fairlead?"}]}).encode()
        for _ in range(4):
            fetch(f"{family.url}/v1/chat/completions", body, {"authorization": f"Bearer {KEY}"})
        end = time.monotonic() + 60
        while len(own := [one for one in spans_in(phoenix) if one["name"] == "chat chat"]) < 4:
            assert time.monotonic() < end, spans_in(phoenix)
            time.sleep(0.5)
    spans = spans_in(phoenix)
    answered = next(one for one in own if "gen_ai.usage.input_tokens" in one["attributes"])
    told = answered["attributes"]
    assert told["gen_ai.provider.name"] == "fake"
    print(json.dumps(told, indent=2))
    assert told["llm.model_name"] == "chat"
    assert (told["llm.token_count.prompt"], told["llm.token_count.completion"]) == (4, 6)
    children = [one for one in spans if one["parent_id"] == answered["context"]["span_id"]]
    assert children
    assert {one["name"] for one in children} == {"chat m"}
    assert any(one["status_code"] == "ERROR" for one in spans)
