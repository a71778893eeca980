"""What a Redis or Valkey server may answer besides the script's answers, and how its URL is read."""

import asyncio
import contextlib
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.state.rules import Clock, begun, limited, settlement
from tests.valkey import Valkey, clients_of

from fairlead.canonical.limits import DAY, SECOND, Demand, Granted, Rule, Unseeded
from fairlead.state.port import LEASE, Spending, StateError
from fairlead.state.valkey import PART_LEASE, ValkeyState
from fairlead.state.valkey_line import Line
from fairlead.state.valkey_nodes import Map, parse

RATE = limited("sliding_window", 10)
PLACES = limited("concurrency", 10)
SHARED = limited("concurrency", 10, slot="*")
WITHIN = 10.0


@pytest.fixture
async def state(server: Valkey) -> AsyncIterator[ValkeyState]:
    with server.client() as client:
        client.flushall()
    opened = ValkeyState(server.url, timeout=WITHIN)
    yield opened
    await opened.close()


async def left(state: ValkeyState, *rules: object) -> list[int]:
    return [standing.remaining for standing in await state.standings(rules)]  # type: ignore[arg-type]


async def test_a_script_that_the_server_forgot_is_told_again(state: ValkeyState, server: Valkey) -> None:
    for number in range(3):
        assert isinstance(await state.reserve(f"h{number}", (Demand(RATE, 1),), b""), Granted)
        with server.client() as client:
            client.script_flush()
    assert await left(state, RATE) == [7]


@pytest.mark.parametrize("name", ["holds", "leases", f"s:{RATE.key}"])
async def test_a_key_that_holds_something_else_is_taken_over(state: ValkeyState, server: Valkey, name: str) -> None:
    with server.client() as client:
        for number in range(3):
            client.delete(f"fl:{{acme}}:{name}")
            client.lpush(f"fl:{{acme}}:{name}", "what is this")
            assert isinstance(await state.reserve(f"h{number}", (Demand(RATE, 1),), b""), Granted)
        assert await state.overdue(["acme"]) == []


async def test_a_budget_whose_key_holds_something_else_is_told_its_past(state: ValkeyState, server: Valkey) -> None:
    budget = limited("calendar", 10)
    for other in (b"what is this", b"\x93\x01\x02\x03"):
        with server.client() as client:
            client.set(f"fl:{{acme}}:s:{budget.key}", other)
        assert await state.reserve("h1", (Demand(budget, 1),), b"") == Unseeded(budget)
        assert await left(state, budget) == [10]
        assert await state.seed(Spending(budget, ()))
        assert not await state.seed(Spending(budget, ()))


async def test_every_key_expires(state: ValkeyState, server: Valkey) -> None:
    budget = limited("rolling", 10)
    await begun(state, budget)
    demands = (Demand(RATE, 1), Demand(budget, 1), Demand(PLACES, 1))
    ended = settlement("h1", demands, await state.reserve("h1", demands, b""), 0, 2, 0)
    await state.reserve("h2", demands, b"")
    await state.settle([ended])
    await state.charge("bill", budget, [(0, 1)])
    with server.client() as client:
        lives = {key: client.pttl(key) for key in client.scan_iter("fl:*")}
    assert min(lives.values()) > 0
    assert len(lives) == 6
    assert 60_000 < lives[f"fl:{{acme}}:s:{RATE.key}".encode()] < 70_000


@pytest.mark.parametrize("budget", [limited("calendar", 100), limited("rolling", 100, per=DAY)])
async def test_a_bill_is_charged_once_and_only_for_what_the_ledger_did_not_tell(server: Valkey, budget: Rule) -> None:
    with server.client() as client:
        client.flushall()
    clock = Clock()
    state = ValkeyState(server.url, clock=clock, timeout=WITHIN)
    await state.charge("early", budget, [(0, 1)])
    assert await state.reserve("h1", (Demand(budget, 1),), b"") == Unseeded(budget)
    await state.seed(Spending(budget, ((clock.now, 10),)))
    clock.now += 10 * SECOND
    for _ in range(2):
        await state.charge("bill", budget, [(20 * SECOND, 32), (10 * SECOND, 16), (9 * SECOND, 8), (0, 4)])
    assert await left(state, budget) == [100 - 10 - 8 - 4]
    await state.charge("other bill", budget, [(SECOND, 2)])
    assert await left(state, budget) == [100 - 10 - 8 - 4 - 2]
    await state.close()


async def abandoned(state: ValkeyState, server: Valkey) -> None:
    """Asks a server that is frozen, and goes away once all is said and the answer is waited for."""
    server.freeze()
    asked = asyncio.create_task(state.reserve("h1", (Demand(PLACES, 4),), b""))
    for _ in range(5):
        await asyncio.sleep(0)
    assert asked.cancel()


async def nothing_is_held(state: ValkeyState, servers: list[Valkey], *rules: Rule) -> None:
    async with asyncio.timeout(WITHIN):
        while await left(state, *rules) != [10] * len(rules):
            await asyncio.sleep(0.01)
    with clients_of(servers) as clients:
        for client in clients:
            assert [*client.scan_iter("*:holds"), *client.scan_iter("*:leases")] == []


async def test_a_wall_clock_of_ours_that_jumps_moves_nothing(
    state: ValkeyState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case S13: time is the server's."""
    budget = limited("rolling", 10, per=DAY)
    await begun(state, budget)
    demands = (Demand(RATE, 10), Demand(budget, 10))
    assert isinstance(await state.reserve("h1", demands, b""), Granted)
    real, steady = time.time_ns, time.monotonic_ns
    for jump in (3600, -3600):
        monkeypatch.setattr(time, "time_ns", lambda jump=jump: real() + jump * 1_000_000_000)
        monkeypatch.setattr(time, "time", lambda jump=jump: real() / 1e9 + jump)
        monkeypatch.setattr(time, "monotonic_ns", lambda jump=jump: steady() + jump * 1_000_000_000)
        assert await left(state, RATE, budget) == [0, 0]
        assert await state.overdue(["acme"]) == []


async def test_who_goes_away_before_the_answer_holds_nothing(state: ValkeyState, server: Valkey) -> None:
    await left(state, PLACES)
    await abandoned(state, server)
    server.thaw()
    await nothing_is_held(state, [server], PLACES)


async def test_who_goes_away_as_the_answer_comes_holds_nothing(
    state: ValkeyState, server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is there already, but whoever waits for it has not seen it yet."""
    await left(state, PLACES)
    answered = Line._answered

    def heard(line: Line, answer: Any) -> None:
        answered(line, answer)
        asked.cancel()

    monkeypatch.setattr(Line, "_answered", heard)
    asked = asyncio.create_task(state.reserve("h1", (Demand(PLACES, 4),), b""))
    await asyncio.wait([asked])
    assert asked.cancelled()
    await nothing_is_held(state, [server], PLACES)


async def test_who_goes_away_while_it_is_connected_leaves_the_connection_to_the_next(server: Valkey) -> None:
    state = ValkeyState(server.url, timeout=WITHIN)
    await abandoned(state, server)
    server.thaw()
    await nothing_is_held(state, [server], PLACES)
    with server.client() as client:
        assert len(client.client_list()) == 2, "this one, and the state's only one"
    await state.close()


@pytest.mark.parametrize("answered", [0, 1])
async def test_who_goes_away_between_the_steps_of_a_cluster_holds_nothing(nodes: list[Valkey], answered: int) -> None:
    with clients_of(nodes) as clients:
        for client in clients:
            client.flushall()
    state = ValkeyState(nodes[0].url, timeout=WITHIN)
    await left(state, SHARED, PLACES)
    step, steps = state._reserve, 0

    async def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps > answered:
            asyncio.get_running_loop().call_soon(asked.cancel)
        return await step(*args, **kwargs)

    state._reserve = counted  # type: ignore[method-assign]
    asked = asyncio.create_task(state.reserve("h1", (Demand(PLACES, 1), Demand(SHARED, 1)), b""))
    await asyncio.wait([asked])
    assert (asked.cancelled(), steps) == (True, answered + 1)
    await nothing_is_held(state, nodes, SHARED, PLACES)
    await state.close()


async def test_what_was_abandoned_is_given_back_before_the_connection_is_closed(
    state: ValkeyState, server: Valkey
) -> None:
    leaving = ValkeyState(server.url, timeout=WITHIN)
    await left(leaving, PLACES)
    await abandoned(leaving, server)
    closing = asyncio.create_task(leaving.close())
    server.thaw()
    await closing
    assert await left(state, PLACES) == [10]


async def test_a_cluster_that_has_moved_a_slot_is_asked_where_to(nodes: list[Valkey]) -> None:
    with clients_of(nodes) as clients:
        for client in clients:
            client.flushall()
    state = ValkeyState(nodes[0].url, timeout=WITHIN)
    assert isinstance(await state.reserve("h0", (Demand(RATE, 1),), b""), Granted)
    servers = state._nodes.map
    assert servers is not None
    state._nodes.map = Map(servers.begins, (*servers.nodes[1:], servers.nodes[0]))
    assert isinstance(await state.reserve("h1", (Demand(RATE, 1),), b""), Granted)
    assert await left(state, RATE) == [8]
    assert state._nodes.map == servers
    await state.probe()
    await state.close()


async def test_a_part_whose_hold_never_was_is_counted_as_used(nodes: list[Valkey]) -> None:
    """A process died between the two steps of a cluster: what tenants share comes back with its lease, and not free."""
    with clients_of(nodes) as clients:
        for client in clients:
            client.flushall()
    clock = Clock()
    state = ValkeyState(nodes[0].url, clock=clock, timeout=WITHIN)
    await left(state, SHARED)
    tokens = limited("fixed_window", 10, slot="*")
    await state._reserve("h1", (Demand(SHARED, 1), Demand(tokens, 3)), b"", part=True)
    clock.now += LEASE + 1
    assert await state.overdue(["*", "acme"]) == []
    assert await left(state, SHARED, tokens) == [9, 7]
    clock.now += PART_LEASE - LEASE
    assert await state.overdue(["*", "acme"]) == []
    assert await left(state, SHARED) == [10]
    await state.close()


class Fake:
    """A fake server that gives one answer to everything, for answers that a real one gives at bad times only."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def listen(self) -> str:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(self._answer)
        writer.close()


ANSWERS = (
    b"-LOADING the dataset is in memory soon\r\n",
    b"-NOAUTH Authentication required.\r\n",
    b"-CLUSTERDOWN The cluster is down\r\n",
    b"HTTP/1.1 400 Bad\r\n\r\n",
)


@pytest.mark.parametrize("answer", ANSWERS)
async def test_other_answers_are_state_errors(answer: bytes) -> None:
    fake = Fake(answer)
    state = ValkeyState(await fake.listen())
    for _ in range(2):
        with pytest.raises(StateError, match=r"shared state at 127\.0\.0\.1:\d+ cannot be"):
            await state.reserve("h1", (Demand(RATE, 1),), b"")
    await state.close()
    fake.server.close()


async def test_a_password_and_a_database_are_greeted_with(server: Valkey) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "ann", "on", ">s3cret/é", "~fl:*", "+@all")
    state = ValkeyState(f"redis://ann:s3cret%2F%C3%A9@127.0.0.1:{server.port}/3", timeout=WITHIN)
    await state.reserve("h1", (Demand(PLACES, 1),), b"")
    await state.close()
    wrong = ValkeyState(f"redis://ann:wr0ng@127.0.0.1:{server.port}", timeout=WITHIN)
    with pytest.raises(StateError, match="WRONGPASS") as caught:
        await wrong.probe()
    assert "wr0ng" not in str(caught.value)
    await wrong.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://h:1", "has the scheme 'http'"),
        ("redis://", "has the scheme 'redis'"),
        ("redis://h:seven", "no port number"),
        ("redis://h?retries=3", "unknown option 'retries'"),
        ("rediss://h?ca=/nowhere.pem", "certificates of the shared state cannot be read"),
        ("valkey+unix://", "scheme"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused(url: str, said: str) -> None:
    with pytest.raises(StateError, match=said):
        parse(url, 0.1)


def test_a_url_is_read() -> None:
    address, access = parse("rediss://:p%40ss@h.example/2", 0.1)
    assert (address.host, address.port, access.greeting) == ("h.example", 6379, (("AUTH", "p@ss"), ("SELECT", "2")))
    assert access.tls is not None
    assert access.tls.check_hostname
    address, access = parse("valkey+unix:///run/valkey.sock?db=1", 0.1)
    assert (address.path, access.greeting, access.tls) == ("/run/valkey.sock", (("SELECT", "1"),), None)


def certificate(folder: Path) -> Path:
    """A certificate of 127.0.0.1, signed by itself, and its key, in one file."""
    made = folder / "server.pem"
    names = ["-subj", "/CN=server", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", str(made)]
    command = ["openssl", "req", "-x509", *key, "-out", str(folder / "crt"), *names]
    subprocess.run(command, check=True, capture_output=True)
    made.write_text(made.read_text() + (folder / "crt").read_text())
    return made


async def test_tls_is_spoken_with_who_proves_its_name_and_with_nobody_else(server: Valkey, tmp_path: Path) -> None:
    """The wheel's server has no TLS, so a relay of ours ends it in front of the real server."""
    proof = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(proof)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    front = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    port = front.sockets[0].getsockname()[1]
    trusting = ValkeyState(f"valkeys://127.0.0.1:{port}?ca={tmp_path / 'crt'}", timeout=WITHIN)
    assert isinstance(await trusting.reserve("tls", (Demand(PLACES, 1),), b""), Granted)
    await trusting.close()
    doubting = ValkeyState(f"valkeys://127.0.0.1:{port}", timeout=WITHIN)
    with pytest.raises(StateError, match="certificate verify failed"):
        await doubting.probe()
    await doubting.close()
    front.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()
