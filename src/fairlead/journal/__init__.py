"""The journal: the append-only files of request records that each worker writes, and how to read them back.

It knows frames and files. It must not know what a record means to anyone who reads it.
"""

from fairlead.journal.fit import CONTENT, PLAIN
from fairlead.journal.frames import Frames, decode, encode
from fairlead.journal.reader import Batch, Reader, records_of
from fairlead.journal.writer import Journal

__all__ = ["CONTENT", "PLAIN", "Batch", "Frames", "Journal", "Reader", "decode", "encode", "records_of"]
