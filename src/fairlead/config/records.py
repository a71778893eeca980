"""What users may write about what is kept and told of requests: the journal, observability, the audit trail.

Frozen values only. It must not know YAML, nor who reads a record.
"""

from typing import Annotated, Literal

from fairlead.canonical import routing
from fairlead.config.kinds import Doc, HeaderName, SecretText, Section
from fairlead.config.units import AnyDuration, Duration, Size, Text, Url

_JOURNALING = routing.Journaling()
Switch = Literal["on", "off"]


class Journal(Section, frozen=True, kw_only=True):
    sync: Annotated[
        AnyDuration,
        Doc(
            description="How old a record may get before it is forced to the disk; a crash of the machine loses no "
            "older one. `0s`: before its answer ends."
        ),
    ] = _JOURNALING.sync
    segment: Annotated[Size, Doc(description="The size at which a new file is begun.")] = _JOURNALING.segment
    rotate: Annotated[Duration, Doc(description="The age at which a new file is begun.")] = _JOURNALING.rotate
    keep: Annotated[
        Duration, Doc(description="How long a file is kept after everything in it was brought where it belongs.")
    ] = 604_800.0
    max_size: Annotated[
        Size,
        Doc(
            description="What all files may take together, at least `256KiB`. What is done with goes first; then "
            "requests are refused."
        ),
    ] = _JOURNALING.max_size


class Observability(Section, frozen=True, kw_only=True):
    otlp: Annotated[
        Url | None,
        Doc(description="Where traces and metrics are sent by OTLP. Unset: `OTEL_EXPORTER_OTLP_ENDPOINT`, or nowhere."),
    ] = None
    protocol: Annotated[
        Literal["http", "grpc"], Doc(description="How: OTLP over HTTP, or over gRPC with the extra `otel-grpc`.")
    ] = "http"
    headers: Annotated[dict[HeaderName, SecretText], Doc(description="Further headers for it, such as a token.")] = {}
    content: Annotated[
        Switch, Doc(description="Whether prompts and answers are recorded, where a tenant does not say.")
    ] = "off"
    request_lines: Annotated[Switch, Doc(description="Whether the log has a line for every request.")] = "on"
    request_log: Annotated[Duration, Doc(description="How long each request stays in the database.")] = 2_592_000.0


class Audit(Section, frozen=True, kw_only=True):
    sign_every: Annotated[Duration, Doc(description="The longest time without a signed checkpoint.")] = 60.0
    signing_key: Annotated[
        SecretText | None, Doc(description="The Ed25519 key of checkpoints (PEM). Unset: a file in `data`.")
    ] = None
    old_signing_key: Annotated[
        SecretText | None, Doc(description="The key before this one, which signs the change to it.")
    ] = None
    origin: Annotated[
        Text | None, Doc(description="The name of this machine's trail in checkpoints. Unset: made at the first start.")
    ] = None
    witnesses: Annotated[
        tuple[Text, ...], Doc(description="Where checkpoints are copied: directories, or URLs that take a PUT.")
    ] = ()
