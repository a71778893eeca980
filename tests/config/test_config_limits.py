"""Tiers, tenants and limits: what they come to, and what no engine could count."""

import json

import pytest

from fairlead.canonical.limits import DAY, DOLLAR, MONTH, SECOND, Limit
from fairlead.canonical.routing import Snapshot
from fairlead.canonical.tenants import Scoped, Tenant
from fairlead.config.bind import bind
from fairlead.config.compile import compile_config
from fairlead.config.limits import written_limits
from fairlead.config.problems import Findings
from fairlead.config.shipped import catalog
from fairlead.config.world import World

KEY = "k" * 20


def compiled(text: str) -> tuple[Snapshot | None, list[str]]:
    findings = Findings("f.yaml")
    config = bind(text.encode(), findings)
    assert config is not None, findings.in_order()
    world = World(environ={"KEY": KEY, "PEPPER": "p" * 31}, catalog=catalog(), pepper=b"p" * 32)
    return compile_config(config, world, findings), [str(problem) for problem in findings.in_order()]


def snapshot(text: str) -> Snapshot:
    made, found = compiled(text)
    assert made is not None, found
    return made


def test_a_tier_has_a_line_per_unit_written_alone_or_as_a_list() -> None:
    text = """
tiers:
  free: {requests: {limit: 10, per: 1m, burst: 5}, concurrency: 2, models: [chat]}
  paid:
    requests: [{limit: 10, per: 1s, algorithm: gcra}, {limit: 20k, per: 1h, algorithm: token_bucket}]
    budget: {limit: 5.25 USD, per: 1mo, mode: soft, alert: [90]}
"""
    tiers = snapshot(text).tiers
    assert tiers["free"].models == ("chat",)
    assert tiers["free"].limits == (
        Limit(unit="requests", algorithm="sliding_window", limit=10, per=60 * SECOND, burst=5),
        Limit(unit="concurrency", algorithm="concurrency", limit=2),
    )
    assert tiers["paid"].limits == (
        Limit(unit="requests", algorithm="gcra", limit=10, per=SECOND),
        Limit(unit="requests", algorithm="token_bucket", limit=20_000, per=3600 * SECOND),
        Limit(unit="money", algorithm="calendar", limit=5 * DOLLAR + 250_000, per=MONTH, hard=False, alerts=(90,)),
    )


def test_what_a_tenant_writes_takes_the_place_of_its_tiers_line_for_that_unit() -> None:
    text = """
tiers: {free: {requests: {limit: 10, per: 1m}, concurrency: 2}}
tenants: {acme: {tier: free, limits: {concurrency: 9}, residency: eu, require: [self_hosted], strict: true}}
"""
    assert snapshot(text).tenants == {
        "acme": Tenant(
            name="acme",
            tier="free",
            limits=(
                Limit(unit="requests", algorithm="sliding_window", limit=10, per=60 * SECOND),
                Limit(unit="concurrency", algorithm="concurrency", limit=9),
            ),
            residency="eu",
            self_hosted=True,
            strict=True,
        )
    }


def test_limits_beyond_tenants_name_their_scope() -> None:
    made = snapshot("limits: [{scope: tag, match: 'team=*', budget: {limit: 1 USD, per: 1d, window: rolling}}]")
    budget = Limit(unit="money", algorithm="rolling", limit=DOLLAR, per=DAY, alerts=(80, 100))
    assert made.scoped == (Scoped(scope="tag", match="team=*", limits=(budget,)),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "tenants: {a: {tier: fre}}\ntiers: {free: {concurrency: 1}}",
            "f.yaml:1:21: tenants.a.tier: there is no tier 'fre'; did you mean 'free'?",
        ),
        (
            "tiers: {t: {requests: {limit: 9, per: 1m, burst: 1, algorithm: fixed_window}}}",
            "f.yaml:1:50: tiers.t.requests.burst: a fixed window has no burst; raise limit, or use sliding_window",
        ),
        (
            "tiers: {t: {requests: [{limit: 999, per: 1m, burst: 2, algorithm: sliding_log}]}}",
            (
                "f.yaml:1:67: tiers.t.requests[0].algorithm: a sliding log keeps every request, so limit and burst are "
                "at most 1000; use sliding_window"
            ),
        ),
        (
            "tiers: {t: {budget: {limit: 9 USD, per: 2d}}}",
            (
                "f.yaml:1:41: tiers.t.budget.per: the calendar has 1d, 1w and 1mo; for another period write "
                "window: rolling"
            ),
        ),
        (
            "tiers: {t: {requests: {limit: 9, per: 1ms}}}",
            "f.yaml:1:39: tiers.t.requests.per: a period is from 10ms to 400d",
        ),
        (
            "tiers: {t: {tokens: [{limit: 9, per: 1m}, {limit: 8, per: 1m}]}}",
            "f.yaml:1:21: tiers.t.tokens: two lines have the same period and algorithm; keep one of them",
        ),
        (
            "limits: [{scope: global, match: a, concurrency: 1}]",
            "f.yaml:1:33: limits[0].match: the scope global is everything; remove match, or choose another scope",
        ),
        (
            "limits: [{scope: tag, match: team, concurrency: 1}]",
            "f.yaml:1:30: limits[0].match: 'team' is no tag; write name=value, or name=*",
        ),
        (
            "limits: [{scope: model}]",
            (
                "f.yaml:1:10: limits[0]: it limits nothing; add one of requests, tokens, input_tokens, output_tokens, "
                "concurrency, budget"
            ),
        ),
        (
            "pepper: env://PEPPER",
            "f.yaml:1:9: pepper: has 31 characters; it must have 32 or more: openssl rand -hex 32 makes one",
        ),
        ("pepper: env://NONE", "f.yaml:1:9: pepper: has no value; give it one, or remove the line"),
        ("old_pepper: env://NONE", "f.yaml:1:13: old_pepper: has no value; give it one, or remove the line"),
        (
            "state: env://NONE",
            (
                "f.yaml:1:8: state: has no value; it is needed at the start, before any store is asked: "
                "write it here, or as env:// or file://"
            ),
        ),
        (
            "keys: [{name: k, key: fl_abc_defghijklmnopqrstuvwxyz}]",
            "f.yaml:1:23: keys[0].key: keys that begin with fl_ are made by 'fairlead keys create'; choose another",
        ),
    ],
)
def test_what_cannot_be_counted_is_an_error_at_its_place(text: str, expected: str) -> None:
    made, found = compiled(text)
    assert made is None
    assert list(found).count(expected) == 1


@pytest.mark.parametrize("field", ["pepper", "old_pepper"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("env://NOPE", "has no value; give it one, or remove the line"),
        ("file:///nowhere/pepper", "has no value; give it one, or remove the line"),
        ("aaaaaaaa" * 5, "can be guessed; make one of your own: openssl rand -hex 32"),
        ("change-me-and-make-me-32-characters-long", "can be guessed; make one of your own: openssl rand -hex 32"),
    ],
)
def test_x32_a_pepper_that_is_not_there_or_can_be_guessed_is_an_error(field: str, value: str, expected: str) -> None:
    made, found = compiled(f"{field}: {value}")
    assert made is None
    assert f"f.yaml:1:{len(field) + 3}: {field}: {expected}" in found


def test_x32_an_empty_pepper_is_an_error_and_one_in_a_store_may_come_later() -> None:
    findings = Findings("f.yaml")
    assert bind(b"pepper: ''", findings) is None
    assert "f.yaml:1:9: pepper: must not be empty" in str(findings.in_order()[0])
    assert compiled("pepper: vault://secret/data/x#y")[0] is not None


def test_the_version_changes_with_a_limit_and_tells_nothing_of_a_password() -> None:
    one = snapshot("state: valkey://:hunter2@h:1")
    other = snapshot("state: valkey://:hunter3@h:1")
    assert one.version != other.version
    assert "hunter2" not in repr(one) + repr(one.sharing)
    assert snapshot("limits: [{scope: global, concurrency: 1}]").version != snapshot("{}").version


def test_limits_are_written_as_they_were_read() -> None:
    text = """
tiers:
  a:
    requests: [{limit: 10, per: 1s, algorithm: gcra}, {limit: 20k, per: 1h, burst: 7}]
    input_tokens: {limit: 5, per: 200ms}
    concurrency: 3
    budget: {limit: 5.25 USD, per: 1mo, mode: soft, alert: [90]}
"""
    limits = snapshot(text).tiers["a"].limits
    again = snapshot(f"tiers: {{a: {json.dumps(written_limits(limits))}}}").tiers["a"].limits
    assert again == limits
