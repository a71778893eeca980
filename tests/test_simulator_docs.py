"""docs/simulator.md has every flag, key, fault, target, knob and field that there is, and none that there is not."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from fairlead.cli import simulate_arguments
from fairlead.config.shape import Listed, Named, Nullable, Record, Shape, record_of
from fairlead.reports.readings import PARTS, READINGS
from fairlead.simulator import report, summary
from fairlead.simulator.faults import FAULTS
from fairlead.simulator.knobs import ROUTE_KNOBS
from fairlead.simulator.scenario import Scenario, Time, Tokens
from fairlead.simulator.slo import AIMS

PAGE = (Path(__file__).parent.parent / "docs" / "simulator.md").read_text()
IN_TEXT = re.compile(r"`([^`]+)`")


def rows(heading: str, after: str = "") -> list[list[str]]:
    """The cells of the first table below a heading, or below what comes `after` it."""
    section = PAGE.partition(f"\n## {heading}\n")[2]
    lines = section[section.index(after) :].splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("|---"))
    found = []
    for line in lines[first + 1 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line[1:-1].split("|")])
    return found


def names(cell: str) -> set[str]:
    """What is set as code in a cell; `.b` after `a.c` is `a.b`."""
    found = IN_TEXT.findall(cell)
    around = found[0].rpartition(".")[0] if found else ""
    return {f"{around}{name}" if name.startswith(".") else name for name in found}


def keys(shape: Shape, path: str = "") -> Iterator[str]:
    """Every key that has a value of its own; a time and a number of tokens are values."""
    match shape:
        case Nullable(inner) | Listed(item=inner) | Named(value=inner):
            yield from keys(inner, path + {Nullable: "", Listed: "[]", Named: ".<name>"}[type(shape)])
        case Record(type=struct, fields=fields) if struct not in (Time, Tokens):
            for field in fields:
                yield from keys(field.shape, f"{path}.{field.key}" if path else field.key)
        case _:
            yield path.removesuffix("[]")


def test_every_flag_is_documented_and_no_other() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    simulate_arguments.simulate(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings}
    table = PAGE.partition("| flag | |\n")[2].partition("\n\n")[0]
    first = (line[1:-1].split("|")[0] for line in table.splitlines())
    assert {name.split()[0] for cell in first for name in names(cell)} == flags


def test_every_key_of_a_scenario_is_documented_and_no_other() -> None:
    documented = {name for cells in rows("The scenario", "| key |") for name in names(cells[0])}
    assert documented == set(keys(record_of(Scenario)))


def test_every_fault_is_documented_and_no_other() -> None:
    assert {name for cells in rows("The scenario", "| fault |") for name in names(cells[0])} == set(FAULTS)


def test_every_knob_is_documented_and_no_other() -> None:
    documented = {name for cells in rows("What can be varied") for name in names(cells[0])}
    others = {"rps", "PROVIDER.FAULT", "PROVIDER/MODEL.FAULT", "*.FAULT", "weight.PROVIDER/MODEL"}
    assert documented == {*ROUTE_KNOBS, *others}


def test_each_figure_has_its_three_names_in_one_row() -> None:
    documented = set()
    for title, places, targets, _ in rows("What the figures mean"):
        place, target = ("".join(names(cell)) for cell in (places, targets))
        for part in PARTS if "PART" in place else ("",):
            told = (title.replace("*PART*", part), place.replace("PART", part), target.replace("PART", part))
            documented.add(told)
    aims = {aim.figure: name for name, aim in AIMS.items()}
    assert documented == {(reading.title, reading.place, aims[reading.place]) for reading in READINGS}


@pytest.mark.parametrize(
    "struct",
    [
        *(
            report.Report,
            report.Origin,
            report.Run,
            report.Curve,
            report.Point,
            report.Comparison,
            report.Difference,
            report.Judged,
        ),
        *(report.Suggestion, summary.Summary, summary.Sender, summary.Refusals, summary.Deployment, summary.Series),
    ],
)
def test_every_field_of_the_json_is_documented(struct: type[msgspec.Struct]) -> None:
    section = PAGE.partition("\n## JSON\n")[2].partition("\n## ")[0]
    figures = {place for cells in rows("What the figures mean") for place in names(cells[1])}
    named = {name.partition(".")[0] for name in figures | set(IN_TEXT.findall(section))}
    assert not set(struct.__struct_fields__) - named
