"""Limits and budgets on the way of a request: refused before anything is sent, held while it runs, settled after."""

import asyncio
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.gateway.gateway_harness import KEY, PROVIDER_KEY, Gateway, gateway, known_keys, request_bytes, until

from fairlead.canonical.limits import DOLLAR, MONTH, SECOND, Demand, Granted, Limit, Standing, Verdict
from fairlead.canonical.tenants import Scoped, Tenant, Tier, VirtualKey
from fairlead.canonical.usage import Price
from fairlead.fakes import Script
from fairlead.policy.rules import Rules
from fairlead.state.port import StateError

MINUTE = 60 * SECOND
PRICE = Price(input=Decimal(1), output=Decimal(2), version="test")


def rate(unit: Any, limit: int, per: int = MINUTE, algorithm: Any = "sliding_window", burst: int = 0) -> Limit:
    return Limit(unit=unit, algorithm=algorithm, limit=limit, per=per, burst=burst)


def budget(dollars: float, *, hard: bool = True, alerts: tuple[int, ...] = ()) -> Limit:
    return Limit(unit="money", algorithm="calendar", limit=int(dollars * DOLLAR), per=MONTH, hard=hard, alerts=alerts)


def of_tenant(*limits: Limit, **more: Any) -> dict[str, Any]:
    return {"tenants": {"acme": Tenant(name="acme", limits=limits, **more)}}


async def remaining(gate: Gateway) -> dict[str, int]:
    """What is left of each of the tenant's limits."""
    await gate.world.holds.settled()
    rules = gate.world.demands.rules.of_tenant("acme")
    standings = await gate.state.standings(rules)
    return {rule.unit: standing.remaining for rule, standing in zip(rules, standings, strict=True)}


async def test_the_answer_tells_how_the_tightest_limit_stands(tmp_path: Path) -> None:
    limits = of_tenant(rate("requests", 5), rate("tokens", 100_000))
    async with gateway(tmp_path, snapshot=limits) as gate:
        answer = await gate.chat(max_tokens=50)
        assert answer.status == 200
        assert answer.headers["x-ratelimit-limit-requests"] == "5"
        assert answer.headers["x-ratelimit-remaining-requests"] == "4"
        assert answer.headers["x-ratelimit-limit-tokens"] == "100000"
        assert int(answer.headers["x-ratelimit-remaining-tokens"]) < 100_000
        assert answer.headers["x-ratelimit-reset-requests"].startswith("1m")


async def test_beyond_the_limit_nothing_is_sent_and_the_client_is_told_which_and_when(tmp_path: Path) -> None:
    async with gateway(tmp_path, snapshot=of_tenant(rate("requests", 2), rate("requests", 9, 3600 * SECOND))) as gate:
        for _ in range(2):
            assert (await gate.chat()).status == 200
        refused = await gate.chat()
        assert refused.status == 429
        assert refused.error["code"] == "rate_limit_exceeded"
        assert "2 requests per 1m of tenant 'acme'" in refused.error["message"]
        assert 55 <= int(refused.headers["retry-after"]) <= 62
        assert refused.headers["x-should-retry"] == "true"
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert len(gate.providers[0].seen) == 2
        record = gate.records()[-1]
        assert (record.status, record.ended, record.limit) == (429, "refused", "2 requests per 1m of tenant 'acme'")


async def test_a_refused_request_consumes_nothing_of_any_rule(tmp_path: Path) -> None:
    limits = of_tenant(rate("requests", 100), Limit(unit="concurrency", algorithm="concurrency", limit=1))
    async with gateway(tmp_path, scripts=[Script.of("stall")], snapshot=limits) as gate:
        held = asyncio.create_task(gate.chat())
        await until(lambda: gate.providers[0].open)
        assert (await gate.chat()).error["code"] == "rate_limit_exceeded"
        assert (await remaining(gate))["requests"] == 99
        held.cancel()
        await gate.settled()
        assert (await remaining(gate))["concurrency"] == 1


async def test_tokens_are_held_by_estimate_and_settled_by_usage(tmp_path: Path) -> None:
    async with gateway(tmp_path, snapshot=of_tenant(rate("tokens", 10_000))) as gate:
        answer = await gate.chat("count me", max_tokens=5000)
        used = answer.json()["usage"]["total_tokens"]
        assert int(answer.headers["x-ratelimit-remaining-tokens"]) < 5000
        assert (await remaining(gate))["tokens"] == 10_000 - used
        too_much = await gate.chat("count me", max_tokens=20_000)
        assert (too_much.status, too_much.error["code"]) == (429, "rate_limit_exceeded")
        assert "retry-after" not in too_much.headers
        assert too_much.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_budget_pays_what_the_answer_cost_to_the_micro_dollar(tmp_path: Path, stream: bool) -> None:
    async with gateway(tmp_path, facts={"price": PRICE}, snapshot=of_tenant(budget(1))) as gate:
        answer = await gate.chat("pay for me", max_tokens=1000, stream=stream)
        assert answer.status == 200
        await gate.settled()
        record = gate.records()[-1]
        assert record.usage is not None
        assert record.charged == record.usage.input + 2 * record.usage.output
        assert (await remaining(gate))["money"] == DOLLAR - record.charged
        assert not record.estimated


async def test_who_does_not_say_how_long_the_answer_may_be_gets_what_is_left(tmp_path: Path) -> None:
    limits = of_tenant(rate("tokens", 500), rate("output_tokens", 400))
    async with gateway(tmp_path, snapshot=limits) as gate:
        used = 0
        for _ in range(2):
            answer = await gate.chat("count me")
            assert (answer.status, answer.headers["x-ratelimit-remaining-tokens"]) == (200, "0")
            used += answer.json()["usage"]["total_tokens"]
            assert (await remaining(gate))["tokens"] == 500 - used
        refused = await gate.chat("count me " * 600)
        assert (refused.status, refused.headers["x-should-retry"]) == (429, "false")
        assert "500 tokens per 1m of tenant 'acme' (it may take " in refused.error["message"]
        assert f", {500 - used} are left)" in refused.error["message"]


async def test_what_a_rule_would_have_given_to_a_refused_request_is_told_as_left(tmp_path: Path) -> None:
    limits = of_tenant(rate("requests", 5), rate("requests", 3, 3600 * SECOND), rate("tokens", 10))
    async with gateway(tmp_path, snapshot=limits) as gate:
        refused = await gate.chat("more than ten tokens are in this text, at least eleven", max_tokens=5)
        assert refused.status == 429
        assert refused.headers["x-ratelimit-limit-requests"] == "3"
        assert refused.headers["x-ratelimit-remaining-requests"] == "3"


async def test_a_budget_whose_rest_is_held_by_requests_under_way_is_worth_asking_again(tmp_path: Path) -> None:
    limits = of_tenant(budget(0.001))
    async with gateway(tmp_path, scripts=[Script.of("stall")], facts={"price": PRICE}, snapshot=limits) as gate:
        held = asyncio.create_task(gate.chat(max_tokens=400))
        await until(lambda: gate.providers[0].open)
        refused = await gate.chat(max_tokens=400)
        assert (refused.error["code"], refused.headers["x-should-retry"]) == ("insufficient_quota", "true")
        assert refused.headers["retry-after"] == "1"
        assert "requests under way hold the rest" in refused.error["message"]
        held.cancel()
        await gate.settled()


async def test_a_used_up_budget_refuses_and_says_not_to_retry(tmp_path: Path) -> None:
    async with gateway(tmp_path, facts={"price": PRICE}, snapshot=of_tenant(budget(0.001))) as gate:
        refused = await gate.chat(max_tokens=1000)
        assert (refused.status, refused.error["code"]) == (429, "insufficient_quota")
        assert refused.headers["x-should-retry"] == "false"
        assert gate.providers[0].seen == deque()
        assert (await remaining(gate))["money"] == 1000


async def test_a_soft_budget_refuses_nothing_and_tells_of_its_degrees(tmp_path: Path) -> None:
    limits = of_tenant(budget(0.001, hard=False, alerts=(50, 100)))
    async with gateway(tmp_path, facts={"price": PRICE}, snapshot=limits) as gate:
        for _ in range(3):
            assert (await gate.chat(max_tokens=450)).status == 200
        alerts = [notice.percent for notice in gate.notices if notice.kind == "alert"]
        assert alerts == [50, 50, 50]


async def test_a_hard_budget_never_uses_a_deployment_whose_price_nobody_knows(tmp_path: Path) -> None:
    async with gateway(tmp_path, snapshot=of_tenant(budget(5))) as gate:
        answer = await gate.chat(max_tokens=10)
        assert (answer.status, answer.error["code"]) == (503, "no_healthy_deployment")
        assert "its price is not known, so a hard budget could not hold" in answer.error["message"]
        assert answer.headers["x-should-retry"] == "false"
        assert gate.providers[0].seen == deque()
        assert (await remaining(gate))["money"] == 5 * DOLLAR


async def test_a_dearer_service_is_refused_where_a_hard_budget_must_hold(tmp_path: Path) -> None:
    async with gateway(tmp_path, facts={"price": PRICE}, snapshot=of_tenant(budget(5))) as gate:
        refused = await gate.chat(max_tokens=10, service_tier="priority")
        assert (refused.status, refused.error["param"]) == (400, "service_tier")
        assert gate.providers[0].seen == deque()
        assert (await remaining(gate))["money"] == 5 * DOLLAR
        assert (await gate.chat(max_tokens=10, service_tier="flex")).status == 200


async def test_a_failed_request_is_given_back_but_counts_as_a_request(tmp_path: Path) -> None:
    limits = of_tenant(rate("requests", 10), rate("tokens", 10_000), budget(1))
    scripts = [Script.of("500", "500")]
    async with gateway(tmp_path, scripts=scripts, facts={"price": PRICE}, snapshot=limits) as gate:
        assert (await gate.chat(max_tokens=100)).status == 502
        assert await remaining(gate) == {"requests": 9, "tokens": 10_000, "money": DOLLAR}


async def test_a_client_that_leaves_pays_for_what_came(tmp_path: Path) -> None:
    script = Script.of("stall_stream")
    limits = of_tenant(rate("tokens", 100_000), budget(1))
    async with gateway(tmp_path, scripts=[script], facts={"price": PRICE}, snapshot=limits) as gate:
        reader, writer = await gate.open()
        writer.write(
            request_bytes(
                b'{"model":"chat","stream":true,"max_tokens":9000,"messages":[{"role":"user","content":"hi"}]}'
            )
        )
        await reader.readuntil(b"data: ")
        writer.transport.abort()
        await gate.settled()
        record = gate.records()[-1]
        assert record.ended == "client_gone"
        assert record.estimated
        assert record.usage is not None
        assert 0 < record.usage.output < 1000
        assert (await remaining(gate))["money"] == DOLLAR - record.charged


async def test_who_leaves_a_stream_that_told_usage_at_its_beginning_pays_for_what_came(tmp_path: Path) -> None:
    """Anthropic's first event says that one token of output was made: whoever leaves before the end had more."""
    script = Script.of("stall_stream:6")
    limits = of_tenant(budget(1))
    async with gateway(tmp_path, ["anthropic"], [script], facts={"price": PRICE}, snapshot=limits) as gate:
        reader, writer = await gate.open()
        body = b'{"model":"chat","stream":true,"max_tokens":9000,"messages":[{"role":"user","content":"hi there you"}]}'
        writer.write(request_bytes(body, path="/v1/messages"))
        came = await reader.readuntil(b"content_block_delta")
        writer.transport.abort()
        await gate.settled()
        record = gate.records()[-1]
        assert (record.ended, record.estimated) == ("client_gone", True)
        assert record.usage is not None
        assert record.usage.output >= len(came) // 8
        assert (await remaining(gate))["money"] == DOLLAR - record.charged


@pytest.mark.parametrize("headers", [{"x-fairlead-timeout": "soon"}, {}])
async def test_a_request_for_which_nothing_was_tried_consumes_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    limits = of_tenant(rate("requests", 10), rate("tokens", 10_000), residency="eu")
    async with gateway(tmp_path, snapshot=limits) as gate:
        assert (await gate.chat(headers=headers)).status in {400, 503}
        assert await remaining(gate) == {"requests": 10, "tokens": 10_000}


async def test_an_answer_is_paid_at_the_price_that_its_request_began_with(tmp_path: Path) -> None:
    """A reload in the middle may take the deployment away: what it served is not free for that."""
    snapshot = of_tenant(budget(1))
    script = Script.of("slow:0.2")
    async with gateway(tmp_path, scripts=[script], facts={"price": PRICE}, snapshot=snapshot) as gate:
        asked = asyncio.create_task(gate.chat("pay for me", max_tokens=1000))
        await until(lambda: gate.providers[0].open)
        gate.world.adopt(replace(gate.world.snapshot, version="other", routes=()))
        assert (await asked).status == 200
        record = gate.records()[-1]
        assert record.usage is not None
        assert record.charged == record.usage.input + 2 * record.usage.output


async def test_every_scope_has_a_count_of_its_own(tmp_path: Path) -> None:
    one = (rate("requests", 1),)
    snapshot = {
        "keys": known_keys(VirtualKey(id="a", tenant="acme"), VirtualKey(id="b", tenant="acme")),
        "scoped": (Scoped(scope="key", match="*", limits=one), Scoped(scope="user", match="*", limits=one)),
    }
    async with gateway(tmp_path, snapshot=snapshot) as gate:
        other = {"authorization": f"Bearer {KEY}1"}
        assert (await gate.chat(user="u1")).status == 200
        assert (await gate.chat(user="u2")).error["message"].startswith("limit reached: 1 requests per 1m of key 'a'")
        assert (await gate.chat(user="u2", headers=other)).status == 200
        assert (await gate.chat(user="u1", headers=other)).status == 429


async def test_a_deployments_limit_sends_requests_elsewhere(tmp_path: Path) -> None:
    snapshot = {"scoped": (Scoped(scope="deployment", match="openai-0/model-0", limits=(rate("requests", 1),)),)}
    async with gateway(tmp_path, ["openai", "openai"], snapshot=snapshot) as gate:
        assert (await gate.chat()).attempts == ["openai-0/model-0:200"]
        assert (await gate.chat()).attempts == ["openai-0/model-0:limited", "openai-1/model-1:200"]
        assert len(gate.providers[0].seen) == 1


async def test_all_deployments_at_their_limits_is_our_own_429(tmp_path: Path) -> None:
    snapshot = {"scoped": (Scoped(scope="deployment", limits=(rate("requests", 1),)),)}
    async with gateway(tmp_path, snapshot=snapshot) as gate:
        assert (await gate.chat()).status == 200
        refused = await gate.chat()
        assert (refused.status, refused.error["code"], refused.error["source"]) == (
            429,
            "rate_limit_exceeded",
            "gateway",
        )
        assert 55 <= int(refused.headers["retry-after"]) <= 62


async def test_tags_of_the_client_have_budgets_but_never_replace_those_of_its_key(tmp_path: Path) -> None:
    snapshot = {
        "keys": known_keys(VirtualKey(id="a", tenant="acme", tags=(("team", "search"),))),
        "scoped": (Scoped(scope="tag", match="team=search", limits=(rate("requests", 1),)),),
    }
    async with gateway(tmp_path, snapshot=snapshot) as gate:
        assert (await gate.chat(headers={"x-fairlead-tags": "team=other, beta"})).status == 200
        assert (await gate.chat(headers={"x-fairlead-tags": "team=other"})).status == 429
        assert gate.records()[0].tags == (("team", "search"), ("beta", ""))
        assert (await gate.chat(headers={"x-fairlead-tags": "x" * 65})).error["param"] == "x-fairlead-tags"


async def test_residency_and_self_hosting_hold_in_every_fallback(tmp_path: Path) -> None:
    limits = of_tenant(residency="eu", self_hosted=True)
    async with gateway(tmp_path, ["openai", "self_hosted"], snapshot=limits) as gate:
        answer = await gate.chat()
        assert (answer.status, answer.error["code"]) == (503, "no_healthy_deployment")
        assert "region 'eu'" in answer.error["message"]
        assert "retry-after" not in answer.headers
        assert [len(provider.seen) for provider in gate.providers] == [0, 0]
    facts = {"region": "eu-west-1", "self_hosted": True}
    async with gateway(tmp_path, ["self_hosted"], facts=facts, snapshot=limits) as gate:
        assert (await gate.chat()).status == 200


async def test_a_tenant_that_goes_in_the_middle_of_a_request_takes_nobody_elsewhere(tmp_path: Path) -> None:
    """Between a key that is let in and the end of its body a reload may come: its residency must not be forgotten."""
    async with gateway(tmp_path, snapshot=of_tenant(residency="eu")) as gate:
        whole = request_bytes(b'{"model":"chat","messages":[{"role":"user","content":"hi"}]}')
        reader, writer = await gate.open()
        writer.write(whole[:-5])
        await until(lambda: gate.server.in_flight)
        gate.world.adopt(replace(gate.world.snapshot, version="other", tenants={}))
        writer.write(whole[-5:])
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
        assert gate.providers[0].seen == deque()
        writer.close()


async def test_a_tiers_models_and_a_keys_routes_restrict_what_may_be_asked_for(tmp_path: Path) -> None:
    for key, tiers in (
        (VirtualKey(id="a", tier="free"), {"free": Tier(name="free", models=("other",))}),
        (VirtualKey(id="a", routes=("other",)), {}),
    ):
        async with gateway(tmp_path, snapshot={"keys": known_keys(key), "tiers": tiers}) as gate:
            answer = await gate.chat()
            assert (answer.status, answer.error["code"]) == (403, "model_not_allowed")


async def test_user_rotation_and_other_spellings_do_not_escape(tmp_path: Path) -> None:
    """Case X12: a subject has one spelling, and a key's own limit does not care who it says that it acts for."""
    snapshot = {
        "keys": known_keys(VirtualKey(id="a", tenant="acme", limits=(rate("requests", 2),))),
        "scoped": (Scoped(scope="user", limits=(rate("requests", 1),)),),
    }
    async with gateway(tmp_path, snapshot=snapshot) as gate:
        assert (await gate.chat(user="Ann")).status == 200
        assert (await gate.chat(user=" ann ")).status == 429
        assert (await gate.chat(user="ＡＮＮ")).status == 429
        assert (await gate.chat(user="bob")).status == 200
        assert "key 'a'" in (await gate.chat(user="eve")).error["message"]


@pytest.mark.parametrize("error", [RuntimeError("canary"), StateError("canary")])
async def test_x31_a_limiter_that_fails_lets_nobody_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fails(*_: object, **__: object) -> Verdict:
        raise error

    async with gateway(tmp_path, snapshot=of_tenant(rate("requests", 9))) as gate:
        monkeypatch.setattr(gate.state, "reserve", fails)
        answer = await gate.chat()
        assert answer.status in (500, 503)
        assert b"canary" not in answer.body
        assert not gate.providers[0].seen
        monkeypatch.undo()
        assert (await gate.chat()).status == 200


async def test_no_secret_and_no_prompt_is_in_what_a_hold_notes(tmp_path: Path) -> None:
    async with gateway(tmp_path, scripts=[Script.of("stall")], snapshot=of_tenant(rate("requests", 9))) as gate:
        held = asyncio.create_task(gate.chat("the prompt"))
        await until(lambda: gate.providers[0].open)
        await gate.state.renew([])
        stored = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
        assert b"acme" in stored
        assert KEY.encode() not in stored
        assert PROVIDER_KEY.encode() not in stored
        assert b"the prompt" not in stored
        held.cancel()


def test_of_two_lines_on_one_count_the_smaller_holds() -> None:
    scoped = (Scoped(scope="tenant", match="acme", limits=(rate("requests", 3),)),)
    rules = Rules(tiers={}, tenants={"acme": Tenant(name="acme", limits=(rate("requests", 5),))}, scoped=scoped)
    (rule,) = rules.of(VirtualKey(id="k", tenant="acme"), "chat", None, ())
    assert rule.limit == 3


@pytest.mark.parametrize("order", [(budget(4, hard=False), budget(5)), (budget(5), budget(4, hard=False))])
def test_a_soft_budget_never_takes_the_place_of_a_hard_one(order: tuple[Limit, Limit]) -> None:
    own, shared = order
    scoped = (Scoped(scope="tenant", match="acme", limits=(shared,)),)
    rules = Rules(tiers={}, tenants={"acme": Tenant(name="acme", limits=(own,))}, scoped=scoped)
    (rule,) = rules.of(VirtualKey(id="k", tenant="acme"), "chat", None, ())
    assert (rule.hard, rule.limit) == (True, 5 * DOLLAR)


async def test_who_waits_for_a_budgets_past_looks_ever_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands may wait for one budget, and each look is a step in the state that all share."""
    async with gateway(tmp_path, facts={"price": PRICE}, snapshot=of_tenant(budget(1))) as gate:
        looks = 0
        reserve = gate.state.reserve

        async def counted(*args: Any, **more: Any) -> Any:
            nonlocal looks
            looks += 1
            return await reserve(*args, **more)

        monkeypatch.setattr(gate.state, "reserve", counted)
        monkeypatch.setattr(gate.world.holds, "_tell", lambda _: None)
        monkeypatch.setattr("fairlead.gateway.holds.SEEDING", 0.5)
        answer = await gate.chat(max_tokens=10)
        assert (answer.status, answer.error["code"]) == (503, "ledger_unavailable")
        assert looks < 20


@pytest.mark.parametrize("strict", [False, True])
async def test_whose_past_nobody_tells_goes_on_with_this_machines_share_unless_strict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strict: bool
) -> None:
    snapshot = of_tenant(budget(1), strict=strict)
    async with gateway(tmp_path, facts={"price": PRICE}, snapshot=snapshot) as gate:

        async def alone(hold: str, demands: Sequence[Demand], note: bytes) -> Verdict:
            del hold, note
            return Granted(tuple(Standing(1, 0) for _ in demands), 0)

        monkeypatch.setattr(gate.state, "reserve_alone", alone)
        monkeypatch.setattr(gate.world.holds, "_tell", lambda _: None)
        monkeypatch.setattr("fairlead.gateway.holds.SEEDING", 0.02)
        answer = await gate.chat(max_tokens=10)
        assert answer.status == (503 if strict else 200)
