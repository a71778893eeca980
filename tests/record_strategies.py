"""Records as hypothesis makes them: small sets of names, so that sums and filters meet."""

from decimal import Decimal

from hypothesis import strategies as st

from fairlead.canonical.routing import AttemptRecord, RequestRecord
from fairlead.canonical.usage import Usage

START = 1_790_000_000.0
COSTS = st.none() | st.decimals(0, 100, places=12, allow_nan=False, allow_infinity=False).map(lambda cost: f"{cost:f}")
USAGES = st.none() | st.builds(
    Usage, input=st.integers(0, 10**6), output=st.integers(0, 10**6), cache_read=st.integers(0, 99)
)
ATTEMPTS = st.builds(
    AttemptRecord,
    deployment=st.sampled_from(["openai/m", "azure/m"]),
    started_at=st.just(0.0),
    duration=st.just(0.5),
    outcome=st.sampled_from(["answered", "timeout", "cut"]),
    usage=USAGES,
    cost=COSTS,
)
RECORDS = st.builds(
    RequestRecord,
    id=st.sampled_from(["r1", "r2", "req_x"]),
    at=st.integers(0, 5).map(lambda hour: START + hour * 1800.5),
    tenant=st.sampled_from(["", "acme", "globex"]),
    key=st.sampled_from(["k1", "k2"]),
    asked=st.sampled_from(["Chat", "gpt-4o"]),
    route=st.sampled_from(["", "chat"]),
    served=st.sampled_from(["", "openai/m", "azure/m"]),
    ended=st.sampled_from(["finished", "cut", "client_gone", "refused", "failed"]),
    status=st.sampled_from([200, 429, 502]),
    code=st.sampled_from(["", "rate_limited"]),
    user=st.sampled_from(["", "Ann", "bob"]),
    tags=st.sampled_from([(), (("team", "a"),), (("team", "a"), ("beta", ""))]),
    attempts=st.lists(ATTEMPTS, max_size=3).map(tuple),
    usage=USAGES,
    cost=COSTS,
    charged=st.integers(0, 10**6),
    duration=st.sampled_from([0.5, 1800.0]),
)


def dollars(cost: str | None) -> Decimal:
    return Decimal(cost or 0)
