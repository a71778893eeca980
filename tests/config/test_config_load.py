"""Where the configuration comes from."""

from pathlib import Path

import pytest

from fairlead.config.load import ENVIRONMENT, load

ROUTE = "routes: [{model: %s, deployments: [openai/x]}]\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("given", "variable", "fairlead"):
        (tmp_path / f"{name}.yaml").write_text(ROUTE % name)
    return tmp_path


def model(path: str | None, environ: dict[str, str]) -> str:
    snapshot = load(path, environ).snapshot
    assert snapshot is not None
    return snapshot.routes[0].model


def test_the_file_is_looked_for_in_order(here: Path) -> None:
    assert model("given.yaml", {"FAIRLEAD_CONFIG": "variable.yaml"}) == "given"
    assert model(None, {"FAIRLEAD_CONFIG": "variable.yaml"}) == "variable"
    assert model(None, {}) == "fairlead"


@pytest.mark.parametrize("path", ["nowhere.yaml", "."])
def test_a_file_that_is_named_must_be_there(here: Path, path: str) -> None:
    """Not even a provider key in the environment replaces it."""
    loaded = load(path, {"OPENAI_API_KEY": "sk"})
    assert loaded.snapshot is None
    assert "cannot be read" in str(loaded.errors[0])


def test_with_no_file_one_providers_key_serves_all_that_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load(None, {"OPENAI_API_KEY": "sk-1"})
    assert loaded.file == ENVIRONMENT
    assert loaded.problems == ()
    assert loaded.snapshot is not None
    assert loaded.snapshot.open
    assert loaded.snapshot.secrets == {"openai": "sk-1"}
    routes = {route.model: route.choices[0].deployment.name for route in loaded.snapshot.routes}
    assert routes["gpt-4o-mini"] == "openai/gpt-4o-mini"
    assert routes["gpt-*"] == routes["openai/*"] == routes["*"] == "openai/*"


def test_with_two_keys_each_name_goes_where_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    snapshot = load(None, {"ANTHROPIC_API_KEY": "a", "GROQ_API_KEY": "g", "CEREBRAS_API_KEY": "c"}).snapshot
    assert snapshot is not None
    routes = {route.model: [choice.deployment.name for choice in route.choices] for route in snapshot.routes}
    assert routes["claude-*"] == ["anthropic/*"]
    assert routes["groq/*"] == ["groq/*"]
    assert routes["gpt-oss-120b"] == ["cerebras/gpt-oss-120b"]
    assert "*" not in routes
    assert len(snapshot.secrets) == 3


def test_with_nothing_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (problem,) = load(None, {"OPENAI_API_KEY": ""}).problems
    assert "fairlead init" in problem.message
    assert "OPENAI_API_KEY" in problem.message


def test_nothing_loaded_prints_a_secret(here: Path) -> None:
    (here / "s.yaml").write_text(
        "admin: {key: canary-admin-0123456789}\nproviders: {openai: {api_key: canary-openai}}\n"
        "keys: [{name: a, key: canary-key-0123456789}]\n" + ROUTE % "m"
    )
    loaded = load("s.yaml", {})
    assert loaded.snapshot is not None
    assert loaded.admin_key == "canary-admin-0123456789"
    assert "canary" not in repr(loaded) + repr(loaded.config) + "".join(map(str, loaded.problems))


def test_an_admin_key_that_does_not_resolve_is_none(here: Path) -> None:
    (here / "a.yaml").write_text("admin: {key: env://NOPE}")
    assert load("a.yaml", {}).admin_key is None


def test_the_demo_may_have_a_short_key(here: Path) -> None:
    (here / "d.yaml").write_text("keys: [{name: demo, key: fl-demo}]")
    assert load("d.yaml", {}).snapshot is None
    assert load("d.yaml", {}, shortest_key=7).snapshot is not None
