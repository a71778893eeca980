"""`fairlead simulate`: what a configuration would do, before production does.

It composes: files and flags become settings, the simulator plays them, a report is shown. No gateway runs and nobody is
contacted.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

import msgspec

from fairlead.cli import report_files, simulate_flags
from fairlead.cli.origin import origin
from fairlead.cli.output import print_json, print_problems, print_table
from fairlead.cli.progress import Progress
from fairlead.cli.report_text import print_report
from fairlead.cli.simulate_settings import UNDONE, settings
from fairlead.cli.stage import Stage
from fairlead.cli.stores import UnusableError
from fairlead.config.problems import Findings
from fairlead.simulator.assumptions import of_settings
from fairlead.simulator.compare import differences
from fairlead.simulator.report import Comparison, Curve, Report, Run
from fairlead.simulator.setting import Setting, SettingError
from fairlead.simulator.slo import Target, is_known, judge
from fairlead.simulator.slo import parse as parse_targets
from fairlead.simulator.suggest import suggest
from fairlead.simulator.summary import Summary, figure
from fairlead.simulator.sweep import Sweep, sweep, written
from fairlead.simulator.sweep import parse as parse_sweep

SEARCH = 100
"""Parts of a search that progress is told in."""


def run(args: argparse.Namespace) -> int:
    """0 where it was simulated, and with --slo where every target is met; else 1."""
    findings = Findings(args.scenario or "")
    try:
        simulate_flags.check(args)
        if args.report:
            report_files.check(args.report)
        report = _report(args, findings)
        if args.report:
            report_files.write(report, args.report)
    except (SettingError, UnusableError) as problem:
        print(f"fairlead simulate: {_told(problem, args.scenario, findings)}", file=sys.stderr)
        return 1
    if args.json:
        print_json(report)
    elif args.figures:
        _print_figures(report, simulate_flags.figures(args))
    else:
        print_report(report)
    return 0 if all(one.met for one in report.targets) else 1


def _told(problem: SettingError | UnusableError, scenario: str | None, findings: Findings) -> str:
    """The problem; one that has its place in the scenario is printed with that."""
    if not isinstance(problem, SettingError) or not problem.path or scenario is None:
        return str(problem)
    findings.error(problem.path, str(problem))
    print_problems(findings.problems)
    return f"{UNDONE}: {scenario} has errors"


def _report(args: argparse.Namespace, findings: Findings) -> Report:
    """Everything that the flags ask for. Raises SettingError and UnusableError before anything takes time."""
    targets = parse_targets(args.slo) if args.slo else ()
    varied = parse_sweep(args.sweep) if args.sweep else None
    stage = Stage(args.trace)
    named = list(settings(args, findings, stage.recorded))
    for _, setting in named:
        stage.check(setting)
        if varied is not None:
            varied.settings(setting)  # so that a value that cannot be is told now
    report = Report(
        title=" and ".join(name for name, _ in named),
        origin=origin(args, named[0][1].requests),
        assumed=of_settings(named, stage.trace),
    )
    if varied is not None:
        return msgspec.structs.replace(report, curves=[_curve(stage, varied, *one) for one in named])
    if args.suggest:
        return _with_suggestion(report, stage, named[0][1], targets)
    return _with_runs(report, [_played(stage, *one) for one in named], targets)


def _played(stage: Stage, name: str, setting: Setting) -> Run:
    with Progress(setting.requests, "requests") as progress:
        return Run(name=name, summary=stage.play(setting, progress.tell))


def _curve(stage: Stage, varied: Sweep, name: str, setting: Setting) -> Curve:
    with Progress(len(varied.values) * setting.requests, "requests") as progress:
        return sweep(varied, setting, lambda one: stage.play(one, progress.part(one.requests)), name=name)


def _with_suggestion(report: Report, stage: Stage, setting: Setting, targets: Sequence[Target]) -> Report:
    with Progress(SEARCH, "parts") as progress:
        found = suggest(
            setting,
            targets,
            stage.play,
            asked=stage.trace.models if stage.trace else (),
            tell=lambda share: progress.tell(int(share * SEARCH)),
        )
    return msgspec.structs.replace(report, suggestion=found, targets=found.targets_after)


def _with_runs(report: Report, runs: list[Run], targets: Sequence[Target]) -> Report:
    """The runs, how each differs from the first, and whether each meets the targets."""
    first, *others = runs
    compared = [
        Comparison(before=first.name, after=one.name, differences=differences(first.summary, one.summary))
        for one in others
    ]
    judged = [found for one in runs for found in judge(targets, one.summary, one.name if others else "")]
    return msgspec.structs.replace(report, runs=runs, comparisons=compared, targets=judged)


def _print_figures(report: Report, names: Sequence[str]) -> None:
    """Only these figures, as they are: one line each. Runs are named where there are several."""
    first = 0 if len(report.runs) + len(report.curves) > 1 else 1
    varied = (curve.setting for curve in report.curves[:1])
    heads = ("RUN", *varied, "FIGURE", "VALUE", "95 % CONFIDENCE")
    rows = [(*about, *_figure(found, name)) for about, found in _summaries(report) for name in names]
    print_table(heads[first:], [row[first:] for row in rows])
    for target in report.targets:
        print(target.told)


def _summaries(report: Report) -> Iterator[tuple[tuple[str, ...], Summary]]:
    """Those of runs and of the points of curves, each with what it is of."""
    yield from (((run.name,), run.summary) for run in report.runs)
    for curve in report.curves:
        yield from (((curve.name, written(one.value, curve.unit)), one.summary) for one in curve.points)


def _figure(summary: Summary, name: str) -> tuple[str, str, str]:
    if not is_known(summary, name):
        return name, "not known", "nothing was answered"
    found = figure(summary, name)
    return name, f"{found.value:.5g}", f"{found.low:.5g} to {found.high:.5g}"
