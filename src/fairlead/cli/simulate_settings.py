"""From the files and flags of `fairlead simulate` to the settings that are played. It must not play any."""

import argparse
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fairlead.canonical.routing import Snapshot
from fairlead.cli import simulate_flags
from fairlead.cli.configured import configured
from fairlead.cli.output import print_problems
from fairlead.cli.stores import UnusableError
from fairlead.config.bind import bind_as
from fairlead.config.load import load
from fairlead.config.problems import Findings, did_you_mean
from fairlead.config.source import MAX_BYTES
from fairlead.fakes import demo
from fairlead.simulator.faults import Struck, parse
from fairlead.simulator.knobs import assigned, with_knob
from fairlead.simulator.scenario import Provider, Scenario, Time
from fairlead.simulator.setting import EVERYONE, Setting, SettingError, deployments_of, names_of

UNDONE = "nothing is simulated"
OR_THE_DEMO = "; with --demo none is needed"
REQUESTS = 100_000
A_MONDAY = 1_767_571_200.0
"""5 January 2026, where no price tells when it holds."""
RECORDED = {"traffic": "who asks for what", "hour": "when requests come"}
"""What a scenario cannot say of recorded requests."""


def settings(args: argparse.Namespace, findings: Findings, recorded: int | None) -> Iterator[tuple[str, Setting]]:
    """Each configuration's name and setting; `recorded` is how many requests a journal has.

    Raises SettingError and UnusableError; what is wrong in the scenario has its place in `findings`.
    """
    scenario = _scenario(args, findings)
    if recorded is not None:
        _refuse_traffic(scenario)
    named = tuple(_configurations(args))
    snapshots = tuple([snapshot for _, snapshot in named])
    faults = _faults(args.faults, snapshots)
    requests = _requests(simulate_flags.requests(args), recorded)
    for name, snapshot in named:
        setting = Setting(
            snapshot=snapshot,
            scenario=scenario,
            faults=faults,
            compared=snapshots,
            requests=requests,
            seed=args.seed,
            begins=_begins(snapshots),
        )
        for text in simulate_flags.varied(args):
            setting = with_knob(setting, *assigned(text))
        yield name, setting


def _configurations(args: argparse.Namespace) -> Iterator[tuple[str, Snapshot]]:
    """By the names of their files."""
    yield ("the demo", _demo()) if args.demo else configured(args.config, undone=UNDONE, otherwise=OR_THE_DEMO)
    if args.compare:
        yield configured(args.compare, undone=UNDONE)


def _demo() -> Snapshot:
    """The demo's own configuration; nobody listens on its ports."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "demo.yaml"
        file.write_text(demo.demo_config({"openai": 1, "anthropic": 2, "self_hosted": 3}))
        loaded = load(str(file), {}, shortest_key=len(demo.CLIENT_KEY))
    if loaded.snapshot is None:
        raise UnusableError("the demo's configuration cannot be used")
    return loaded.snapshot


def _scenario(args: argparse.Namespace, findings: Findings) -> Scenario:
    """The scenario's file; without one, nothing is said, or of the demo what its fakes do."""
    if args.scenario is None:
        return _of_fakes() if args.demo else Scenario()
    try:
        with Path(args.scenario).open("rb") as stream:
            source = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnusableError(f"--scenario {args.scenario} cannot be read: {error.strerror}") from None
    scenario = bind_as(Scenario, source, findings, empty="see docs/simulator.md for what it may hold")
    if scenario is None:
        print_problems(findings.in_order())
        raise UnusableError(f"{UNDONE}: {args.scenario} has errors")
    if args.demo:  # what the file does not say of a provider, its fake does
        return msgspec.structs.replace(scenario, providers=_completed(scenario.providers, _of_fakes().providers))
    return scenario


def _completed(said: Mapping[str, Provider], others: Mapping[str, Provider]) -> dict[str, Provider]:
    """What is said of providers, and what is not, key by key, as the others have it."""
    given = {
        name: {key: value for key, value in msgspec.structs.asdict(one).items() if value is not None}
        for name, one in said.items()
    }
    completed = {name: msgspec.structs.replace(one, **given.get(name, {})) for name, one in others.items()}
    return {**said, **completed}


def _of_fakes() -> Scenario:
    """What the demo's fake providers do, as far as chance decides it."""
    providers = {}
    for name, script in demo.SCRIPTS.items():
        rates = ",".join(f"{fault.written}={rate:g}" for fault, rate in script.rates)
        pace = script.pace
        providers[name.replace("_", "-")] = Provider(
            first_token=Time(median=pace.first, p99=pace.first * (1 + pace.jitter)),
            per_token=Time(median=pace.interval, p99=pace.interval * (1 + pace.jitter)),
            faults=parse(rates),
        )
    return Scenario(providers=providers)


def _refuse_traffic(scenario: Scenario) -> None:
    for name, what in RECORDED.items():
        if getattr(scenario, name) != getattr(Scenario(), name):
            raise SettingError(f"--trace says {what}; leave {name!r} out of the scenario, or --trace", name)


def _faults(given: Sequence[str], snapshots: Sequence[Snapshot]) -> dict[str, tuple[Struck, ...]]:
    """`PROVIDER:FAULTS`, by provider. A deployment's name may have colons of its own."""
    names = frozenset().union(*map(names_of, snapshots))
    texts: dict[str, str] = {}
    found: dict[str, tuple[Struck, ...]] = {}
    for text in given:
        name, told = _struck(text, names)
        texts[name] = f"{texts[name]},{told}" if name in texts else told
        try:
            found[name] = parse(texts[name])
        except ValueError as error:
            raise UnusableError(f"--faults {text}: {error}") from None
    providers = {one.name: one.provider for snapshot in snapshots for one in deployments_of(snapshot).values()}
    return {name: _with_wider(found, (EVERYONE, providers.get(name, ""), name)) for name in found}


def _with_wider(found: Mapping[str, tuple[Struck, ...]], places: Sequence[str]) -> tuple[Struck, ...]:
    """What is said of whoever is in all of the places. The narrowest comes last, and of one fault it has the word."""
    struck: tuple[Struck, ...] = ()
    for faults in (found.get(place, ()) for place in dict.fromkeys(places)):
        own = {one.plain for one in faults}
        struck = (*(one for one in struck if one.plain not in own), *faults)
    return struck


def _struck(text: str, names: frozenset[str]) -> tuple[str, str]:
    """Whom faults strike, and the faults. Raises UnusableError."""
    ends = [place for place, letter in enumerate(text) if letter == ":" and text[:place] in names | {EVERYONE}]
    name = text[: ends[-1]] if ends else text.partition(":")[0]
    if name not in names | {EVERYONE}:
        hint = did_you_mean(name, names) or f"; there are {', '.join(sorted(names))}"
        raise UnusableError(f"--faults {text or repr(text)}: there is no provider or deployment {name!r}{hint}")
    told = text[len(name) + 1 :]
    if not told.strip():
        raise UnusableError(f"--faults {text}: write what goes wrong, such as {name}:503=0.05; nothing is {name}:503=0")
    return name, told


def _requests(asked: int | None, recorded: int | None) -> int:
    if recorded is None:
        return asked or REQUESTS
    if asked is not None and asked > recorded:
        raise UnusableError(f"--requests {asked}: --trace has {recorded}; write no more, or leave --requests out")
    return asked or recorded


def _begins(snapshots: Iterable[Snapshot]) -> float:
    """Midnight (UTC) of the day of the newest prices, so that it is the same as long as they are."""
    prices = [c.deployment.price for one in snapshots for route in one.routes for c in route.choices]
    days = sorted(day for price in prices if price for day in re.findall(r"\d{4}-\d\d-\d\d", price.version))
    return datetime.fromisoformat(days[-1]).replace(tzinfo=UTC).timestamp() if days else A_MONDAY
