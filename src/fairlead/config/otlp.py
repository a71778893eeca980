"""Where traces and metrics go by OTLP, as the configuration and OpenTelemetry's own variables say.

It knows the variables that decide whether anything is sent; those that say how are the SDK's to read.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Literal

import msgspec

from fairlead.config import model
from fairlead.config.problems import Findings
from fairlead.config.world import World, resolved

Signal = Literal["traces", "metrics"]
EXTRAS = {"http": "otel", "grpc": "otel-grpc"}


class Otlp(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent, and where to; an empty `url` leaves that to the variables."""

    url: str = ""
    protocol: Literal["http", "grpc"] = "http"
    headers: tuple[tuple[str, str], ...] = ()
    """They may be secrets; never printed."""
    traces: bool = False
    metrics: bool = False

    def __repr__(self) -> str:
        return f"Otlp({self.url}, traces={self.traces}, metrics={self.metrics})"


def otlp_of(config: model.Config, world: World, findings: Findings) -> Otlp:
    """What the configuration asks for; a warning where what it takes is not installed, or a header has no value."""
    asked = config.observability
    otlp = Otlp(
        url=asked.otlp or "",
        protocol=asked.protocol,
        headers=tuple(
            (name, value)
            for name, secret in asked.headers.items()
            if (value := resolved(secret, f"observability.headers.{name}", world, findings)) is not None
        ),
        traces=is_exported("traces", asked.otlp, world.environ),
        metrics=is_exported("metrics", asked.otlp, world.environ),
    )
    if (otlp.traces or otlp.metrics) and not is_installed(otlp.protocol):
        extra = EXTRAS[otlp.protocol]
        findings.warn(
            "observability.otlp" if asked.otlp else "",
            f"nothing is sent by OTLP: the extra {extra!r} is missing; in a clone: pip install '.[{extra}]'",
        )
    return otlp


def is_exported(signal: Signal, url: str | None, environ: Mapping[str, str]) -> bool:
    """Whether a signal is sent anywhere."""
    name = signal.upper()
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get(f"OTEL_{name}_EXPORTER") == "none":
        return False
    return bool(url or environ.get(f"OTEL_EXPORTER_OTLP_{name}_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))


def is_installed(protocol: str) -> bool:
    """Whether the exporter for this protocol is there."""
    try:
        return find_spec(f"opentelemetry.exporter.otlp.proto.{protocol}") is not None
    except ModuleNotFoundError:
        return False
