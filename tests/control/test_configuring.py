"""How a changed configuration file is taken up, and what only a restart takes up."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from fairlead.canonical.routing import Snapshot
from fairlead.config.load import load
from fairlead.control.configuring import ConfigPost, Configuring
from fairlead.control.health import Health
from fairlead.control.secrets.store import Machine
from fairlead.state.board import Board
from fairlead.state.keepsake import Keepsake

HERE = "providers: {box: {kind: openai, base_url: 'http://h/v1'}}\nroutes: [{model: chat, deployments: [box/m]}]\n"
SHARED = f"{HERE}state: redis://127.0.0.1:1\n"


class Watched(Configuring):
    """Counts what it is asked for."""

    reloads = 0

    def reload(self) -> None:
        self.reloads += 1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fairlead.yaml"
    path.write_text(HERE)
    return path


@pytest.fixture
async def config(file: Path) -> AsyncIterator[Watched]:
    compiled = partial(load, str(file), {})
    first = compiled().snapshot
    assert first is not None
    post = ConfigPost(
        watched=(file,),
        first=first,
        compile=lambda fetched: compiled(fetched=fetched),
        machine=Machine(environ={}),
        keepsake=Keepsake(65536),
    )
    published: list[Snapshot] = []

    def publish(snapshot: Snapshot) -> int:
        published.append(snapshot)
        return len(published)

    board = Board(1)
    made = Watched(post, board, Health(board), publish=publish, guard=lambda _: None)
    await made.start()
    yield made
    await made.close()


async def test_a_file_is_taken_up_once_it_rests(file: Path, config: Watched) -> None:
    config.look()
    config.look()
    assert config.reloads == 0
    for size in (10, 40):
        file.write_text(SHARED[:size])
        config.look()
        assert config.reloads == 0, "it is still being written"
    file.write_text(SHARED)
    for _ in range(3):
        config.look()
    assert config.reloads == 1


async def test_another_state_needs_a_restart_and_the_former_one_none(
    file: Path, config: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[list[str]]:
        return [record.__dict__["changed"] for record in caplog.records if record.message == "restart_needed"]

    file.write_text(SHARED)
    await config._reload()
    assert told() == [["state"]]
    file.write_text(HERE)
    await config._reload()
    assert told() == [["state"]]
