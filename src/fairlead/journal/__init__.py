"""The journal: one append-only file of request records per worker, and how to read it back.

It knows frames and files. It must not know what a record means to anyone who reads it.
"""

from fairlead.journal.frames import Frames, decode, encode
from fairlead.journal.writer import Journal

__all__ = ["Frames", "Journal", "decode", "encode"]
