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
        return None if self.ttft_p99 is None else self.ttft_p99 - (self.baseline or 0)

    def features(self, rules: Rules) -> tuple[str, ...]:
        """What is required, and what the compliance asked for brings with it."""
        brought = [feature for name in self.compliance for feature in rules.compliance[name].needs]
        return tuple(dict.fromkeys([*self.require, *brought]))

    def flags(self) -> list[str]:
        """The needs as the command line says them, one flag with its value in each."""
        found = []
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is None or value == () or value is False:
                continue
            flag = f"--{name.replace('_', '-')}"
            found.append(flag if value is True else f"{flag} {_spoken(value)}")
        return found


def _spoken(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
