"""A record as an entry, and what of it is sealed."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fairlead.audit import entry as entries
from fairlead.audit.entry import Entry, Sealed
from fairlead.audit.record import PERSONAL, entry_of, personal
from fairlead.audit.subjects import Personal, Subjects, readable, seal_records
from fairlead.canonical.routing import AttemptRecord, Content, Latency, RequestRecord, Trace
from fairlead.canonical.usage import Usage

RECORD = RequestRecord(
    id="req_1",
    at=1_790_000_000.25,
    tenant="acme",
    key="abcdefghij",
    asked="gpt-5",
    attempts=(
        AttemptRecord(deployment="openai/gpt-5", started_at=0.001, duration=0.5, outcome="answered", status=200),
    ),
    usage=Usage(input=7),
    cost="0.0000125",
    duration=1.5,
    latency=Latency(gateway=0.000042),
    user="canary-user",
    tags=(("team", "canary-tag"),),
    metadata='{"a":"canary-metadata"}',
    trace=Trace(trace_id="a" * 32, span_id="b" * 16, state="canary-state"),
    content=Content(prompt="canary-prompt", answer="canary-answer"),
)


def of(tenant: str, user: str, text: bytes, *, at: int = 0) -> Personal:
    return Personal(tenant=tenant, user=user, text=text, at=at)


def test_an_entry_says_all_of_a_record_but_what_is_personal() -> None:
    entry = entry_of(RECORD)
    assert entry.detail == {
        "asked": "gpt-5",
        "attempts": [
            {
                "deployment": "openai/gpt-5", "started_at": 1000, "duration": 500_000, "outcome": "answered",
                "status": 200,
            }
        ],
        "usage": {"input": 7},
        "cost": "0.0000125",
        "duration": 1_500_000,
        "latency": {"gateway": 42},
    }  # fmt: skip
    assert (entry.at, entry.tenant, entry.actor, entry.request) == (
        1_790_000_000_250_000,
        "acme",
        "abcdefghij",
        "req_1",
    )
    line = entries.encode(entry)
    assert b"canary" not in line
    assert b"\n" not in line


def test_what_is_personal_is_all_there_when_it_is_unsealed(tmp_path: Path) -> None:
    said = json.loads(personal(RECORD))
    assert set(said) == set(PERSONAL)
    assert said["content"] == {"prompt": "canary-prompt", "answer": "canary-answer"}
    subjects = Subjects(tmp_path / "subjects.db")
    sealed = seal_records(subjects, {0: of("acme", "canary-user", personal(RECORD))})[0]
    assert readable(sealed, subjects) == said
    subjects.close()


def test_a_record_without_a_person_has_nothing_to_seal() -> None:
    assert personal(RequestRecord(id="r", at=1.0)) == b""
    assert entry_of(RequestRecord(id="r", at=1.0, ended="refused")).outcome == "denied"
    assert entry_of(RequestRecord(id="r", at=1.0, ended="cut")).outcome == "failed"


def no_fractions(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(no_fractions, value.values()))
    return all(map(no_fractions, value)) if isinstance(value, list) else not isinstance(value, float)


@given(
    st.floats(0, 4e9), st.floats(0, 1e6), st.text(max_size=40), st.lists(st.floats(0, 1e5), max_size=3),
    st.integers(0, 10**12),
)  # fmt: skip
def test_an_entry_reads_back_as_it_was_and_in_the_same_bytes(
    at: float, duration: float, asked: str, starts: list[float], tokens: int
) -> None:
    attempts = tuple(
        AttemptRecord(deployment=asked, started_at=start, duration=duration, outcome="timeout") for start in starts
    )
    record = RequestRecord(id="r", at=at, duration=duration, asked=asked, attempts=attempts, usage=Usage(input=tokens))
    line = entries.encode(entry_of(record))
    assert b"\n" not in line
    assert no_fractions(json.loads(line))
    assert entries.encode(entries.decode(line)) == line
    assert json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == line


def test_a_destroyed_key_opens_nothing_and_the_next_is_another(tmp_path: Path) -> None:
    ours, theirs = Subjects(tmp_path / "subjects.db"), Subjects(tmp_path / "subjects.db")
    first = seal_records(ours, {0: of("acme", "u", b"text"), 1: of("acme", "other", b"kept")})
    key = theirs.id_of("acme", "u")
    assert key == first[0].key
    (secret,) = sqlite3.connect(tmp_path / "subjects.db").execute(
        "SELECT key FROM subjects WHERE id = ?", (key,)
    ).fetchone()  # fmt: skip
    theirs.destroy("acme", "u", 1000)
    assert ours.unseal(first[0]) is None
    assert ours.unseal(first[1]) == b"kept"
    assert theirs.id_of("acme", "u") is None
    again = seal_records(ours, {0: of("acme", "u", b"later", at=1001)})[0]
    assert again.key != key, "the process that had the key in memory has forgotten it"
    assert ours.unseal(again) == b"later"
    for store in (ours, theirs):
        store.close()
    for path in tmp_path.iterdir():
        assert secret not in path.read_bytes()


def test_what_is_from_before_an_erasure_stays_erased_though_it_is_sealed_again(tmp_path: Path) -> None:
    file = tmp_path / "subjects.db"
    with closing(Subjects(file)) as ours, closing(Subjects(file)) as theirs:
        first = seal_records(ours, {0: of("acme", "canary-user", b"text", at=10)})[0]
        theirs.destroy("acme", "canary-user", 20)
        early, other, late = (
            of("acme", "canary-user", b"text", at=20),
            of("acme", "somebody", b"text", at=10),
            of("acme", "canary-user", b"text", at=21),
        )
        assert seal_records(ours, {0: early})[0].key == first.key, "as the entry of the erasure names it"
        assert b"canary-user" not in file.read_bytes()
        for store in (ours, theirs):
            sealed = seal_records(store, {0: early, 1: other, 2: late})
            assert [store.unseal(sealed[place]) for place in range(3)] == [None, b"text", b"text"]
        theirs.destroy("acme", "canary-user", 30)
        assert theirs.unseal(seal_records(theirs, {0: late})[0]) is None, "an erasure by the one who seals holds too"
    with closing(Subjects(file)) as later:
        assert later.unseal(seal_records(later, {0: early})[0]) is None


def test_keys_are_apart_by_tenant_and_by_user(tmp_path: Path) -> None:
    subjects = Subjects(tmp_path / "subjects.db")
    who = [("a", "u"), ("b", "u"), ("a", "v"), ("a", "")]
    sealed = seal_records(subjects, {n: of(*one, b"x") for n, one in enumerate(who)})
    assert len({one.key for one in sealed.values()}) == 4
    assert subjects.unseal(Sealed(sealed[0].key, sealed[1].box)) is None
    assert subjects.unseal(Sealed(sealed[0].key, "no base64")) is None
    assert (tmp_path / "subjects.db").stat().st_mode & 0o777 == 0o600
    subjects.close()


def test_what_is_as_by_default_is_left_out() -> None:
    line = entries.encode(msgspec.structs.replace(Entry(at=1, action="x"), seq=0, prev=entries.FIRST))
    assert json.loads(line) == {"action": "x", "at": 1, "prev": "0" * 64, "seq": 0}
