"""What is reported of simulations: runs side by side, curves over a setting that is varied, how two configurations
differ, what is suggested, and a replay. Values only.

A report is the JSON of `--json` and of `--report x.json` alike.
"""

from typing import Literal

import msgspec

from fairlead.simulator.replay_figures import Replay
from fairlead.simulator.statistics import Interval
from fairlead.simulator.summary import Summary


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """How a report was made: enough to make it again."""

    version: str
    """Of Fairlead."""
    made: str
    """When, in UTC: `2027-01-31T12:00:00Z`."""
    command: str
    """As it was typed."""
    requests: int
    """Of each simulation."""
    seed: int


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One simulation and what it is called, such as the configuration's file."""

    name: str
    summary: Summary


class Point(msgspec.Struct, frozen=True, kw_only=True):
    value: float
    summary: Summary


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Simulations that differ in one setting."""

    name: str
    """The configuration."""
    setting: str
    """What is varied, such as `openai.error`."""
    unit: Literal["", "s"] = ""
    """Of the points' values."""
    points: list[Point]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One figure in two simulations of the same requests."""

    figure: str
    """Its place in the summary, such as `latency_ms.p99`."""
    before: Interval
    after: Interval
    difference: Interval
    """From the first to the second: surer than the two figures, because both had the same requests and chance."""
    beyond_chance: bool
    """Whether the interval of the difference leaves out 0."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two configurations under one scenario and seed."""

    before: str
    after: str
    differences: list[Difference]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a simulation meets a target."""

    run: str = ""
    """The run that was judged; empty: there is only one."""
    target: str
    """As it is written: `success=0.999`."""
    figure: Interval
    met: bool
    """The whole interval is on the right side."""
    missing: float
    """How far the interval's wrong end is beyond the target, in the figure's own unit; 0 where it is met."""
    told: str
    """In a sentence."""


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """The cheapest setting that was found to meet the targets, or where none does the one that comes closest."""

    reached: bool
    changes: dict[str, str]
    """What to set otherwise than now, as `--set` takes it; empty: nothing."""
    lines: list[str]
    """The same as lines of `fairlead.yaml`."""
    before: Summary
    after: Summary
    targets_before: list[Judged]
    targets_after: list[Judged]
    settings: int
    """How many settings were simulated."""
    told: list[str]
    """What it comes to, in sentences."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    origin: Origin
    assumed: list[str]
    """What was assumed because nobody said it, in sentences."""
    runs: list[Run] = []
    curves: list[Curve] = []
    comparisons: list[Comparison] = []
    suggestion: Suggestion | None = None
    targets: list[Judged] = []
    """What was asked of every run, or of what is suggested."""
    replay: Replay | None = None
    """What recorded requests come to, beside what they came to; `runs` are the simulations behind it."""
