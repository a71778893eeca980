"""`fairlead keys` and `fairlead migrate` as users run them: on stdout what can be piped, on stderr the rest."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fairlead.canonical.credential import is_well_formed, mac
from fairlead.cli import main
from fairlead.database import keys, schema
from fairlead.database.engine import Database
from fairlead.database.place import Place
from fairlead.state.pepper import load_pepper

ROOT = Path(__file__).parents[2]
CONFIG = """
routes: [{model: chat, deployments: [openai/gpt-4o-mini]}]
tiers: {paid: {concurrency: 9}}
tenants: {acme: {}}
"""


class Said:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("FAIRLEAD_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fairlead.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Any:
    """The command, in this process."""

    def run(*words: str) -> Said:
        status = main(words)
        out, err = capsys.readouterr()
        return Said(status, out, err)

    return run


def known(folder: Path) -> dict[bytes, keys.Key]:
    """What the database has, by MAC."""
    database = Database(Place(data=folder / ".fairlead"))
    with database.reading() as connection:
        changes = keys.changes_since(connection, 0)
    database.close()
    return {secret.mac: change.key for change in changes for secret in change.secrets}


def test_a_key_is_made_from_a_shell_and_piped(folder: Path) -> None:
    command = [sys.executable, "-m", "fairlead", "keys", "create", "--name", "ci", "--tenant", "acme"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, timeout=60
    )
    assert done.returncode == 0
    text = done.stdout.removesuffix(b"\n")
    assert is_well_formed(text)
    assert b"this is the only showing of the key" in done.stderr
    assert text not in done.stderr
    found = known(folder)[mac(load_pepper(folder / ".fairlead"), text)]
    assert (found.name, found.tenant) == ("ci", "acme")


def test_every_restriction_has_a_flag(say: Any, folder: Path) -> None:
    before = time.time()
    made = say(
        "keys", "create", "--json", "--name", "full", "--tenant", "acme", "--tier", "paid", "--model", "chat",
        "--model", "ch*", "--route", "chat", "--cidr", "10.0.0.0/8", "--tag", "team=search", "--tag", "a=b=c",
        "--metadata", '{"owner": {"id": 7}}', "--expires", "30d",
        "--limits", '{"requests": {"limit": 5, "per": "1m", "algorithm": "gcra"}, "concurrency": 2}',
    )  # fmt: skip
    assert (made.status, made.err) == (0, "")
    key = made.json
    assert is_well_formed(key.pop("key").encode())
    assert key["models"] == ["chat", "ch*"]
    assert (key["routes"], key["cidrs"], key["tags"]) == (["chat"], ["10.0.0.0/8"], {"team": "search", "a": "b=c"})
    assert (key["metadata"], key["tier"], key["limits"]["requests"][0]["limit"]) == ({"owner": {"id": 7}}, "paid", 5)
    assert before + 30 * 86400 <= key["expires_at"] <= time.time() + 30 * 86400
    assert say("keys", "show", key["id"], "--json").json == key
    changed = say("keys", "update", key["id"], "--json", "--model", "", "--expires", "never", "--tag", "x=y").json
    assert changed == {**key, "models": [], "expires_at": None, "tags": {"x": "y"}}


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2033-05-18", 1999987200.0),
        ("2033-05-18T03:33:20", 2000000000.0),
        ("2033-05-18T03:33:20Z", 2000000000.0),
        ("2033-05-18T05:33:20+02:00", 2000000000.0),
    ],
)
def test_an_end_may_be_a_date_or_an_instant(say: Any, text: str, at: float) -> None:
    assert say("keys", "create", "--name", "x", "--json", "--expires", text).json["expires_at"] == at


def test_a_key_is_rotated_listed_and_revoked(say: Any, folder: Path) -> None:
    first = say("keys", "create", "--name", "ci", "--json").json
    second = say("keys", "rotate", first["id"], "--overlap", "1h")
    pepper = load_pepper(folder / ".fairlead")
    assert set(known(folder)) == {mac(pepper, text.encode()) for text in (first["key"], second.out.strip())}
    say("keys", "create", "--name", "other", "--tenant", "acme")
    rows = say("keys", "list").out.splitlines()
    assert rows[0].split() == ["ID", "NAME", "TENANT", "TIER", "STATE", "CREATED", "EXPIRES"]
    assert [row.split()[1] for row in rows[1:]] == ["other", "ci"]
    assert first["key"] not in str(rows)
    page = say("keys", "list", "--limit", "1")
    cursor = page.err.removeprefix("there are more: --cursor ").strip()
    assert say("keys", "list", "--cursor", cursor, "--json").json["keys"][0]["name"] == "ci"
    assert [key["name"] for key in say("keys", "list", "--tenant", "acme", "--json").json["keys"]] == ["other"]
    assert say("keys", "revoke", first["id"], "--json").json["state"] == "revoked"
    refused = say("keys", "rotate", first["id"])
    assert (refused.status, refused.out) == (1, "")
    assert refused.err == f"fairlead keys rotate: the key {first['id']} is revoked, which is for good; make a new one\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("create", "--name", "x", "--tenant", "acne"), "tenant is 'acne', which the configuration does not have; did"),
        (("create", "--name", "x", "--tag", "alone"), "--tag 'alone' has no '='; write --tag name=value"),
        (("create", "--name", "x", "--limits", "{"), "--limits is not JSON"),
        (("create", "--name", "x", "--metadata", "7"), "Expected `object`"),
        (("create", "--name", "x", "--expires", "later"), "--expires 'later' is no time; write 30d, 2027-01-31"),
        (("create", "--name", "x", "--expires", "2020-01-01"), "it must be an instant to come"),
        (("create", "--name", ""), "name must have 1 to 256 characters"),
        (("show", "nobody"), "there is no key of this id"),
        (("rotate", "nobody", "--overlap", "long"), "--overlap: 'long' is not a duration"),
        (("list", "--limit", "0"), "limit is 0; it goes from 1 to 1000"),
    ],
)
def test_what_cannot_be_done_says_why(say: Any, words: tuple[str, ...], message: str) -> None:
    said = say("keys", *words)
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith(f"fairlead keys {words[0]}: ")
    assert message in said.err
    assert said.err.count("\n") == 1


def test_a_broken_configuration_is_told_with_its_lines(say: Any, folder: Path) -> None:
    (folder / "fairlead.yaml").write_text("rutes: []\n")
    said = say("keys", "list")
    assert said.status == 1
    assert said.err.splitlines()[0].startswith("fairlead.yaml:1:1: rutes: unknown key 'rutes'")
    assert said.err.splitlines()[-1] == "fairlead keys list: nothing is done: the configuration has errors"


def unconfigure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "fairlead.yaml").unlink()
    for name in [name for name in os.environ if name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("place", [(), ("--data", ".fairlead")])
def test_what_a_gateway_left_is_enough(
    place: tuple[str, ...], say: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say("keys", "create", "--name", "before")
    unconfigure(folder, monkeypatch)
    made = say("keys", "create", "--name", "after", *place)
    assert made.status == 0
    assert mac(load_pepper(folder / ".fairlead"), made.out.strip().encode()) in known(folder)
    assert [key["name"] for key in say("keys", "list", "--json", *place).json["keys"]] == ["after", "before"]


def test_where_nothing_is_nothing_is_made(say: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unconfigure(folder, monkeypatch)
    said = say("keys", "create", "--name", "x")
    assert (said.status, list(folder.iterdir())) == (1, [])
    assert "nothing is configured here, and there is no database .fairlead/fairlead.db; name a" in said.err


def test_a_folder_whose_pepper_is_elsewhere_takes_no_keys(
    say: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say("keys", "create", "--name", "before")
    (folder / ".fairlead" / "pepper").unlink()
    unconfigure(folder, monkeypatch)
    said = say("keys", "create", "--name", "x")
    assert (said.status, said.err) == (
        1,
        "fairlead keys create: .fairlead has no pepper: the gateway's configuration has it; name that by --config\n",
    )
    assert not (folder / ".fairlead" / "pepper").exists()


def test_the_data_folder_can_be_chosen(say: Any, folder: Path) -> None:
    say("keys", "create", "--name", "x", "--data", "elsewhere")
    assert {file.name for file in (folder / "elsewhere").iterdir()} == {"fairlead.db", "pepper"}
    assert not (folder / ".fairlead").exists()


def test_migrate_makes_and_checks(say: Any, folder: Path) -> None:
    checked = say("migrate", "--check")
    message = "the database .fairlead/fairlead.db has no tables yet; run 'fairlead migrate'\n"
    assert (checked.status, checked.out) == (1, message)
    assert say("migrate").out == ".fairlead/fairlead.db: schema 0003\n"
    assert say("migrate", "--check").status == 0
    assert say("migrate", "--check", "--json").json == {
        "database": ".fairlead/fairlead.db",
        "state": "current",
        "found": "0003",
        "wanted": "0003",
    }


def test_an_older_fairlead_leaves_a_newer_database_alone(say: Any, folder: Path) -> None:
    database = Database(Place(data=folder / ".fairlead"))
    schema.prepare(database)
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0999'")
    database.close()
    for words in (("keys", "list"), ("migrate",)):
        said = say(*words)
        assert said.status == 1
        assert "was made by a newer Fairlead (schema 0999); install that one again" in said.err
