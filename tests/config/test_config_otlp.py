"""Where traces and metrics go: what the configuration says, and where it says nothing OpenTelemetry's variables."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fairlead.config import otlp
from fairlead.config.load import Loaded, load
from fairlead.config.otlp import Collector

TEXT = """
providers: {fake: {kind: openai, base_url: "http://127.0.0.1:1/v1", api_key: sk-x}}
routes: [{model: chat, deployments: [fake/m]}]
keys: [{name: ci, key: test-key-of-enough-characters}]
"""
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


def loaded(tmp_path: Path, environ: Mapping[str, str], more: str = "") -> Loaded:
    file = tmp_path / "fairlead.yaml"
    file.write_text(TEXT + more)
    found = load(str(file), environ)
    assert found.snapshot is not None, found.problems
    return found


def protocols(found: Loaded) -> tuple[str | None, str | None]:
    traces, metrics = (one.protocol if one else None for one in (found.otlp.traces, found.otlp.metrics))
    return traces, metrics


@pytest.mark.parametrize(
    ("environ", "sent"),
    [
        ({}, (None, None)),
        (ENDPOINT, ("http", "http")),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h"}, ("http", None)),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://h"}, (None, "http")),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ("http", None)),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, (None, "http")),
        ({**ENDPOINT, "OTEL_METRICS_EXPORTER": "none"}, ("http", None)),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"}, (None, None)),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ("grpc", "grpc")),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ("http", "http")),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc"}, ("http", "grpc")),
        (
            {**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"},
            ("http", "grpc"),
        ),
    ],
)
def test_the_variables_say_what_is_sent_and_how(
    tmp_path: Path, environ: dict[str, str], sent: tuple[str | None, str | None]
) -> None:
    found = loaded(tmp_path, environ)
    assert protocols(found) == sent
    assert found.snapshot is not None
    assert found.snapshot.tracing is (sent[0] is not None)


def test_the_configuration_goes_before_the_variables(tmp_path: Path) -> None:
    environ = {**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    found = loaded(tmp_path, environ, 'observability: {otlp: "http://127.0.0.1:1"}\n')
    assert found.otlp.traces == found.otlp.metrics == Collector(url="http://127.0.0.1:1", protocol="http")


def test_a_header_is_resolved_and_never_shown(tmp_path: Path) -> None:
    more = 'observability: {otlp: "http://127.0.0.1:1", headers: {X-Token: env://TOKEN}}\n'
    found = loaded(tmp_path, {"TOKEN": "canary-of-a-token"}, more)
    assert found.otlp.traces is not None
    assert found.otlp.traces.headers == (("x-token", "canary-of-a-token"),)
    assert "canary" not in f"{found} {found.otlp} {found.otlp!r} {found.config}"


@pytest.mark.parametrize(
    ("environ", "extras"),
    [
        (ENDPOINT, ["otel"]),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["otel-grpc"]),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc"}, ["otel", "otel-grpc"]),
        ({}, []),
    ],
)
def test_without_its_extra_a_warning_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], extras: list[str]
) -> None:
    monkeypatch.setattr(otlp, "is_installed", lambda _: False)
    told = [str(problem) for problem in loaded(tmp_path, environ).problems]
    assert [line for line in told if "OTLP" in line] == [
        next(line for line in told if f"pip install '.[{extra}]'" in line) for extra in extras
    ]
    assert len([line for line in told if "OTLP" in line]) == len(extras)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_an_exporter_that_is_there_is_found(protocol: otlp.Protocol) -> None:
    assert otlp.is_installed(protocol)
