"""`advise`: the whole answer. It must not know how the needs came, nor how the answer is shown."""

import msgspec

from fairlead.advisor.changes import Change, changes
from fairlead.advisor.conflicts import Conflict, conflicts
from fairlead.advisor.facts import Facts
from fairlead.advisor.migration import Migration, migration
from fairlead.advisor.needs import Needs
from fairlead.advisor.ranking import Excluded, Ranked, rank
from fairlead.advisor.rules import Rules


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to somebody's needs."""

    facts: str
    """The day of the facts."""
    asked: list[str]
    ranking: list[Ranked]
    excluded: list[Excluded]
    conflicts: list[Conflict]
    would_change: list[Change]
    migration: Migration | None


def advise(needs: Needs, facts: Facts, rules: Rules) -> Advice:
    """Which gateway fits, and why. With conflicts nobody is ranked."""
    found = rank(needs, facts, rules)
    return Advice(
        facts=facts.version,
        asked=needs.flags(),
        ranking=found.ranked,
        excluded=found.excluded,
        conflicts=conflicts(needs, facts, rules),
        would_change=changes(needs, facts, rules),
        migration=migration(needs, found.leader, facts, rules) if found.leader else None,
    )
