"""The cheapest setting that meets the targets, as far as a bounded search finds it.

Coordinate descent from the present setting and a few others, with few requests first and with more for what looked best
(successive halving: K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and hyperparameter
optimization", 2016). Every simulation has the same requests and the same chance, so settings differ by what they do and
hardly by luck. What looked best in the end is played once more, with chance that the search did not know. Of what is
better than the present setting then too, the best is suggested. The same input gives the same suggestion.

What is worth more: to meet the targets, or to come closer to them; then a lower cost per request that is answered. What
is lost, the time to the first token and the nearness to the present setting decide between what costs about the same.
"""

from collections.abc import Callable, Collection, Sequence
from math import inf, log, sqrt

import msgspec

from fairlead.simulator.report import Suggestion
from fairlead.simulator.setting import Setting
from fairlead.simulator.slo import Target, judge, shortfall
from fairlead.simulator.space import Place, Space, effective, space
from fairlead.simulator.suggested import Check, sentences
from fairlead.simulator.summary import Summary
from fairlead.simulator.yaml_lines import lines

TTFT = 0.05
"""What a shorter time to the first token is worth, in cost: half of it is worth 3.4 %."""
LOST = 0.5
"""What it is worth to lose fewer requests than the targets allow, in cost: one in a hundred is worth 0.5 %."""
MORE_LOST, HARDLY = 1.05, 1e-4
"""How much more may be lost than now where no target says so: a twentieth, and one request in ten thousand."""
STEP = 0.002
"""What a step away from the present setting must save at least."""
FREE = 1e-6
"""US dollars per thousand answers that count as nothing."""
FEWEST = 2000
"""Requests of a simulation that says anything."""
NEARNESS = 10.0
"""What it is worth, in cost, to come closer to targets that are missed."""
OTHER = 1
"""What is added to the seed for chance that the search did not know."""
Worth = tuple[bool, bool, float]
"""Whether too much is lost, whether targets are missed, and in one sum what a place costs. The less, the better."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the search."""

    share: float
    """Of the requests that a simulation has in the end."""
    simulations: int
    kept: int
    """Places that go on to the next round, or are played once more after the last."""
    grains: tuple[float, ...]
    """By how much shares of traffic are moved, in parts of 100."""


ROUNDS = (
    Round(share=1 / 16, simulations=96, kept=6, grains=(20.0, 5.0)),
    Round(share=1 / 4, simulations=24, kept=3, grains=(5.0, 1.0)),
    Round(share=1.0, simulations=16, kept=5, grains=(1.0,)),
)
"""The last has the requests and the chance of the setting itself, so its figures are those of playing that."""
WHOLE = sum(part.share * part.simulations for part in ROUNDS) + ROUNDS[-1].kept + 1
"""About how many simulations with all requests it takes."""


def suggest(
    setting: Setting,
    targets: Sequence[Target],
    simulate: Callable[[Setting], Summary],
    *,
    asked: Collection[str] = (),
    tell: Callable[[float], None] = lambda _: None,
) -> Suggestion:
    """What to change so that the targets are met as cheaply as can be; where no place meets them, what comes closest.

    `asked` are the models that requests ask for, where the setting does not say it: those of a journal.
    Takes as long as some 34 simulations of the setting; `tell` hears which share of that is done. Where no target is
    about the success rate, hardly more may be lost than now. Raises SettingError as `simulate` does.
    """
    search = _Search(space(setting, asked), tuple(targets), simulate, tell)
    present, places = search.space.present, list(search.space.starts())
    for part in ROUNDS:
        places = search.play(part, places)
    lasting = [place for place in places if search.holds(place)]
    best = min(lasting, key=lambda place: (search.worth(place)[:2], search.worth(place, OTHER)), default=present)
    before, after = search.seen(present), search.seen(best)
    judged = judge(targets, after)
    changes = search.space.changes(best)
    found = Suggestion(
        reached=all(one.met for one in judged),
        changes=changes,
        lines=lines(setting.snapshot.routes, changes),
        before=before,
        after=after,
        targets_before=judge(targets, before),
        targets_after=judged,
        settings=search.settings,
        told=[],
    )
    check = Check(seed=setting.seed + OTHER, before=search.seen(present, OTHER), after=search.seen(best, OTHER))
    return msgspec.structs.replace(found, told=list(sentences(found, targets, check)))


class _Search:
    """What has been simulated so far."""

    def __init__(
        self,
        where: Space,
        targets: tuple[Target, ...],
        simulate: Callable[[Setting], Summary],
        tell: Callable[[float], None],
    ) -> None:
        self.space = where
        self.targets = targets
        self._simulate = simulate
        self._tell = tell
        self._total = where.setting.requests
        self._requests = self._total
        self._left = 0
        self._done = 0.0
        self._looked: dict[tuple[float, ...], Place] = {}
        """The places of this round, by what they do."""
        self._summaries: dict[tuple[int, int, tuple[float, ...]], Summary] = {}

    @property
    def settings(self) -> int:
        return len({acting for *_, acting in self._summaries})

    def play(self, part: Round, starts: list[Place]) -> list[Place]:
        """The best places that this round finds, the best first."""
        self._requests = min(max(int(self._total * part.share), FEWEST), self._total)
        self._left = part.simulations
        self._looked = {}
        for start in self._ranked([self.space.present, *starts])[:2]:
            self._descend(start, part.grains)
        return self._ranked(list(self._looked.values()))[: part.kept]

    def holds(self, place: Place) -> bool:
        """Whether a place is worth more than the present one, and is so with other chance too. It need not be sure of
        the targets once more: there it is enough to meet them.
        """
        present = self.space.present
        here, (worse, missed, cost) = self.worth(present), self.worth(present, OTHER)
        there = worse, missed or here[1], cost
        return self.worth(place) < here and self.worth(place, OTHER) < there

    def seen(self, place: Place, chance: int = 0) -> Summary:
        """What a place comes to, with as many requests as the round has. `chance` is added to the seed."""
        acting = effective(place)
        key = self._requests, chance, acting
        self._looked.setdefault(acting, place)
        if key not in self._summaries:
            setting = self.space.at(place)
            self._summaries[key] = self._simulate(
                msgspec.structs.replace(setting, requests=self._requests, seed=setting.seed + chance)
            )
            self._left -= 1
            self._done += self._requests / self._total
            self._tell(min(self._done / WHOLE, 1.0))
        return self._summaries[key]

    def worth(self, place: Place, chance: int = 0) -> Worth:
        summary, present = self.seen(place, chance), self.seen(self.space.present, chance)
        # Of an interval, only as much counts as will be left of it with all requests.
        sureness = 0.0 if chance else sqrt(self._requests / self._total)
        short = sum(shortfall(target, summary, sureness) for target in self.targets)
        answered = summary.success_rate.value
        free = all(target.name != "success" for target in self.targets)
        worse = free and 1.0 - answered > MORE_LOST * (1.0 - present.success_rate.value) + HARDLY
        cost = log(summary.cost_per_1000.value / answered + FREE) if answered else inf
        wait = log(summary.first_token_ms.p99.value + 1.0)
        near = STEP * self.space.distance(place)
        return worse, short > 0.0, NEARNESS * short + cost + LOST * (1.0 - answered) + TTFT * wait + near

    def _descend(self, place: Place, grains: tuple[float, ...]) -> None:
        """Goes on in each direction as long as that is better, until none is or the simulations are spent."""
        best, moved = place, True
        while moved:
            moved = False
            for step in self.space.steps(grains):
                further = step(best)
                while further is not None and self._left > 0 and self.worth(further) < self.worth(best):
                    best, moved = further, True
                    further = step(best)

    def _ranked(self, places: list[Place]) -> list[Place]:
        """The best first. Of places that do the same, `_looked` keeps the one that was seen first."""
        return sorted(places, key=self.worth)
