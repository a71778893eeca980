"""The configuration's JSON Schema (draft-07), for editors, made from the same shapes that binding uses.

An editor's first help, not the judge: `fairlead check` also knows what names must exist.
"""

from typing import Any

from fairlead.config.model import Config
from fairlead.config.shape import Field, Listed, Named, Nullable, Record, Scalar, Shape, Words, record_of

_EMPTY: dict[str, Any] = {"type": "null"}


def json_schema() -> dict[str, Any]:
    """The whole schema as a JSON value."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Fairlead configuration (fairlead.yaml)",
        **_schema(record_of(Config)),
    }


def written(shape: Shape, value: Any) -> Any:
    """A value as users would write it: durations, sizes and addresses as text. The inverse of binding."""
    match shape:
        case Nullable(inner):
            return None if value is None else written(inner, value)
        case Scalar(unit):
            return value if unit.plain else unit.format(value)
        case Words():
            return value
        case Listed(item=item):
            return [written(item, one) for one in (sorted(value) if shape.unordered else value)]
        case Named(value=inner):
            return {name: written(inner, one) for name, one in value.items()}
        case Record():
            return {field.key: written(field.shape, getattr(value, field.attribute)) for field in shape.fields}


def _schema(shape: Shape) -> dict[str, Any]:
    match shape:
        case Nullable(inner):
            return {"anyOf": [_schema(inner), _EMPTY]}
        case Scalar(unit):
            return dict(unit.schema)
        case Words(words):
            return {"enum": [*words, *(int(word) for word in words if word.isdigit())]}
        case Listed(item=item):
            unique = {"uniqueItems": True} if shape.unordered else {}
            listed = {"type": ["array", "null"], "items": _schema(item), **unique}
            return {"anyOf": [listed, _schema(item)]} if shape.single else listed
        case Named(key, value):
            return {"type": ["object", "null"], "propertyNames": key.schema, "additionalProperties": _schema(value)}
        case Record():
            return _record(shape)


def _record(shape: Record) -> dict[str, Any]:
    required = [field.key for field in shape.fields if field.required]
    schema: dict[str, Any] = {
        "type": "object" if required else ["object", "null"],
        "additionalProperties": False,
        "properties": {field.key: _property(field) for field in shape.fields},
    }
    if required:
        schema["required"] = required
    if shape.shorthand is None:
        return schema
    short = next(field for field in shape.fields if field.key == shape.shorthand)
    return {"anyOf": [_schema(short.shape), schema]}


def _property(field: Field) -> dict[str, Any]:
    schema = {"description": field.description, **_schema(field.shape)}
    if not field.required and isinstance(field.shape, Scalar | Words | Listed):
        schema["default"] = written(field.shape, field.default)
    return schema
