"""What control writes into the index is what workers find, all of a change at once."""

import hmac
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.key_reader import ROOT, key_reader

from fairlead.canonical.limits import Limit
from fairlead.canonical.tenants import VirtualKey
from fairlead.state import keys as module
from fairlead.state.keys import Entry, KeyIndex, KeyIndexError, KeyWriter, Standing

FULL = VirtualKey(
    id="full",
    name="ci",
    tenant="acme",
    tier="paid",
    limits=(Limit(unit="money", algorithm="calendar", limit=5_000_000, per=86_400_000_000, hard=False, alerts=(80,)),),
    models=("chat",),
    routes=("chat",),
    cidrs=("10.0.0.0/8",),
    tags=(("a", "b"),),
    expires_at=1_800_000_000.25,
)
AT = Standing("uid", 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keys"


@pytest.fixture
def index(folder: Path) -> Iterator[Callable[[], KeyIndex]]:
    """Opens the index for reading, once its writer is closed; closed at the end."""
    opened: list[KeyIndex] = []

    def open_it() -> KeyIndex:
        opened.append(KeyIndex(folder))
        return opened[-1]

    yield open_it
    for one in opened:
        one.close()


def mac(number: int) -> bytes:
    return hmac.digest(b"pepper", b"%d" % number, "sha256")


def write(folder: Path, *entries: Entry, rebuild: bool = False, reached: Standing = AT) -> None:
    writer = KeyWriter(folder)
    (writer.rebuild if rebuild else writer.apply)(entries, reached)
    assert writer.standing() == reached
    writer.close()


def test_a_key_is_found_as_it_was_written(folder: Path, index: Callable[[], KeyIndex]) -> None:
    write(folder, Entry("full", ((mac(1), FULL),)), Entry("bare", ((mac(2), VirtualKey(id="bare")),)))
    found = index()
    assert found.find(mac(1)) == FULL
    assert found.find(mac(2)) == VirtualKey(id="bare")
    assert found.find(mac(3)) is None


def test_a_mac_must_be_the_same_to_its_last_byte(folder: Path, index: Callable[[], KeyIndex]) -> None:
    write(folder, Entry("full", ((mac(1), FULL),)))
    found = index()
    for place in range(32):
        other = bytearray(mac(1))
        other[place] ^= 1
        assert found.find(bytes(other)) is None
    for other_length in (mac(1)[:31], mac(1)[:16], mac(1) + b"x"):
        assert found.find(other_length) is None


@pytest.mark.parametrize("known", [True, False])
def test_every_look_up_compares_whole_macs_in_constant_time(
    folder: Path, index: Callable[[], KeyIndex], monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    write(folder, Entry("full", ((mac(1), FULL),)))
    compared: list[tuple[Any, Any]] = []
    real = hmac.compare_digest

    def watched(one: Any, other: Any) -> bool:
        compared.append((bytes(one), other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    assert (index().find(mac(1 if known else 2)) is not None) is known
    assert [len(one) for pair in compared for one in pair] == [32, 32]


def test_a_rotated_key_has_two_macs_and_a_revoked_one_none(folder: Path, index: Callable[[], KeyIndex]) -> None:
    old, new = VirtualKey(id="k", expires_at=5.0), VirtualKey(id="k")
    write(folder, Entry("k", ((mac(1), VirtualKey(id="k")),)), Entry("other", ((mac(9), FULL),)))
    write(folder, Entry("k", ((mac(1), old), (mac(2), new))))
    write(folder, Entry("k", ((mac(2), new), (mac(3), new))))
    found = index()
    assert [found.find(mac(number)) for number in (1, 2, 3, 9)] == [None, new, new, FULL]
    found.close()
    write(folder, Entry("k"), Entry("never-there"))
    found = index()
    assert [found.find(mac(number)) for number in (2, 3, 9)] == [None, None, FULL]


def test_a_worker_that_is_killed_leaves_no_reader_behind(folder: Path) -> None:
    write(folder)
    code = (
        "import sys, time; from pathlib import Path; from fairlead.state.keys import KeyIndex; "
        "index = KeyIndex(Path(sys.argv[1])); transaction = index._env.begin(); print(flush=True); time.sleep(60)"
    )
    reading = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT / "src")}
    )
    assert reading.stdout is not None
    reading.stdout.readline()
    reading.kill()
    reading.wait(30)
    reading.stdout.close()
    index = KeyIndex(folder)
    assert str(reading.pid) not in index._env.readers()
    index.close()


def test_only_an_index_of_a_database_without_any_change_is_untouched(folder: Path) -> None:
    KeyWriter(folder).close()
    for reached, entries, untouched in (
        (None, (), False),
        (Standing("uid", 0), (), True),
        (Standing("uid", 1), (Entry("one", ((mac(1), FULL),)),), False),
        (Standing("uid", 2), (Entry("one"),), False),
    ):
        if reached is not None:
            write(folder, *entries, reached=reached)
        index = KeyIndex(folder)
        assert index.is_untouched is untouched
        index.close()


def test_a_rebuilt_index_has_nothing_of_before(folder: Path, index: Callable[[], KeyIndex]) -> None:
    write(folder, Entry("a", ((mac(1), FULL),)), reached=Standing("uid", 40))
    write(folder, Entry("b", ((mac(2), FULL),)), rebuild=True, reached=Standing("other", 3))
    found = index()
    assert found.find(mac(1)) is None
    assert found.find(mac(2)) == FULL


CHANGES = st.lists(
    st.tuples(st.integers(0, 3), st.frozensets(st.integers(0, 2), max_size=3), st.booleans()), min_size=1, max_size=12
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES)
def test_any_history_leaves_what_a_dictionary_would(tmp_path_factory: Any, history: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("history") / "keys"
    writer = KeyWriter(folder)
    expected: dict[str, frozenset[int]] = {}
    for version, (key, secrets, rebuild) in enumerate(history, 1):
        id_ = f"k{key}"
        known_by = tuple((mac(key * 10 + n), VirtualKey(id=id_, name=str(version))) for n in secrets)
        (writer.rebuild if rebuild else writer.apply)([Entry(id_, known_by)], Standing("u", version))
        expected = {} if rebuild else expected
        expected[id_] = frozenset(key * 10 + n for n in secrets)
    assert writer.count() == sum(map(len, expected.values()))
    writer.close()
    found = KeyIndex(folder)
    for key in range(4):
        for number in range(key * 10, key * 10 + 3):
            there = found.find(mac(number))
            assert (there.id if there else None) == (f"k{key}" if number in expected.get(f"k{key}", ()) else None)
    found.close()


def test_a_process_that_reads_sees_each_change_and_never_half_of_one(folder: Path) -> None:
    writer = KeyWriter(folder)
    with key_reader(folder) as reader:
        assert reader.find(mac(1)) is None
        writer.apply([Entry("k", ((mac(1), FULL),))], AT)
        assert reader.find(mac(1)) == FULL

        def interrupted() -> Iterator[Entry]:
            yield Entry("k", ((mac(2), FULL),))
            assert reader.find(mac(1)) == FULL
            raise RuntimeError

        for change in (writer.apply, writer.rebuild):
            with pytest.raises(RuntimeError):
                change(interrupted(), Standing("new", 9))
            assert reader.find(mac(1)) == FULL
            assert reader.find(mac(2)) is None
            assert writer.standing() == AT
    writer.close()


def test_an_index_without_room_says_so_and_keeps_what_it_has(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAP_SIZE", 256 * 1024)
    writer = KeyWriter(folder)
    writer.apply([Entry("k", ((mac(1), FULL),))], AT)
    many = [Entry(f"k{n}", ((mac(n), FULL),)) for n in range(10_000)]
    with pytest.raises(KeyIndexError, match=r"the index of keys in .*keys cannot be written: .*MDB_MAP_FULL"):
        writer.apply(many, Standing("uid", 2))
    assert (writer.standing(), writer.count()) == (AT, 1)
    writer.close()


def test_the_index_is_its_owners_alone(folder: Path) -> None:
    write(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
