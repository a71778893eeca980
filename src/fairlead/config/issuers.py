"""The issuers of the configuration → canonical ones, every name in them looked up.

It must not know tokens, nor fetch anything: the control process adds the keys.
"""

from collections.abc import Callable, Collection
from importlib.util import find_spec

from fairlead.canonical.tenants import Claims, Issuer
from fairlead.config import model, tenancy
from fairlead.config.problems import Findings, did_you_mean

LONGEST_LEEWAY = 600.0


def can_check_signatures() -> bool:
    """Whether the extra is installed."""
    return find_spec("joserfc") is not None


def issuers_of(
    config: model.Config,
    tiers: Collection[str],
    findings: Findings,
    *,
    ready: Callable[[], bool] = can_check_signatures,
) -> tuple[Issuer, ...]:
    """The issuers, still without keys."""
    if config.issuers and not ready():
        findings.error(
            "issuers",
            "tokens are checked with joserfc, which is missing; in a clone of Fairlead: pip install '.[oidc]'",
        )
    seen: set[str] = set()
    for index, issuer in enumerate(config.issuers):
        path = f"issuers[{index}]"
        if issuer.issuer in seen:
            findings.error(f"{path}.issuer", f"{issuer.issuer!r} is here already; give it all of its audiences there")
        seen.add(issuer.issuer)
        _check(issuer, path, findings)
        for key, known in (("tenant", config.tenants), ("tier", tiers)):
            _check_name(issuer, key, known, findings, path=path)
    return tuple(_issuer(issuer) for issuer in config.issuers)


def _check(issuer: tenancy.Issuer, path: str, findings: Findings) -> None:
    for key, meant in (("audience", issuer.audience), ("algorithms", issuer.algorithms)):
        if not meant:
            findings.error(f"{path}.{key}", "is empty, so that no token would be taken; name at least one")
    if issuer.leeway > LONGEST_LEEWAY:
        findings.error(f"{path}.leeway", "is longer than 10m; set the clocks instead")


def _check_name(issuer: tenancy.Issuer, key: str, known: Collection[str], findings: Findings, *, path: str) -> None:
    """A tenant or a tier that holds for all of an issuer's callers."""
    name: str | None = getattr(issuer, key)
    if name is None:
        return
    if getattr(issuer.claims, key) is not None:
        findings.error(f"{path}.{key}", f"{key} is named by claims.{key} already; give one of the two")
    if name not in known:
        findings.error(
            f"{path}.{key}", f"there is no {key} {name!r}{did_you_mean(name, known) or f'; add it under {key}s'}"
        )


def _issuer(issuer: tenancy.Issuer) -> Issuer:
    claims = issuer.claims
    return Issuer(
        issuer=issuer.issuer,
        audience=issuer.audience,
        jwks_url=issuer.jwks or "",
        algorithms=issuer.algorithms,
        leeway=issuer.leeway,
        refresh=issuer.refresh,
        claims=Claims(
            tenant=claims.tenant or "",
            tier=claims.tier or "",
            tags=claims.tags,
            models=claims.models or "",
            user=claims.user,
        ),
        tenant=issuer.tenant or "",
        tier=issuer.tier or "",
    )
