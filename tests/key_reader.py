"""A process that looks keys up as a worker does: LMDB lets one process open an index once, so tests need another."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from fairlead.canonical.tenants import VirtualKey

ROOT = Path(__file__).parent.parent
READS = """
import sys, msgspec
from pathlib import Path
from fairlead.state.keys import KeyIndex
index = KeyIndex(Path(sys.argv[1]))
for line in sys.stdin:
    print(msgspec.json.encode(index.find(bytes.fromhex(line))).decode(), flush=True)
"""


class KeyReader:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def find(self, mac: bytes) -> VirtualKey | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(mac.hex() + "\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=VirtualKey | None)


@contextmanager
def key_reader(folder: Path) -> Iterator[KeyReader]:
    """One that reads the index in `folder`, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", READS, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT / "src")},
    )
    try:
        yield KeyReader(process)
    finally:
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()
        process.wait(30)
