"""The configuration's tiers, tenants and limits → canonical ones, and what is wrong with them.

It must not know YAML, keys' secrets or traffic.
"""

from collections.abc import Iterator
from typing import Any

from fairlead.canonical import limits as canonical
from fairlead.canonical import tenants
from fairlead.canonical.limits import DAY, MONTH, SECOND, WEEK, Limit
from fairlead.config import tenancy
from fairlead.config.model import Config
from fairlead.config.problems import Findings, did_you_mean
from fairlead.config.tenancy import format_money
from fairlead.config.units import format_duration

RATES: tuple[canonical.Unit, ...] = ("requests", "tokens", "input_tokens", "output_tokens")
CALENDAR = (DAY, WEEK, MONTH)
LONGEST_LOG = 1000
"""The largest limit that a sliding log keeps an entry for each request of."""
SHORTEST = 10_000
"""Microseconds; a shorter period says nothing that a longer one does not."""
LONGEST = 400 * DAY


def limits_of(section: tenancy.Limits) -> tuple[Limit, ...]:
    """Every line of a tier, or of something of its shape."""
    return tuple(_lines(section))


def written_limits(limits: tuple[Limit, ...]) -> dict[str, Any]:
    """Limits as users would write them in a tier: the inverse of `limits_of`."""
    found: dict[str, Any] = {}
    for limit in limits:
        per: dict[str, Any] = {"per": format_duration(limit.per / SECOND)}
        if limit.unit == "concurrency":
            found["concurrency"] = limit.limit
        elif limit.unit == "money":
            line = {"limit": format_money(limit.limit), **per, "window": limit.algorithm}
            line |= {"mode": "hard" if limit.hard else "soft", "alert": list(limit.alerts)}
            found.setdefault("budget", []).append(line)
        else:
            line = {"limit": limit.limit, **per, "burst": limit.burst, "algorithm": limit.algorithm}
            found.setdefault(limit.unit, []).append(line)
    return found


def check_limits(section: tenancy.Limits, findings: Findings, *, path: str) -> None:
    """Reports what no engine can count, and what stands twice."""
    for unit in RATES:
        for place, rate in enumerate(getattr(section, unit)):
            _check_rate(rate, findings, path=_path(findings, path, unit, place))
    for place, budget in enumerate(section.budget):
        _check_budget(budget, findings, path=_path(findings, path, "budget", place))
    seen: set[tuple[str, str, int]] = set()
    for limit in limits_of(section):
        same = (limit.unit, limit.algorithm, limit.per)
        if same in seen:
            key = "budget" if limit.unit == "money" else limit.unit
            findings.error(f"{path}.{key}", "two lines have the same period and algorithm; keep one of them")
        seen.add(same)


def tiers_of(config: Config, findings: Findings) -> dict[str, tenants.Tier]:
    """The tiers by name."""
    for name, tier in config.tiers.items():
        check_limits(tier, findings, path=f"tiers.{name}")
    return {
        name: tenants.Tier(name=name, limits=limits_of(tier), models=tier.models) for name, tier in config.tiers.items()
    }


def tenants_of(config: Config, known: dict[str, tenants.Tier], findings: Findings) -> dict[str, tenants.Tenant]:
    """The tenants by name, each with the limits that hold for it; `known` are the tiers."""
    found = {}
    for name, tenant in config.tenants.items():
        path = f"tenants.{name}"
        check_tier(tenant.tier, config, findings, path=f"{path}.tier")
        check_limits(tenant.limits, findings, path=f"{path}.limits")
        tier = known.get(tenant.tier or "", tenants.Tier(name=""))
        found[name] = tenants.Tenant(
            name=name,
            tier=tenant.tier or "",
            limits=tenants.overridden(tier.limits, limits_of(tenant.limits)),
            models=tenant.limits.models or tier.models,
            tags=tuple(sorted(tenant.tags.items())),
            residency=tenant.residency,
            self_hosted="self_hosted" in tenant.require,
            strict=tenant.strict,
            content=None if tenant.content is None else tenant.content == "on",
        )
    return found


def scoped_of(config: Config, findings: Findings) -> tuple[tenants.Scoped, ...]:
    """The limits beyond tenants and keys."""
    found = []
    for index, section in enumerate(config.limits):
        path = f"limits[{index}]"
        check_limits(section, findings, path=path)
        if section.scope == "global" and section.match != "*":
            findings.error(f"{path}.match", "the scope global is everything; remove match, or choose another scope")
        if section.scope == "tag" and section.match != "*" and "=" not in section.match:
            findings.error(f"{path}.match", f"{section.match!r} is no tag; write name=value, or name=*")
        if not limits_of(section):
            findings.error(path, f"it limits nothing; add one of {', '.join((*RATES, 'concurrency', 'budget'))}")
        found.append(tenants.Scoped(scope=section.scope, match=section.match, limits=limits_of(section)))
    return tuple(found)


def check_tier(name: str | None, config: Config, findings: Findings, *, path: str) -> None:
    """Reports a tier that is not there."""
    if name is not None and name not in config.tiers:
        findings.error(path, f"there is no tier {name!r}{did_you_mean(name, config.tiers) or '; add it under tiers'}")


def check_tenant(name: str | None, config: Config, findings: Findings, *, path: str) -> None:
    """Reports a tenant that is not there."""
    if name is not None and name not in config.tenants:
        hint = did_you_mean(name, config.tenants) or "; add it under tenants"
        findings.error(path, f"there is no tenant {name!r}{hint}")


def _lines(section: tenancy.Limits) -> Iterator[Limit]:
    for unit in RATES:
        for rate in getattr(section, unit):
            yield Limit(
                unit=unit, algorithm=rate.algorithm, limit=rate.limit, per=round(rate.per * SECOND), burst=rate.burst
            )
    if section.concurrency is not None:
        yield Limit(unit="concurrency", algorithm="concurrency", limit=section.concurrency)
    for budget in section.budget:
        yield Limit(
            unit="money",
            algorithm=budget.window,
            limit=budget.limit,
            per=round(budget.per * SECOND),
            hard=budget.mode == "hard",
            alerts=tuple(sorted(budget.alert)),
        )


def _check_rate(rate: tenancy.Rate, findings: Findings, *, path: str) -> None:
    if not SHORTEST <= rate.per * SECOND <= LONGEST:
        findings.error(f"{path}.per", "a period is from 10ms to 400d")
    if rate.algorithm == "fixed_window" and rate.burst:
        findings.error(f"{path}.burst", "a fixed window has no burst; raise limit, or use sliding_window")
    if rate.algorithm == "sliding_log" and rate.limit + rate.burst > LONGEST_LOG:
        findings.error(
            f"{path}.algorithm",
            f"a sliding log keeps every request, so limit and burst are at most {LONGEST_LOG}; use sliding_window",
        )


def _check_budget(budget: tenancy.Budget, findings: Findings, *, path: str) -> None:
    per = round(budget.per * SECOND)
    if budget.window == "calendar" and per not in CALENDAR:
        findings.error(f"{path}.per", "the calendar has 1d, 1w and 1mo; for another period write window: rolling")
    elif not SHORTEST <= per <= LONGEST:
        findings.error(f"{path}.per", "a period is from 10ms to 400d")


def _path(findings: Findings, path: str, key: str, place: int) -> str:
    """A line that was written alone has no index in the file."""
    listed = f"{path}.{key}[{place}]"
    return listed if findings.known(listed) == listed else f"{path}.{key}"
