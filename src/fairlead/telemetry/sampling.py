"""Which traces are told, as OpenTelemetry's variables say (`OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`).

Pure. A trace is told whole or not at all: what decides is its id, or what its caller decided.
"""

from collections.abc import Callable, Mapping

from fairlead.canonical.routing import Trace

HALF = 2**64
Sampler = Callable[[Trace], bool]


def sampler_of(environ: Mapping[str, str]) -> Sampler:
    """The sampler that the variables name; without them, and for an unknown name, the caller decides, else all."""
    name = environ.get("OTEL_TRACES_SAMPLER", "")
    ratio = _ratio(environ.get("OTEL_TRACES_SAMPLER_ARG", ""))
    roots: dict[str, Sampler] = {
        "always_on": lambda _: True,
        "always_off": lambda _: False,
        "traceidratio": lambda trace: int(trace.trace_id[16:], 16) < ratio * HALF,
    }
    root = roots.get(name.removeprefix("parentbased_"), roots["always_on"])
    if name in roots:
        return root
    return lambda trace: trace.sampled if trace.parent_id else root(trace)


def _ratio(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 1.0
