"""Which secrets of a configuration come over the network, and where in the file each stands.

It walks the shapes of `model`, so a new key that holds a secret is found without being named here.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from fairlead.config.model import Config
from fairlead.config.problems import step
from fairlead.config.secrets import Secret
from fairlead.config.shape import Listed, Named, Nullable, Record, Shape, record_of


class Reference(msgspec.Struct, frozen=True):
    """`text` is the reference (`vault://…`), `path` its place (`providers.openai.api_key`)."""

    path: str
    text: str


def references(config: Config) -> tuple[Reference, ...]:
    """Every reference of the configuration, those in its `secrets` section included."""
    found = _secrets(record_of(Config), config, "")
    return tuple(Reference(path, secret.reference) for path, secret in found if secret.reference is not None)


def remote(config: Config) -> frozenset[str]:
    """The references whose values come over the network."""
    return frozenset(one.text for one in references(config) if Secret(one.text).is_remote)


def files(config: Config) -> tuple[str, ...]:
    """The files that hold secrets, each once."""
    texts = {one.text for one in references(config) if one.text.startswith("file://")}
    return tuple(sorted(text.removeprefix("file://") for text in texts))


def remote_credentials(config: Config) -> dict[str, str]:
    """The reference of each provider whose credential comes over the network."""
    return {
        name: provider.api_key.reference
        for name, provider in config.providers.items()
        if provider.api_key is not None and provider.api_key.is_remote and provider.api_key.reference
    }


def _secrets(shape: Shape, value: Any, path: str) -> Iterator[tuple[str, Secret]]:
    if isinstance(value, Secret):
        yield path, value
        return
    match shape:
        case Nullable(inner) if value is not None:
            yield from _secrets(inner, value, path)
        case Listed(item=item):
            for index, one in enumerate(value):
                yield from _secrets(item, one, f"{path}[{index}]")
        case Named(value=inner):
            for name, one in value.items():
                yield from _secrets(inner, one, step(path, name))
        case Record(fields=fields):
            for field in fields:
                yield from _secrets(field.shape, getattr(value, field.attribute), step(path, field.key))
