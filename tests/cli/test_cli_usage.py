"""`fairlead usage` as users run it: on stdout what can be piped, on stderr the rest."""

import csv
import io
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from fairlead.canonical.routing import RequestRecord
from fairlead.canonical.usage import Usage
from fairlead.cli import main, usage_arguments
from fairlead.control.request_log import RequestLog
from fairlead.control.usage_report import BY
from fairlead.database import keys, schema
from fairlead.database.engine import Database
from fairlead.database.place import Place
from fairlead.journal.reader import Batch

NOW = time.time() - 60.0
TABLE = """
version = "mine"

[sources.own]
what = "prices"
version = "1"
url = "https://prices.example"
license = "MIT"
date = "2026-11-27"

[[prices]]
provider = "openai"
models = ["gpt-4o"]
source = "own"
price = {input = 1, output = 2.5}
"""


def record(number: int, **more: Any) -> RequestRecord:
    facts = {
        "id": f"r{number}", "at": NOW, "tenant": "acme", "key": "k1", "asked": "gpt-4o", "served": "openai/gpt-4o",
        "usage": Usage(input=1000, output=100), "cost": "0.0035", "charged": 3500, "tags": (("team", "a"),),
    }  # fmt: skip
    return RequestRecord(**{**facts, **more})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with a configuration and a database of four requests."""
    monkeypatch.delenv("FAIRLEAD_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fairlead.yaml").write_text("routes: [{model: gpt-4o, deployments: [openai/gpt-4o]}]\n")
    (tmp_path / "prices.toml").write_text(TABLE)
    database = Database(Place(data=tmp_path / ".fairlead"))
    schema.prepare(database)
    records = (
        record(1),
        record(2, served="openai/new", cost=None),
        record(3, tenant="globex", ended="client_gone"),
        record(4, tenant="", ended="refused", served="", usage=None, cost=None, charged=0),
    )
    RequestLog(database, "m1").take(Batch("a", 0, 1, records))
    database.close()
    return tmp_path


@pytest.fixture
def unconfigured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same without its configuration, and without a key of a provider."""
    (folder / "fairlead.yaml").unlink()
    for name in [name for name in os.environ if name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    return folder


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Any:
    """The command, in this process: status, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        status = main(("usage", *words))
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_a_table_has_names_and_a_total(say: Any) -> None:
    status, out, err = say()
    assert status == 0
    rows = [line.split() for line in out.splitlines()]
    assert rows[0][:3] == ["TENANT", "REQUESTS", "ERRORS"]
    assert [row[0] for row in rows[1:]] == ["acme", "globex", "-", "TOTAL"]
    assert rows[-1][1:] == ["4", "0", "1", "3000", "300", "0", "0.007", "1", "0.0105"]
    assert "1 without a known price are not in the cost" in err


def test_what_is_printed_can_be_read_by_programs(say: Any) -> None:
    told = json.loads(say("--by", "model", "--json", "--tenant", "acme", "--since", "1d")[1])
    assert (told["by"], told["rows"][0]["name"], told["total"]["requests"]) == ("model", "gpt-4o", 2)
    rows = list(csv.DictReader(io.StringIO(say("--by", "tag", "--csv")[1])))
    assert [(row["name"], row["requests"], row["cost"]) for row in rows] == [("team=a", "4", "0.007")]


def test_a_virtual_key_is_told_with_its_name(say: Any, folder: Path) -> None:
    """One of the configuration has its name for an id."""
    database = Database(Place(data=folder / ".fairlead"))
    with database.writing() as connection:
        keys.create(connection, keys.Key(id="k1", name="ci runner", created_at=NOW), b"mac")
    RequestLog(database, "m1").take(Batch("a", 1, 2, (record(5, key="static"),)))
    database.close()
    rows = say("--by", "key")[1].splitlines()
    assert [row.split("  ")[0] for row in rows] == ["KEY", "k1 (ci runner)", "static", "TOTAL"]
    told = json.loads(say("--by", "key", "--json")[1])
    assert [(row["name"], row["called"]) for row in told["rows"]] == [("k1", "ci runner"), ("static", "")]


def test_a_total_without_rows_is_explained(say: Any) -> None:
    _, out, err = say("--by", "user")
    assert [line.split()[0] for line in out.splitlines()] == ["USER", "TOTAL"]
    assert "; no request had a user" in err


def test_waste_is_told_by_its_cause(say: Any) -> None:
    status, out, _ = say("--waste")
    assert (status, out.splitlines()[1].split()) == (0, ["client_gone", "openai/gpt-4o", "1", "0.0035", "0"])


def test_another_table_of_prices_is_tried_on_the_past(say: Any, folder: Path) -> None:
    told = json.loads(say("--reprice", "prices.toml", "--json")[1])
    assert told["table"] == "fairlead mine"
    assert {row["name"]: (row["requests"], row["cost"], row["repriced"], row["unpriced"]) for row in told["rows"]} == {
        "acme": (2, "0.0035", "0.00125", 1),
        "globex": (1, "0.0035", "0.00125", 0),
    }
    assert say("--reprice", "prices.toml", "--by", "deployment")[1].splitlines()[1].split() == [
        "openai/gpt-4o", "2", "0.007", "0.0025", "0",
    ]  # fmt: skip
    (folder / "bad.toml").write_text("version = 1")
    for name in ("bad.toml", "nowhere.toml", "fairlead.yaml"):
        status, out, err = say("--reprice", name)
        assert (status, out) == (1, "")
        assert name in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "soon"), "--since: 'soon' is no time; write 7d (ago)"),
        (("--until", "1969-12-31"), "--until: '1969-12-31' is before 1970"),
        (("--since", "1d", "--until", "2d"), "--until is not later than --since"),
        (("--since", "2999-01-31"), "--since 2999-01-31 has not come yet; write 7d (ago)"),
        (("--waste", "--by", "tenant"), "--waste is told by cause and deployment; leave --by out"),
    ],
)
def test_what_cannot_be_told_is_refused(say: Any, words: tuple[str, ...], said: str) -> None:
    status, out, err = say(*words)
    assert (status, out) == (1, "")
    assert said in err


def test_the_command_line_groups_by_all_that_reports_know() -> None:
    assert usage_arguments.BY == BY


@pytest.mark.parametrize("words", [(), ("--data", ".fairlead")])
def test_a_data_folder_alone_is_enough(words: tuple[str, ...], say: Any, unconfigured: Path) -> None:
    status, out, _ = say(*words)
    assert (status, out.splitlines()[-1].split()[:2]) == (0, ["TOTAL", "4"])


def test_without_configuration_and_data_the_way_out_is_told(say: Any, unconfigured: Path) -> None:
    (unconfigured / ".fairlead").rename(unconfigured / "elsewhere")
    status, out, err = say()
    assert (status, out) == (1, "")
    assert err == (
        "fairlead usage: nothing is configured here, and there is no database .fairlead/fairlead.db; "
        "name a gateway's data folder with --data, or its configuration with --config\n"
    )


@pytest.mark.parametrize(
    "words", [("--data", "nowhere"), ("--data", "nowhere", "--config", "fairlead.yaml"), ("--waste",)]
)
def test_a_database_that_is_not_there_is_not_made(say: Any, folder: Path, words: tuple[str, ...]) -> None:
    (folder / ".fairlead").rename(folder / "elsewhere")
    there = sorted(folder.rglob("*"))
    status, out, err = say(*words)
    assert (status, out) == (1, "")
    assert "there is no database" in err
    assert sorted(folder.rglob("*")) == there


def test_looking_makes_no_pepper(say: Any, folder: Path) -> None:
    assert say()[0] == 0
    assert not (folder / ".fairlead" / "pepper").exists()


def test_a_database_with_the_tables_of_another_version_is_left_as_it_is(say: Any, folder: Path) -> None:
    database = Database(Place(data=folder / ".fairlead"))
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    database.close()
    status, out, err = say()
    assert (status, out) == (1, "")
    assert "has schema 0001, not 0003; run 'fairlead migrate'" in err


def test_a_tenant_of_whom_nothing_is_known_is_told(say: Any) -> None:
    for shape in ((), ("--json",), ("--waste",)):
        assert "nothing is known of a tenant 'acne'" in say("--tenant", "acne", *shape)[2]
    assert "nothing is known" not in say("--tenant", "acme")[2]
