"""Where traces and metrics go by OTLP, as the configuration and OpenTelemetry's own variables say.

It knows the variables that decide whether anything is sent and over which protocol; those that say how else are the
SDK's to read.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Literal

import msgspec

from fairlead.config import model
from fairlead.config.problems import Findings
from fairlead.config.records import Observability
from fairlead.config.world import World, resolved

Signal = Literal["traces", "metrics"]
Protocol = Literal["http", "grpc"]
EXTRAS: dict[Protocol, str] = {"http": "otel", "grpc": "otel-grpc"}


class Collector(msgspec.Struct, frozen=True, kw_only=True):
    """Who takes a signal; an empty `url` leaves that to the variables."""

    url: str = ""
    protocol: Protocol = "http"
    headers: tuple[tuple[str, str], ...] = ()
    """They may be secrets; never printed."""

    def __repr__(self) -> str:
        return f"Collector({self.url}, {self.protocol})"


class Otlp(msgspec.Struct, frozen=True, kw_only=True):
    """Where each signal is sent; None: it is not."""

    traces: Collector | None = None
    metrics: Collector | None = None


def otlp_of(config: model.Config, world: World, findings: Findings) -> Otlp:
    """What the configuration asks for; a warning where what it takes is not installed, or a header has no value."""
    asked = config.observability
    headers = tuple(
        (name, value)
        for name, secret in asked.headers.items()
        if (value := resolved(secret, f"observability.headers.{name}", world, findings)) is not None
    )

    def collector(signal: Signal) -> Collector | None:
        if not is_exported(signal, asked.otlp, world.environ):
            return None
        return Collector(url=asked.otlp or "", protocol=protocol_of(signal, asked, world.environ), headers=headers)

    otlp = Otlp(traces=collector("traces"), metrics=collector("metrics"))
    wanted = {one.protocol for one in (otlp.traces, otlp.metrics) if one is not None}
    for extra in sorted(EXTRAS[protocol] for protocol in wanted if not is_installed(protocol)):
        findings.warn(
            "observability.otlp" if asked.otlp else "",
            f"nothing is sent by OTLP: the extra {extra!r} is missing; in a clone: pip install '.[{extra}]'",
        )
    return otlp


def protocol_of(signal: Signal, asked: Observability, environ: Mapping[str, str]) -> Protocol:
    """How a signal is sent: as the configuration says, where that says where to; else a variable may say it."""
    if asked.otlp:
        return asked.protocol
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
    named = own or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or asked.protocol
    return "grpc" if named == "grpc" else "http"


def is_exported(signal: Signal, url: str | None, environ: Mapping[str, str]) -> bool:
    """Whether a signal is sent anywhere: the configuration says where to, or a variable says that or asks for OTLP."""
    name = signal.upper()
    exporter = environ.get(f"OTEL_{name}_EXPORTER", "")
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter == "none":
        return False
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{name}_ENDPOINT")
    return bool(url) or exporter == "otlp" or any(environ.get(one) for one in endpoints)


def is_installed(protocol: Protocol) -> bool:
    """Whether the exporter for this protocol is there."""
    try:
        return find_spec(f"opentelemetry.exporter.otlp.proto.{protocol}") is not None
    except ModuleNotFoundError:
        return False
