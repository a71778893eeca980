"""The audit trail as a projection of the journals: every request's record is an entry, exactly once.

It knows records and entries. It must not know where the trail is.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from fairlead.audit.entry import Entry, Read
from fairlead.audit.record import entry_of, personal
from fairlead.audit.subjects import Personal, seal_records
from fairlead.audit.trail import Trail
from fairlead.control.custodian import Custodian
from fairlead.journal.reader import Batch
from fairlead.journal.segment import PATTERN


class AuditRecords:
    """`fairlead.control.projector.Projection`: the positions are in the entries themselves."""

    name = "audit"

    def __init__(self, custodian: Custodian, journals: Path) -> None:
        self._custodian = custodian
        self._journals = journals

    def positions(self) -> Mapping[str, int]:
        return self._custodian.use(self._positions)

    def take(self, batch: Batch) -> None:
        self._custodian.use(lambda trail: _take(trail, batch))

    def _positions(self, trail: Trail) -> dict[str, int]:
        trail.forget_journals({path.name: path for path in self._journals.glob(PATTERN)})
        return dict(trail.journals)


def _take(trail: Trail, batch: Batch) -> None:
    if not batch.records or trail.journals.get(batch.file, 0) >= batch.end:
        return  # the trail was opened again meanwhile, and knows better than whoever asks
    entries = list(map(entry_of, batch.records))
    texts = {}
    for place, record in enumerate(batch.records):
        if text := personal(record):
            at = entries[place].at
            texts[place] = Personal(tenant=record.tenant, user=record.user, text=text, at=at)
    if texts:
        for place, sealed in seal_records(trail.subjects, texts).items():
            entries[place] = msgspec.structs.replace(entries[place], sealed=sealed)
    last: Entry = entries[-1]
    entries[-1] = msgspec.structs.replace(last, journal=Read(batch.file, batch.start, batch.end))
    trail.append(entries)
