"""Whatever dies or runs full: every answer that a client got in full has one record, and no record comes twice."""

import contextlib
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.forms import FULL
from tests.processes.family import KEY, Family
from tests.processes.tenants import config, fake_provider, records, tenants, worker_pids

KILLS, WORKERS = (1000, 10) if FULL else (8, 2)
JOURNAL = "journal: {segment: 256KiB, rotate: 2s, keep: 1h}\n"
LONG = "u" * 10_000
"""A user's name that makes a record ten thousand bytes long."""
LIMITLESS = "tenants: {acme: {}}\n"


class Askers:
    """Threads that ask without pause, whole answers and streams in turn, and note which of them came in full."""

    def __init__(self, family: Family, count: int) -> None:
        self._port = int(family.url.rsplit(":", 1)[1])
        self._stop = threading.Event()
        self.full: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(number,), daemon=True) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def _ask(self, asker: int) -> None:
        for number in itertools.count():
            if self._stop.is_set():
                return
            name = f"ask-{asker}-{number}"
            with contextlib.suppress(OSError, http.client.HTTPException):  # its worker was killed
                if ask(self._port, name, stream=number % 2 == 1) == 200:
                    self.full.append(name)

    def stop(self) -> list[str]:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        return self.full


def ask(port: int, name: str, *, stream: bool = False, user: str = "ann") -> int:
    """The status, once the answer has come to its clean end. Raises OSError or HTTPException where it does not."""
    said = [{"role": "user", "content": "hello"}]
    body = {"model": "chat", "messages": said, "max_tokens": 50, "stream": stream, "user": user}
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json", "x-request-id": name}
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        line.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = line.getresponse()
        answer.read()
        return answer.status
    finally:
        line.close()


def children(family: Family) -> list[int]:
    pid = family.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def healthy(family: Family, workers: int) -> bool:
    with contextlib.suppress(OSError):
        return len(worker_pids(family)) == workers and len(children(family)) == workers + 1
    return False


def test_no_kill_loses_a_record_whose_answer_came_in_full(tmp_path: Path) -> None:
    """Workers in turn, and now and then control: each while clients are being answered. Files rotate meanwhile."""
    with fake_provider() as port, tenants(tmp_path, config(port, workers=WORKERS) + JOURNAL) as family:
        asking = Askers(family, 2 * WORKERS if not FULL else 8)
        for number in range(KILLS):
            before = len(asking.full)
            family.until(lambda before=before: len(asking.full) > before + 4, "nobody is answered", 30.0)  # type: ignore[misc]
            family.until(lambda: healthy(family, WORKERS), "a process did not come back", 60.0)
            workers = worker_pids(family)
            (control,) = set(children(family)) - set(workers)
            gone = control if number % 5 == 4 else workers[number % WORKERS]
            os.kill(gone, signal.SIGKILL)
            family.until(lambda gone=gone: gone not in children(family), "it did not die")  # type: ignore[misc]
        full = asking.stop()
        family.until(lambda: healthy(family, WORKERS), "a process did not come back", 60.0)
        family.signal(signal.SIGTERM)
        assert family.process.wait(20) == 0
    found = records(tmp_path)
    counted = Counter(record.id for record in found)
    assert [name for name in full if not counted[name]] == []
    assert [name for name, count in counted.items() if count > 1] == []
    ended = {record.id: record.ended for record in found}
    assert {ended[name] for name in full} == {"finished"}
    print(f"{KILLS} kills, {len(full)} answers in full, {len(found)} records, 0 lost, 0 doubled")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own in memory, so that it can really be full."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets us mount no file system; test_journal.py has the same with a fake disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def asked(port: int) -> int:
    """Requests that the fake provider has seen."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    line.request("GET", "/__fake/log")
    log = json.loads(line.getresponse().read())
    line.close()
    return len(log if isinstance(log, list) else log["requests"])


def test_s7_a_full_disk_refuses_requests_and_keeps_every_record(tmp_path: Path) -> None:
    """What is under way ends well and is recorded; once there is room again, it goes on by itself."""
    with (
        small_disk(tmp_path / "journal", "6m") as disk,
        fake_provider("--interval=0.1", "--chunks=30") as provider,
        tenants(tmp_path, config(provider)) as family,
    ):
        port = int(family.url.rsplit(":", 1)[1])
        statuses: list[int] = []
        streams = [
            threading.Thread(target=lambda name: statuses.append(ask(port, name, stream=True)), args=(name,))
            for name in ("before-1", "before-2", "before-3")
        ]
        for stream in streams:
            stream.start()
        family.until(lambda: family.health()["workers"][0]["in_flight"] == 3, "the streams did not begin")
        filler = disk / "filler"
        fill(filler)
        refused = 0
        for number in itertools.count():  # the room ahead is used first
            status = ask(port, f"full-{number}", user=LONG)
            if status == 503:
                refused += 1
                break
            assert status == 200
            assert number < 500
        before = asked(provider)
        assert ask(port, "refused") == 503
        assert asked(provider) == before
        family.until(lambda: family.health()["workers"][0]["unrecorded"] >= refused + 1, "it is not counted")
        health = family.health()
        assert (health["http"], health["status"]) == (503, "degraded")
        assert health["journal"].startswith("full")
        assert family.event("journal_full")["reason"] == "No space left on device"
        for stream in streams:
            stream.join(20)
        assert statuses == [200, 200, 200]
        filler.unlink()
        family.until(lambda: ask(port, f"after-{time.monotonic_ns()}") == 200, "it did not recover")
        family.event("journal_has_room")
        family.until(lambda: family.health()["journal"] == "ok", "health did not recover")
        family.signal(signal.SIGTERM)
        assert family.process.wait(20) == 0
        counted = Counter(record.id.split("-")[0] for record in records(tmp_path))
        assert (counted["before"], counted["refused"]) == (3, 0)
        assert counted["after"] >= 1
        assert counted["full"] == asked(provider) - counted["before"] - counted["after"]


def fill(path: Path) -> None:
    """Writes until nothing more fits."""
    with path.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while stream.write(bytes(4096)):
            pass


def test_a_full_share_refuses_until_everyone_has_read_what_there_is(tmp_path: Path) -> None:
    """Control deletes what the ledger has taken in, before `keep` is over, and requests go on."""
    text = config(9).replace("127.0.0.1:9/", "127.0.0.1:@/")
    with fake_provider() as provider:
        limits = "journal: {max_size: 256KiB, keep: 1h}\n"
        with tenants(tmp_path, text.replace("@", str(provider)) + limits) as family:
            port = int(family.url.rsplit(":", 1)[1])
            seen = Counter(ask(port, f"ask-{number}", user=LONG) for number in range(60))
            assert set(seen) <= {200, 503}
            assert family.event("journal_full")["reason"] == "journal.max_size is used up"
            family.event("journal_deleted")
            family.until(lambda: ask(port, f"after-{time.monotonic_ns()}") == 200, "it did not recover")
            family.until(lambda: family.health()["status"] == "ok", "health did not recover")


@contextmanager
def failing(pid: int, call: str, folder: Path) -> Iterator[Path]:
    """Has every further system call of this name in the process fail with EIO."""
    log = folder / "strace"
    command = ["strace", "-f", "-p", str(pid), "-o", str(log), "-e", f"trace={call}", "-e", f"inject={call}:error=EIO"]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        stderr = tracer.stderr
        if stderr is None or "attached" not in stderr.readline():
            pytest.skip("this machine lets us trace no process; test_journal.py has the same with a fake call")
        yield log
    finally:
        tracer.terminate()
        tracer.wait(10)
        if stderr is not None:
            stderr.close()


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_s8_a_disk_that_fails_ends_the_worker_and_is_never_asked_again(tmp_path: Path, call: str) -> None:
    with fake_provider() as provider, tenants(tmp_path, config(provider, more=LIMITLESS)) as family:
        port = int(family.url.rsplit(":", 1)[1])
        assert ask(port, "before") == 200
        (worker,) = worker_pids(family)
        time_of_sync = 0.3
        time.sleep(time_of_sync)  # so that the sync of the first record is over
        with failing(worker, call, tmp_path) as log:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status: Any = ask(port, "during")
                assert call == "fdatasync", f"an answer without a record: {status}"
            assert family.event("journal_failed")["reason"] == "Input/output error"
            died = family.event("child_died")
            assert (died["child"], died["status"]) == ("worker-0", os.EX_IOERR)
        assert len(re.findall(rf"{call}\(.*INJECTED", log.read_text())) == 1
        family.until(lambda: worker not in worker_pids(family) and worker_pids(family), "no worker came back")
        assert ask(port, "after") == 200
        family.signal(signal.SIGTERM)
        assert family.process.wait(20) == 0
    found = Counter(record.id for record in records(tmp_path))
    assert found["before"] == found["after"] == 1
    assert found["during"] == (1 if call == "fdatasync" else 0)


@pytest.mark.parametrize("signals", [1, 2])
def test_s17_every_request_of_a_family_that_is_told_to_stop_is_on_record(tmp_path: Path, signals: int) -> None:
    """Once: streams finish. Twice: they are cut, and their rows are written all the same."""
    count = 200 if FULL else 20
    text = config(9).replace("drain: 2s", "drain: 30s")
    with fake_provider("--interval=0.05", "--chunks=40") as provider:
        with tenants(tmp_path, text.replace("127.0.0.1:9/", f"127.0.0.1:{provider}/")) as family:
            port = int(family.url.rsplit(":", 1)[1])

            def one(name: str) -> None:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    ask(port, name, stream=True)

            threads = [threading.Thread(target=one, args=(f"s-{number}",)) for number in range(count)]
            for thread in threads:
                thread.start()
            family.until(lambda: family.health()["workers"][0]["in_flight"] == count, "the streams did not begin")
            family.signal(signal.SIGTERM)
            family.event("draining")
            if signals == 2:
                family.signal(signal.SIGTERM)
            assert family.process.wait(40) == 0
            for thread in threads:
                thread.join(20)
        found = records(tmp_path)
        assert Counter(record.id for record in found) == {f"s-{number}": 1 for number in range(count)}
        assert {record.ended for record in found} == ({"finished"} if signals == 1 else {"client_gone"})
