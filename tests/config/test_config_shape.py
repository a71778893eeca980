"""Every type hint of the model has a shape, and one that has none is refused when the model is read."""

from typing import Literal

import pytest

from fairlead.config.model import Config, Cooldown, Deployment
from fairlead.config.shape import Listed, Record, Words, record_of, shape_of


def test_a_record_knows_its_keys_as_users_write_them() -> None:
    shape = record_of(Cooldown)
    assert [(field.key, field.attribute, field.default) for field in shape.fields] == [
        ("after", "after", 3),
        ("for", "duration", 30.0),
    ]
    assert shape.field("for") is shape.fields[1]
    assert shape.field("duration") is None


def test_a_record_is_made_once() -> None:
    assert record_of(Config) is record_of(Config)


def test_a_shorthand_and_keys_of_later_versions() -> None:
    assert record_of(Deployment).shorthand == "use"
    assert "guardrails" in record_of(Config).later


def test_closed_sets() -> None:
    assert shape_of(frozenset[Literal["a", "b"]]) == Listed(Words(("a", "b")), True)
    assert isinstance(shape_of(Config), Record)


@pytest.mark.parametrize("hint", [object, int, list[int], bytes])
def test_a_hint_without_a_shape_is_a_mistake_of_ours(hint: object) -> None:
    with pytest.raises(TypeError, match="no shape"):
        shape_of(hint)
