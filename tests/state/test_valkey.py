"""What a Redis or Valkey server may answer besides the script's answers, and how its URL is read."""

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.state.rules import Clock, limited
from tests.valkey import Valkey, clients_of

from fairlead.canonical.limits import Demand, Granted
from fairlead.state.port import LEASE, StateError
from fairlead.state.valkey import PART_LEASE, ValkeyState
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


async def test_every_key_expires_but_the_seeding(state: ValkeyState, server: Valkey) -> None:
    budget = limited("rolling", 10)
    await state.seed("acme", [])
    await state.reserve("h1", (Demand(RATE, 1), Demand(budget, 1), Demand(PLACES, 1)), b"")
    with server.client() as client:
        lives = {key: client.pttl(key) for key in client.scan_iter("fl:*")}
    assert {key.decode() for key, life in lives.items() if life < 0} == {"fl:{acme}:seeded"}
    assert 60_000 < lives[f"fl:{{acme}}:s:{RATE.key}".encode()] < 70_000


async def test_who_goes_away_before_the_answer_holds_nothing(state: ValkeyState, server: Valkey) -> None:
    await left(state, PLACES)
    server.freeze()
    asked = asyncio.create_task(state.reserve("h1", (Demand(PLACES, 4),), b""))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    server.thaw()
    async with asyncio.timeout(WITHIN):
        while await left(state, PLACES) != [10]:
            await asyncio.sleep(0.01)
    with server.client() as client:
        assert client.hlen("fl:{acme}:holds") == 0


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
