"""What a running gateway recorded, replayed with its own configuration, comes to what it came to."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.processes.family import KEY, ROOT, serving

from fairlead.fakes.demo import CONFIG

REQUESTS = 400
OWN = CONFIG.format(openai=1, anthropic=2, self_hosted=3).replace("fl-demo", KEY)
"""The demo's, but for ports that nobody asks and for a key that is long enough outside of the demo."""
ALONE = "\n".join(line for line in OWN.splitlines() if "priority: 2" not in line and "priority: 3" not in line)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a demo that has served a few hundred requests, half of them streams."""
    data = tmp_path_factory.mktemp("demo")
    with serving("--demo", "--workers", "2", data=data) as family, ThreadPoolExecutor(16) as clients:
        assert family.event("ready")
        asked = [clients.submit(family.chat, "fl-demo", stream=bool(number % 2)) for number in range(REQUESTS)]
        assert {one.result()[0] for one in asked} <= {200, 429, 502, 503}
    (data / "own.yaml").write_text(OWN)
    (data / "alone.yaml").write_text(ALONE)
    return data


def replay(folder: Path, *flags: str) -> dict[str, Any]:
    told = subprocess.run(
        [sys.executable, "-m", "fairlead", "replay", str(folder), *flags, "--json"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(told.stdout)["replay"]
    return found


def test_the_gateways_own_configuration_comes_to_what_it_came_to(folder: Path) -> None:
    """Its chance differs (jitter, which worker), and its breakers with it; what its providers did does not."""
    found = replay(folder, "--config", "own.yaml", "--against", "own.yaml")
    then, now = found["recorded"], found["new"]
    assert then["requests"] == now["requests"] == REQUESTS
    assert now == found["old"]
    assert now["answered"] == pytest.approx(then["answered"], abs=0.02 * REQUESTS)
    assert now["fallbacks"] == pytest.approx(then["fallbacks"], abs=0.1 * REQUESTS)
    assert now["attempts"] == pytest.approx(then["attempts"], rel=0.1)
    assert then["fallbacks"] > 0
    assert {one["sender"] for one in found["served"]} == {"demo"}
    assert not [one for one in found["assumed"] if "no key" in one or "tells nothing" in one]


def test_without_its_fallbacks_fewer_are_answered(folder: Path) -> None:
    found = replay(folder, "--config", "alone.yaml", "--against", "own.yaml")
    assert found["new"]["fallbacks"] == 0
    assert found["new"]["answered"] < found["old"]["answered"] - 0.1 * REQUESTS
    assert set(found["deployments"]) >= {"openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"}
    assert found["deployments"]["anthropic/claude-haiku-4-5"]["new"] == 0
