"""What users may write about who calls and who pays: tiers, tenants, keys, limits, issuers of tokens.

Frozen values only; `limits.py` makes canonical ones of them. It must not know YAML.
"""

import ipaddress
import re
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

from fairlead.canonical import tenants as callers
from fairlead.canonical.limits import DOLLAR, Scope
from fairlead.config.kinds import Doc, Flag, ModelName, Name, SecretText, Section
from fairlead.config.shape import ONE_OR_MANY
from fairlead.config.units import (
    AnyDuration,
    Duration,
    IssuerUrl,
    KeysUrl,
    Text,
    Unit,
    format_count,
    matching,
    parse_count,
    positive,
    shown,
    whole,
)

RateAlgorithm = Literal["sliding_window", "token_bucket", "gcra", "sliding_log", "fixed_window"]
MOST = 1_000_000_000
"""The largest limit; beyond it the integers of a count would not be exact in every engine."""
_MONEY = re.compile(r"(\d{1,9})(?:\.(\d{1,6}))? ?USD", re.ASCII)


def parse_money(text: str) -> int:
    """Millionths of a dollar of `5 USD` or `0.25 USD`."""
    match = _MONEY.fullmatch(text)
    if match is None:
        raise ValueError(f"{shown(text)} is not an amount of money; write for example 5 USD or 0.25 USD")
    return int(match[1]) * DOLLAR + int((match[2] or "0").ljust(6, "0"))


def format_money(micros: int) -> str:
    """The shortest exact way to write an amount."""
    dollars, rest = divmod(micros, DOLLAR)
    return f"{dollars}.{rest:06d}".rstrip("0").rstrip(".") + " USD"


def parse_instant(text: str) -> float:
    """Unix seconds of an ISO 8601 date or time; without an offset it is UTC."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a date; write 2027-01-31 or 2027-01-31T12:00:00Z") from None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def parse_cidr(text: str) -> str:
    """A network, or one address, in its canonical form."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError(f"{shown(text)} is not a network; write for example 10.0.0.0/8 or 2001:db8::/32") from None


def _amount(text: str) -> int:
    value = parse_count(text)
    if value > MOST:
        raise ValueError(f"{shown(text)} is more than {format_count(MOST)}, the largest limit")
    return value


_AMOUNT = Unit(name="count", parse=_amount, format=format_count, schema={"type": ["string", "integer"]})
_BUDGET = Unit(
    name="money",
    parse=parse_money,
    format=format_money,
    schema={"type": "string", "pattern": f"^{_MONEY.pattern}$"},
)
Amount = Annotated[int, positive(_AMOUNT)]
Money = Annotated[int, positive(_BUDGET)]
Instant = Annotated[
    float,
    Unit(name="date", parse=parse_instant, format=lambda at: datetime.fromtimestamp(at, UTC).isoformat()),
]
Cidr = Annotated[str, Unit(name="network", parse=parse_cidr)]
Percent = Annotated[int, whole(1, 100)]


_ISSUER = callers.Issuer(issuer="", audience=())
ClaimName = Annotated[
    str,
    matching(
        "claim", r"[\x21-\x7e]{1,200}", "a claim's name, such as tenant, realm_access.tier or https://acme.com/tier"
    ),
]


class Rate(Section, frozen=True, kw_only=True):
    limit: Annotated[Amount, Doc(description="How much per period.")]
    per: Annotated[Duration, Doc(description="The period.")]
    burst: Annotated[
        Annotated[int, _AMOUNT],
        Doc(description="What may be asked for beyond it at once, and has to be earned back. A bucket's size."),
    ] = 0
    algorithm: Annotated[RateAlgorithm, Doc(description="How it is counted, see limits.md.")] = "sliding_window"


class Budget(Section, frozen=True, kw_only=True):
    limit: Annotated[Money, Doc(description="How much may be spent per period.")]
    per: Annotated[Duration, Doc(description="The period: `1d`, `1w` or `1mo`; with `window: rolling` any.")]
    window: Annotated[
        Literal["calendar", "rolling"],
        Doc(description="`calendar` begins anew with the day, week or month in UTC; `rolling` looks back from now."),
    ] = "calendar"
    mode: Annotated[
        Literal["hard", "soft"], Doc(description="`hard` is never exceeded; `soft` refuses nothing and alerts.")
    ] = "hard"
    alert: Annotated[
        tuple[Percent, ...], Doc(description="Per cent of the limit at which an alert is logged, once per period.")
    ] = (80, 100)


class Limits(Section, frozen=True, kw_only=True):
    """What can be limited; every line may be one mapping or a list of them."""

    requests: Annotated[tuple[Rate, ...], ONE_OR_MANY, Doc(description="Requests.")] = ()
    tokens: Annotated[tuple[Rate, ...], ONE_OR_MANY, Doc(description="Input and output tokens together.")] = ()
    input_tokens: Annotated[tuple[Rate, ...], ONE_OR_MANY, Doc(description="Input tokens.")] = ()
    output_tokens: Annotated[tuple[Rate, ...], ONE_OR_MANY, Doc(description="Output tokens.")] = ()
    concurrency: Annotated[Amount | None, Doc(description="Requests under way at the same time.")] = None
    budget: Annotated[tuple[Budget, ...], ONE_OR_MANY, Doc(description="Money.")] = ()


class Tier(Limits, frozen=True, kw_only=True):
    later: ClassVar[tuple[str, ...]] = ("guardrails",)

    models: Annotated[
        tuple[ModelName, ...], Doc(description="The models that may be asked for; empty: every route.")
    ] = ()


class Scoped(Limits, frozen=True, kw_only=True):
    scope: Annotated[Scope, Doc(description="Whom it limits.")]
    match: Annotated[
        Text,
        Doc(
            description="Which of them, perhaps with a `*` at its end: a model, `provider/model`, a user, `tag=value`."
        ),
    ] = "*"


class Tenant(Section, frozen=True, kw_only=True):
    later: ClassVar[tuple[str, ...]] = ("guardrails",)

    tier: Annotated[Name | None, Doc(description="Its limits, for all of its keys together: a name of `tiers`.")] = None
    limits: Annotated[Tier, Doc(description="Its own limits, in the place of the tier's.")] = Tier()
    residency: Annotated[
        Text | None, Doc(description="Only deployments of this region are ever tried, fallbacks included.")
    ] = None
    require: Annotated[frozenset[Literal["self_hosted"]], Doc(description="What a deployment must be to be tried.")] = (
        frozenset()
    )
    strict: Annotated[Flag, Doc(description="Whether it is refused while a shared `state` cannot be reached.")] = False
    tags: Annotated[dict[Text, Text], Doc(description="Words that usage can be grouped by.")] = {}
    content: Annotated[
        Literal["on", "off"] | None,
        Doc(description="Whether its prompts and answers are recorded. Unset: as `observability.content` says."),
    ] = None


class Key(Section, frozen=True, kw_only=True):
    later: ClassVar[tuple[str, ...]] = ("guardrails",)

    name: Annotated[Text, Doc(description="What the key is called in logs and usage.")]
    key: Annotated[SecretText, Doc(description="The key itself, of 20 characters or more, or a reference to it.")]
    tenant: Annotated[Name | None, Doc(description="Who pays: a name under `tenants`.")] = None
    tier: Annotated[Name | None, Doc(description="Its limits, for this key alone: a name of `tiers`.")] = None
    limits: Annotated[Tier, Doc(description="Its own limits, in the place of the tier's.")] = Tier()
    models: Annotated[
        tuple[ModelName, ...], Doc(description="The models that may be asked for; empty: every route.")
    ] = ()
    routes: Annotated[
        tuple[ModelName, ...], Doc(description="The routes that may be used, by their `model`; empty: all.")
    ] = ()
    cidrs: Annotated[tuple[Cidr, ...], Doc(description="The networks it may be used from; empty: anywhere.")] = ()
    tags: Annotated[dict[Text, Text], Doc(description="Words that usage can be grouped by.")] = {}
    expires: Annotated[Instant | None, Doc(description="When it ends.")] = None


class Outage(Section, frozen=True, kw_only=True):
    instances: Annotated[
        int, whole(1, 10_000), Doc(description="Machines that share the state; each takes this part of every limit.")
    ] = 1
    budget: Annotated[Money, Doc(description="What each budget may spend on a machine until the state is back.")] = (
        DOLLAR
    )


class Claims(Section, frozen=True, kw_only=True):
    tenant: Annotated[
        ClaimName | None, Doc(description="The claim that names the tenant; a token without it is refused.")
    ] = None
    tier: Annotated[
        ClaimName | None, Doc(description="The claim that names the tier; a token without it is refused.")
    ] = None
    tags: Annotated[
        tuple[ClaimName, ...], Doc(description="Claims whose values become tags of the same names, where they are.")
    ] = ()
    models: Annotated[
        ClaimName | None,
        Doc(description="The claim that lists the models that may be asked for; a token without it is refused."),
    ] = None
    user: Annotated[ClaimName, Doc(description="The claim that names the end user.")] = _ISSUER.claims.user


class Issuer(Section, frozen=True, kw_only=True):
    issuer: Annotated[IssuerUrl, Doc(description="Whose tokens are taken: exactly what the claim `iss` says.")]
    audience: Annotated[
        tuple[Text, ...], ONE_OR_MANY, Doc(description="What a token must be meant for: one of these in its `aud`.")
    ]
    jwks: Annotated[
        KeysUrl | None,
        Doc(description="Where its public keys are. Unset: where `/.well-known/openid-configuration` says."),
    ] = None
    algorithms: Annotated[
        tuple[callers.Signature, ...], Doc(description="How a token may be signed; nothing else is taken.")
    ] = _ISSUER.algorithms
    leeway: Annotated[AnyDuration, Doc(description="How far the issuer's clock may be from ours.")] = _ISSUER.leeway
    refresh: Annotated[Duration, Doc(description="How often its keys are fetched anew.")] = _ISSUER.refresh
    claims: Annotated[Claims, Doc(description="Which claims say what a caller is.")] = Claims()
    tenant: Annotated[Name | None, Doc(description="The tenant of all of its callers, where no claim names it.")] = None
    tier: Annotated[Name | None, Doc(description="The tier of all of its callers, where no claim names it.")] = None
