"""The verifiers themselves: whoever breaks a comparison, a constant or a shift in one of them breaks a test.

Each mutant is the source with one thing changed, run against proofs that hold and proofs that do not.
"""

import ast
import base64
import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.audit.test_proofs import TOOL
from tests.audit.test_tree import GROWN

from fairlead.audit import tree
from fairlead.audit.note import Checkpoint, Signer

TREE = Path(tree.__file__)
SWAPS: dict[type[ast.AST], list[type[ast.AST]]] = {
    ast.Lt: [ast.LtE, ast.GtE], ast.LtE: [ast.Lt, ast.Gt], ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq],
    ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.RShift: [ast.LShift], ast.BitAnd: [ast.BitOr],
    ast.And: [ast.Or], ast.Or: [ast.And],
}  # fmt: skip
SIGNER = Signer("t/log", b"s" * 32)


def mutants(source: str, names: set[str]) -> Iterator[tuple[str, ast.Module]]:
    """Every change of one operator or one small constant within these functions."""
    parsed = ast.parse(source)
    functions = [node for node in parsed.body if isinstance(node, ast.FunctionDef) and node.name in names]
    assert len(functions) == len(names)
    for function in functions:
        for place, node in enumerate(ast.walk(function)):
            for change in changes(node):
                mutant = copy.deepcopy(parsed)
                (target,) = [one for one in mutant.body if getattr(one, "name", "") == function.name]
                change(list(ast.walk(target))[place])
                yield f"{function.name}:{getattr(node, 'lineno', '?')}:{ast.dump(node)[:60]}", mutant


def changes(node: ast.AST) -> Iterator[Callable[[Any], None]]:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        for by in (1, -1):
            yield lambda one, by=by: setattr(one, "value", one.value + by)  # type: ignore[misc]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield drop_not
    for field in ("op", "ops"):
        found = getattr(node, field, None)
        for place, operator in enumerate(found if isinstance(found, list) else [found]):
            for other in SWAPS.get(type(operator), []):
                yield lambda one, field=field, place=place, other=other: swap(one, field, place, other)  # type: ignore[misc]


def drop_not(node: Any) -> None:
    node.op, node.operand = ast.UAdd(), ast.Call(ast.Name("bool", ast.Load()), [node.operand], [])


def swap(node: Any, field: str, place: int, other: type[ast.AST]) -> None:
    if isinstance(getattr(node, field), list):
        getattr(node, field)[place] = other()
    else:
        setattr(node, field, other())


def run(mutant: ast.Module, name: str) -> ModuleType:
    module = ModuleType(name)
    exec(compile(ast.fix_missing_locations(mutant), name, "exec"), module.__dict__)
    return module


SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 11, 13]


def tree_is_right(module: ModuleType) -> bool:
    """Whether the verifying functions of a module answer as they should."""
    for size in SIZES:
        root = GROWN.roots[size]
        for index in range(size):
            proof = tree.inclusion_proof(index, size, GROWN.subtree)
            leaf = GROWN.leaves[index]
            good = [(leaf, (index, size), proof)]
            bad = [
                (leaf, (index, size), [*proof, tree.EMPTY]), (leaf, (index, size), proof[:-1] if proof else [leaf]),
                (leaf, (index + 1, size), proof), (leaf, (index - 1, size), proof), (tree.EMPTY, (index, size), proof),
                (leaf, (index, 2 * size + 1), proof), (leaf, (size, size), proof), (leaf, (-1, size), proof),
                (leaf, (index, size), [b"x", *proof[1:]]),
            ]  # fmt: skip
            if not all(module.proves_inclusion(root, *one) for one in good):
                return False
            if any(module.proves_inclusion(root, *one) for one in bad):
                return False
        for old in SIZES:
            if old <= size and not consistency_is_right(module, old, size):
                return False
    zero = (0, tree.EMPTY)
    odd: list[Any] = [((0, GROWN.roots[2]), (2, GROWN.roots[2]), []), (zero, (1, GROWN.roots[1]), []), (zero, zero, [])]
    return not any(module.proves_consistency(*one) for one in odd)


def consistency_is_right(module: ModuleType, old: int, new: int) -> bool:
    proof = tree.consistency_proof(old, new, GROWN.subtree)
    first, second = (old, GROWN.roots[old]), (new, GROWN.roots[new])
    bad = [
        ((old, tree.EMPTY), second, proof), (first, (new, tree.EMPTY), proof), (first, second, [*proof, tree.EMPTY]),
        (first, second, [b"x", *proof]), ((0, first[1]), second, proof), ((-old, first[1]), second, proof),
        (second, first, proof) if old != new else (first, second, [tree.EMPTY]),
        (first, second, proof[:-1]) if proof else (first, (new + 1, second[1]), []),
        (first, second, proof[1:]) if proof else ((old, tree.EMPTY), second, []),
    ]  # fmt: skip
    return bool(module.proves_consistency(first, second, proof)) and not any(
        module.proves_consistency(*one) for one in bad
    )


def survivors(names: set[str], source: str, is_right: Callable[[ModuleType], bool]) -> tuple[int, list[str]]:
    count, alive = 0, []
    for name, mutant in mutants(source, names):
        count += 1
        try:
            if is_right(run(bounded(mutant), name)):
                alive.append(name)
        except Exception:
            continue
    return count, alive


def bounded(mutant: ast.Module) -> ast.Module:
    """The same, but a loop that does not end raises."""
    for node in ast.walk(mutant):
        if isinstance(node, ast.While):
            step = ast.parse("_steps[0] += 1\nif _steps[0] > 100000: raise RuntimeError").body
            node.body = [*step, *node.body]
    mutant.body.insert(1, ast.parse("_steps = [0]").body[0])
    return mutant


@pytest.fixture(scope="module", autouse=True)
def unmutated() -> None:
    assert tree_is_right(tree)


def test_at_least_95_of_100_mutants_of_the_tree_s_verifier_are_noticed() -> None:
    count, alive = survivors({"proves_inclusion", "proves_consistency"}, TREE.read_text(), tree_is_right)
    assert count > 60
    assert len(alive) <= count * 0.05, alive


def tool_is_right(module: ModuleType) -> bool:
    def says(kind: str, *args: Any) -> bool:
        try:
            proof = inclusion(*args) if kind == "inclusion" else consistency(*args)
            module.verify(proof, SIGNER.verifier.vkey)
        except module.NotProvenError:
            return False
        return True

    class Shim(ModuleType):
        @staticmethod
        def proves_inclusion(root: bytes, leaf: bytes, place: tuple[int, int], path: list[bytes]) -> bool:
            try:
                return bool(module.included(leaf, *place, path) == root)
            except module.NotProvenError:
                return False

        @staticmethod
        def proves_consistency(old: tuple[int, bytes], new: tuple[int, bytes], path: list[bytes]) -> bool:
            try:
                return bool(module.consistent(old, new, path) == (old[1], new[1]))
            except module.NotProvenError:
                return False

    return (
        tools_tree_is_right(Shim("shim"))
        and says("inclusion", 3, 7)
        and says("consistency", 3, 7)
        and not says("inclusion", 3, 7, 4)
    )


def tools_tree_is_right(module: ModuleType) -> bool:
    """The tool's functions are given hashes of the right length only: that is looked at before."""
    for size in SIZES:
        for index in range(size):
            proof = tree.inclusion_proof(index, size, GROWN.subtree)
            leaf, root = GROWN.leaves[index], GROWN.roots[size]
            if not module.proves_inclusion(root, leaf, (index, size), proof):
                return False
            bad = [
                ((index, size), [*proof, tree.EMPTY]), ((index, size), proof[:-1] if proof else [leaf]),
                ((index + 1, size), proof), ((index - 1, size), proof), ((size, size), proof), ((-1, size), proof),
                ((index, 2 * size + 1), proof),
            ]  # fmt: skip
            if any(module.proves_inclusion(root, leaf, *one) for one in bad):
                return False
        for old in SIZES:
            if old <= size and not tools_consistency_is_right(module, old, size):
                return False
    zero = (0, tree.EMPTY)
    return not any(module.proves_consistency(zero, one, []) for one in (zero, (1, GROWN.roots[1])))


def tools_consistency_is_right(module: ModuleType, old: int, new: int) -> bool:
    proof = tree.consistency_proof(old, new, GROWN.subtree)
    first, second = (old, GROWN.roots[old]), (new, GROWN.roots[new])
    bad = [
        ((old, tree.EMPTY), second, proof), (first, (new, tree.EMPTY), proof), (first, second, [*proof, tree.EMPTY]),
        ((0, first[1]), second, proof), ((-old, first[1]), second, proof),
        (second, first, proof) if old != new else (first, second, [tree.EMPTY]),
        (first, second, proof[:-1]) if proof else ((old, tree.EMPTY), second, []),
        (first, second, proof[1:]) if proof else ((old, tree.EMPTY), second, []),
    ]  # fmt: skip
    return bool(module.proves_consistency(first, second, proof)) and not any(
        module.proves_consistency(*one) for one in bad
    )


LINES = [json.dumps({"seq": number}, separators=(",", ":")) for number in range(7)]


def sized(size: int) -> tuple[str, Any]:
    frontier = tree.Frontier()
    kept: dict[tuple[int, int], bytes] = {}
    for number in range(size):
        for height, done in enumerate(frontier.add(tree.leaf_hash(LINES[number].encode()))):
            kept[height, number >> height] = done
    return SIGNER.sign(Checkpoint("t/log", size, frontier.root()).text()), lambda height, place: kept[height, place]


def written(path: list[bytes]) -> list[str]:
    return [base64.b64encode(one).decode() for one in path]


def inclusion(index: int, size: int, shown: int | None = None) -> dict[str, Any]:
    note, subtree = sized(size)
    path = written(tree.inclusion_proof(index, size, subtree))
    return {"index": index if shown is None else shown, "entry": LINES[index], "hashes": path, "checkpoint": note}


def consistency(old: int, new: int) -> dict[str, Any]:
    note, subtree = sized(new)
    return {"old": sized(old)[0], "new": note, "hashes": written(tree.consistency_proof(old, new, subtree))}


def test_at_least_95_of_100_mutants_of_the_tool_are_noticed() -> None:
    source = TOOL.read_text()
    assert tool_is_right(run(bounded(ast.parse(source)), "tool"))
    count, alive = survivors({"included", "consistent", "climbed"}, source, tool_is_right)
    assert count > 50
    assert len(alive) <= count * 0.05, alive
