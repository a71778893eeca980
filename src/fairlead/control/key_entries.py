"""Virtual keys on the admin port: `/admin/v1/keys`.

It knows paths, bodies and statuses. It must not know what a key is (keyring) nor who may call (admin).
"""

from collections.abc import Callable
from typing import Any

import msgspec

from fairlead.config.units import parse_duration
from fairlead.control.admin import Answer, Call, Entry
from fairlead.control.desk import Desk
from fairlead.control.keyring import DEFAULT_OVERLAP, Keyring, Made
from fairlead.control.wishes import RefusedError, Wish, read

PATH = "/admin/v1/keys"
LIST_QUERY = frozenset({"limit", "cursor", "tenant", "name"})


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a rotation. `overlap`: how long the key's secret so far stays good, such as `1d` or `0s`."""

    overlap: str = DEFAULT_OVERLAP


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body where nothing can be said."""


class KeyEntries:
    """What the admin port answers about keys. `changed` is called after every change."""

    def __init__(self, keyring: Keyring, desk: Desk, changed: Callable[[], None]) -> None:
        self._keyring = keyring
        self._desk = desk
        self._changed = changed

    def entries(self) -> tuple[Entry, ...]:
        return (
            Entry(method="POST", path=PATH, run=self._create),
            Entry(method="GET", path=PATH, run=self._page),
            Entry(method="GET", path=f"{PATH}/{{}}", run=self._get),
            Entry(method="PATCH", path=f"{PATH}/{{}}", run=self._update),
            Entry(method="DELETE", path=f"{PATH}/{{}}", run=self._revoke),
            Entry(method="POST", path=f"{PATH}/{{}}/revoke", run=self._revoke),
            Entry(method="POST", path=f"{PATH}/{{}}/rotate", run=self._rotate),
        )

    async def _create(self, call: Call) -> Answer:
        wish = read(await call.body(), Wish)
        return Answer(_with_text(await self._change(lambda: self._keyring.create(wish))), 201)

    async def _page(self, call: Call) -> Answer:
        query = call.query(LIST_QUERY)
        limit = query.pop("limit", "100")
        if not (limit.isascii() and limit.isdigit() and len(limit) <= 9):
            raise RefusedError("invalid_request_error", "limit must be a whole number", "limit")
        return Answer(await self._desk.do(lambda: self._keyring.page(limit=int(limit), **query)))

    async def _get(self, call: Call) -> Answer:
        return Answer(await self._desk.do(lambda: self._keyring.get(call.id)))

    async def _update(self, call: Call) -> Answer:
        wish = read(await call.body(), Wish)
        return Answer(await self._change(lambda: self._keyring.update(call.id, wish)))

    async def _revoke(self, call: Call) -> Answer:
        read(await call.body(), Nothing)
        return Answer(await self._change(lambda: self._keyring.revoke(call.id)))

    async def _rotate(self, call: Call) -> Answer:
        text = read(await call.body(), Rotation).overlap
        try:
            overlap = parse_duration(text)
        except ValueError as error:
            raise RefusedError("invalid_request_error", f"overlap: {error}", "overlap") from None
        return Answer(_with_text(await self._change(lambda: self._keyring.rotate(call.id, overlap))))

    async def _change(self, work: Callable[[], Any]) -> Any:
        result = await self._desk.do(work)
        self._changed()
        return result


def _with_text(made: Made) -> dict[str, Any]:
    """The key's only showing, and what it is."""
    return {"key": made.text, **msgspec.structs.asdict(made.key)}
