"""Copies checkpoints to one witness, a directory or a URL, and asks it at the start what it knows.

A witness that is away stops nothing; it gets the newest checkpoint once it is back. It must not know the trail.
"""

import asyncio
import logging
from pathlib import Path
from urllib.parse import quote, urlsplit

from fairlead.audit import witnesses
from fairlead.audit.checkpoints import LATEST
from fairlead.audit.note import LARGEST, NoteError, claimed
from fairlead.control.desk import Desk
from fairlead.http import fields
from fairlead.http.client import Client, Origin, UpstreamError

log = logging.getLogger("fairlead.control")

PATIENCE = 5.0
"""Seconds for each part of a call."""
FIRST_RETRY, LAST_RETRY = 1.0, 60.0
FIELDS = fields.encode([("content-type", "text/plain; charset=utf-8"), ("user-agent", "fairlead")])


class WitnessError(Exception):
    """The witness has not got it; the message says why."""


class Witness:
    """One place that has copies. `folder` is None where it is a URL."""

    def __init__(self, name: str, folder: Path | None, client: Client) -> None:
        self.name = name
        """As it may be shown: without a password."""
        self.folder = folder
        self._client = client
        self._url = ""
        self._desk = Desk("witness")
        self._wait = FIRST_RETRY
        self._not_before = 0.0
        self._copied = ""
        self.size = 0
        """The size of the newest checkpoint that it has from this process."""
        self.trouble = ""
        """Why it has not got the newest; empty: it has."""
        self.failures = 0
        """Copies that failed."""

    def at(self, url: str) -> "Witness":
        """The same at a URL."""
        self._url = url.rstrip("/")
        return self

    async def newest(self, origin: str) -> tuple[str, ...]:
        """What a URL has to tell of a trail at the start; a directory is read when the trail is opened."""
        if self.folder is not None:
            return ()
        try:
            return (await self._call("GET", _target(origin, LATEST), b""),)
        except (WitnessError, UpstreamError, ValueError):
            return ()

    async def keep_up(self, note: str) -> None:
        """Copies a note, unless it has it, or failed a moment ago."""
        now = asyncio.get_running_loop().time()
        if note == self._copied or now < self._not_before:
            return
        try:
            await self._copy(note)
        except (WitnessError, UpstreamError, OSError, NoteError, ValueError) as error:
            self._failed(str(error), now)
            return
        if self.trouble:
            log.info("witness_up", extra={"witness": self.name})
        self.trouble, self._wait, self._not_before = "", FIRST_RETRY, 0.0
        self._copied, self.size = note, claimed(note).size

    async def last(self, note: str, patience: float) -> None:
        """The last copy before the process ends."""
        self._not_before = 0.0
        try:
            async with asyncio.timeout(patience):
                if note:
                    await self.keep_up(note)
        except TimeoutError:
            log.warning("witness_behind", extra={"witness": self.name})

    async def close(self) -> None:
        await asyncio.to_thread(self._desk.close)

    async def _copy(self, note: str) -> None:
        folder = self.folder
        if folder is not None:
            await self._desk.do(lambda: witnesses.copy(folder, note))
            return
        found = claimed(note)
        for name in (f"{found.size:012d}", LATEST):
            await self._call("PUT", _target(found.origin, name), note.encode())

    async def _call(self, method: str, target: str, body: bytes) -> str:
        path = urlsplit(self._url).path
        deadline = asyncio.get_running_loop().time() + PATIENCE
        reply = await self._client.request(
            Origin.of(self._url, max_connections=2),
            method,
            path + target,
            FIELDS,
            body,
            connect=PATIENCE,
            first_byte=PATIENCE,
            idle=PATIENCE,
            deadline=deadline,
        )
        try:
            if not 200 <= reply.status < 300:
                raise WitnessError(f"it answers {reply.status}")
            return (await reply.read(LARGEST)).decode(errors="replace")
        finally:
            reply.close()

    def _failed(self, reason: str, now: float) -> None:
        self.failures += 1
        if not self.trouble:
            log.error("witness_down", extra={"witness": self.name, "reason": reason})
        self.trouble = reason
        self._not_before = now + self._wait
        self._wait = min(self._wait * 2, LAST_RETRY)


def _target(origin: str, name: str) -> str:
    return f"/{quote(origin, safe='')}/{name}"


def witness_of(text: str, client: Client) -> Witness:
    """The witness that the configuration names."""
    parts = urlsplit(text)
    if parts.scheme in ("http", "https"):
        shown = f"{parts.scheme}://{parts.hostname}{quote(parts.path)}"
        return Witness(shown, None, client).at(text)
    return Witness(text, Path(text), client)
