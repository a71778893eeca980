"""How an answer, good or faulty, looks on the wire: a sequence of steps that a server plays out.

Pure: a turn and a fault in, steps out. It must not know sockets; `provider` plays the steps.
"""

import enum
import gzip
from collections.abc import Callable, Iterator
from email.utils import formatdate

import msgspec

from fairlead.fakes import wire
from fairlead.fakes.formats import Format, JsonObject, RefusedError, json
from fairlead.fakes.model import Question, Reply
from fairlead.fakes.script import Fault

MIB = 1024 * 1024
JSON_FIELDS = (("content-type", "application/json"),)
HTML_FIELDS = (("content-type", "text/html; charset=utf-8"),)
STREAM_FIELDS = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))
HTML = b"<html><head><title>Fake proxy</title></head><body><h1>502 Bad Gateway</h1></body></html>"


class Act(enum.Enum):
    """What ends a connection, or a wait of the pace."""

    FIRST = "wait for the first event"
    NEXT = "wait for a further event"
    STALL = "nothing more, ever"
    CLOSE = "FIN"
    RESET = "RST"


class Wait(msgspec.Struct, frozen=True):
    seconds: float


class Refuse(msgspec.Struct, frozen=True):
    """The listener is closed for so long."""

    seconds: float


Step = bytes | Act | Wait | Refuse


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One request that a fake provider understood, and the good answer to it."""

    format: Format
    question: Question
    reply: Reply
    number: int
    """Of the request, from 1: ids are made of it."""
    wall: float
    """Unix seconds."""

    def whole(self) -> bytes:
        return json(self.format.whole(self.question, self.reply, self.number))

    def events(self) -> list[bytes]:
        return self.format.events(self.question, self.reply, self.number)

    def fields(self, base: tuple[tuple[str, str], ...] = JSON_FIELDS) -> tuple[tuple[str, str], ...]:
        return (*base, ("server", "fairlead-fake"), *self.format.fields(self.number))


def steps(turn: Turn, fault: Fault) -> Iterator[Step]:
    """The answer to `turn` under `fault`. When no step ended the connection, it stays alive."""
    if fault.name in STATUSES:
        return _refused(turn, fault)
    if fault.name in ENDINGS and turn.question.stream:
        return ENDINGS[fault.name](turn, fault)
    if fault.name in ENDINGS:
        return WHOLE_ENDINGS[fault.name](turn, fault)
    return OTHERS[fault.name](turn, fault)


def refusal(turn_fields: tuple[tuple[str, str], ...], form: Format, wrong: RefusedError, number: int) -> bytes:
    """The provider's error answer."""
    return wire.whole(wrong.status, turn_fields, json(form.error(wrong, number)))


# Refusals: a status, the row of ERRORS, and what the answer tells about when to come back.

Fields = tuple[tuple[str, str], ...]


def _seconds(fault: Fault, _wall: float) -> Fields:
    return (("retry-after", f"{fault.or_default(1):g}"),)


def _date(fault: Fault, wall: float) -> Fields:
    return (("retry-after", formatdate(wall + fault.or_default(2), usegmt=True)),)


def _milliseconds(fault: Fault, _wall: float) -> Fields:
    return (("retry-after-ms", f"{fault.or_default(50):g}"),)


def _if_given(fault: Fault, wall: float) -> Fields:
    return () if fault.amount is None else _seconds(fault, wall)


def _none(_fault: Fault, _wall: float) -> Fields:
    return ()


STATUSES: dict[str, tuple[str, Callable[[Fault, float], Fields]]] = {
    "429": ("rate", _seconds),
    "429_date": ("rate", _date),
    "429_ms": ("rate", _milliseconds),
    "429_plain": ("rate", _none),
    "429_quota": ("quota", _none),
    "500": ("server", _none),
    "503": ("unavailable", _if_given),
    "529": ("overloaded", _none),
    "400": ("invalid", _none),
    "400_context": ("context", _none),
    "400_policy": ("policy", _none),
    "401": ("key", _none),
    "403": ("permission", _none),
    "404": ("not_found", _none),
    "422": ("unprocessable", _none),
}


def _refused(turn: Turn, fault: Fault) -> Iterator[Step]:
    kind, hint = STATUSES[fault.name]
    param = {"context": "messages", "not_found": "model"}.get(kind)
    fields = (*turn.fields(), *hint(fault, turn.wall))
    yield refusal(fields, turn.format, RefusedError(kind, param=param), turn.number)


# Streams, and how they go wrong after some events.


def _begin(turn: Turn) -> Iterator[Step]:
    yield wire.chunked_head(200, turn.fields(STREAM_FIELDS))


def _play(events: list[bytes], *, first: bool = True) -> Iterator[Step]:
    for index, event in enumerate(events):
        yield Act.FIRST if first and index == 0 else Act.NEXT
        yield wire.chunk(event)


def _stream(turn: Turn) -> Iterator[Step]:
    yield from _begin(turn)
    yield from _play(turn.events())
    yield wire.LAST_CHUNK


def _after(turn: Turn, fault: Fault, default: int = 2) -> int:
    return min(int(fault.or_default(default)), len(turn.events()) - 1)


def _broken_stream(last: Step | None) -> "Play":
    def play(turn: Turn, fault: Fault) -> Iterator[Step]:
        yield from _begin(turn)
        yield from _play(turn.events()[: _after(turn, fault)])
        yield wire.LAST_CHUNK if last is None else last

    return play


def _no_terminal(turn: Turn, _fault: Fault) -> Iterator[Step]:
    yield from _begin(turn)
    yield from _play(turn.events()[:-1])
    yield wire.LAST_CHUNK


def _error_event(turn: Turn, fault: Fault) -> Iterator[Step]:
    wrong = RefusedError("overloaded")
    events = turn.events()[: _after(turn, fault, 0)]
    yield from _begin(turn)
    yield from _play([*events, turn.format.error_event(wrong, turn.number)])
    yield wire.LAST_CHUNK


def _intruder(intruder: bytes) -> "Play":
    def play(turn: Turn, fault: Fault) -> Iterator[Step]:
        events = turn.events()
        events.insert(_after(turn, fault), intruder)
        yield from _begin(turn)
        yield from _play(events)
        yield wire.LAST_CHUNK

    return play


Play = Callable[[Turn, Fault], Iterator[Step]]
ENDINGS: dict[str, Play] = {
    "stall_stream": _broken_stream(Act.STALL),
    "cut": _broken_stream(Act.CLOSE),
    "cut_reset": _broken_stream(Act.RESET),
    "ended_early": _broken_stream(None),
    "no_terminal": _no_terminal,
    "error_event": _error_event,
    "bad_event": _intruder(b'event: content_block_delta\ndata: {"choices":[{"delta":{"conte\n\n'),
    "bad_sse": _intruder(b"\x00\xff<<< this line is no event\nneither: is this\n: and no blank line ends them\n"),
}

# The same faults where a whole answer was asked for.


def _half(last: Act | None) -> Play:
    def play(turn: Turn, _fault: Fault) -> Iterator[Step]:
        body = turn.whole()
        yield Act.FIRST
        if last is None:
            yield wire.whole(200, turn.fields(), body[: len(body) // 2])
            return
        yield wire.whole(200, turn.fields(), body[: len(body) // 2], length=len(body))
        yield last

    return play


def _good_whole(turn: Turn, _fault: Fault) -> Iterator[Step]:
    yield Act.FIRST
    yield wire.whole(200, turn.fields(), turn.whole())


def _error_in_200(turn: Turn, _fault: Fault) -> Iterator[Step]:
    yield Act.FIRST
    yield wire.whole(200, turn.fields(), json(turn.format.error(RefusedError("overloaded"), turn.number)))


WHOLE_ENDINGS: dict[str, Play] = {
    "stall_stream": _half(Act.STALL),
    "cut": _half(Act.CLOSE),
    "cut_reset": _half(Act.RESET),
    "ended_early": _half(None),
    "no_terminal": _good_whole,
    "error_event": _error_in_200,
    "bad_event": _half(None),
    "bad_sse": _half(None),
}

# Everything that does not depend on whether a stream was asked for.


def _ok(turn: Turn, fault: Fault) -> Iterator[Step]:
    return _stream(turn) if turn.question.stream else _good_whole(turn, fault)


def _only(*given: Step) -> Play:
    def play(_turn: Turn, _fault: Fault) -> Iterator[Step]:
        yield from given

    return play


def _slow(turn: Turn, fault: Fault) -> Iterator[Step]:
    wait = Wait(fault.or_default(1))
    if not turn.question.stream:
        yield wait
        yield from _good_whole(turn, fault)
        return
    yield from _begin(turn)
    yield wait
    yield from _play(turn.events(), first=False)
    yield wire.LAST_CHUNK


def _refuse(_turn: Turn, fault: Fault) -> Iterator[Step]:
    yield Refuse(fault.or_default(1))
    yield Act.RESET


def _body(status: int, fields: Fields, make: Callable[[Turn], bytes]) -> Play:
    def play(turn: Turn, _fault: Fault) -> Iterator[Step]:
        yield Act.FIRST
        yield wire.whole(status, turn.fields(fields), make(turn))

    return play


def _nothing(turn: Turn) -> bytes:
    """An answer that holds nothing; on a stream, one that begins, ends and has no content."""
    return json(turn.format.nothing(turn.question, turn.number))


def _no_choices(turn: Turn, _fault: Fault) -> Iterator[Step]:
    if not turn.question.stream:
        yield wire.whole(200, turn.fields(), _nothing(turn))
        return
    yield from _begin(turn)
    yield from _play([b"data: %b\n\n" % _nothing(turn)])
    yield wire.LAST_CHUNK


def _truncated(turn: Turn, _fault: Fault) -> Iterator[Step]:
    body = b"".join(turn.events()) if turn.question.stream else turn.whole()
    fields = STREAM_FIELDS if turn.question.stream else JSON_FIELDS
    yield wire.whole(200, turn.fields(fields), body[: len(body) // 2], length=len(body))
    yield Act.CLOSE


def _huge(turn: Turn, fault: Fault) -> Iterator[Step]:
    answer = turn.format.whole(turn.question, turn.reply, turn.number)
    padded: JsonObject = {**answer, "padding": "x" * MIB}
    body = json(padded)
    before, _, behind = body.partition(b"x" * MIB)
    mebibytes = int(fault.or_default(64))
    length = len(before) + mebibytes * MIB + len(behind)
    yield wire.whole(200, turn.fields(), before, length=length)
    for _ in range(mebibytes):
        yield b"x" * MIB
    yield behind


def _gzip(turn: Turn, _fault: Fault) -> Iterator[Step]:
    streamed = turn.question.stream
    body = gzip.compress(b"".join(turn.events()) if streamed else turn.whole())
    fields = turn.fields(STREAM_FIELDS if streamed else JSON_FIELDS)
    yield Act.FIRST
    yield wire.whole(200, (*fields, ("content-encoding", "gzip")), body)


def _redirect(turn: Turn, _fault: Fault) -> Iterator[Step]:
    location = ("location", f"/elsewhere/v1{turn.format.targets[0]}")
    yield wire.whole(302, (*turn.fields(HTML_FIELDS), location), b"")


OTHERS: dict[str, Play] = {
    "ok": _ok,
    "502": _body(502, HTML_FIELDS, lambda _: HTML),
    "reset": _only(Act.RESET),
    "hangup": _only(Act.CLOSE),
    "refuse": _refuse,
    "stall": _only(Act.STALL),
    "slow": _slow,
    "json_for_stream": _good_whole,
    "html": _body(200, HTML_FIELDS, lambda _: HTML),
    "bad_json": _body(200, JSON_FIELDS, lambda turn: turn.whole()[:-2] + b",}"),
    "empty": _body(200, JSON_FIELDS, lambda _: b""),
    "empty_object": _body(200, JSON_FIELDS, lambda _: b"{}"),
    "no_choices": _no_choices,
    "error_in_200": _error_in_200,
    "truncated": _truncated,
    "redirect": _redirect,
    "huge": _huge,
    "gzip": _gzip,
    "garbage": _only(b"SSH-2.0-fake\r\n\r\n", Act.CLOSE),
}
