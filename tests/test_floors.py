"""The floors of docs/design.md hold: imports point down only, and the pure floors stay pure."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "fairlead"
FLOORS = {
    "canonical": 0,
    "dialects": 1,
    "policy": 1,
    "catalog": 1,
    "advisor": 1,
    "audit": 2,
    "config": 2,
    "journal": 2,
    "state": 2,
    "database": 2,
    "http": 2,
    "telemetry": 2,
    "tokens": 2,
    "gateway": 3,
    "control": 3,
    "fakes": 3,
    "simulator": 3,
    "supervisor": 3,
    "reports": 4,
    "cli": 5,
    "__main__": 6,
    "__init__": 0,
}
PURE = {name for name, floor in FLOORS.items() if floor < 2} | {"simulator"}
IMPURE = {
    "asyncio", "socket", "os", "time", "logging", "random.random", "subprocess", "threading", "signal", "pathlib",
    "ssl", "select", "datetime.datetime.now", "io", "sys", "uvloop", "httptools",
}  # fmt: skip
FILES = sorted(SOURCE.rglob("*.py"))


def package(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> set[str]:
    """Dotted names of everything that a module imports at run time."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute here"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_from_below(path: Path) -> None:
    """A floor imports floors below it; siblings never import each other."""
    own = package(path)
    for name in imports(ast.parse(path.read_text())):
        parts = name.split(".")
        if parts[0] != "fairlead" or len(parts) < 2 or parts[1] not in FLOORS or parts[1] == own:
            continue
        assert FLOORS[parts[1]] < FLOORS[own], f"{own} (floor {FLOORS[own]}) imports {name}"


@pytest.mark.parametrize(
    "path", [path for path in FILES if package(path) in PURE], ids=lambda path: str(path.relative_to(SOURCE))
)
def test_what_is_pure_touches_no_world(path: Path) -> None:
    """No clock, socket, file, task or log below floor 2, nor in the simulator: time and chance are arguments."""
    tree = ast.parse(path.read_text())
    for name in imports(tree):
        head = name.split(".")[0]
        assert head not in IMPURE, f"{path.name} imports {name}"
        assert name not in IMPURE, f"{path.name} imports {name}"
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]


def test_every_package_has_a_floor() -> None:
    assert {package(path) for path in FILES} <= set(FLOORS)
