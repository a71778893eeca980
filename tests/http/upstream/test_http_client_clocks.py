"""The four clocks: each names its phase, closes the connection and leaves others alone."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from fairlead.http.client import Client, Reply, UpstreamError

Start = Callable[..., Awaitable[Any]]
Ask = Callable[..., Coroutine[Any, Any, Reply]]
Until = Callable[[Callable[[], bool]], Awaitable[None]]
ASK, EOF, HOLD = "read one request", "close", "wait until the client closes"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"


async def consume(reply: Reply, way: str) -> None:
    if way == "read":
        await reply.read(100)
    elif way == "pipe":
        await reply.pipe(lambda _: None)
    else:
        while await reply.piece():
            pass


SLOW: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "connect": ([HOLD], {"connect": 0.05, "origin": {"scheme": "https"}}),
    "first_byte": ([ASK], {"first_byte": 0.05}),
    "idle": ([ASK, HEAD + b"abc"], {"idle": 0.05}),
    "total": ([ASK, HEAD + b"abc"], {"total": 0.05}),
}


@pytest.mark.parametrize("phase", SLOW)
@pytest.mark.parametrize("way", ["read", "piece", "pipe"])
async def test_each_clock_ends_its_phase(
    phase: str, way: str, upstream: Start, ask: Ask, client: Client, until: Until
) -> None:
    script, clocks = SLOW[phase]
    server = await upstream(script)
    before = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamError) as failure:
        await consume(await ask(server, **clocks), way)
    assert (failure.value.kind, failure.value.phase) == ("timeout", phase)
    assert 0.045 <= asyncio.get_running_loop().time() - before < 2
    assert client.open_connections == 0
    await until(lambda: server.gone == 1)


@pytest.mark.parametrize(("script", "scheme"), [([ASK], "http"), ([HOLD], "https")])
async def test_the_deadline_counts_in_every_phase(script: list[Any], scheme: str, upstream: Start, ask: Ask) -> None:
    with pytest.raises(UpstreamError) as failure:
        await ask(await upstream(script), total=0.03, origin={"scheme": scheme})
    assert failure.value.phase == "total"


async def test_a_deadline_that_has_passed_fails(upstream: Start, ask: Ask, client: Client) -> None:
    with pytest.raises(UpstreamError) as failure:
        await ask(await upstream([ASK, 0.05, OK]), total=-1.0)
    assert (failure.value.phase, client.open_connections) == ("total", 0)


async def test_a_head_that_trickles_does_not_stop_the_first_clock(upstream: Start, ask: Ask) -> None:
    trickle = [step for n in range(100) for step in (b"HTTP/1.1 103 Hint\r\n\r\n", 0.01)]
    with pytest.raises(UpstreamError) as failure:
        await ask(await upstream([ASK, *trickle]), first_byte=0.08)
    assert failure.value.phase == "first_byte"


async def test_each_piece_restarts_the_idle_clock(upstream: Start, ask: Ask) -> None:
    steps = [step for _ in range(9) for step in (b"x", 0.03)]
    reply = await ask(await upstream([ASK, HEAD, *steps]), idle=0.15)
    assert await reply.read(9) == b"x" * 9


async def test_a_kept_timer_does_not_cut_the_next_request_short(upstream: Start, ask: Ask) -> None:
    server = await upstream([ASK, OK, ASK, 0.12, OK])
    await (await ask(server, first_byte=0.06)).read(2)
    assert await (await ask(server, first_byte=2.0)).read(2) == b"ok"
    assert server.connections == 1


async def test_a_later_request_may_be_shorter(upstream: Start, ask: Ask) -> None:
    server = await upstream([ASK, OK, ASK])
    await (await ask(server, first_byte=60.0)).read(2)
    with pytest.raises(UpstreamError) as failure:
        await ask(server, first_byte=0.03)
    assert failure.value.phase == "first_byte"


async def test_silence_does_not_count_while_the_client_is_slow(upstream: Start, ask: Ask) -> None:
    go = asyncio.Event()
    reply = await ask(await upstream([ASK, HEAD + b"abc", go, b"defghi"]), idle=0.05)
    taken: list[bytes] = []
    task = asyncio.create_task(reply.pipe(taken.append))
    await asyncio.sleep(0.01)
    reply.pause()
    await asyncio.sleep(0.15)
    assert not task.done()
    go.set()
    reply.resume()
    await task
    assert b"".join(taken) == b"abcdefghi"


async def test_silence_counts_again_after_the_pause(upstream: Start, ask: Ask) -> None:
    reply = await ask(await upstream([ASK, HEAD + b"abc"]), idle=0.05)
    task = asyncio.create_task(reply.pipe(lambda _: None))
    await asyncio.sleep(0.01)
    reply.pause()
    await asyncio.sleep(0.1)
    reply.resume()
    with pytest.raises(UpstreamError) as failure:
        await task
    assert failure.value.phase == "idle"


async def test_silence_does_not_count_while_nobody_reads(upstream: Start, ask: Ask) -> None:
    reply = await ask(await upstream([ASK, HEAD + b"abc", 0.15, b"defghi"]), idle=0.05)
    await asyncio.sleep(0.1)
    assert await reply.piece() == b"abc"
    await asyncio.sleep(0.1)
    assert await reply.read(9) == b"defghi"


async def test_the_deadline_frees_an_answer_that_nobody_reads(
    upstream: Start, ask: Ask, client: Client, until: Until
) -> None:
    reply = await ask(await upstream([ASK, HEAD + b"abc"]), total=0.05)
    await until(lambda: client.open_connections == 0)
    with pytest.raises(UpstreamError) as failure:
        await reply.read(9)
    assert failure.value.phase == "total"


async def test_no_deadline_is_a_deadline(upstream: Start, ask: Ask) -> None:
    reply = await ask(await upstream([ASK, OK]), total=float("inf"))
    assert await reply.read(2) == b"ok"
