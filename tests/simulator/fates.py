"""What becomes of the same requests, to the same providers under the same configuration: one form for whoever plays it.

It must not know who plays it.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from fairlead.canonical.limits import Rule, Standing
from fairlead.canonical.routing import Snapshot
from fairlead.policy.rules import Rules
from fairlead.simulator.providers import Upstream
from fairlead.simulator.traffic import Arrival, Sender

NEW_YEAR = 1_767_225_600.0
BEGINS = NEW_YEAR - 20.0
"""The wall clock at instant 0: a little before a year ends, and with it every budget's period."""
SEED = 11
LOOK_EVERY = 20
Try = tuple[float, str, str, int | None]
"""When since its request's arrival, on which deployment, what it came to, and with what status."""


class Given(msgspec.Struct, frozen=True):
    """What is played. `upstreams` makes the deployments' providers, with the same chance each time."""

    snapshot: Snapshot
    senders: Sequence[Sender]
    arrivals: Sequence[Arrival]
    upstreams: Callable[[], Mapping[str, Upstream]]

    def rules(self) -> tuple[Rule, ...]:
        """Every rule that any of the requests meets."""
        served = self.snapshot
        rules = Rules(tiers=served.tiers, tenants=served.tenants, scoped=served.scoped)
        found: list[Rule] = []
        for arrival in self.arrivals:
            key = self.senders[arrival.sender].key
            found += rules.of(key, arrival.model, arrival.user, rules.tags_of(key))
        for choice in served.routes[0].choices:
            found += rules.of_deployment(choice.deployment.name)
        return tuple({(one.slot, one.key): one for one in found}.values())


class Fate(msgspec.Struct, frozen=True):
    """What became of one request."""

    tries: tuple[Try, ...]
    ended: str
    """`finished`, `cut`, `failed` or `refused`."""
    why: str
    """The limit (in words) or the row of CODES that refused it."""
    duration: float
    """Seconds from its arrival to the end of its answer."""


class Came(msgspec.Struct, frozen=True):
    """What it all came to."""

    fates: list[Fate]
    """In the order of arrival."""
    standings: list[list[Standing]]
    """How every rule stood (in the order of `Given.rules`) as every LOOK_EVERYth request arrived."""
    dollars: list[float]
    """What the whole answers cost, by sender."""
    wasted: list[float]
    """What all else cost."""
