"""The types of `model` as values that can be walked: binding, the JSON Schema and the documentation's test share them.

It must not know YAML or any particular key.
"""

from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from fairlead.config.units import TEXT, Unit


class Scalar(msgspec.Struct, frozen=True):
    unit: Unit


class Words(msgspec.Struct, frozen=True):
    """One of a closed set of words."""

    words: tuple[str, ...]


class Listed(msgspec.Struct, frozen=True):
    """A sequence; `unordered` makes it a set, without repetition; `single` lets one item stand for a list of it."""

    item: "Shape"
    unordered: bool
    single: bool = False


ONE_OR_MANY = "one or many"
"""In the annotation of a tuple: one item need not be written as a list."""


class Named(msgspec.Struct, frozen=True):
    """A mapping whose keys are names of the user's choice."""

    key: Unit
    value: "Shape"


class Nullable(msgspec.Struct, frozen=True):
    inner: "Shape"


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """`key` as users write it, `attribute` as the struct has it. `default` holds only unless `required`."""

    key: str
    attribute: str
    shape: "Shape"
    required: bool
    default: Any
    description: str


class Record(msgspec.Struct, frozen=True):
    """A mapping with known keys; a scalar stands for the field `shorthand`, where there is one."""

    type: type[msgspec.Struct]
    fields: tuple[Field, ...]
    later: tuple[str, ...]
    shorthand: str | None

    def field(self, key: str) -> Field | None:
        return next((field for field in self.fields if field.key == key), None)


Shape = Scalar | Words | Listed | Named | Nullable | Record


@cache
def record_of(struct: type[msgspec.Struct]) -> Record:
    """The shape of one of the structs of `model`."""
    fields = tuple(_field(field) for field in msgspec.structs.fields(struct))
    return Record(struct, fields, getattr(struct, "later", ()), getattr(struct, "shorthand", None))


def shape_of(hint: Any) -> Shape:
    """The shape of a type hint. Raises TypeError for one that the configuration does not use."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        unit = next((meta for meta in arguments[1:] if isinstance(meta, Unit)), None)
        inner = Scalar(unit) if unit else shape_of(arguments[0])
        return msgspec.structs.replace(inner, single=True) if ONE_OR_MANY in arguments[1:] else inner
    if origin is Literal:
        return Words(arguments)
    if origin in (tuple, frozenset):
        return Listed(shape_of(arguments[0]), origin is frozenset)
    if origin is dict:
        key = shape_of(arguments[0])
        return Named(key.unit if isinstance(key, Scalar) else TEXT, shape_of(arguments[1]))
    if origin in (Union, UnionType):
        (inner,) = (argument for argument in arguments if argument is not NoneType)
        return Nullable(shape_of(inner))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return record_of(hint)
    raise TypeError(f"no shape for {hint!r}")


def _field(field: msgspec.structs.FieldInfo) -> Field:
    metas = get_args(field.type)[1:] if get_origin(field.type) is Annotated else ()
    description = next((meta.description for meta in metas if isinstance(meta, msgspec.Meta)), None)
    default = field.default
    if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    return Field(
        key=field.encode_name,
        attribute=field.name,
        shape=shape_of(field.type),
        required=field.required,
        default=None if field.required else default,
        description=description or "",
    )
