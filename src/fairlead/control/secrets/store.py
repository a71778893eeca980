"""What a store of secrets is, how asking one fails, and what every store module needs to be one.

It must not know any particular store. Every message here is our own words: what a store or an SDK says may hold a
secret, so it is never repeated.
"""

import asyncio
import contextlib
import importlib
import logging
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from fairlead.config.secrets import Secret, UnresolvedError, read_text, resolve

Trouble = Literal["unreachable", "denied", "unconfigured", "missing", "unusable"]
OF_THE_STORE = frozenset({"unreachable", "denied", "unconfigured"})
"""Troubles that say something about the store; the others are about one secret in it."""

Result = TypeVar("Result")
_WORD = re.compile(r"[A-Za-z][A-Za-z.]{0,63}")


class StoreError(Exception):
    """The store gave no value. `reason` names what is wrong and the way out, in our own words."""

    def __init__(self, trouble: Trouble, reason: str) -> None:
        super().__init__(reason)
        self.trouble: Trouble = trouble
        self.reason = reason


class Store(Protocol):
    """One store, open or not yet."""

    async def read(self, rest: str) -> str:
        """The value behind a reference; `rest` is what follows its `scheme://`. Raises StoreError."""
        ...

    async def close(self) -> None: ...


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where stores find what opens them: this machine's environment and files."""

    environ: Mapping[str, str]
    read_file: Callable[[str], str] = read_text

    def __repr__(self) -> str:
        return "Machine()"

    def first(self, *names: str) -> str | None:
        """The first of these environment variables that is set."""
        return next((value for name in names if (value := self.environ.get(name, "").strip())), None)

    def reveal(self, secret: Secret) -> str:
        """The value of a secret that needs no store. Raises StoreError."""
        try:
            return resolve(secret, self.environ, self.read_file)
        except UnresolvedError as error:
            raise StoreError("unconfigured", str(error)) from None


def field_of(document: object, field: str, what: str) -> str:
    """The text of a field of a JSON object. Raises StoreError."""
    if not isinstance(document, dict):
        raise StoreError("unusable", f"{what} is no JSON object, so it has no field {field!r}")
    value = document.get(field)
    if value is None:
        raise StoreError("missing", f"{what} has no field {field!r}")
    if not isinstance(value, str):
        raise StoreError("unusable", f"the field {field!r} of {what} is not text")
    return value


def json_object(text: str, what: str) -> object:
    """The JSON value that `text` is. Raises StoreError."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise StoreError("unusable", f"{what} is not JSON, so it has no fields") from None


def word(text: object) -> str:
    """An error code as a message may show it: a short word, or nothing of it."""
    return text if isinstance(text, str) and _WORD.fullmatch(text) else "an unknown error"


def sdk(module: str, extra: str, loggers: tuple[str, ...]) -> Any:
    """An SDK, imported when it is first needed and told to log nothing. Raises StoreError: it is not installed."""
    for name in loggers:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        message = f"{package} is not installed; in a clone of Fairlead: pip install '.[{extra}]'"
        raise StoreError("unconfigured", message) from None


async def in_thread(work: Callable[[], Result]) -> Result:
    """`work()` on a thread of its own, which holds up nobody's end: SDKs block, and cannot be told to stop."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="secret-store", daemon=True).start()
    return await done
