"""What somebody asks of a gateway. It must not know how the answers came, nor what follows from them."""

import msgspec

from fairlead.advisor.rules import Rules


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """The answers to the questions; what is None or empty was not asked for."""

    rps: float | None = None
    ops: str | None = None
    data: str | None = None
    compliance: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    ttft_p99: float | None = None
    baseline: float | None = None
    stack: tuple[str, ...] = ()
    free: bool = False
    among: tuple[str, ...] = ()

    @property
    def budget(self) -> float | None:
        """How many milliseconds a gateway may add to the time to first token; None: nobody asked."""
        return None if self.ttft_p99 is None else round(self.ttft_p99 - (self.baseline or 0), 9)

    def features(self, rules: Rules) -> tuple[str, ...]:
        """What is required, and what the compliance asked for brings with it."""
        brought = [feature for name in self.compliance for feature in rules.compliance[name].needs]
        return tuple(dict.fromkeys([*self.require, *brought]))

    def flags(self) -> list[str]:
        """The needs as the command line says them, one flag with its value in each."""
        return [self.said(name) for name in self.__struct_fields__ if not _is_open(getattr(self, name))]

    def said(self, name: str) -> str:
        """One need as the command line says it."""
        flag, value = f"--{name.replace('_', '-')}", getattr(self, name)
        return flag if value is True else f"{flag} {_spoken(value)}"


def spoken(number: float) -> str:
    """The number with all its digits, as one would type it: 300, 1234567, 0.48."""
    return repr(float(number)).removesuffix(".0")


def _is_open(value: object) -> bool:
    return value is None or value is False or value == ()  # not 0, which is a baseline


def _spoken(value: tuple[str, ...] | float | str) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return value if isinstance(value, str) else spoken(value)
