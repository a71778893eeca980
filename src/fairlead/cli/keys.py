"""`fairlead keys`: makes, lists and changes virtual keys, in the database directly.

It needs no running gateway; one that runs notices within a second. A key's text goes to stdout alone, and once.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from fairlead.cli.output import print_json, print_table
from fairlead.cli.stores import UnusableError, machine_of, store_of
from fairlead.config.units import parse_duration
from fairlead.control.accounts import Author
from fairlead.control.keyring import DEFAULT_OVERLAP, Keyring, Listed, Made, Shown
from fairlead.control.wishes import RefusedError, Wish, read, terms_of
from fairlead.database import schema
from fairlead.database.engine import Database
from fairlead.database.place import DatabaseError
from fairlead.state.pepper import PepperError


def run(args: argparse.Namespace) -> int:
    """0 where it was done, else 1."""
    try:
        with _keyring(args) as keyring:
            result = _ACTIONS[args.action](keyring, args)
    except (UnusableError, RefusedError, DatabaseError, PepperError) as problem:
        print(f"fairlead keys {args.action}: {problem}", file=sys.stderr)
        return 1
    _print(result, as_json=args.json)
    return 0


@contextlib.contextmanager
def _keyring(args: argparse.Namespace) -> Iterator[Keyring]:
    store = store_of(args)
    database = Database(store.place)
    try:
        schema.prepare(database)
        terms = terms_of(store.config)
        author = Author("cli", machine_of(store.place.data))
        yield Keyring(database, lambda: store.pepper, terms=lambda: terms, clock=time.time, author=author)
    finally:
        database.close()


def _wish(args: argparse.Namespace) -> Wish:
    """What the flags say; those that are not there leave things as they are."""
    said: dict[str, Any] = {
        name: value for name in ("name", "tenant", "tier") if (value := getattr(args, name)) is not None
    }
    for name in ("models", "routes", "cidrs"):
        if (values := getattr(args, name)) is not None:
            said[name] = [value for value in values if value]
    if args.tags is not None:
        said["tags"] = dict(_tag(text) for text in args.tags if text)
    for name in ("limits", "metadata"):
        if (text := getattr(args, name)) is not None:
            said[name] = _json(f"--{name}", text)
    if args.expires is not None:
        said["expires_at"] = _instant(args.expires)
    wish: Wish = read(msgspec.json.encode(said), Wish)
    return wish


def _tag(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise RefusedError("invalid_request_error", f"--tag {text!r} has no '='; write --tag name=value")
    return name, value


def _json(flag: str, text: str) -> msgspec.Raw:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise RefusedError("invalid_request_error", f"{flag} is not JSON; quote it for the shell: '{{…}}'") from None
    return msgspec.Raw(text.encode())


def _instant(text: str) -> float | None:
    """Unix seconds of a duration from now, a date, an instant, or None for `never`."""
    if text == "never":
        return None
    with contextlib.suppress(ValueError):
        return time.time() + parse_duration(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise RefusedError(
            "invalid_request_error",
            f"--expires {text!r} is no time; write 30d, 2027-01-31, 2027-01-31T12:00:00Z or never",
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _rotated(keyring: Keyring, args: argparse.Namespace) -> Made:
    try:
        overlap = parse_duration(args.overlap or DEFAULT_OVERLAP)
    except ValueError as error:
        raise RefusedError("invalid_request_error", f"--overlap: {error}") from None
    return keyring.rotate(args.id, overlap)


def _listed(keyring: Keyring, args: argparse.Namespace) -> Listed:
    return keyring.page(limit=args.limit, cursor=args.cursor, tenant=args.tenant, name=args.name)


_ACTIONS: dict[str, Callable[[Keyring, argparse.Namespace], Made | Shown | Listed]] = {
    "create": lambda keyring, args: keyring.create(_wish(args)),
    "list": _listed,
    "show": lambda keyring, args: keyring.get(args.id),
    "update": lambda keyring, args: keyring.update(args.id, _wish(args)),
    "revoke": lambda keyring, args: keyring.revoke(args.id),
    "rotate": _rotated,
}


def _print(result: Made | Shown | Listed, *, as_json: bool) -> None:
    match result:
        case Made(text, key):
            _print_made(text, key, as_json=as_json)
        case _ if as_json:
            print_json(result)
        case Shown():
            print_table(("FIELD", "VALUE"), [(name, _cell(value)) for name, value in _fields(result)])
        case Listed(keys, after):
            heads = ("ID", "NAME", "TENANT", "TIER", "STATE", "CREATED", "EXPIRES")
            print_table(heads, [_row(key) for key in keys])
            if after is not None:
                print(f"there are more: --cursor {after}", file=sys.stderr)


def _print_made(text: str, key: Shown, *, as_json: bool) -> None:
    if as_json:
        print_json({"key": text, **msgspec.structs.asdict(key)})
        return
    print(text)
    print(f"this is the only showing of the key {key.id} ({key.name}); keep it safe", file=sys.stderr)


def _fields(key: Shown) -> Iterator[tuple[str, Any]]:
    for name, value in msgspec.structs.asdict(key).items():
        yield name, _time(value) if name.endswith("_at") else value


def _row(key: Shown) -> tuple[str, ...]:
    return (key.id, key.name, key.tenant, key.tier, key.state, _time(key.created_at), _time(key.expires_at))


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _time(at: float | None) -> str:
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
