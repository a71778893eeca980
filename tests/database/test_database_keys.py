"""Keys are written whole, read by page and followed by version, alike on both databases."""

import threading

import msgspec
import pytest
from sqlalchemy import event

from fairlead.canonical.limits import Limit
from fairlead.database import keys
from fairlead.database.engine import Database
from fairlead.database.keys import Change, Filter, Key, Secret
from fairlead.database.place import DatabaseError
from fairlead.database.tables import metadata

ALL = Filter()
FULL = Key(
    id="full",
    name="ci",
    tenant="acme",
    tier="paid",
    limits=(Limit(unit="requests", algorithm="gcra", limit=5, per=1_000_000, burst=2, alerts=(50, 90)),),
    models=("chat", "gpt-*"),
    routes=("chat",),
    cidrs=("10.0.0.0/8", "2001:db8::/32"),
    tags=(("team", "search"), ("cost", "42")),
    metadata={"owner": {"name": "Åse", "floors": [1, 2.5, None, True]}},
    created_at=1_790_000_000.123456,
    expires_at=1_800_000_000.5,
)
INJECTIONS = (
    "'; DROP TABLE keys; --", '" OR ""="', "1) OR (1=1", "%s %(x)s :x ? $1 {0} {x!r}", "\\'; SELECT pg_sleep(9) --",
    "*)(uid=*))(|(uid=*", '{"$gt": ""}', "a\r\nset-cookie: x=y", "%_%", "🗝 ünïcode \u202e",
    "' UNION SELECT * FROM meta --",
)  # fmt: skip


def mac(number: int) -> bytes:
    return number.to_bytes(32, "big")


def make(database: Database, *made: Key) -> None:
    with database.writing() as connection:
        for number, key in enumerate(made):
            keys.create(connection, key, mac(hash(key.id) % 2**64 * 100 + number))


def test_a_key_comes_back_as_it_was_written(database: Database) -> None:
    with database.writing() as connection:
        made = keys.create(connection, FULL, mac(1))
    assert made == msgspec.structs.replace(FULL, version=1)
    with database.reading() as connection:
        assert keys.get(connection, "full") == made
        assert keys.get(connection, "other") is None
        assert keys.changes_since(connection, 0) == [Change(made, (Secret(mac(1), None),))]


def test_every_write_has_the_next_version_and_moves_its_key_to_the_end(database: Database) -> None:
    make(database, Key(id="a", name="a", created_at=1.0), Key(id="b", name="b", created_at=2.0))
    with database.writing() as connection:
        keys.change(connection, "a", {"name": "A", "expires_at": 5.0})
    with database.writing() as connection:
        keys.revoke(connection, "b", 9.0)
    with database.reading() as connection:
        uid, version = keys.identity(connection)
        seen = [(change.key.id, change.key.version) for change in keys.changes_since(connection, 0)]
        later = [change.key.id for change in keys.changes_since(connection, 3)]
        first = [change.key.id for change in keys.changes_since(connection, 0, limit=1)]
    assert (len(uid), version, seen, later, first) == (32, 4, [("a", 3), ("b", 4)], ["b"], ["a"])


def test_a_write_that_is_given_up_has_changed_nothing(database: Database) -> None:
    def give_up() -> None:
        with database.writing() as connection:
            keys.create(connection, FULL, mac(1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        give_up()
    with database.reading() as connection:
        assert keys.get(connection, "full") is None
        assert keys.identity(connection)[1] == 0


def test_two_keys_with_one_mac_cannot_be(database: Database) -> None:
    def make_both() -> None:
        with database.writing() as connection:
            keys.create(connection, FULL, mac(1))
            keys.create(connection, msgspec.structs.replace(FULL, id="twin"), mac(1))

    with pytest.raises(DatabaseError):
        make_both()
    with database.reading() as connection:
        assert keys.get(connection, "full") is None


def test_pages_are_newest_first_and_leave_nothing_out(database: Database) -> None:
    # Many at one instant: only the id tells their order.
    made = [Key(id=f"k{n:03}", name=f"n{n % 3}", tenant=f"t{n % 2}", created_at=float(n // 10)) for n in range(45)]
    make(database, *made)
    expected = sorted(made, key=lambda key: (key.created_at, key.id), reverse=True)
    for wanted in (ALL, Filter(tenant="t1"), Filter(name="n2"), Filter(tenant="t0", name="n1"), Filter(tenant="none")):
        seen: list[str] = []
        after = None
        with database.reading() as connection:
            while True:
                page = keys.page(connection, 7, wanted=wanted, after=after)
                assert len(page.keys) <= 7
                seen += [key.id for key in page.keys]
                after = page.after
                if after is None:
                    break
        matching = [
            key.id
            for key in expected
            if (wanted.tenant is None or key.tenant == wanted.tenant)
            and (wanted.name is None or key.name == wanted.name)
        ]
        assert seen == matching


def test_a_page_has_a_thousand_keys_at_the_most(database: Database) -> None:
    make(database, *(Key(id=f"k{n:04}", name="n", created_at=1.0) for n in range(1001)))
    with database.reading() as connection:
        page = keys.page(connection, 10**9, wanted=ALL)
        assert (len(page.keys), page.after) == (1000, (1.0, "k0001"))


@pytest.mark.parametrize("field", ["id", "version", "created_at", "revoked_at", "spend", "mac"])
def test_only_what_may_be_written_is_written(database: Database, field: str) -> None:
    make(database, FULL)
    with pytest.raises(ValueError, match="cannot be set"), database.writing() as connection:
        keys.change(connection, "full", {"name": "x", field: 1})
    with database.reading() as connection:
        assert keys.get(connection, "full") == msgspec.structs.replace(FULL, version=1)


def test_a_change_of_a_key_that_is_not_there_is_none(database: Database) -> None:
    with database.writing() as connection:
        assert keys.change(connection, "nobody", {"name": "x"}) is None
        assert keys.revoke(connection, "nobody", 1.0) is None
        assert keys.rotate(connection, "nobody", mac(1), now=1.0, until=2.0) is None


def test_the_first_revocation_is_remembered(database: Database) -> None:
    make(database, FULL)
    for at in (7.0, 8.0):
        with database.writing() as connection:
            revoked = keys.revoke(connection, "full", at)
            assert revoked is not None
            assert (revoked.revoked_at, revoked.version) == (7.0, 2)


def secrets_of(database: Database) -> dict[bytes, float | None]:
    with database.reading() as connection:
        (change,) = keys.changes_since(connection, 0)
    return {secret.mac: secret.expires_at for secret in change.secrets}


def test_a_rotation_gives_the_secrets_so_far_an_end_and_never_a_later_one(database: Database) -> None:
    with database.writing() as connection:
        keys.create(connection, FULL, mac(1))
    for number, now, until in ((2, 10.0, 100.0), (3, 20.0, 50.0), (4, 60.0, 500.0)):
        with database.writing() as connection:
            assert keys.rotate(connection, "full", mac(number), now=now, until=until) is not None
        if number == 3:
            assert secrets_of(database) == {mac(1): 50.0, mac(2): 50.0, mac(3): None}
    # What has ended by then is gone.
    assert secrets_of(database) == {mac(3): 500.0, mac(4): None}


def test_many_writers_at_once_leave_no_gap_to_whoever_follows(database: Database) -> None:
    """A follower that reads while others write sees every version, in order, and each once."""
    done = threading.Event()

    def write(writer: int) -> None:
        for number in range(15):
            with database.writing() as connection:
                key = Key(id=f"{writer}-{number}", name="n", created_at=1.0)
                keys.create(connection, key, mac(writer * 1000 + number + 1))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in writers:
        thread.start()
    seen: list[int] = []
    at = 0
    while True:
        done_before = not any(thread.is_alive() for thread in writers)
        with database.reading() as connection:
            changes = keys.changes_since(connection, at)
        seen += [change.key.version for change in changes]
        at = seen[-1] if seen else 0
        if done_before:
            break
    for thread in writers:
        thread.join()
    done.set()
    assert seen == list(range(1, 61))


@pytest.mark.parametrize("text", INJECTIONS)
def test_hostile_text_is_a_value_everywhere_and_never_a_statement(database: Database, text: str) -> None:
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *call: statements.append(str(call[2])))
    hostile = Key(
        id=text, name=text, tenant=text, tier=text, models=(text,), routes=(text,), cidrs=(text,), tags=((text, text),),
        metadata={text: text}, created_at=1.0,
    )  # fmt: skip
    with database.writing() as connection:
        made = keys.create(connection, hostile, mac(1))
        changed = keys.change(connection, text, {"name": text, "tags": ((text, text),)})
        assert changed == msgspec.structs.replace(made, version=2)
        assert keys.rotate(connection, text, mac(2), now=1.0, until=2.0) is not None
    with database.reading() as connection:
        found = keys.page(connection, 10, wanted=Filter(tenant=text, name=text), after=(2.0, text))
        assert [key.id for key in found.keys] == [text]
        assert len(keys.changes_since(connection, 0)) == 1
        assert keys.page(connection, 10, wanted=Filter(name=text + "x")).keys == ()
    assert statements
    assert not [statement for statement in statements if text in statement]


def test_a_database_that_is_gone_is_an_error_with_its_name(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.writing() as connection:
        metadata.drop_all(connection)
    with pytest.raises(DatabaseError) as caught, database.reading() as connection:
        keys.identity(connection)
    message = str(caught.value)
    assert message.startswith(f"the database {database.place.name} cannot be used: ")
    assert "canary-password" not in message + repr(database.place)
    assert "\n" not in message


def test_a_failing_statement_shows_no_parameter(database: Database) -> None:
    key = Key(id="one", name="canary-in-a-name", metadata={"secret": "canary-in-a-value"}, created_at=1.0)
    make(database, key)
    with pytest.raises(DatabaseError) as caught:
        make(database, key)
    assert "canary" not in str(caught.value).replace("canary-password", "")
