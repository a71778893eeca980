"""No record is larger than the room that it was promised, and what is cut is what matters least."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.journal.journal_records import RECORD

from fairlead.canonical.routing import AttemptRecord, Content, RequestRecord, Skipped, Trace, Verdict
from fairlead.journal.fit import CONTENT, PLAIN, fitted
from fairlead.journal.frames import HEAD, decode, frame

WIDE = "\U0001f6a2"
"""A character that takes four bytes."""


def back(payload: bytes) -> RequestRecord:
    (record,) = decode(frame(payload, 0))
    return record


def test_an_ordinary_record_is_left_as_it_is() -> None:
    assert back(fitted(RECORD, PLAIN)) == RECORD


@given(prompt=st.integers(0, 2 * CONTENT), answer=st.integers(0, 2 * CONTENT))
def test_texts_are_cut_to_what_was_promised_and_the_rest_stays(prompt: int, answer: int) -> None:
    record = replace(RECORD, content=Content(prompt=WIDE * (prompt // 4), answer="a" * answer))
    payload = fitted(record, PLAIN + CONTENT)
    assert len(payload) + HEAD <= PLAIN + CONTENT
    found = back(payload)
    assert replace(found, content=None, trimmed=False) == RECORD
    assert found.content is not None
    if found.trimmed:
        assert len(payload) > PLAIN + CONTENT - 200
        assert record.content
        assert record.content.prompt.startswith(found.content.prompt)
        assert record.content.answer.startswith(found.content.answer)
    else:
        assert found == record


def test_content_without_a_promise_of_its_own_leaves_the_record() -> None:
    found = back(fitted(replace(RECORD, content=Content(prompt="p" * 100_000)), PLAIN))
    assert (found.id, found.attempts, found.trimmed) == (RECORD.id, RECORD.attempts, True)


def test_the_worst_of_records_fits() -> None:
    """Every text as long as anybody likes, in the widest characters; the id and the hold stay whole."""
    text = WIDE * 50_000
    texts = {
        name: text
        for name in RequestRecord.__struct_fields__
        if isinstance(getattr(RECORD, name), str) and name not in {"id", "hold", "cost", "price", "operation", "ended"}
    }
    attempt = AttemptRecord(deployment=text, started_at=0, duration=1, outcome=text, span_id=text)
    worst = replace(
        RECORD,
        **texts,
        id="i" * 128,
        hold="h" * 100,
        tags=((text, text),) * 100,
        limits=(text,) * 100,
        attempts=(attempt,) * 100,
        skipped=(Skipped(deployment=text, reason=text),) * 100,
        verdicts=(Verdict(guardrail=text, stage="input", action="block", reason=text),) * 100,
        trace=Trace(trace_id=text, span_id=text, parent_id=text, state=text),
    )
    payload = fitted(worst, PLAIN)
    assert len(payload) + HEAD <= PLAIN
    found = back(payload)
    assert (found.id, found.hold, found.usage, found.cost) == ("i" * 128, "h" * 100, RECORD.usage, RECORD.cost)
    assert found.trimmed
