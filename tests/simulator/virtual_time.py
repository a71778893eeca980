"""An event loop whose clock stands still while anything can be done, and then jumps to the next timer.

Hours take as long as the work in them, and what happens at two instants happens in their order, on any machine.
Connections are pairs of local sockets, in which bytes are there as soon as they are written: nothing is ever on its
way. It must not know who talks to whom.
"""

import asyncio
import selectors
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from errno import ECONNREFUSED
from math import inf
from os import strerror
from typing import Any

Connection = tuple[asyncio.Transport, asyncio.BaseProtocol]


class VirtualLoop(asyncio.SelectorEventLoop):
    """Begins at instant 0.

    Only who listens on this loop can be reached. What is to be done in a thread is done at once and takes no time.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._listening: dict[int, Callable[[], asyncio.BaseProtocol]] = {}
        self._doors: dict[int, Callable[[], Awaitable[None]]] = {}
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self._now

    async def until(self, at: float) -> None:
        """Waits for an instant; for infinity until it is cancelled. Exact, where a sleep is a rounding error off."""
        reached = asyncio.Event()
        timer = None if at == inf else self.call_at(at, reached.set)
        try:
            await reached.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def jump(self) -> None:
        """Nothing can be done now, so it is as late as the next timer. Raises RuntimeError where there is none."""
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not timers:
            raise RuntimeError("everybody waits and nothing will ever happen")
        self._now = max(self._now, timers[0].when())

    def guard(self, port: int, door: Callable[[], Awaitable[None]]) -> None:
        """Has whoever connects to `port` wait for `door()`, which raises OSError for who does not get in."""
        self._doors[port] = door

    async def create_server(self, protocol_factory: Any, *given: Any, **more: Any) -> asyncio.Server:
        server = await super().create_server(protocol_factory, *given, **more)
        for listening in server.sockets:
            self._listening[listening.getsockname()[1]] = protocol_factory
        return server

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Any, host: Any = None, port: Any = None, **more: Any
    ) -> Connection:
        del host, more
        if port in self._doors:
            await self._doors[port]()
        if port not in self._listening:
            raise refused()
        near, far = socket.socketpair()
        await self.connect_accepted_socket(self._listening[port], far)
        return await self.connect_accepted_socket(protocol_factory, near)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *given: Any
    ) -> "asyncio.Future[Any]":
        del executor
        done = self.create_future()
        try:
            done.set_result(func(*given))
        except Exception as error:
            done.set_exception(error)
        return done


class _Jumping(selectors.PollSelector):
    """Never waits."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            self._loop.jump()
        return ready


def refused() -> ConnectionRefusedError:
    return ConnectionRefusedError(ECONNREFUSED, strerror(ECONNREFUSED))
