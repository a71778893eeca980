"""A key's life as operators see it, on both databases."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from tests.control.conftest import NOW, PEPPER

from fairlead.canonical.credential import is_well_formed, mac
from fairlead.control.keyring import Keyring, Made
from fairlead.control.wishes import RefusedError, Wish
from fairlead.database import keys
from fairlead.database.engine import Database

Act = Callable[[Keyring, str], Any]
ON_ONE_KEY: list[tuple[str, Act]] = [
    ("get", lambda ring, id_: ring.get(id_)),
    ("update", lambda ring, id_: ring.update(id_, Wish(name="new"))),
    ("revoke", lambda ring, id_: ring.revoke(id_)),
    ("rotate", lambda ring, id_: ring.rotate(id_, 0.0)),
]


def secrets_of(database: Database, made: Made) -> dict[bytes, float | None]:
    with database.reading() as connection:
        (change,) = [one for one in keys.changes_since(connection, 0) if one.key.id == made.key.id]
    return {secret.mac: secret.expires_at for secret in change.secrets}


def test_a_new_key_is_kept_by_its_mac_alone(keyring: Keyring, database: Database) -> None:
    made = keyring.create(Wish(name="ci", tenant="acme", tags={"a": "b"}))
    assert is_well_formed(made.text.encode())
    assert made.text.startswith(f"fl_{made.key.id}_")
    assert made.key == keyring.get(made.key.id)
    assert (made.key.state, made.key.created_at, made.key.tags) == ("active", NOW, {"a": "b"})
    assert secrets_of(database, made) == {mac(PEPPER, made.text.encode()): None}
    secret = made.text.split("_")[2]
    assert secret not in repr(made)
    with database.reading() as connection:
        for table in ("keys", "key_secrets", "meta"):
            assert secret not in repr(connection.execute(text(f"SELECT * FROM {table}")).all())


def test_a_key_needs_a_name(keyring: Keyring) -> None:
    with pytest.raises(RefusedError, match="name is missing") as caught:
        keyring.create(Wish(tenant="acme"))
    assert caught.value.param == "name"


def test_an_update_changes_what_it_names_alone(keyring: Keyring) -> None:
    made = keyring.create(Wish(name="ci", tenant="acme", models=("chat",), expires_at=NOW + 9))
    changed = keyring.update(made.key.id, Wish(models=(), expires_at=None))
    assert changed == msgspec.structs.replace(made.key, models=(), expires_at=None)
    assert keyring.get(made.key.id) == changed


def test_a_rotation_leaves_the_secret_so_far_good_for_the_overlap(keyring: Keyring, database: Database) -> None:
    first = keyring.create(Wish(name="ci"))
    second = keyring.rotate(first.key.id, 3600.0)
    assert (second.key, second.text == first.text) == (first.key, False)
    macs = [mac(PEPPER, made.text.encode()) for made in (first, second)]
    assert secrets_of(database, first) == {macs[0]: NOW + 3600.0, macs[1]: None}


@pytest.mark.parametrize("overlap", [-1.0, 1e9, float("nan"), float("inf")])
def test_an_overlap_has_bounds(keyring: Keyring, overlap: float) -> None:
    made = keyring.create(Wish(name="ci"))
    with pytest.raises(RefusedError, match="it goes from 0 to 7776000 seconds"):
        keyring.rotate(made.key.id, overlap)


def test_a_revoked_key_stays_revoked(keyring: Keyring, now: list[float]) -> None:
    made = keyring.create(Wish(name="ci"))
    revoked = keyring.revoke(made.key.id)
    assert (revoked.state, revoked.revoked_at) == ("revoked", NOW)
    now[0] += 5
    assert keyring.revoke(made.key.id) == revoked
    for name, act in ON_ONE_KEY:
        if name in {"update", "rotate"}:
            with pytest.raises(RefusedError, match="is revoked, which is for good; make a new one") as caught:
                act(keyring, made.key.id)
            assert caught.value.code == "conflict"


def test_a_key_expires_by_the_clock(keyring: Keyring, now: list[float]) -> None:
    made = keyring.create(Wish(name="ci", expires_at=NOW + 9))
    now[0] = NOW + 8.9
    assert keyring.get(made.key.id).state == "active"
    now[0] = NOW + 9
    assert keyring.get(made.key.id).state == "expired"


NO_IDS = ("abcdefghij", "", "x\x00", "' OR 1=1 --", "../keys", "é" * 10, "\ud800")


def test_an_id_that_is_not_there_is_not_found(keyring: Keyring) -> None:
    keyring.create(Wish(name="ci"))
    for id_ in NO_IDS:
        for _, act in ON_ONE_KEY:
            with pytest.raises(RefusedError, match="there is no key of this id") as caught:
                act(keyring, id_)
            assert caught.value.code == "not_found"
    assert [key.state for key in keyring.page().keys] == ["active"]


def test_pages_lead_from_one_to_the_next(keyring: Keyring, now: list[float]) -> None:
    for number in range(5):
        now[0] += 1
        keyring.create(Wish(name=f"n{number}", tenant="acme" if number % 2 else "globex"))
    names: list[str] = []
    cursor = None
    while True:
        page = keyring.page(limit=2, cursor=cursor)
        names += [key.name for key in page.keys]
        if (cursor := page.next) is None:
            break
    assert names == ["n4", "n3", "n2", "n1", "n0"]
    assert [key.name for key in keyring.page(tenant="acme").keys] == ["n3", "n1"]
    assert [key.name for key in keyring.page(name="n2", tenant="globex").keys] == ["n2"]
    assert keyring.page(name="n2", tenant="acme").keys == ()


BAD_PAGES: list[tuple[str, Any]] = [
    ("limit", 0),
    ("limit", 1001),
    ("cursor", ""),
    ("cursor", "zz"),
    ("cursor", b'[1.0,"x\\u0000y"]'.hex()),
    ("cursor", b'[1e999,"abcdefghij"]'.hex()),
    ("cursor", (b"[" * 3000).hex()),
    ("tenant", "a\x00"),
    ("name", "\ud800"),
]


def test_a_page_that_cannot_be_is_refused(keyring: Keyring) -> None:
    for param, value in BAD_PAGES:
        with pytest.raises(RefusedError) as caught:
            keyring.page(**{param: value})
        assert caught.value.param == param
