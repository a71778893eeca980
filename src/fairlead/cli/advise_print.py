"""Advice for people: who leads and why, who is out, what would change it, and when to move on.

It must not decide anything: all that it says is in the advice.
"""

import textwrap
from collections.abc import Iterable

from fairlead.advisor.advise import Advice
from fairlead.advisor.changes import Change
from fairlead.advisor.conflicts import Conflict
from fairlead.advisor.facts import Facts
from fairlead.advisor.merits import Reason
from fairlead.advisor.migration import Migration
from fairlead.advisor.ranking import Excluded, Ranked
from fairlead.cli.output import print_table

WIDTH = 110


def print_advice(advice: Advice, facts: Facts) -> None:
    """All of it on stdout."""
    asked = " ".join(advice.asked) or "nothing in particular"
    _wrapped(f"Asked: {asked}. Facts of {advice.facts}.")
    for conflict in advice.conflicts:
        print()
        for line in exclusion(conflict):
            print(line)
    if advice.ranking:
        _print_ranking(advice.ranking)
    elif not advice.conflicts:
        print("\nNo gateway fulfils all of it.")
    if advice.excluded and not advice.conflicts:
        _print_excluded(advice.excluded)
    _print_changes(advice.would_change, facts)
    if advice.ranking:
        _print_migration(advice.migration, facts)


def exclusion(conflict: Conflict) -> list[str]:
    """Which two exclude each other, why, and the way out, as lines that fit a terminal."""
    first, second = conflict.between
    texts = (f"{first} and {second} exclude each other: {conflict.reason}.", f"The way out: {conflict.way_out}.")
    return [line for text in texts for line in _filled(text).splitlines()]


def _print_ranking(ranking: list[Ranked]) -> None:
    print()
    print_table(
        ("RANK", "GATEWAY", "RUNS", "SCORE", "DECIDED BY"),
        [(str(place), one.title, one.way, f"{one.score:g}", one.because) for place, one in enumerate(ranking, 1)],
    )
    leader = ranking[0]
    print(f"\nWhy {leader.title}, {leader.way}:")
    for reason in sorted(leader.reasons, key=lambda one: -abs(one.points)):
        points = f"{reason.points:+g}" if reason.points else "meets"
        _wrapped(f"{reason.rule}: {reason.text}{_source(reason)}", f"{points:>7}  ", " " * 9)


def _source(reason: Reason) -> str:
    return f" [{reason.by}, {reason.date}, {reason.source}]" if reason.source else ""


def _print_excluded(excluded: Iterable[Excluded]) -> None:
    print("\nOut:")
    for one in excluded:
        also = f"; also {'; '.join(one.also)}" if one.also else ""
        _item(f"{one.title}: {one.reason.text}{also}{_source(one.reason)}")


def _print_changes(changes: list[Change], facts: Facts) -> None:
    if changes:
        print("\nWhat would change this answer:")
    for change in changes:
        _item(f"{change.change}: {_leads(change, facts)}")


def _leads(change: Change, facts: Facts) -> str:
    return f"{facts.gateways[change.then].title} leads ({change.because})" if change.then else "no gateway is left"


def _print_migration(migration: Migration | None, facts: Facts) -> None:
    print("\nWhen to migrate:")
    if migration is None:
        _item("at no load that the facts speak of")
        return
    title = facts.gateways[migration.gateway].title
    above = f"above {migration.above_rps:,} requests/s" if migration.above_rps else "at any load, once --rps tells one,"
    if migration.to:
        _item(f"{above} to {facts.gateways[migration.to].title} ({migration.because})")
    else:
        _item(f"{above} none of these is shown to hold the load with head-room")
    if migration.above_rps and migration.planned_to is not None and migration.ceiling is not None:
        latest = f"at {migration.planned_to:,.0f} requests/s at the latest, for head-room"
        _item(f"{latest}: {title} is {migration.ceiling.text}{_source(migration.ceiling)}")


def _item(text: str) -> None:
    _wrapped(text, "  ", "    ")


def _wrapped(text: str, first: str = "", rest: str = "") -> None:
    print(_filled(text, first, rest))


def _filled(text: str, first: str = "", rest: str = "") -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
