"""The `issuers` section: what it compiles to, and every mistake at its place."""

from typing import Any

import jsonschema
import pytest
import yaml

from fairlead.canonical.routing import Snapshot
from fairlead.canonical.tenants import Claims, Issuer
from fairlead.config.bind import bind
from fairlead.config.compile import compile_config
from fairlead.config.issuers import issuers_of
from fairlead.config.problems import Findings
from fairlead.config.review import review
from fairlead.config.schema import json_schema
from fairlead.config.shipped import catalog
from fairlead.config.world import World

ENVIRON = {"GROQ_API_KEY": "gsk", "KEY": "k" * 20}
GOOD = "issuer: 'https://h', audience: a"
TENANTS = "tenants: {acme: {}}\n"


def compiled(text: str) -> tuple[Snapshot | None, list[str]]:
    findings = Findings("f.yaml")
    config = bind(text.encode(), findings)
    made = compile_config(config, World(environ=ENVIRON, catalog=catalog()), findings) if config else None
    return made, [str(problem) for problem in findings.in_order()]


def issuers(text: str) -> tuple[Issuer, ...]:
    made, problems = compiled(text)
    assert made is not None, problems
    return made.issuers


def test_the_shortest_issuer_has_careful_defaults() -> None:
    assert issuers("issuers: [{issuer: 'https://h/', audience: fairlead}]") == (
        Issuer(
            issuer="https://h/",
            audience=("fairlead",),
            algorithms=("RS256", "ES256"),
            leeway=30.0,
            refresh=600.0,
            claims=Claims(user="sub"),
        ),
    )


def test_everything_may_be_said() -> None:
    text = """
tenants: {acme: {}}
issuers:
- issuer: https://h/realms/a
  audience: [one, two]
  jwks: https://h/keys?p=policy
  algorithms: [EdDSA, PS512]
  leeway: 0s
  refresh: 1h
  tenant: acme
  claims: {tier: realm.tier, tags: [team, 'https://acme.com/groups'], models: scope, user: email}
"""
    assert issuers(text) == (
        Issuer(
            issuer="https://h/realms/a",
            audience=("one", "two"),
            jwks_url="https://h/keys?p=policy",
            algorithms=("EdDSA", "PS512"),
            leeway=0.0,
            refresh=3600.0,
            tenant="acme",
            claims=Claims(tier="realm.tier", tags=("team", "https://acme.com/groups"), models="scope", user="email"),
        ),
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/realms/a", "http://[::1]:1", "http://localhost"])
def test_plain_http_is_for_this_machine(url: str) -> None:
    assert issuers(f"issuers: [{{issuer: '{url}', audience: a}}]")[0].issuer == url


HTTP = "is plain http, which anybody on the way can change; write https://"
EMPTY = "is empty, so that no token would be taken; name at least one"
NO_LINE = "must not be empty, and must be one line"
NO_URL = "must be a URL without user, query and fragment"


@pytest.mark.parametrize(
    ("issuer", "path", "expected"),
    [
        ("{audience: a}", "", "the key 'issuer' is missing"),
        ("{issuer: 'https://h'}", "", "the key 'audience' is missing"),
        ("{issuer: 'http://h', audience: a}", ".issuer", f"'http://h' {HTTP}"),
        ("{issuer: 'h.example', audience: a}", ".issuer", "'h.example' is not an http:// or https:// URL"),
        ("{issuer: 'https://h?a=b', audience: a}", ".issuer", NO_URL),
        ("{issuer: 'https://u:pw@h', audience: a}", ".issuer", NO_URL),
        ("{GOOD, jwks: 'http://h/keys'}", ".jwks", f"'http://h/keys' {HTTP}"),
        ("{GOOD, jwks: 'https://h/k?a b'}", ".jwks", "must be a URL whose query is ASCII without spaces and fragment"),
        ("{issuer: 'https://h', audience: []}", ".audience", EMPTY),
        ("{issuer: 'https://h', audience: {a: b}}", ".audience", "must be a list, not a mapping"),
        ("{issuer: 'https://h', audience: ['']}", ".audience[0]", NO_LINE),
        ("{issuer: 'https://h', audience: ''}", ".audience", NO_LINE),
        ("{GOOD, algorithms: []}", ".algorithms", EMPTY),
        ("{GOOD, leeway: 11m}", ".leeway", "is longer than 10m; set the clocks instead"),
        ("{GOOD, claims: {tags: ['a b']}}", ".claims.tags[0]", "'a b' is not a claim's name, such as tenant"),
        ("{GOOD, claims: {tenants: x}}", ".claims.tenants", "unknown key 'tenants'; did you mean 'tenant'?"),
        ("{GOOD, aud: b}", ".aud", "unknown key 'aud'"),
        ("{GOOD, tenant: acme}", ".tenant", "there is no tenant 'acme'; add it under tenants"),
        ("{GOOD, tier: paid}", ".tier", "there is no tier 'paid'; add it under tiers"),
    ],
)
def test_a_mistake_is_told_at_its_place(issuer: str, path: str, expected: str) -> None:
    _, (problem,) = compiled(f"issuers:\n- {issuer.replace('GOOD', GOOD)}")
    place, _, told = problem.partition(": ")
    assert place.startswith("f.yaml:2:")
    assert told.startswith(f"issuers[0]{path}: {expected}")


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512", "RS255", "rs256", "ES256K", "RSA-OAEP", ""])
def test_an_algorithm_that_proves_nothing_cannot_be_allowed(algorithm: str) -> None:
    made, (problem,) = compiled(f"issuers: [{{issuer: 'https://h', audience: a, algorithms: ['{algorithm}']}}]")
    assert made is None
    assert "is not one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA" in problem


def test_a_misspelled_algorithm_and_tenant_are_guessed() -> None:
    _, (problem,) = compiled("issuers: [{issuer: 'https://h', audience: a, algorithms: [RS265]}]")
    assert problem.endswith("did you mean 'RS256'?")
    _, (problem,) = compiled(TENANTS + "issuers: [{issuer: 'https://h', audience: a, tenant: acne}]")
    assert problem.endswith("there is no tenant 'acne'; did you mean 'acme'?")


def test_a_tenant_is_named_once() -> None:
    _, found = compiled(TENANTS + "issuers: [{issuer: 'https://h', audience: a, tenant: acme, claims: {tenant: t}}]")
    assert found == ["f.yaml:2:54: issuers[0].tenant: tenant is named by claims.tenant already; give one of the two"]


def test_an_issuer_is_named_once() -> None:
    _, found = compiled("issuers: [{issuer: 'https://h', audience: a}, {issuer: 'https://h', audience: b}]")
    assert found == ["f.yaml:1:56: issuers[1].issuer: 'https://h' is here already; give it all of its audiences there"]


def test_without_the_extra_an_issuer_is_an_error_that_names_it() -> None:
    for text, expected in (("issuers: [{issuer: 'https://h', audience: a}]", True), ("issuers: []", False)):
        findings = Findings("f.yaml")
        config = bind(text.encode(), findings)
        assert config is not None
        issuers_of(config, (), findings, ready=lambda: False)
        assert ["in a clone of Fairlead: pip install '.[oidc]'" in str(problem) for problem in findings.problems] == [
            True
        ] * expected


def test_a_gateway_with_an_issuer_is_not_open() -> None:
    made, found = compiled("server: {listen: 0.0.0.0:1}\nissuers: [{issuer: 'https://h', audience: a}]")
    assert made is not None, found
    assert not made.open


def test_another_issuer_is_another_version() -> None:
    versions = set()
    for audience in ("a", "b"):
        made, _ = compiled(f"issuers: [{{issuer: 'https://h', audience: {audience}}}]")
        assert made is not None
        versions.add(made.version)
    assert len(versions) == 2


def test_a_route_that_no_key_may_ask_for_may_be_for_tokens() -> None:
    text = (
        "routes:\n- {model: a, deployments: [groq/x]}\n- {model: b, deployments: [groq/y]}\n"
        "keys: [{name: k, key: env://KEY, models: [b]}]\n"
    )
    for more, dead in (("", True), ("issuers: [{issuer: 'https://h', audience: a}]", False)):
        findings = Findings("f.yaml")
        config = bind((text + more).encode(), findings)
        assert config is not None
        made = compile_config(config, World(environ=ENVIRON, catalog=catalog()), findings)
        assert made is not None
        review(config, made, catalog(), findings)
        assert any("no key may ask for it" in str(problem) for problem in findings.problems) == dead


@pytest.mark.parametrize(
    ("issuer", "fine"),
    [
        ({"issuer": "https://h", "audience": "a"}, True),
        ({"issuer": "https://h", "audience": ["a", "b"], "jwks": "https://h/k?p=1"}, True),
        ({"issuer": "https://h", "audience": {"a": 1}}, False),
        ({"issuer": "https://h?a", "audience": "a"}, False),
        ({"issuer": "https://h", "audience": "a", "algorithms": ["none"]}, False),
    ],
)
def test_editors_are_told_the_same(issuer: dict[str, Any], fine: bool) -> None:
    validator = jsonschema.Draft7Validator(json_schema())
    assert validator.is_valid(yaml.safe_load(yaml.safe_dump({"issuers": [issuer]}))) == fine
