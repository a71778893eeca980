"""Two machines' worth of processes: families with data folders of their own on one Valkey and one PostgreSQL."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
from tests.postgres import postgres
from tests.processes.family import KEY, Family
from tests.processes.tenants import fairlead, records, tenants
from tests.valkey import Valkey, valkey

from fairlead.canonical.routing import RequestRecord
from fairlead.control.tally import HOUR
from fairlead.database import spend
from fairlead.database.engine import Database
from fairlead.database.place import Place

PEPPER = "one-pepper-for-both-9f31c2-machines-of-these-tests"
ROUNDS = 4
T = TypeVar("T")


class Pair(msgspec.Struct, frozen=True):
    """Two machines and what they share."""

    machines: tuple[Family, ...]
    folders: tuple[Path, ...]
    state: Valkey
    database: str

    def records(self) -> list[RequestRecord]:
        """What the journals of both hold."""
        return [record for folder in self.folders for record in records(folder)]

    def in_ledger(self, tenant: str) -> int:
        """What the database says that a tenant has spent, in millionths of a dollar."""
        database = Database(Place(data=self.folders[0], url=self.database))
        with database.reading() as connection:
            rows = spend.spent(connection, [("tenant", f"{tenant}/{tenant}")], int(time.time()) // HOUR - 24)
        database.close()
        return sum(row.micros for row in rows)


@contextmanager
def pair(folder: Path, text: str, *flags: str) -> Iterator[Pair]:
    """Both machines with the configuration `text`, which says nothing of state, database and pepper."""
    with ExitStack() as stack:
        server = stack.enter_context(valkey(folder / "valkey"))
        database = stack.enter_context(postgres()).new_database()
        whole = f'{text}\nstate: {server.url}\ndatabase: "{database}"\npepper: {PEPPER}\n'
        folders = (folder / "one", folder / "two")
        for one in folders:
            one.mkdir()
        (folders[0] / "fairlead.yaml").write_text(whole)
        fairlead(folders[0], "migrate")
        machines = tuple(stack.enter_context(tenants(one, whole, *flags)) for one in folders)
        yield Pair(machines, folders, server, database)


def undisturbed(folder: Path, text: str, measure: Callable[[Pair], T]) -> T:
    """What `measure` finds while both machines reach their state without a break.

    On a busy computer the server may get no time for 100 ms. Then machines count by themselves, as they should, and
    another round is taken.
    """
    for number in range(ROUNDS):
        (folder / str(number)).mkdir()
        with pair(folder / str(number), text, "--workers", "2") as both:
            found = measure(both)
            if not any(line["event"] == "state_degraded" for machine in both.machines for line in machine.lines):
                return found
    raise AssertionError("this computer is too busy: the shared state was out of reach in every round")


class Asked(msgspec.Struct, frozen=True):
    """One request as its client saw it: instants of a clock that nobody sets."""

    sent: float
    answered: float
    status: int
    code: str


def ask(connection: http.client.HTTPConnection, key: str, max_tokens: int) -> Asked:
    body = {"model": "chat", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": max_tokens}
    sent = time.monotonic()
    connection.request(
        "POST",
        "/v1/chat/completions",
        json.dumps(body),
        {"authorization": f"Bearer {key}", "content-type": "text/json"},
    )
    answer = connection.getresponse()
    content = json.loads(answer.read())
    return Asked(sent, time.monotonic(), answer.status, content.get("error", {}).get("code", ""))


class Crowd:
    """Clients that each ask one request after another over a connection of their own, until `enough` or `stop`."""

    def __init__(
        self, family: Family, count: int, *, key: str = KEY, max_tokens: int = 50, pause: float = 0.0,
        enough: Callable[[list[Asked]], bool] = lambda _: False,
    ) -> None:  # fmt: skip
        self.asked: list[Asked] = []
        self.failed: list[Exception] = []
        self._family, self._key, self._max_tokens, self._enough = family, key, max_tokens, enough
        self._pause = pause
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        try:
            connection = http.client.HTTPConnection(self._family.url.removeprefix("http://"), timeout=20)
            mine: list[Asked] = []
            while not self._over.is_set() and not self._enough(mine):
                mine.append(ask(connection, self._key, self._max_tokens))
                self.asked.append(mine[-1])
                if self._pause:
                    self._over.wait(self._pause)
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            self.failed.append(error)

    def wait(self) -> list[Asked]:
        """Every request, once all clients have had enough."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        assert self.failed == []
        return self.asked

    def stop(self) -> list[Asked]:
        self._over.set()
        return self.wait()
