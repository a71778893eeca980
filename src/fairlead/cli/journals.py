"""Journals that a command is told to read: a file, a folder of them, or the data folder of a gateway.

They are read as a stream, as often as needed, and the same records come every time: what is written meanwhile is not
among them. The first time a bar tells how far that is. It must not know what is made of the records.
"""

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from fairlead.canonical.routing import RequestRecord
from fairlead.cli.progress import Progress
from fairlead.cli.stores import UnusableError
from fairlead.journal.frames import HEADER, salt_of
from fairlead.journal.reader import batches, records_of
from fairlead.journal.segment import PATTERN
from fairlead.simulator.trace import Trace, by_end

MB = 1_000_000
WHAT = "name a journal file, a folder of them, or a gateway's data folder"
TORN = "its last record is not whole and left out; it was cut off, or is still being written"


class Journals:
    """What lies at `path`, of requests that came from `since` on and before `until` (Unix seconds)."""

    def __init__(self, path: Path, since: float = 0.0, until: float = float("inf")) -> None:
        self._path = path
        self._since = since
        self._until = until
        self._read: dict[Path, tuple[float, int]] = {}
        """Of each file that was read: the end of its first record, and how many it had."""

    def trace(self) -> Trace:
        """Reads all of it, before anything else. What is damaged or torn is skipped, and told on stderr.

        Raises UnusableError where there is no journal, nothing of that time in it, or something cannot be read.
        """
        trace = Trace()
        damaged, torn = 0, list[Path]()
        try:
            files = _files(self._path)
            with Progress(sum(file.stat().st_size for file in files) // MB, "MB") as progress:
                for file in files:
                    size = file.stat().st_size
                    count, end = self._note(file, trace, progress.part(size // MB))
                    damaged += count
                    torn += [file] if end < size else []
        except OSError as error:
            raise UnusableError(f"{error.filename or self._path} cannot be read: {error.strerror}") from None
        if damaged:
            places = "1 damaged place was" if damaged == 1 else f"{damaged} damaged places were"
            print(f"{self._path}: {places} skipped", file=sys.stderr)
        for file in torn:
            print(f"{file}: {TORN}", file=sys.stderr)
        if not trace.requests:
            raise UnusableError(self._nothing(trace))
        return trace

    def by_end(self) -> Iterator[RequestRecord]:
        """The records that `trace` has noted, by their end. Raises UnusableError where they are no longer there."""
        return by_end((first, self._again(file, count)) for file, (first, count) in self._read.items())

    def _note(self, file: Path, trace: Trace, tell: Callable[[int], None]) -> tuple[int, int]:
        """Notes the records of one file; how many places of it are damaged, and where its last whole record ends.

        `tell` hears how many MB were read.
        """
        damaged, end = 0, HEADER
        for batch in batches(file):
            end = batch.end
            tell(end // MB)
            damaged += len(batch.damage)
            for record in batch.records:
                first, count = self._read.get(file, (record.answered_at, 0))
                self._read[file] = first, count + 1
                if self._is_meant(record):
                    trace.note(record)
        return damaged, end

    def _again(self, file: Path, count: int) -> Iterator[RequestRecord]:
        """The first records of a file. Raises UnusableError where there are fewer."""
        missing = count
        for record in islice(records_of(file), count):
            missing -= 1
            if self._is_meant(record):
                yield record
        if missing:
            raise UnusableError(f"{file} was deleted or cut off while it was read; name a copy of it")

    def _is_meant(self, record: RequestRecord) -> bool:
        return self._since <= record.at < self._until

    def _nothing(self, trace: Trace) -> str:
        if not self._read:
            return f"{self._path} has no records: its gateway has served nothing yet, or its journals were deleted"
        if trace.left_out:
            reasons = ", ".join(f"{count} {why}" for why, count in trace.left_out.items())
            return f"{self._path} has no request that another configuration could have served, only {reasons}"
        return f"{self._path} has no request of that time; leave --since and --until out, or move them"


def _files(path: Path) -> list[Path]:
    """Raises UnusableError where there are none, OSError where they cannot be looked at."""
    if not path.exists():
        raise UnusableError(f"{path} is not there; {WHAT}")
    if not path.is_dir():
        with path.open("rb") as stream:
            head = stream.read(HEADER)
        if head and salt_of(head) is None:
            raise UnusableError(f"{path} is no journal: it does not begin like one; {WHAT}")
        return [path]
    folder = path / "journal" if (path / "journal").is_dir() else path
    found = sorted(folder.glob(PATTERN))
    if not found:
        raise UnusableError(f"{folder} has no files like {PATTERN}; {WHAT}")
    return found
