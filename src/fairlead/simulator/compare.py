"""How two simulations of the same requests differ, and whether that is more than chance.

Both had the same arrivals and the same chance, so what was hard for one was hard for the other: the differences batch
by batch vary less than the figures do (A. M. Law, "Simulation Modeling and Analysis", sections 10.2 and 11.2: paired t
intervals under common random numbers). It must not know what makes the two differ.
"""

from fairlead.simulator.report import Difference
from fairlead.simulator.statistics import batch_means
from fairlead.simulator.summary import FIGURES, Summary, figure


def differences(before: Summary, after: Summary) -> list[Difference]:
    """One for each of FIGURES. Raises ValueError where the two had different numbers of requests.

    Each interval is a 95 % one of its own: of twenty figures that do not differ, one may still seem to.
    """
    if before.requests != after.requests:
        raise ValueError(
            f"{before.requests} and {after.requests} requests cannot be compared one by one; simulate equally many"
        )
    return [_difference(name, before, after) for name in FIGURES]


def _difference(name: str, before: Summary, after: Summary) -> Difference:
    first, second = figure(before, name), figure(after, name)
    pairs = zip(before.batches[name], after.batches[name], strict=True)
    by_batch = [new - old for old, new in pairs if old is not None and new is not None]
    found = batch_means(second.value - first.value, by_batch)
    return Difference(
        figure=name,
        before=first,
        after=second,
        difference=found,
        beyond_chance=found.low > 0.0 or found.high < 0.0,
    )
