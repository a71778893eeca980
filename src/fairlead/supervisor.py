"""The parent process: starts a family of processes, restarts what dies, forwards signals, drains.

It knows processes and signals. It must not know what its children do; each is a `Child` with a name and a function.
A plain loop over one pipe of signals: no event loop, and no thread but the log's, so that forking is safe.
That one holds no lock and no buffer that a child could want: a child begins with a queue and a thread of its own.
"""

import logging
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable

import msgspec

log = logging.getLogger("fairlead.supervisor")

SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
FIRST_DELAY = 0.1
LONGEST_DELAY = 10.0
"""Seconds before a child that keeps dying is started again."""
STEADY = 10.0
"""Seconds after which a child counts as having started well."""
GRACE = 5.0
"""Seconds that children have beyond their own draining before they are killed."""


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A process to keep running. Children of a lower `tier` are stopped, and waited for, before those of a higher."""

    name: str
    run: Callable[[], None]
    tier: int = 0
    on_death: Callable[[], None] = lambda: None


class _Run:
    """One child's current process."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.pid = 0
        self.started_at = 0.0
        self.start_at = 0.0
        self.deaths = 0


class Supervisor:
    """Runs the family until it is told to stop."""

    def __init__(self, *, drain: float, is_ready: Callable[[], bool], on_ready: Callable[[], None]) -> None:
        self._runs: list[_Run] = []
        self._drain = drain
        self._is_ready = is_ready
        self._on_ready = on_ready
        self._signals, self._wakeup = os.pipe()
        self.lifeline, self._holds = os.pipe()
        """Children watch the reading end: its end of file says that this process is gone."""
        for end in (self._signals, self._wakeup):
            os.set_blocking(end, False)

    def add(self, child: Child) -> None:
        """A process to run; before `run`."""
        self._runs.append(_Run(child))

    def run(self) -> int:
        """Starts every child and keeps them running until SIGTERM or SIGINT; gives the exit status."""
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        announced = False
        while True:
            self._start_due()
            if not announced and self._is_ready():
                announced = True
                self._on_ready()
            told = self._wait(self._pause(announced))
            for name, status in self._reap():
                log.warning("child_died", extra={"child": name, "status": status})
                if status == os.EX_CONFIG:  # what another start cannot help
                    self._stop()
                    return 1
            if signal.SIGHUP in told:
                self._tell(signal.SIGHUP)
            if signal.SIGTERM in told or signal.SIGINT in told:
                return self._stop()

    def _pause(self, announced: bool) -> float | None:
        """Seconds to wait for a signal; None: as long as it takes."""
        if not announced:
            return 0.01
        due = [run.start_at for run in self._runs if not run.pid]
        return max(min(due) - time.monotonic(), 0.0) if due else None

    def _wait(self, timeout: float | None) -> set[int]:
        readable, _, _ = select.select([self._signals], [], [], timeout)
        return set(os.read(self._signals, 4096)) if readable else set()

    def _start_due(self) -> None:
        now = time.monotonic()
        for run in self._runs:
            if not run.pid and now >= run.start_at:
                run.pid, run.started_at = self._fork(run.child), now

    def _fork(self, child: Child) -> int:
        pid = os.fork()
        if pid:
            return pid
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.setpgid(0, 0)  # what a terminal sends reaches the supervisor alone, which passes on what is meant
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for end in (self._signals, self._wakeup, self._holds):
            os.close(end)
        status = 1
        try:
            child.run()
            status = 0
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            logging.shutdown()
            os._exit(status)

    def _reap(self) -> list[tuple[str, int]]:
        """Notes who died, and when to start it again; gives names and exit statuses."""
        dead = []
        for run in self._runs:
            if not run.pid:
                continue
            pid, status = os.waitpid(run.pid, os.WNOHANG)
            if not pid:
                continue
            now = time.monotonic()
            run.deaths = 0 if now - run.started_at >= STEADY else run.deaths + 1
            run.start_at = now + min(FIRST_DELAY * 2 ** max(run.deaths - 1, 0), LONGEST_DELAY)
            run.pid = 0
            run.child.on_death()
            dead.append((run.child.name, os.waitstatus_to_exitcode(status)))
        return dead

    def _tell(self, number: int, tier: int | None = None) -> None:
        for run in self._runs:
            if run.pid and tier in {None, run.child.tier}:
                os.kill(run.pid, number)

    def _stop(self) -> int:
        """Stops tier after tier. A second SIGTERM or SIGINT hurries the children, and the grace runs out for all."""
        until = time.monotonic() + self._drain + GRACE
        for tier in sorted({run.child.tier for run in self._runs}):
            self._tell(signal.SIGTERM, tier)
            while self._living(tier) and time.monotonic() < until:
                told = self._wait(max(until - time.monotonic(), 0.0))
                self._reap()
                if signal.SIGTERM in told or signal.SIGINT in told:
                    self._tell(signal.SIGTERM, tier)
                    until = min(until, time.monotonic() + GRACE)
            for run in self._living(tier):
                os.kill(run.pid, signal.SIGKILL)
                os.waitpid(run.pid, 0)
                run.pid = 0
            until = max(until, time.monotonic() + GRACE)
        return 0

    def _living(self, tier: int) -> list[_Run]:
        return [run for run in self._runs if run.pid and run.child.tier == tier]
