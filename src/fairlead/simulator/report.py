"""What is reported of simulations: runs side by side, and curves over a setting that is varied. Values only."""

import msgspec

from fairlead.simulator.summary import Summary


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
    points: list[Point]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    assumed: list[str]
    """What was assumed because nobody said it, in sentences."""
    runs: list[Run] = []
    curves: list[Curve] = []
