"""The commands as users run them: what they print, where, and with which exit status."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from fairlead import __version__
from fairlead.cli import COMMANDS, main

GOOD = "routes: [{model: chat, deployments: [openai/gpt-4o-mini]}]\n"
CANARY = "sk-canary-0123456789"


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder and no provider key."""
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name == "FAIRLEAD_CONFIG":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str) -> None:
    Path("fairlead.yaml").write_text(text)


def test_a_clean_configuration_passes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    write(GOOD)
    assert main(["check"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("fairlead.yaml: 1 route, 0 keys, no problems\n", "")


def test_errors_go_to_stderr_with_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    write("routes:\n  - modle: chat\n    deployments: [openai/x]\n")
    assert main(["check"]) == 1
    out, err = capsys.readouterr()
    assert out == "fairlead.yaml: 1 error\n"
    assert err == "fairlead.yaml:2:5: routes[0].modle: unknown key 'modle'; did you mean 'model'?\n"


def test_warnings_do_not_fail(capsys: pytest.CaptureFixture[str]) -> None:
    write(GOOD)
    assert main(["check"]) == 0
    out, err = capsys.readouterr()
    assert out == "fairlead.yaml: 1 route, 0 keys, 2 warnings\n"
    assert "warning: provider 'openai' has no credential; set OPENAI_API_KEY" in err


def test_json_is_all_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    write("state: redis\nkeys: [" + CANARY + "]\n")
    assert main(["check", "--json"]) == 1
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (report["file"], report["ok"], err) == ("fairlead.yaml", False, "")
    assert report["problems"][0] == {
        "file": "fairlead.yaml",
        "line": 1,
        "column": 8,
        "path": "state",
        "message": "must be local, redis://host:6379 or valkey://host:6379, or a reference to such a URL",
        "level": "error",
    }
    assert CANARY not in out


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", "nowhere.yaml"]) == 1
    assert "nowhere.yaml:1:1: cannot be read: No such file or directory" in capsys.readouterr().err


def test_no_file_and_no_key_tells_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 1
    assert "run 'fairlead init'" in capsys.readouterr().err


def test_the_environment_alone_is_a_configuration(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    assert main(["check"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("(environment): ")
    assert CANARY not in out + err


def test_init_writes_what_check_accepts(
    clean: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "b")
    assert main(["init", "new/folder"]) == 0
    file = clean / "new" / "folder" / "fairlead.yaml"
    first = file.read_text().splitlines()[0]
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert json.loads((file.parent / schema).read_text())["$schema"].startswith("http://json-schema.org/draft-07")
    assert main(["check", "--config", str(file)]) == 0
    assert capsys.readouterr().out.endswith("3 routes, 0 keys, no problems\n")


def test_init_never_overwrites(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("mine")
    assert main(["init"]) == 1
    assert "was left as it is" in capsys.readouterr().err
    assert [path.name for path in clean.iterdir()] == ["fairlead.yaml"]
    assert Path("fairlead.yaml").read_text() == "mine"


def test_init_where_nothing_can_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    write("a file")
    assert main(["init", "fairlead.yaml/below"]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["additionalProperties"] is False


def test_providers(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHERAI_API_KEY", CANARY)
    assert main(["providers"]) == 0
    table = capsys.readouterr().out
    assert "https://api.anthropic.com/v1" in table
    assert main(["providers", "--json"]) == 0
    out = capsys.readouterr().out
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["together"]["key_set"] == "TOGETHERAI_API_KEY"
    assert rows["openai"]["key_set"] is None
    assert CANARY not in table + out


def test_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--provider", "anthropic"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("anthropic/claude-haiku-4-5 ") for line in lines)
    assert not any(line.startswith("openai/") for line in lines)
    assert main(["models", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    row = next(row for row in report["models"] if row["model"] == "gpt-4o-mini")
    assert (row["price"]["input"], row["price"]["output"], row["context"]) == ("0.15", "0.6", 128000)
    assert report["sources"]["genai-prices"]["date"]


def test_models_of_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--provider", "opnai"]) == 1
    assert "did you mean 'openai'?" in capsys.readouterr().err


def test_without_a_command_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    err = capsys.readouterr().err
    assert all(name in err for name in COMMANDS)


def test_the_version() -> None:
    command = [sys.executable, "-m", "fairlead", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, env=_environ(), check=True)
    assert done.stdout == f"fairlead {__version__}\n"


def test_help_imports_none_of_the_commands() -> None:
    """It is what keeps `--help` quick: no YAML, no msgspec, no asyncio."""
    program = (
        "import sys, fairlead.cli\n"
        "try: fairlead.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'yaml', 'msgspec', 'asyncio', 'uvloop', 'ssl'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=_environ(), check=True)
    assert done.stderr == "[]\n"


def test_help_is_quick() -> None:
    def timed() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "fairlead", "--help"], capture_output=True, env=_environ(), check=True)
        return time.perf_counter() - start

    assert min(timed() for _ in range(5)) < 0.3


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("providers", 0),
        ("advise --ops managed --data air-gapped", 1),
        ("schema", 141),  # more than is written at once, so that it is not known how it would have ended
    ],
)
def test_a_reader_that_has_left_changes_no_status_that_is_known(command: str, status: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        words = [sys.executable, "-m", "fairlead", *command.split()]
        buffered = {**_environ(), "PYTHONUNBUFFERED": ""}
        done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, env=buffered, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (status, b"")


def test_what_init_wrote_is_yaml() -> None:
    main(["init"])
    assert set(yaml.safe_load(Path("fairlead.yaml").read_text())) == {"server", "admin", "providers", "routes"}


def _environ() -> dict[str, str]:
    source = Path(__file__).parents[2] / "src"
    return {**os.environ, "PYTHONPATH": str(source)}


def test_what_a_command_does_not_take_is_told_with_its_own_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--config", "x.yaml", "surplus"])
    err = capsys.readouterr().err
    assert err.startswith("usage: fairlead check ")
    assert "unrecognized arguments: surplus" in err
