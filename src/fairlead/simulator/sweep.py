"""One setting at several values: `openai.error=0:0.5:0.05` is a curve of eleven simulations.

All have one seed, and so the same requests and the same chance. It must not know what can be varied, nor how a curve is
drawn.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from fairlead.config.units import format_duration, parse_duration, parse_number
from fairlead.simulator.knobs import assigned, with_knob
from fairlead.simulator.report import Curve, Point
from fairlead.simulator.setting import Setting, SettingError
from fairlead.simulator.summary import Summary

MOST_POINTS = 200
LARGEST = 1e9


def written(value: float, unit: Literal["", "s"]) -> str:
    """A value of a curve as people write it."""
    return format_duration(value) if unit else f"{value:.10g}"


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """What is varied, and the values that it takes, in order; durations in seconds."""

    name: str
    values: tuple[float, ...]
    unit: Literal["", "s"] = ""

    def text(self, value: float) -> str:
        """A value as people write it."""
        return written(value, self.unit)

    def settings(self, setting: Setting) -> list[Setting]:
        """One for each value. Raises SettingError for a value that cannot be."""
        return [with_knob(setting, self.name, self.text(value)) for value in self.values]


def parse(text: str) -> Sweep:
    """`NAME=FROM:TO:STEP`, in numbers or in durations. TO is among the values where steps lead to it.

    Raises SettingError.
    """
    name, written = assigned(text)
    parts = [part.strip() for part in written.split(":")]
    if len(parts) != 3:
        raise SettingError(f"{text!r} is not NAME=FROM:TO:STEP, such as openai.error=0:0.5:0.05")
    unit: Literal["", "s"] = "" if all(_is_number(part) for part in parts) else "s"
    begin, end, step = [parse_number(part) if unit == "" else _seconds(part, text) for part in parts]
    if step <= 0:
        raise SettingError(f"{text!r} never ends: its step is {parts[2]}; write one that is more than zero")
    if end < begin:
        raise SettingError(f"{text!r} has no values: {parts[1]} is less than {parts[0]}; write the smaller one first")
    count = (end - begin) / step + 1e-9
    if count >= MOST_POINTS:
        raise SettingError(f"{text!r} has more than {MOST_POINTS} values; write a longer step than {parts[2]}")
    return Sweep(name=name, values=tuple(round(begin + index * step, 10) for index in range(int(count) + 1)), unit=unit)


def sweep(varied: Sweep, setting: Setting, simulate: Callable[[Setting], Summary], *, name: str = "") -> Curve:
    """A simulation for each value; `name` is what the configuration is called.

    Raises SettingError for a value that cannot be, before anything is simulated.
    """
    played = zip(varied.values, varied.settings(setting), strict=True)
    points = [Point(value=value, summary=simulate(one)) for value, one in played]
    return Curve(name=name, setting=varied.name, unit=varied.unit, points=points)


def _is_number(text: str) -> bool:
    try:
        return abs(parse_number(text)) < LARGEST
    except ValueError:
        return False


def _seconds(part: str, text: str) -> float:
    if _is_number(part) and not parse_number(part):
        return 0.0
    try:
        return parse_duration(part)
    except ValueError:
        raise SettingError(f"{text!r}: {part!r} is neither a number nor a duration such as 200ms") from None
