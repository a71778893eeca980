"""Simulations as journals: what the requests of one come to, as the records that a gateway would have written."""

from pathlib import Path

from fairlead.canonical.routing import (
    Snapshot,
    Timeouts,
)
from fairlead.config.load import load
from fairlead.simulator.providers import Played, Trouble, Upstream
from fairlead.simulator.traffic import Arrival

BEGINS = 1_790_000_000.0
SALT = 7
CHAIN = """
providers:
  a: {kind: openai, base_url: "http://127.0.0.1:1/v1", api_key: sk-a}
  b: {kind: openai, base_url: "http://127.0.0.1:2/v1", api_key: sk-b}
routes:
  - model: chat
    select: priority
    deployments:
      - {use: a/one, priority: 1, price: {input: 1, output: 4}}
      - {use: b/two, priority: 2, price: {input: 3, output: 15}}
    retry: {attempts: 1, backoff: {base: 100ms, cap: 1s}}
"""


class Recorder:
    """A provider that remembers what it was asked and what came of it."""

    def __init__(self, name: str, provider: Upstream, into: dict[Arrival, list[tuple[str, float, Played]]]) -> None:
        self.troubles: tuple[Trouble, ...] = ()
        self._name, self._provider, self._into = name, provider, into

    def play(self, request: Arrival, now: float, timeouts: Timeouts, deadline: float) -> Played:
        played = self._provider.play(request, now, timeouts, deadline)
        self._into.setdefault(request, []).append((self._name, now, played))
        return played


def configured(text: str) -> Snapshot:
    loaded = load("fairlead.yaml", {}, read_file=lambda _: text) if False else _load(text)
    assert loaded is not None
    return loaded


def _load(text: str) -> Snapshot | None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fairlead.yaml"
        path.write_text(text)
        return load(str(path), {}).snapshot
