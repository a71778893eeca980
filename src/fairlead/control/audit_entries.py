"""The audit trail on the admin port: `/admin/v1/audit`.

It reads the trail's folder beside whoever writes it. It must not know how the trail is kept.
"""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from fairlead.audit import alarm, proofs
from fairlead.audit.note import NoteError, claimed
from fairlead.audit.proofs import ProofError
from fairlead.audit.segments import lines_of
from fairlead.control.admin import Answer, Call, Entry
from fairlead.control.custodian import Custodian
from fairlead.control.desk import Desk
from fairlead.control.projector import ProjectionError
from fairlead.control.wishes import RefusedError

PATH = "/admin/v1/audit"
MOST = 1000
"""Entries of an answer."""


class Witnessed(msgspec.Struct, frozen=True, kw_only=True):
    """How a witness is doing."""

    witness: str
    size: int
    """Of the newest checkpoint that it has from this process."""
    failures: int
    trouble: str


class AuditEntries:
    """What the admin port answers about the trail."""

    def __init__(
        self, folder: Path, custodian: Custodian, desk: Desk, witnesses: Callable[[], list[Witnessed]]
    ) -> None:
        self._folder = folder
        self._custodian = custodian
        self._desk = desk
        self._witnesses = witnesses

    def entries(self) -> tuple[Entry, ...]:
        return (
            Entry(method="GET", path=PATH, run=self._standing),
            Entry(method="GET", path=f"{PATH}/entries", run=self._page),
            Entry(method="GET", path=f"{PATH}/proofs/{{}}", run=self._proof),
        )

    async def _standing(self, call: Call) -> Answer:
        call.query(frozenset())
        return Answer({**await self._desk.do(self._stands), "witnesses": self._witnesses()})

    async def _page(self, call: Call) -> Answer:
        query = call.query(frozenset({"from", "limit"}))
        start, limit = _number(query, "from", 0), _number(query, "limit", 100)
        if not 1 <= limit <= MOST:
            raise RefusedError("invalid_request_error", f"limit is {limit}; it goes from 1 to {MOST}", "limit")
        return Answer(await self._desk.do(lambda: self._read(start, limit)))

    async def _proof(self, call: Call) -> Answer:
        call.query(frozenset())
        index = _number({"index": call.id}, "index", 0)
        return Answer(await self._desk.do(lambda: self._proven(index)))

    def _stands(self) -> dict[str, Any]:
        try:
            said = self._custodian.use(
                lambda trail: {
                    "origin": trail.origin,
                    "key": trail.signer.verifier.vkey,
                    "size": trail.size,
                    "checkpoint": trail.latest,
                    "signed": claimed(trail.latest).size,
                }
            )
        except ProjectionError:
            said = {}
        return {**said, "trouble": self._custodian.trouble, "alarm": alarm.raised(self._folder)}

    def _read(self, start: int, limit: int) -> dict[str, Any]:
        try:
            size = self._custodian.use(lambda trail: trail.size)
        except ProjectionError as error:
            raise RefusedError("audit_unavailable", str(error)) from None
        found = [
            msgspec.Raw(line[:-1])
            for _, line in islice(lines_of(self._folder, start), max(min(limit, size - start), 0))
        ]
        after = start + len(found)
        return {"entries": found, "next": after if after < size else None}

    def _proven(self, index: int) -> proofs.Inclusion:
        try:
            return proofs.inclusion(self._folder, index)
        except ProofError as error:
            raise RefusedError("not_found", str(error)) from None
        except (NoteError, OSError) as error:
            raise RefusedError("audit_unavailable", f"the trail cannot be read: {error}") from None


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise RefusedError("invalid_request_error", f"{name} must be a whole number", name)
    return int(text)
