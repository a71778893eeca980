"""Connections: how many, which one, who waits, and that nothing is ever left behind."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from fairlead.http import connection
from fairlead.http.client import Client, Origin, Reply, UpstreamError

Start = Callable[..., Awaitable[Any]]
Ask = Callable[..., Coroutine[Any, Any, Reply]]
Until = Callable[[Callable[[], bool]], Awaitable[None]]
ASK, EOF, RESET, HOLD = "read one request", "close", "reset", "wait until the client closes"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ONE = {"max_connections": 1}


def named(name: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name


async def test_the_connection_used_last_is_used_next(upstream: Start, ask: Ask, client: Client) -> None:
    go = asyncio.Event()
    server = await upstream([ASK, go, *[named(b"a"), ASK] * 9], [ASK, named(b"b"), ASK, named(b"b"), ASK])
    first = asyncio.create_task(ask(server))
    while server.connections < 1:
        await asyncio.sleep(0.001)
    assert await (await ask(server)).read(1) == b"b"
    go.set()
    assert await (await first).read(1) == b"a"
    assert client.idle_connections == 2
    for _ in range(3):
        assert await (await ask(server)).read(1) == b"a"
    assert server.connections == 2


async def test_equal_origins_share_a_pool_and_others_do_not(upstream: Start, ask: Ask, client: Client) -> None:
    server = await upstream([ASK, OK] * 9)
    for origin in ({}, {}, {"max_connections": 7}, {"host": "localhost"}):
        await (await ask(server, origin=origin)).read(2)
    assert (server.connections, client.open_connections, client.idle_connections) == (3, 3, 3)


async def test_connections_are_bounded_and_waiting_requests_get_the_freed_one(
    upstream: Start, ask: Ask, client: Client, until: Until
) -> None:
    server = await upstream([ASK, 0.002, OK] * 50)

    async def one() -> bytes:
        return await (await ask(server, origin={"max_connections": 3})).read(2)

    tasks = [asyncio.create_task(one()) for _ in range(30)]
    await until(lambda: client.waiting > 0)
    assert client.open_connections == 3
    assert await asyncio.gather(*tasks) == [b"ok"] * 30
    assert (server.connections, client.idle_connections, client.waiting) == (3, 3, 0)


async def test_a_waiting_request_gets_the_slot_of_a_connection_that_closed(
    upstream: Start, ask: Ask, client: Client, until: Until
) -> None:
    go = asyncio.Event()
    server = await upstream([ASK, go, RESET], [ASK, OK])
    first = asyncio.create_task(ask(server, origin=ONE))
    await until(lambda: len(server.requests) == 1)
    second = asyncio.create_task(ask(server, origin=ONE))
    await until(lambda: client.waiting == 1)
    go.set()
    assert await (await second).read(2) == b"ok"
    with pytest.raises(UpstreamError):
        await first


async def test_the_wait_for_a_connection_ends(upstream: Start, ask: Ask, client: Client, until: Until) -> None:
    server = await upstream([ASK])
    busy = asyncio.create_task(ask(server, origin=ONE))
    await until(lambda: len(server.requests) == 1)
    with pytest.raises(UpstreamError) as failure:
        await ask(server, origin=ONE, connect=0.02)
    assert (failure.value.kind, failure.value.phase) == ("pool", None)
    with pytest.raises(UpstreamError) as failure:
        await ask(server, origin=ONE, total=0.02)
    assert (failure.value.kind, failure.value.phase) == ("timeout", "total")
    assert (client.waiting, client.open_connections) == (0, 1)
    busy.cancel()
    await asyncio.wait([busy])


async def test_only_so_many_may_wait(upstream: Start, ask: Ask, client: Client, until: Until) -> None:
    server = await upstream([ASK])
    origin = {"max_connections": 1, "max_waiting": 1}
    tasks = [asyncio.create_task(ask(server, origin=origin))]
    await until(lambda: len(server.requests) == 1)
    tasks.append(asyncio.create_task(ask(server, origin=origin)))
    await until(lambda: client.waiting == 1)
    with pytest.raises(UpstreamError) as failure:
        await ask(server, origin=origin)
    assert failure.value.kind == "pool"
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_a_kept_connection_that_was_closed_is_replaced_once(upstream: Start, ask: Ask, client: Client) -> None:
    """The server closes after it has read the second request: not one byte of an answer came."""
    server = await upstream([ASK, OK, ASK, EOF], [ASK, OK, ASK, RESET], [ASK, OK])
    for _ in range(3):
        assert await (await ask(server, body=b"{}")).read(2) == b"ok"
    assert (server.connections, len(server.requests)) == (3, 5)


async def test_the_replacement_is_not_replaced(upstream: Start, ask: Ask) -> None:
    server = await upstream([ASK, OK, ASK, EOF], [ASK, EOF])
    await (await ask(server)).read(2)
    with pytest.raises(UpstreamError) as failure:
        await ask(server)
    assert failure.value.kind == "cut"
    assert len(server.requests) == 3


async def test_a_replacement_is_fresh_although_others_are_idle(upstream: Start, ask: Ask, client: Client) -> None:
    """With every slot taken by idle connections, one of them makes room."""
    server = await upstream(*[[ASK, 0.05, OK, ASK, EOF]] * 2, [ASK, OK])
    origin = {"max_connections": 2}
    for reply in await asyncio.gather(ask(server, origin=origin), ask(server, origin=origin)):
        await reply.read(2)
    assert client.idle_connections == 2
    assert await (await ask(server, origin=origin)).read(2) == b"ok"
    assert server.connections == 3


@pytest.mark.parametrize("steps", [[b"H", EOF], [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", EOF]])
async def test_a_request_is_never_sent_again_after_a_byte_of_an_answer(
    steps: list[Any], upstream: Start, ask: Ask
) -> None:
    server = await upstream([ASK, OK, ASK, *steps])
    await (await ask(server)).read(2)
    with pytest.raises(UpstreamError) as failure:
        await (await ask(server)).read(2)
    assert failure.value.kind == "cut"
    assert len(server.requests) == 2


async def test_a_first_byte_timeout_on_a_kept_connection_is_not_retried(upstream: Start, ask: Ask) -> None:
    server = await upstream([ASK, OK, ASK])
    await (await ask(server)).read(2)
    with pytest.raises(UpstreamError) as failure:
        await ask(server, first_byte=0.03)
    assert failure.value.phase == "first_byte"
    assert len(server.requests) == 2


async def test_a_connection_that_the_server_closes_leaves_the_pool(
    upstream: Start, ask: Ask, client: Client, until: Until
) -> None:
    server = await upstream([ASK, OK, EOF])
    await (await ask(server)).read(2)
    await until(lambda: client.open_connections == 0)


async def test_bytes_that_nobody_asked_for_close_the_connection(
    upstream: Start, ask: Ask, client: Client, until: Until
) -> None:
    server = await upstream([ASK, OK, 0.01, named(b"!")], [ASK, OK])
    await (await ask(server)).read(2)
    await until(lambda: client.open_connections == 0)
    assert await (await ask(server)).read(2) == b"ok"


async def test_an_idle_connection_is_closed_after_a_while(
    upstream: Start, ask: Ask, client: Client, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "KEEP", 0.05)
    server = await upstream([ASK, OK] * 3)
    for _ in range(2):
        await (await ask(server)).read(2)
    assert client.idle_connections == 1
    await until(lambda: client.open_connections == 0)
    await until(lambda: server.gone == 1)
    assert server.connections == 1


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
STAGES: dict[str, list[Any]] = {"head": [ASK], "half a head": [ASK, HEAD[:20]], "body": [ASK, HEAD + b"abc"]}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("way", ["read", "piece", "pipe"])
async def test_a_cancelled_request_closes_its_connection_at_once(
    stage: str, way: str, upstream: Start, ask: Ask, client: Client, until: Until
) -> None:
    server = await upstream(STAGES[stage])
    seen = asyncio.Event()

    async def one() -> None:
        reply = await ask(server)
        seen.set()
        if way == "read":
            await reply.read(100)
        elif way == "pipe":
            await reply.pipe(lambda _: None)
        else:
            while await reply.piece():
                pass

    task = asyncio.create_task(one())
    await until(lambda: len(server.requests) == 1)
    if stage == "body":
        await seen.wait()
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.open_connections == 0
    await until(lambda: server.gone == 1)


async def test_cancelled_while_waiting_for_a_connection(
    upstream: Start, ask: Ask, client: Client, until: Until
) -> None:
    go = asyncio.Event()
    server = await upstream([ASK, go, OK])
    reply_task = asyncio.create_task(ask(server, origin=ONE))
    await until(lambda: client.open_connections == 1)
    waiting = asyncio.create_task(ask(server, origin=ONE))
    await until(lambda: client.waiting == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert client.waiting == 0
    go.set()
    assert await (await reply_task).read(2) == b"ok"
    assert client.idle_connections == 1


async def test_cancelled_in_the_moment_a_connection_is_handed_over(
    upstream: Start, ask: Ask, client: Client, until: Until
) -> None:
    """Neither the connection nor the slot is lost: the next one in the queue gets it."""
    go = asyncio.Event()
    server = await upstream([ASK, go, OK, ASK, OK])
    first = asyncio.create_task(ask(server, origin=ONE))
    await until(lambda: len(server.requests) == 1)
    second = asyncio.create_task(ask(server, origin=ONE))
    third = asyncio.create_task(ask(server, origin=ONE))
    await until(lambda: client.waiting == 2)
    go.set()
    while client.waiting == 2:  # turn by turn: until the connection is handed to `second`, which has not run yet
        await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    assert await (await third).read(2) == b"ok"
    assert await (await first).read(2) == b"ok"
    assert second.cancelled()
    assert server.connections <= 2


async def test_cancelled_while_connecting(upstream: Start, ask: Ask, client: Client, until: Until) -> None:
    """The server takes the connection and never greets: TLS waits."""
    server = await upstream([HOLD])
    task = asyncio.create_task(ask(server, origin={"scheme": "https"}))
    await until(lambda: server.connections == 1)
    assert client.open_connections == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.open_connections == 0
    await until(lambda: server.gone == 1)


async def test_an_answer_that_is_given_up_closes_its_connection(
    upstream: Start, ask: Ask, client: Client, until: Until
) -> None:
    server = await upstream([ASK, HEAD + b"abc"], [ASK, OK])
    reply = await ask(server, origin=ONE)
    waiting = asyncio.create_task(ask(server, origin=ONE))
    await until(lambda: client.waiting == 1)
    reply.close()
    await until(lambda: server.gone == 1)
    finished = await waiting
    await finished.read(2)
    finished.close()
    assert client.idle_connections == 1


async def test_a_closed_client_leaves_nothing(upstream: Start, ask: Ask, client: Client, until: Until) -> None:
    server = await upstream([ASK])
    tasks = [asyncio.create_task(ask(server, origin=ONE)) for _ in range(2)]
    await until(lambda: client.waiting == 1 and len(server.requests) == 1)
    await client.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [getattr(result, "kind", None) for result in results] == ["cut", "connect"]
    with pytest.raises(UpstreamError):
        await ask(server)
    assert (client.open_connections, client.waiting) == (0, 0)


async def test_a_port_without_a_server_is_a_connect_failure(ask: Ask, upstream: Start, client: Client) -> None:
    server = await upstream([ASK])
    await server.close()
    with pytest.raises(UpstreamError) as failure:
        await ask(server)
    assert (failure.value.kind, client.open_connections) == ("connect", 0)


async def test_many_failures_leave_no_trace(upstream: Start, ask: Ask, client: Client) -> None:
    server = await upstream([ASK])

    async def one() -> str:
        try:
            await ask(server, origin={"max_connections": 8}, first_byte=0.01)
        except UpstreamError as error:
            return str(error.phase)
        return "answered"

    outcomes = await asyncio.gather(*(one() for _ in range(100)))
    assert set(outcomes) == {"first_byte"}
    assert (client.open_connections, client.waiting) == (0, 0)


def test_an_origin_is_hashable() -> None:
    assert len({Origin(scheme="http", host="a", port=1), Origin(scheme="http", host="a", port=1)}) == 1
