"""A tree of YAML nodes + a shape → values, reporting every error at its place.

It works on the nodes' own text, never on PyYAML's constructed values: YAML 1.1 would turn the key `on` into True.
It must not know any particular key, nor open a file. `fairlead.yaml` is one such file, a simulation's scenario another.
"""

from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgspec
import yaml

from fairlead.config.model import Config
from fairlead.config.problems import Findings, Place, did_you_mean, step
from fairlead.config.shape import Listed, Named, Nullable, Record, Scalar, Shape, Words, record_of
from fairlead.config.source import place_of, read_tree
from fairlead.config.units import shown

MAX_NODES = 100_000
"""Values after aliases are followed, so that a few lines of aliases cannot make billions."""

MAX_PROBLEMS = 200
"""Hints take time, and nobody reads on."""

_CORE = "tag:yaml.org,2002:"
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_KNOWN_TAGS = frozenset(
    _CORE + word
    for word in ("null", "bool", "int", "float", "str", "seq", "map", "merge", "timestamp", "value", "binary")
)


T = TypeVar("T", bound=msgspec.Struct)


class _Missing:
    """What binding gives where it has reported an error."""


MISSING: Final = _Missing()


class _TooMuchError(Exception):
    """There is more than anyone wants to read, or wait for."""


def bind(source: bytes, findings: Findings) -> Config | None:
    """The configuration that `source` holds, or None once `findings` say what is wrong with it."""
    return bind_as(Config, source, findings, empty="'fairlead init' writes one to begin with")


def bind_as(section: type[T], source: bytes, findings: Findings, *, empty: str) -> T | None:
    """The same for a file of another shape; `empty` says what to do about one that holds nothing."""
    node = read_tree(source, findings)
    if node is None and not findings.has_errors():
        findings.error("", f"the file is empty; {empty}")
    if node is None or findings.has_errors():
        return None
    shape = record_of(section)
    try:
        value = Binder(findings, shape).bind(node, shape, "")
    except _TooMuchError as error:
        findings.error("", str(error))
        return None
    except RecursionError:
        findings.error("", "a << merge contains itself")
        return None
    return value if isinstance(value, section) and not findings.has_errors() else None


class Binder:
    """Binds one tree; counts what it has seen."""

    def __init__(self, findings: Findings, whole: Record | None = None) -> None:
        """`whole` is the shape of the file, where a misplaced key may belong; None: the configuration."""
        self._findings = findings
        self._whole = whole or record_of(Config)
        self._seen = 0

    def bind(self, node: yaml.Node, shape: Shape, path: str) -> Any:
        """The value of `node`, or MISSING."""
        self._count()
        place = place_of(node.start_mark)
        self._findings.place(path, place)
        if node.tag not in _KNOWN_TAGS:
            return self._wrong(path, "YAML tags are not used here; remove it", place)
        match shape:
            case Nullable(inner):
                return None if is_null(node) else self.bind(node, inner, path)
            case Scalar() | Words():
                return self._scalar(node, shape, path)
            case Listed():
                return self._listed(node, shape, path)
            case Named():
                return self._named(node, shape, path)
            case Record():
                return self._record(node, shape, path)

    def _scalar(self, node: yaml.Node, shape: Scalar | Words, path: str) -> Any:
        place = place_of(node.start_mark)
        if not isinstance(node, yaml.ScalarNode) or is_null(node):
            return self._wrong(path, f"must be {_wanted(shape)}, not {_kind(node)}", place)
        text = node.value
        if isinstance(shape, Words):
            if text in shape.words:
                return text
            known = ", ".join(shape.words)
            return self._wrong(path, f"{shown(text)} is not one of {known}{did_you_mean(text, shape.words)}", place)
        if shape.unit.plain and node.style in ("'", '"'):
            return self._wrong(path, f"must be a {shape.unit.name} without quotes", place)
        try:
            return shape.unit.parse(text)
        except ValueError as error:
            return self._wrong(path, str(error), place)

    def _listed(self, node: yaml.Node, shape: Listed, path: str) -> Any:
        if is_null(node):
            return frozenset() if shape.unordered else ()
        if shape.single and isinstance(node, yaml.MappingNode if isinstance(shape.item, Record) else yaml.ScalarNode):
            value = self.bind(node, shape.item, path)
            return MISSING if value is MISSING else (value,)
        if not isinstance(node, yaml.SequenceNode):
            return self._wrong(path, f"must be a list, not {_kind(node)}", place_of(node.start_mark))
        values = [self.bind(item, shape.item, f"{path}[{index}]") for index, item in enumerate(node.value)]
        if MISSING in values:
            return MISSING
        return frozenset(values) if shape.unordered else tuple(values)

    def _named(self, node: yaml.Node, shape: Named, path: str) -> Any:
        if is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            return self._wrong(path, f"must be a mapping, not {_kind(node)}", place_of(node.start_mark))
        values: dict[str, Any] = {}
        for key, value in self._items(node, path):
            try:
                values[shape.key.parse(key.value)] = self.bind(value, shape.value, step(path, key.value))
            except ValueError as error:
                self._wrong(step(path, key.value), str(error), place_of(key.start_mark))
        return MISSING if MISSING in values.values() else values

    def _record(self, node: yaml.Node, shape: Record, path: str) -> Any:
        if isinstance(node, yaml.ScalarNode) and not is_null(node) and shape.shorthand:
            return self._short(node, shape, path)
        if not isinstance(node, yaml.MappingNode) and not is_null(node):
            return self._wrong(path, f"must be a mapping, not {_kind(node)}", place_of(node.start_mark))
        values: dict[str, Any] = {}
        meant: set[str] = set()
        for key, value in self._items(node, path):
            inner = step(path, key.value)
            found = shape.field(key.value)
            if found is None:
                meant |= self._unknown(key, shape, inner)
            else:
                values[found.attribute] = self.bind(value, found.shape, inner)
        return self._built(node, shape, values, path=path, meant=meant)

    def _short(self, node: yaml.ScalarNode, shape: Record, path: str) -> Any:
        (field,) = (field for field in shape.fields if field.key == shape.shorthand)
        value = self.bind(node, field.shape, path)
        return MISSING if value is MISSING else shape.type(**{field.attribute: value})

    def _built(self, node: yaml.Node, shape: Record, values: dict[str, Any], *, path: str, meant: set[str]) -> Any:
        """The struct; a key that is missing because it is misspelled has been reported already."""
        lacking = {field.key for field in shape.fields if field.required and field.attribute not in values}
        for key in sorted(lacking - meant):
            self._wrong(path, f"the key {key!r} is missing", place_of(node.start_mark))
        return MISSING if lacking or MISSING in values.values() else shape.type(**values)

    def _unknown(self, key: yaml.ScalarNode, shape: Record, path: str) -> set[str]:
        """Reports a key that has no place here; the known key that was probably meant."""
        word, place = key.value, place_of(key.start_mark)
        if word in shape.later:
            self._wrong(path, f"this version of Fairlead does not have {word!r} yet; remove it", place)
            return set()
        known = [field.key for field in shape.fields]
        hint = did_you_mean(word, known)
        other = _belongs(word, self._whole) or f"; known here: {', '.join(known)}"
        self._wrong(path, f"unknown key {shown(word)}{hint or other}", place)
        return {name for name in known if hint and repr(name) in hint}

    def _items(self, node: yaml.Node, path: str) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        """The mapping's items, merges (`<<`) followed; keys that are repeated or no words are reported."""
        seen: dict[str, Place] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            self._count()
            place = place_of(key.start_mark)
            if not isinstance(key, yaml.ScalarNode):
                self._wrong(path, "a key must be a word", place)
            elif key.tag == _CORE + "merge":
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            elif key.value in seen:
                first = seen[key.value].line
                self._wrong(
                    step(path, key.value), f"the key {shown(key.value)} is here twice; first on line {first}", place
                )
            else:
                seen[key.value] = place
                yield key, value
        for other in merged:
            if not isinstance(other, yaml.MappingNode):
                self._wrong(path, "<< merges mappings only", place_of(other.start_mark))
                continue
            for key, value in self._items(other, path):
                if key.value not in seen:
                    seen[key.value] = place_of(key.start_mark)
                    yield key, value

    def _count(self) -> None:
        self._seen += 1
        if self._seen > MAX_NODES:
            raise _TooMuchError(f"the aliases in this file stand for more than {MAX_NODES} values")

    def _wrong(self, path: str, message: str, place: Place) -> _Missing:
        self._findings.error(path, message, place)
        if len(self._findings.problems) >= MAX_PROBLEMS:
            raise _TooMuchError(f"there are {MAX_PROBLEMS} errors and more; those after them are not looked for")
        return MISSING


def is_null(node: yaml.Node) -> bool:
    """Whether a node is an unquoted null, or nothing at all."""
    return isinstance(node, yaml.ScalarNode) and not node.style and node.value in _NULLS


def _wanted(shape: Scalar | Words) -> str:
    return f"one of {', '.join(shape.words)}" if isinstance(shape, Words) else f"a {shape.unit.name}"


def _kind(node: yaml.Node) -> str:
    if is_null(node):
        return "empty"
    match node:
        case yaml.MappingNode():
            return "a mapping"
        case yaml.SequenceNode():
            return "a list"
    return "a single value"


def _belongs(word: str, whole: Record) -> str:
    """Where a key that is misplaced would be right."""
    homes = [path for path in keys_of(whole, "") if path.rpartition(".")[2] == word]
    return f"; it belongs to {homes[0]!r}" if len(homes) == 1 else ""


def keys_of(shape: Shape, path: str) -> Iterator[str]:
    """The path of every key, such as `routes[].retry.attempts` and `providers.<name>.api_key`."""
    match shape:
        case Nullable(inner):
            yield from keys_of(inner, path)
        case Listed(item=item):
            yield from keys_of(item, f"{path}[]")
        case Named(value=value):
            yield from keys_of(value, f"{path}.<name>")
        case Record():
            for field in shape.fields:
                key = f"{path}.{field.key}" if path else field.key
                yield key
                yield from keys_of(field.shape, key)
