"""What a synthetic provider can do wrong, and how people write that: `429=0.05,503:2=0.02,slow=0.01x8`.

Each fault is what the gateway makes of it: a kind of failure. A test plays every one of them through the gateway too.
It must not know when a fault strikes.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec

from fairlead.config.problems import did_you_mean
from fairlead.config.units import parse_number

Stage = Literal["refusal", "silence", "break", "slowness"]
"""A refusal comes quickly; after silence the gateway gives up; a break is in the middle of the answer."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    stage: Stage = "refusal"
    kind: str = ""
    """A row of KINDS."""
    status: int | None = None
    retry_after: float | None = None
    """Seconds; None: it does not say."""


class Struck(msgspec.Struct, frozen=True):
    """A fault and the share of attempts that it strikes; `times` is how much slower slowness is."""

    name: str
    fault: Fault
    rate: float
    times: float = 1.0

    @property
    def plain(self) -> str:
        """Its name without the seconds of Retry-After."""
        return self.name.partition(":")[0]


FAULTS = {
    "429": Fault(kind="rate_limited", status=429, retry_after=1.0),
    "429_plain": Fault(kind="rate_limited", status=429),
    "429_quota": Fault(kind="quota", status=429),
    "error": Fault(kind="server_error", status=500),
    "500": Fault(kind="server_error", status=500),
    "502": Fault(kind="server_error", status=502),
    "503": Fault(kind="overloaded", status=503),
    "529": Fault(kind="overloaded", status=529),
    "400": Fault(kind="bad_request", status=400),
    "400_context": Fault(kind="context_window", status=400),
    "400_policy": Fault(kind="content_policy", status=400),
    "401": Fault(kind="auth", status=401),
    "connect": Fault(kind="connect"),
    "timeout": Fault(stage="silence", kind="timeout"),
    "cut": Fault(stage="break", kind="cut"),
    "slow": Fault(stage="slowness"),
}
"""`error` is a failure of any kind at a provider, for who does not care which."""
Bounds = tuple[float, float, str]
"""The least and the most that a number may be, and both in words."""
A_SHARE: Bounds = (0.0, 1.0, "a share of all attempts, so from 0 to 1, or up to 100%")
SECONDS: Bounds = (0.0, 1e9, "0 or more, and below 1e9")
SLOWNESS: Bounds = (1.0, 1e9, "1 or more, and below 1e9")
SLOWER = 8.0
"""How much slower `slow` is where nobody says."""


def fault(name: str) -> Fault:
    """The fault with this name, and after a colon the seconds of its Retry-After. Raises ValueError."""
    plain, colon, amount = name.partition(":")
    found = FAULTS.get(plain)
    if found is None:
        hint = did_you_mean(plain, FAULTS) or f"; known here: {', '.join(FAULTS)}"
        raise ValueError(f"there is no fault {plain!r}{hint}")
    if not colon:
        return found
    if found.status not in {429, 503}:
        raise ValueError(f"{name!r}: only 429 and 503 say when to come back")
    return msgspec.structs.replace(found, retry_after=_number(amount, f"the seconds of {name!r}", SECONDS))


def parse(text: str) -> tuple[Struck, ...]:
    """`NAME[:SECONDS]=RATE[xTIMES]`, by commas. Raises ValueError with the entry that cannot be."""
    struck = tuple(_struck(entry.strip()) for entry in text.split(",") if entry.strip())
    twice = [name for name, times in Counter(one.name for one in struck).items() if times > 1]
    if twice:
        raise ValueError(f"{text!r} has two rates of {twice[0]!r}; write one")
    add_up(struck, f"the rates of {text!r}")
    return struck


def add_up(struck: Iterable[Struck], what: str) -> None:
    """Raises ValueError where faults that strike apart would strike more attempts than there are."""
    total = sum(one.rate for one in struck)
    if total > 1.0 + 1e-9:
        raise ValueError(f"{what} add up to {total:g}; they are shares of all attempts, so at most to 1")


def _struck(entry: str) -> Struck:
    name, equals, told = entry.partition("=")
    if not equals:
        raise ValueError(f"{entry!r} is not NAME=RATE, such as 429=0.05")
    rate, cross, times = told.partition("x")
    struck = Struck(name, fault(name), _number(rate, f"the rate of {name!r}", A_SHARE))
    if struck.fault.stage != "slowness":
        if cross:
            raise ValueError(f"{entry!r}: only 'slow' takes a factor")
        return struck
    factor = _number(times, f"the factor of {name!r}", SLOWNESS) if cross else SLOWER
    if factor == 1.0:
        raise ValueError(f"{entry!r} is no slower; write a factor above 1")
    return msgspec.structs.replace(struck, times=factor)


def _number(text: str, what: str, bounds: Bounds) -> float:
    least, most, told = bounds
    try:
        number = parse_number(text)
    except ValueError:
        raise ValueError(f"{what} is {text!r}, which is no number") from None
    if not least <= number <= most:
        raise ValueError(f"{what} is {text}; it is {told}")
    return number
