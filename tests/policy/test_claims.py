"""What a proven token's claims mean: when it holds, whom it is for, and which caller it makes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.token_maker import AUDIENCE, NOW, claims, issuer

from fairlead.canonical.errors import GatewayError
from fairlead.canonical.tenants import Claims, VirtualKey
from fairlead.policy.claims import Known, caller, check, cleaned

KNOWN = Known(tenants={"acme", "globex"}, tiers={"paid"})
PLAIN = issuer()


def checked(now: float = NOW, **more: Any) -> float:
    return check(PLAIN, claims(**more), now)


def called(named: Claims, body: dict[str, Any], **settings: Any) -> VirtualKey:
    return caller(issuer(claims=named, **settings), body, KNOWN, NOW)


def says(message: str) -> Any:
    return pytest.raises(GatewayError, match=message)


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["other", AUDIENCE]])
def test_a_token_may_be_for_several_audiences(audience: Any) -> None:
    assert checked(aud=audience) == NOW + 630


@pytest.mark.parametrize("audience", [None, "", "other", [], ["other"], [[AUDIENCE]], {AUDIENCE: 1}, 7, "fairlead "])
def test_a_token_for_somebody_else_is_refused(audience: Any) -> None:
    with says("another audience"):
        checked(aud=audience)


def test_a_token_holds_until_its_end_and_the_leeway() -> None:
    assert checked(NOW + 629.9) == NOW + 630
    with says("has expired"):
        checked(NOW + 630)


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_token_holds_from_its_beginning_less_the_leeway(name: str) -> None:
    checked(NOW, **{name: NOW + 30})
    with says("not valid yet"):
        checked(NOW, **{name: NOW + 31})


def test_leeway_is_the_issuers_own() -> None:
    with says("has expired"):
        check(issuer(leeway=0.0), claims(), NOW + 600)


@pytest.mark.parametrize("value", [None, True, "1900000000", -1, 1e300, float("inf"), float("nan"), 2**60, [1], {}])
def test_a_token_without_a_usable_end_is_refused(value: Any) -> None:
    with says("exp"):
        checked(exp=value)


@pytest.mark.parametrize("value", [True, "soon", -1, float("nan")])
def test_a_beginning_that_is_no_time_is_refused(value: Any) -> None:
    with says("'nbf' in this token is not a time"):
        checked(nbf=value)


def test_a_caller_is_named_by_issuer_and_subject() -> None:
    made = called(Claims(), claims())
    assert made == VirtualKey(id="jwt:issuer.example/realms/a:alice", expires_at=NOW, user="alice")


def test_callers_of_two_issuers_on_one_host_are_two() -> None:
    one = caller(issuer(issuer="https://h/realms/a"), claims(), KNOWN, NOW)
    other = caller(issuer(issuer="https://h/realms/b"), claims(), KNOWN, NOW)
    assert one.id != other.id


def test_everything_comes_from_claims_that_are_named() -> None:
    named = Claims(tenant="org", tier="a.tier", tags=("team", "groups", "none"), models="models", user="email")
    body = claims(
        org="acme", a={"tier": "paid"}, team=7, groups=["x", "y", {}], models=["chat", "gpt-*"], email="a@b.c"
    )
    made = called(named, body)
    assert (made.tenant, made.tier, made.models, made.user) == ("acme", "paid", ("chat", "gpt-*"), "a@b.c")
    assert made.tags == (("team", "7"), ("groups", "x"), ("groups", "y"))


def test_a_claim_whose_own_name_has_dots_is_found_first() -> None:
    named = Claims(tenant="https://acme.com/tenant")
    assert called(named, claims(**{"https://acme.com/tenant": "acme"})).tenant == "acme"


def test_models_may_be_one_text_as_scopes_are() -> None:
    assert called(Claims(models="scope"), claims(scope="chat gpt-4o")).models == ("chat", "gpt-4o")


@pytest.mark.parametrize(
    "value", [None, "", "  ", [], [""], [1], ["a\n"], "x" * 300, ["m"] * 65, {}, True, ["chat", None]]
)
def test_a_token_that_names_no_models_may_not_ask_for_all(value: Any) -> None:
    with says("names no models"):
        called(Claims(models="models"), claims(models=value))


@pytest.mark.parametrize("value", ["other", "ACME", "acme ", "../acme"])
def test_a_tenant_or_tier_that_is_not_known_is_refused_without_repeating_it(value: str) -> None:
    for named, body in ((Claims(tenant="t"), claims(t=value)), (Claims(tier="t"), claims(t=value))):
        with says("is not known here") as refused:
            called(named, body)
        assert value not in refused.value.message


@pytest.mark.parametrize("value", [None, "", 7, ["acme"], {"acme": 1}, True])
def test_a_tenant_or_tier_that_should_be_named_must_be(value: Any) -> None:
    for named in (Claims(tenant="t"), Claims(tier="t")):
        with says("has no name in 't'"):
            called(named, claims(t=value))


def test_a_tenant_and_a_tier_may_hold_for_all_of_an_issuers_callers() -> None:
    made = called(Claims(), claims(tenant="globex"), tenant="acme", tier="paid")
    assert (made.tenant, made.tier) == ("acme", "paid")


@pytest.mark.parametrize("value", [None, "", 7, ["alice"]])
def test_a_token_without_a_subject_is_refused(value: Any) -> None:
    with says("no 'sub'"):
        called(Claims(), claims(sub=value))


@pytest.mark.parametrize("text", ["alice", "auth0|12", "a.b@c.d", "x" * 128])
def test_plain_names_stay_as_they_are(text: str) -> None:
    assert cleaned(text) == text


@given(st.text(max_size=200), st.text(max_size=200))
def test_names_are_plain_and_short_and_never_mistaken_for_each_other(one: str, other: str) -> None:
    made = cleaned(one)
    assert len(made) <= 161
    assert made.isascii()
    assert made.isprintable()
    assert ":" not in made
    assert (made == cleaned(other)) == (one == other)


def test_names_that_would_look_alike_once_cleaned_stay_two() -> None:
    assert len({cleaned(text) for text in ("a b", "a_b", "a:b", "a\nb", "a\ud800b", "x" * 129, "x" * 130)}) == 7
