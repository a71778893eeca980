"""What may be said of a key: every field's good and bad values, and nothing that is not a field."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.control.conftest import NOW, TERMS

from fairlead.canonical.limits import Limit
from fairlead.config.model import Config, Route
from fairlead.config.tenancy import Tenant
from fairlead.control.wishes import RefusedError, Terms, Wish, checked, read, terms_of
from fairlead.database import keys

LIMITS = {"requests": {"limit": 5, "per": "1s", "algorithm": "gcra"}}


def granted(terms: Terms = TERMS, **fields: Any) -> dict[str, Any]:
    return checked(read(msgspec.json.encode(fields), Wish), terms, NOW)


@pytest.mark.parametrize(
    ("field", "value", "stored"),
    [
        ("name", "CI of team 7, Ångström", "CI of team 7, Ångström"),
        ("tenant", "acme", "acme"),
        ("tenant", "", ""),
        ("tier", "paid", "paid"),
        ("limits", LIMITS, (Limit(unit="requests", algorithm="gcra", limit=5, per=1_000_000),)),
        ("models", ["chat", "gpt-4*", "chat"], ("chat", "gpt-4*")),
        ("routes", ["gpt-*", "chat"], ("gpt-*", "chat")),
        ("cidrs", ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"], ("10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32")),
        ("tags", {"cost center": "42"}, (("cost center", "42"),)),
        ("metadata", {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        ("expires_at", NOW + 1, NOW + 1),
        ("expires_at", None, None),
    ],
)
def test_a_good_value_is_stored(field: str, value: Any, stored: Any) -> None:
    assert granted(**{field: value}) == {field: stored}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", "name must have 1 to 256 characters, not 0"),
        ("name", "x" * 257, "name must have 1 to 256 characters, not 257"),
        ("name", "a\r\nset-cookie: b", "name must be one line of printable text"),
        ("name", "a\x00b", "name must be one line of printable text"),
        ("name", " a", "without blanks at its ends"),
        ("name", 7, "Expected `str`, got `int`"),
        ("name", None, "Expected `str`, got `null`"),
        ("tenant", "acmee", "tenant is 'acmee', which the configuration does not have; did you mean 'acme'?"),
        ("tier", "gold", "tier is 'gold', which the configuration does not have"),
        ("limits", {"requests": 5}, "limits cannot be used: limits.requests: must be a list, not a single value"),
        ("limits", {"cats": {}}, "limits cannot be used: limits.cats: unknown key 'cats'"),
        ("models", ["nothing"], "models has 'nothing', which no route serves"),
        ("models", ["g*t"], "a * may stand at a model's end"),
        ("models", ["two words"], "a * may stand at a model's end"),
        ("models", [f"gpt-{n}" for n in range(101)], "models has 101 entries; the most is 100"),
        ("models", "chat", "Expected `array`"),
        ("routes", ["chatt"], "routes is 'chatt', which the configuration does not have; did you mean 'chat'?"),
        ("routes", [""], "routes must have 1 to 256 characters"),
        ("cidrs", ["10.0.0.1/8"], "cidrs must hold networks such as 10.0.0.0/8"),
        ("cidrs", ["example.com"], "cidrs must hold networks"),
        ("cidrs", ["10.0.0.0/33"], "cidrs must hold networks"),
        ("tags", {"a": 1}, "Expected `str`, got `int`"),
        ("tags", {"": "x"}, "tags must have 1 to 256"),
        ("tags", {"a\n": "x"}, "tags must be one line"),
        ("metadata", {"a": "x" * 16384}, "metadata has 16392 bytes of JSON; the most is 16384"),
        ("metadata", [1], "Expected `object`"),
        ("expires_at", NOW, "expires_at is 1790000000; it must be an instant to come"),
        ("expires_at", NOW * 1000, "it must be an instant to come, in Unix seconds"),
        ("expires_at", -1, "it must be an instant to come"),
        ("expires_at", "soon", "Expected `float | null`"),
    ],
)
def test_a_bad_value_is_refused_by_name(field: str, value: Any, message: str) -> None:
    with pytest.raises(RefusedError) as caught:
        granted(**{field: value})
    assert message in str(caught.value)
    assert caught.value.code == "invalid_request_error"
    assert (caught.value.param or "").startswith(field)


@pytest.mark.parametrize(
    "field",
    ["id", "key", "mac", "role", "admin", "tenant_id", "budget", "spend", "spent", "allowed_routes", "version",
     "created_at", "revoked_at", "state", "secret", "Name", "__class__", "__struct_fields__"],
)  # fmt: skip
def test_a_field_that_nobody_may_write_is_refused(field: str) -> None:
    with pytest.raises(RefusedError, match="unknown field") as caught:
        granted(TERMS, **{"name": "x", field: "y"})
    assert (caught.value.code, caught.value.param) == ("invalid_request_error", field)


def test_what_can_be_wished_is_what_the_tables_let_be_written() -> None:
    assert set(Wish.__struct_fields__) == keys.WRITABLE


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b"[" * 100_000, b'{"metadata":' + b"[" * 5000, b"nonsense", b'{"name":"\\ud800"}']
)
def test_what_is_not_json_is_refused_as_that(body: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        checked(read(body, Wish), TERMS, NOW)
    assert caught.value.code in {"invalid_json", "invalid_request_error"}


def test_without_a_configuration_any_name_is_taken() -> None:
    assert granted(Terms(), tenant="nobody-knows", tier="x", models=["m"], routes=["r"])["tenant"] == "nobody-knows"


def test_the_terms_are_those_of_the_configuration() -> None:
    config = Config(tenants={"acme": Tenant()}, routes=(Route(model="chat", deployments=()),))
    terms = terms_of(config)
    assert terms.tenants == frozenset({"acme"})
    assert terms.routes == frozenset({"chat"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from([*Wish.__struct_fields__, "other"]), JSON, max_size=4))
def test_any_body_is_granted_or_refused(body: dict[str, Any]) -> None:
    try:
        values = granted(**body)
    except RefusedError:
        return
    assert set(values) == set(body)
    assert "other" not in values
