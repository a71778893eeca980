"""A request whose record could not be kept is refused before anyone is asked; no answer leaves before its record."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.gateway.gateway_harness import Gateway, gateway, request_bytes, until

from fairlead.canonical.routing import Journaling
from fairlead.fakes.script import Pace, Script
from fairlead.http.outbox import LARGE, outbox_of

BODY = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "hello"}]}).encode()


def use_up(gate: Gateway) -> None:
    """The share of the disk is what there is already."""
    gate.world.journal.adopt(Journaling(max_size=1))
    while gate.world.journal.promise():
        pass


async def test_without_room_a_request_is_refused_and_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairlead.journal.writer.LOOK_AGAIN", 0.01)
    async with gateway(tmp_path) as gate:
        use_up(gate)
        before = gate.world.journal.refused
        for path in ("/v1/chat/completions", "/v1/messages"):
            answer = await gate.chat(path=path)
            assert answer.status == 503
            assert "ledger_unavailable" in answer.body.decode() or "overloaded_error" in answer.body.decode()
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["x-should-retry"] == "true"
        assert gate.world.journal.refused == before + 2
        assert not gate.providers[0].seen
        assert gate.records() == []
        gate.world.journal.adopt(Journaling())
        await until(lambda: not gate.world.journal.trouble)
        assert (await gate.chat()).status == 200
        assert len(gate.records()) == 1


async def test_a_stream_that_was_let_in_is_recorded_though_the_disk_is_full_by_its_end(tmp_path: Path) -> None:
    async with gateway(tmp_path, scripts=(Script(pace=Pace(chunks=20, interval=0.01)),)) as gate:
        asked = asyncio.create_task(gate.chat(stream=True))
        await until(lambda: gate.server.in_flight)
        use_up(gate)
        assert (await gate.chat()).status == 503
        answer = await asked
        assert (answer.status, answer.clean) == (200, True)
        (record,) = gate.records()
        assert (record.status, record.ended) == (200, "finished")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("size", [100, 3 * LARGE])
async def test_an_answer_that_came_in_full_is_on_record(tmp_path: Path, size: int, *, stream: bool) -> None:
    """The journal's files are looked at before the last byte is handed to the kernel."""
    async with gateway(tmp_path) as gate:
        outbox = outbox_of(asyncio.get_running_loop())
        before, on_record = outbox.before, []

        def watched() -> None:
            ending = any(_ends(data) for writer, data in outbox._waiting if type(writer).__name__ == "Downstream")
            before()
            if ending:
                on_record.append(gate.world.journal.written)

        outbox.before = watched
        said = [{"role": "user", "content": "x" * size}]  # the fake says it again
        body = json.dumps({"model": "chat", "messages": said, "stream": stream}).encode()
        for number in range(1, 4):
            answer = await gate.send(body)
            assert (answer.status, answer.clean) == (200, True)
            assert len(answer.body) > size
            assert on_record[-1] == number


def _ends(data: bytes) -> bool:
    return data == b"0\r\n\r\n" or data.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: application/json")


async def test_promises_that_were_made_are_kept_or_given_back(tmp_path: Path) -> None:
    """Also where the client goes away: else room would leak away."""
    async with gateway(tmp_path, scripts=(Script(pace=Pace(chunks=50, interval=0.01)),)) as gate:
        for number in range(6):
            reader, writer = await gate.open()
            writer.write(request_bytes(json.dumps({**json.loads(BODY), "stream": True}).encode()))
            if number % 2:
                await reader.readuntil(b"\r\n\r\n")
            writer.close()
        await gate.chat()
        await gate.settled()
        gate.records()
        assert gate.world.journal._promised == 0
