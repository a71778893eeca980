"""`fairlead simulate`: what a configuration would do, before production does.

It composes: files and flags become a setting, the simulator plays it, a report is shown. No gateway runs and nobody is
contacted.
"""

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec

from fairlead.canonical.routing import Snapshot
from fairlead.cli import report_files
from fairlead.cli.journals import Journals
from fairlead.cli.output import print_json, print_problems, print_table
from fairlead.cli.progress import Progress
from fairlead.cli.simulation_text import print_report
from fairlead.cli.stores import UnusableError
from fairlead.config.bind import bind_as
from fairlead.config.load import load
from fairlead.config.problems import Findings, did_you_mean
from fairlead.config.source import MAX_BYTES
from fairlead.fakes import demo
from fairlead.simulator.assumptions import of_settings
from fairlead.simulator.compare import differences
from fairlead.simulator.faults import Struck, parse
from fairlead.simulator.knobs import assigned, with_knob
from fairlead.simulator.recorded import Times
from fairlead.simulator.report import Comparison, Curve, Report, Run
from fairlead.simulator.scenario import Provider, Scenario, Time
from fairlead.simulator.setting import EVERYONE, Setting, SettingError, names_of
from fairlead.simulator.simulate import simulate, trial_of
from fairlead.simulator.slo import Target, judge
from fairlead.simulator.slo import parse as parse_targets
from fairlead.simulator.suggest import suggest
from fairlead.simulator.summary import FIGURES, Summary, figure
from fairlead.simulator.sweep import Sweep, sweep
from fairlead.simulator.sweep import parse as parse_sweep
from fairlead.simulator.trace import Trace, traffic

REQUESTS = 100_000
RPS = 50.0
LEAST_RPS, MOST_RPS = 1e-6, 1e6
MOST_REQUESTS = 1_000_000_000
SEARCH = 100
"""Parts of a search that progress is told in."""
A_MONDAY = 1_767_571_200.0
"""5 January 2026, where no price tells when it holds."""


def run(args: argparse.Namespace) -> int:
    """0 where it was simulated, and with --slo where every target is met; else 1."""
    findings = Findings(args.scenario or "")
    if args.slo is not None and not args.slo.strip():
        print("fairlead simulate: --slo is empty; write for example success=0.999", file=sys.stderr)
        return 1
    try:
        if args.report:
            report_files.check(args.report)
        report = _report(args, findings)
        if args.report:
            report_files.write(report, args.report)
    except SettingError as problem:
        if problem.path and args.scenario:
            findings.error(problem.path, str(problem))
            print_problems(findings.problems)
        else:
            print(f"fairlead simulate: {problem}", file=sys.stderr)
        return 1
    except UnusableError as problem:
        print(f"fairlead simulate: {problem}", file=sys.stderr)
        return 1
    if args.json:
        print_json(_flat(report))
    elif args.figures:
        _print_figures(report, args.figures.split(","))
    else:
        print_report(report)
    return 0 if all(one.met for one in report.targets) else 1


def _report(args: argparse.Namespace, findings: Findings) -> Report:
    """Everything that the flags ask for. Raises SettingError and UnusableError before anything takes time."""
    _check(args)
    targets = parse_targets(args.slo) if args.slo else ()
    varied = parse_sweep(args.sweep) if args.sweep else None
    scenario = _scenario(args, findings)
    names = [args.config or ("the demo" if args.demo else "fairlead.yaml")] + ([args.compare] if args.compare else [])
    snapshots = [_demo() if args.demo else _snapshot(args.config)]
    snapshots += [_snapshot(args.compare)] if args.compare else []
    stage = Stage(args.trace)
    everyone = frozenset().union(*map(names_of, snapshots))
    settings = [_setting(args, snapshot, scenario, stage, everyone) for snapshot in snapshots]
    for setting in settings:
        trial_of(setting, _measured)
    said = of_settings(settings, stage.trace)
    named = list(zip(names, settings, strict=True))
    title = " and ".join(names)
    if varied is not None:
        return Report(title=title, assumed=said, curves=list(_curves(stage, varied, named)))
    if args.suggest:
        return _suggested(stage, named[0], targets, said)
    runs = [Run(name=name, summary=_played(stage, setting)) for name, setting in named]
    return Report(
        title=title,
        assumed=said,
        runs=runs,
        comparisons=[_compared(runs[0], other) for other in runs[1:]],
        targets=[one for each in runs[-1:] for one in judge(targets, each.summary)],
    )


def _check(args: argparse.Namespace) -> None:
    """Flags that cannot be, or not together."""
    if args.requests is not None and not 1 <= args.requests <= MOST_REQUESTS:
        raise UnusableError(f"--requests {args.requests}: write a number from 1 to {MOST_REQUESTS}")
    if args.rps is not None and not LEAST_RPS <= args.rps <= MOST_RPS:
        raise UnusableError(f"--rps {args.rps:g}: write requests per second from {LEAST_RPS:g} to {MOST_RPS:,.0f}")
    if args.demo and args.config:
        raise UnusableError("--demo has a configuration of its own; leave --config out")
    if args.suggest and not args.slo:
        raise UnusableError("--suggest needs a target, such as --slo success=0.999,ttft_p99=800ms")
    if args.figures and (args.sweep or args.suggest):
        raise UnusableError("--figures are those of a simulation; leave --sweep and --suggest out")
    for name in args.figures.split(",") if args.figures else ():
        if name not in FIGURES:
            hint = did_you_mean(name, FIGURES) or f"; there are {', '.join(FIGURES)}"
            raise UnusableError(f"--figures: there is no figure {name!r}{hint}")
    if args.suggest and args.compare:
        raise UnusableError("--suggest is about one configuration; leave --compare out")
    if args.trace and args.rps is not None:
        raise UnusableError("--trace says when requests come; leave --rps out")
    if args.sweep and args.slo:
        raise UnusableError("--slo is about one setting; leave --sweep out, or search with --suggest")


class Stage:
    """Where settings are played: with the traffic of a journal, or with their own."""

    def __init__(self, trace: str | None) -> None:
        """Raises UnusableError where the journal cannot be read."""
        self._journals = None if trace is None else Journals(Path(trace))
        self._trace = None if self._journals is None else self._journals.trace()

    @property
    def trace(self) -> Trace | None:
        return self._trace

    @property
    def requests(self) -> int | None:
        """How many the journal has; None: there is no journal."""
        return None if self._trace is None else self._trace.requests

    def play(self, setting: Setting, tell: Callable[[int], None] = lambda _: None) -> Summary:
        recorded = None
        if self._journals is not None and self._trace is not None:
            recorded = traffic(self._trace, self._journals.by_end(), setting.snapshot)
        return simulate(setting, measured=_measured, trace=recorded, tell=tell)


def _played(stage: Stage, setting: Setting) -> Summary:
    with Progress(setting.requests, "requests") as progress:
        return stage.play(setting, progress.tell)


def _curves(stage: Stage, varied: Sweep, named: Sequence[tuple[str, Setting]]) -> Iterator[Curve]:
    for name, setting in named:
        with Progress(len(varied.values) * setting.requests, "requests") as progress:
            yield sweep(varied, setting, partial(_in_turn, stage, progress.tell, [0]), name=name)


def _in_turn(stage: Stage, tell: Callable[[int], None], done: list[int], setting: Setting) -> Summary:
    """One of several simulations; `done` has the requests of those before it."""
    before = done[0]
    found = stage.play(setting, lambda count: tell(before + count))
    done[0] += setting.requests
    return found


def _suggested(stage: Stage, named: tuple[str, Setting], targets: Sequence[Target], said: list[str]) -> Report:
    name, setting = named
    with Progress(SEARCH, "parts") as progress:
        found = suggest(setting, targets, stage.play, tell=lambda share: progress.tell(int(share * SEARCH)))
    return Report(title=name, assumed=said, suggestion=found, targets=found.targets_after)


@cache
def _measured(journal: str) -> Mapping[str, Times]:
    """What a journal measured, by deployment; it is read once."""
    try:
        histories = Journals(Path(journal)).trace().histories
    except UnusableError as error:
        raise ValueError(str(error)) from None
    return {name: history.times() for name, history in histories.items()}


def _compared(one: Run, other: Run) -> Comparison:
    return Comparison(before=one.name, after=other.name, differences=differences(one.summary, other.summary))


def _setting(
    args: argparse.Namespace, snapshot: Snapshot, scenario: Scenario, stage: Stage, everyone: frozenset[str]
) -> Setting:
    setting = Setting(
        snapshot=snapshot,
        scenario=scenario,
        faults=_faults(args.faults, everyone),
        elsewhere=everyone,
        requests=min(args.requests or stage.requests or REQUESTS, stage.requests or MOST_REQUESTS),
        rps=args.rps or RPS,
        seed=args.seed,
        begins=_begins(snapshot),
    )
    for text in args.set:
        setting = with_knob(setting, *assigned(text))
    return setting


def _faults(given: Sequence[str], everyone: frozenset[str]) -> dict[str, tuple[Struck, ...]]:
    """`PROVIDER:FAULTS`, by provider. A deployment's name may have colons of its own."""
    names = everyone | {EVERYONE}
    found: dict[str, tuple[Struck, ...]] = {}
    for text in given:
        ends = [place for place, letter in enumerate(text) if letter == ":" and text[:place] in names]
        if not ends:
            name = text.partition(":")[0]
            if name in names:
                raise UnusableError(f"--faults {text}: write what goes wrong, such as {name}:503=0.05")
            hint = did_you_mean(name, names) or f"; there are {', '.join(sorted(names - {EVERYONE}))}"
            raise UnusableError(f"--faults {text}: there is no provider or deployment {name!r}{hint}")
        name, told = text[: ends[-1]], text[ends[-1] + 1 :]
        try:
            found[name] = (*found.get(name, ()), *parse(told))
        except ValueError as error:
            raise UnusableError(f"--faults {text}: {error}") from None
    return found


def _begins(snapshot: Snapshot) -> float:
    """Midnight (UTC) of the day of the newest prices, so that it is the same as long as they are."""
    versions = [c.deployment.price.version for route in snapshot.routes for c in route.choices if c.deployment.price]
    days = sorted(day for version in versions for day in re.findall(r"\d{4}-\d\d-\d\d", version))
    return datetime.fromisoformat(days[-1]).replace(tzinfo=UTC).timestamp() if days else A_MONDAY


def _snapshot(path: str | None) -> Snapshot:
    loaded = load(path, os.environ)
    if loaded.snapshot is None:
        print_problems(loaded.errors)
        raise UnusableError(f"nothing is simulated: {loaded.file} has errors")
    return loaded.snapshot


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
        raise UnusableError(f"nothing is simulated: {args.scenario} has errors")
    if args.demo:  # what the file does not say of a provider, its fake does
        return msgspec.structs.replace(scenario, providers={**_of_fakes().providers, **scenario.providers})
    return scenario


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


def _print_figures(report: Report, names: Sequence[str]) -> None:
    """Only these figures, as they are: one line each."""
    rows = []
    for one in report.runs:
        for name in names:
            found = figure(one.summary, name)
            told = (name, f"{found.value:.5g}", f"{found.low:.5g} to {found.high:.5g}")
            rows.append((one.name, *told) if len(report.runs) > 1 else told)
    heads = ("FIGURE", "VALUE", "95 % CONFIDENCE")
    print_table(("RUN", *heads) if len(report.runs) > 1 else heads, rows)
    for target in report.targets:
        print(target.told)


def _flat(report: Report) -> dict[str, Any]:
    """The figures of the first run at the top, and with them whatever else was asked for."""
    told: dict[str, Any] = {}
    if report.runs:
        told = msgspec.to_builtins(report.runs[0].summary)
    parts = {name: getattr(report, name) for name in ("assumed", "curves", "comparisons", "suggestion", "targets")}
    if len(report.runs) > 1:
        parts["runs"] = report.runs
    return told | {name: part for name, part in parts.items() if part}
