"""The way in: finds the configuration, binds and compiles it, or makes one from the keys in the environment.

It must not know who asks: `fairlead check`, `serve` and a reload all come here.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from fairlead.canonical.routing import Snapshot
from fairlead.catalog.table import Catalog
from fairlead.config import model
from fairlead.config.bind import bind
from fairlead.config.compile import compile_config
from fairlead.config.otlp import Otlp, otlp_of
from fairlead.config.problems import Findings, Place, Problem
from fairlead.config.secrets import Fetched, Secret, UnresolvedError, read_text, resolve
from fairlead.config.shipped import catalog
from fairlead.config.source import MAX_BYTES
from fairlead.config.world import SHORTEST_KEY, World

DEFAULT_FILE = "fairlead.yaml"
FILE_VARIABLE = "FAIRLEAD_CONFIG"
ENVIRONMENT = "(environment)"
"""What stands for the file's name where the configuration comes from provider keys alone."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What loading came to. `config` and `snapshot` are None where `findings` hold an error that prevents them."""

    findings: Findings
    config: model.Config | None = None
    snapshot: Snapshot | None = None
    admin_key: str | None = None
    """The admin port's key, resolved; never printed."""
    database: str | None = None
    """The database's URL, resolved; never printed. None: the embedded one."""
    audit_keys: tuple[str | None, str | None] | None = None
    """The signing key of the audit trail and the one before it, resolved; never printed. None: nothing was loaded."""

    otlp: Otlp = Otlp()
    """What is sent by OTLP, and where to, headers resolved."""

    def __repr__(self) -> str:
        return f"Loaded({self.file}, {len(self.problems)} problems)"

    @property
    def file(self) -> str:
        return self.findings.file

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything found so far, in the order of the file."""
        return self.findings.in_order()

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.level == "error")


def load(
    path: str | None,
    environ: Mapping[str, str],
    *,
    pepper: Callable[[model.Config], bytes] = lambda _: b"",
    read_file: Callable[[str], str] = read_text,
    shortest_key: int = SHORTEST_KEY,
    fetched: Fetched | None = None,
) -> Loaded:
    """The configuration at `path`, else $FAIRLEAD_CONFIG, else ./fairlead.yaml, else from the environment's keys.

    `pepper` gives this machine's own, for a configuration without one.
    """
    world = World(
        environ=environ,
        catalog=catalog(),
        read_file=read_file,
        shortest_key=shortest_key,
        fetched=fetched,
    )
    chosen = path or environ.get(FILE_VARIABLE) or None
    if chosen is None and not Path(DEFAULT_FILE).exists():
        return _from_environment(world, pepper)
    file = chosen or DEFAULT_FILE
    findings = Findings(file)
    source = _read(file, findings)
    if source is None:
        return Loaded(findings=findings)
    return load_source(source, world, findings, pepper)


def load_source(
    source: bytes, world: World, findings: Findings, pepper: Callable[[model.Config], bytes] = lambda _: b""
) -> Loaded:
    """The configuration that `source` holds."""
    config = bind(source, findings)
    if config is None:
        return Loaded(findings=findings)
    return _compiled(config, world, findings, pepper)


def from_keys(catalog: Catalog, environ: Mapping[str, str]) -> model.Config | None:
    """A configuration that serves every provider whose key is in the environment; None: there is no such key."""
    present = [name for name, row in catalog.providers.items() if any(environ.get(key) for key in row.keys)]
    if not present:
        return None
    patterns: dict[str, list[str]] = {}
    for name in present:
        for row in catalog.models_of(name):
            patterns.setdefault(row.model, []).append(f"{name}/{row.model}")
        for family in (f"{name}/*", *catalog.providers[name].families):
            patterns.setdefault(family, []).append(f"{name}/*")
    if len(present) == 1:
        patterns.setdefault("*", []).append(f"{present[0]}/*")
    return model.Config(
        providers={name: model.Provider() for name in present},
        routes=tuple(model.Route(model=name, deployments=_by_priority(uses)) for name, uses in patterns.items()),
    )


def _by_priority(uses: list[str]) -> tuple[model.Deployment, ...]:
    return tuple(model.Deployment(use=use, priority=place) for place, use in enumerate(uses, start=1))


def _from_environment(world: World, pepper: Callable[[model.Config], bytes]) -> Loaded:
    findings = Findings(ENVIRONMENT, Place())
    config = from_keys(world.catalog, world.environ)
    if config is None:
        variables = [row.keys[0] for row in world.catalog.providers.values() if row.keys]
        findings.error(
            "",
            f"there is no {DEFAULT_FILE} here and no provider key in the environment; "
            f"run 'fairlead init', or set one of {', '.join(variables)}",
        )
        return Loaded(findings=findings)
    return _compiled(config, world, findings, pepper)


def _compiled(
    config: model.Config, world: World, findings: Findings, pepper: Callable[[model.Config], bytes]
) -> Loaded:
    if config.pepper is None and not world.pepper:
        world = msgspec.structs.replace(world, pepper=pepper(config))
    snapshot = compile_config(config, world, findings)
    return Loaded(
        findings=findings,
        config=config,
        snapshot=snapshot,
        admin_key=_quietly(config.admin.key, world),
        database=_quietly(config.database, world),
        otlp=otlp_of(config, world, findings),
        audit_keys=(_quietly(config.audit.signing_key, world), _quietly(config.audit.old_signing_key, world)),
    )


def _quietly(secret: Secret | None, world: World) -> str | None:
    """The value; that there is none has been said where it matters."""
    try:
        return resolve(secret, world.environ, world.read_file, world.fetched) if secret else None
    except UnresolvedError:
        return None


def _read(file: str, findings: Findings) -> bytes | None:
    try:
        with Path(file).open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        findings.error("", f"cannot be read: {error.strerror or 'no such file'}")
        return None
