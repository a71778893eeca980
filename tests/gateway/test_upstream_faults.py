"""What providers do wrong, and what the client sees of it (cases U… of the project's fault list)."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from tests.gateway.gateway_harness import PROVIDER_KEY, QUICK, Gateway, gateway, until

from fairlead.canonical.routing import Backoff, Cooldown, Failed, Retry, Timeouts
from fairlead.fakes import Script
from fairlead.gateway.answers import failure_error
from fairlead.gateway.books import Books
from fairlead.gateway.port import Port

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
PATHS = pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"], ids=["openai", "anthropic"])
PAIR = ("openai", "openai")
NO_RETRY = Retry(attempts=0)


async def one(gate: Gateway) -> None:
    """Nothing is left of the request: no slot, no upstream connection in use, one record."""
    await gate.settled()
    assert len(gate.records()) == 1


@BOTH
@PATHS
async def test_u1_a_429_goes_elsewhere_at_once_and_cools(tmp_path: Path, stream: bool, path: str) -> None:
    async with gateway(tmp_path, PAIR, [Script.of("429:2")]) as gate:
        answer = await gate.chat(path=path, stream=stream)
        assert (answer.status, answer.clean) == (200, True)
        assert answer.attempts == ["openai-0/model-0:429", "openai-1/model-1:200"]
        first = gate.world.fleet.health["openai-0/model-0"]
        assert 1.0 < first.cooldown_until - gate.world.clock() <= 2.0
        assert first.failures_in_row == 0
        assert (await gate.chat(path=path, stream=stream)).attempts == ["openai-1/model-1:200"]
        await gate.settled()
        assert [len(record.attempts) for record in gate.records()] == [2, 1]


@PATHS
@pytest.mark.parametrize(("fault", "told"), [("429:70", 70), ("429_date:90", 90), ("429_ms:65000", 65)])
async def test_u2_limited_everywhere_is_a_429_with_the_shortest_wait(
    tmp_path: Path, path: str, fault: str, told: int
) -> None:
    async with gateway(tmp_path, PAIR, [Script.of(fault), Script.of("429:100")]) as gate:
        answer = await gate.chat(path=path)
        assert answer.status == 429
        assert told - 2 <= int(answer.headers["retry-after"]) <= told
        assert answer.headers["x-should-retry"] == "true"
        await one(gate)


async def test_u3_a_used_up_quota_is_not_retried_and_rests_its_credential(tmp_path: Path) -> None:
    async with gateway(tmp_path, PAIR, [Script.of("429_quota")]) as gate:
        assert (await gate.chat()).attempts == ["openai-0/model-0:429", "openai-1/model-1:200"]
        assert (await gate.chat()).attempts == ["openai-1/model-1:200"]


@BOTH
@pytest.mark.parametrize("fault", ["500", "502", "503", "529", "reset", "hangup"])
async def test_u4_one_failure_is_retried_on_the_same_deployment(tmp_path: Path, fault: str, stream: bool) -> None:
    async with gateway(tmp_path, PAIR, [Script.of(fault)]) as gate:
        answer = await gate.chat(stream=stream)
        assert (answer.status, answer.clean) == (200, True)
        assert [entry.split(":")[0] for entry in answer.attempts] == ["openai-0/model-0"] * 2
        await one(gate)


@PATHS
async def test_u5_failing_always_is_a_502_that_the_client_must_not_retry(tmp_path: Path, path: str) -> None:
    scripts = [Script.of(rates={"500": 1.0})] * 2
    async with gateway(tmp_path, PAIR, scripts, cooldown=Cooldown(after=3)) as gate:
        answer = await gate.chat(path=path)
        assert answer.status == 502
        assert answer.headers["x-should-retry"] == "false"
        assert len(answer.attempts) == 4
        await one(gate)
        await gate.chat(path=path)
        assert gate.world.fleet.health["openai-0/model-0"].openings > 0


@BOTH
@PATHS
@pytest.mark.parametrize(("fault", "status"), [("400", 400), ("404", 404), ("422", 422)])
async def test_u6_a_wrong_request_is_passed_on_and_not_retried(
    tmp_path: Path, fault: str, status: int, path: str, stream: bool
) -> None:
    async with gateway(tmp_path, PAIR, [Script.of(fault)]) as gate:
        answer = await gate.chat(path=path, stream=stream)
        assert answer.status == status
        assert answer.error["message"]
        assert answer.attempts == [f"openai-0/model-0:{status}"]
        await one(gate)


@PATHS
@pytest.mark.parametrize("fault", ["401", "403"])
async def test_u7_a_refused_credential_is_ours_to_mend(tmp_path: Path, fault: str, path: str) -> None:
    async with gateway(tmp_path, ("openai",), [Script.of(fault)]) as gate:
        answer = await gate.chat(path=path)
        assert answer.status == 502
        assert PROVIDER_KEY.encode() not in answer.body
        assert answer.attempts == [f"openai-0/model-0:{fault}"]
    async with gateway(tmp_path, PAIR, [Script.of(fault)]) as gate:
        assert (await gate.chat(path=path)).attempts == [f"openai-0/model-0:{fault}", "openai-1/model-1:200"]
        assert (await gate.chat(path=path)).attempts == ["openai-1/model-1:200"]


async def test_u8_a_closed_port_is_unreachable_and_the_next_one_answers(tmp_path: Path) -> None:
    async with gateway(tmp_path, PAIR) as gate:
        await gate.providers[0].refuse()
        answer = await gate.chat()
        assert answer.attempts == ["openai-0/model-0:connect", "openai-0/model-0:connect", "openai-1/model-1:200"]
        await gate.providers[1].close()
        answer = await gate.chat()
        assert answer.status == 502
        assert answer.error["code"] == "upstream_unreachable"


@BOTH
@PATHS
async def test_u11_silence_before_the_answer_is_a_504(tmp_path: Path, stream: bool, path: str) -> None:
    timeouts = Timeouts(total=5.0, connect=1.0, first_token=0.2, idle=5.0)
    async with gateway(tmp_path, ("openai",), [Script.of("stall")], retry=NO_RETRY, timeouts=timeouts) as gate:
        answer = await gate.chat(path=path, stream=stream)
        assert answer.status == 504
        await one(gate)


@BOTH
async def test_u11_silence_falls_back(tmp_path: Path, stream: bool) -> None:
    timeouts = Timeouts(total=5.0, connect=1.0, first_token=0.2, idle=5.0)
    async with gateway(tmp_path, PAIR, [Script.of("stall")], timeouts=timeouts) as gate:
        answer = await gate.chat(stream=stream)
        assert answer.attempts == ["openai-0/model-0:timeout", "openai-1/model-1:200"]
        await one(gate)


async def test_the_callers_deadline_ends_everything(tmp_path: Path) -> None:
    async with gateway(tmp_path, PAIR, [Script.of("stall"), Script.of("stall")]) as gate:
        answer = await gate.chat(headers={"x-fairlead-timeout": "150"})
        assert answer.status == 504
        assert len(answer.attempts) == 1
        await one(gate)


@PATHS
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize(
    "fault", ["stall_stream:3", "cut:3", "cut_reset:3", "ended_early:3", "no_terminal", "bad_event:3", "error_event:3"]
)
async def test_u14_to_u18_a_stream_that_breaks_ends_with_an_error_and_never_cleanly(
    tmp_path: Path, fault: str, path: str, kind: str
) -> None:
    if (fault, kind) == ("no_terminal", "openai"):
        fault = "ended_early:3"  # OpenAI's end is the finish reason; providers that send no [DONE] after it exist
    async with gateway(tmp_path, (kind, kind), [Script.of(fault)]) as gate:
        answer = await gate.chat("one two three four five six", path=path, stream=True)
        assert answer.status == 200
        assert not answer.clean
        last = json.loads(answer.events()[-1])
        assert last["error"]["message"]
        assert b"[DONE]" not in answer.body
        assert b"message_stop" not in answer.body
        assert all(json.loads(event) for event in answer.events()), "no partial event was passed on"
        await one(gate)
        record = gate.records()[0]
        assert record.ended == "cut"
        assert len(record.attempts) == 1, "nothing is retried once the client has seen an event"


@PATHS
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_u17_an_error_as_the_first_event_falls_back_unseen(tmp_path: Path, path: str, kind: str) -> None:
    async with gateway(tmp_path, (kind, kind), [Script.of("error_event", "error_event")]) as gate:
        answer = await gate.chat(path=path, stream=True)
        assert answer.clean
        assert "error" not in answer.body.decode().replace("error_", "")
        assert answer.attempts[-1].startswith(f"{kind}-1/model-1")
        await one(gate)


@PATHS
@pytest.mark.parametrize("fault", ["cut:0", "ended_early:0"])
async def test_a_stream_cut_before_its_first_event_falls_back_unseen(tmp_path: Path, path: str, fault: str) -> None:
    async with gateway(tmp_path, PAIR, [Script.of(fault, fault)]) as gate:
        answer = await gate.chat(path=path, stream=True)
        assert answer.clean
        assert answer.attempts[-1] == "openai-1/model-1:200"


@BOTH
@PATHS
@pytest.mark.parametrize("fault", ["html", "garbage", "redirect", "gzip", "bad_json", "empty", "empty_object"])
async def test_u20_u21_u23_u24_an_answer_that_is_none_is_a_502_without_its_body(
    tmp_path: Path, fault: str, path: str, stream: bool
) -> None:
    async with gateway(tmp_path, ("openai",), [Script.of(rates={fault: 1.0})], retry=NO_RETRY) as gate:
        answer = await gate.chat(path=path, stream=stream)
        assert answer.status == 502
        assert b"<html" not in answer.body.lower()
        assert gate.providers[0].seen[-1].path.endswith("/chat/completions")
        assert len(gate.providers[0].seen) == 1, "a redirect is never followed"
        await one(gate)


@pytest.mark.parametrize("fault", ["no_choices", "error_in_200", "truncated"])
async def test_u15_u21_a_hollow_or_short_answer_is_a_502(tmp_path: Path, fault: str) -> None:
    async with gateway(tmp_path, ("openai",), [Script.of(rates={fault: 1.0})], retry=NO_RETRY) as gate:
        assert (await gate.chat()).status == 502
        await one(gate)


async def test_an_oversized_answer_is_a_502_and_is_not_kept(tmp_path: Path) -> None:
    async with gateway(tmp_path, ("openai",), [Script.of("huge:80")], retry=NO_RETRY) as gate:
        answer = await gate.chat()
        assert answer.status == 502
        assert len(answer.body) < 2000
        await one(gate)


async def test_u22_a_thousand_timeouts_leave_nothing_behind(tmp_path: Path) -> None:
    timeouts = Timeouts(total=5.0, connect=1.0, first_token=0.02, idle=5.0)
    stalled = Script.of(rates={"stall": 1.0})
    async with gateway(tmp_path, ("openai",), [stalled], retry=NO_RETRY, timeouts=timeouts) as gate:
        for _ in range(20):
            answers = await asyncio.gather(*(gate.chat() for _ in range(50)))
            assert {answer.status for answer in answers} == {504}
        await gate.settled()
        assert gate.world.client.busy_connections == 0
        assert len(gate.records()) == 1000


async def test_u27_a_connection_that_the_provider_closed_meanwhile_costs_nothing(tmp_path: Path) -> None:
    async with gateway(tmp_path, ("openai",)) as gate:
        assert (await gate.chat()).status == 200
        host, port = "127.0.0.1", gate.providers[0].port
        await gate.providers[0].close()
        await gate.providers[0].listen(host, port)
        answer = await gate.chat()
        assert answer.attempts == ["openai-0/model-0:200"]


async def test_context_and_policy_fall_back_only_where_the_route_says_so(tmp_path: Path) -> None:
    for fault, word in (("400_context", "context_window"), ("400_policy", "content_policy")):
        async with gateway(tmp_path, PAIR, [Script.of(fault)]) as gate:
            answer = await gate.chat()
            assert answer.status == 400
            assert answer.attempts == ["openai-0/model-0:400"]
        async with gateway(tmp_path, PAIR, [Script.of(fault)], fallback=frozenset({word})) as gate:
            assert (await gate.chat()).attempts == ["openai-0/model-0:400", "openai-1/model-1:200"]


async def test_attempts_have_one_cap_over_all_deployments(tmp_path: Path) -> None:
    failing = [Script.of(rates={"500": 1.0})] * 3
    capped = Retry(attempts=5, max_attempts=4, backoff=Backoff(base=0.001, cap=0.002))
    async with gateway(tmp_path, ("openai",) * 3, failing, retry=capped) as gate:
        assert len((await gate.chat()).attempts) == 4
        assert sum(len(provider.seen) for provider in gate.providers) == 4


def test_the_quick_retry_is_what_these_tests_rely_on() -> None:
    assert QUICK.attempts == 1


async def test_u10_a_host_that_has_no_address_falls_back(tmp_path: Path) -> None:
    """`.invalid` never resolves (RFC 2606)."""
    timeouts = Timeouts(total=5.0, connect=0.5, first_token=2.0, idle=2.0)
    async with gateway(tmp_path, PAIR, retry=NO_RETRY, timeouts=timeouts) as gate:
        (route,) = gate.world.snapshot.routes
        first = msgspec.structs.replace(route.choices[0].deployment, base_url="http://nowhere.invalid/v1")
        choices = (msgspec.structs.replace(route.choices[0], deployment=first), route.choices[1])
        routes = (msgspec.structs.replace(route, choices=choices),)
        gate.world.adopt(msgspec.structs.replace(gate.world.snapshot, routes=routes))
        answer = await gate.chat()
        assert answer.status == 200
        assert answer.attempts[0] in {"openai-0/model-0:connect", "openai-0/model-0:timeout"}
        assert answer.attempts[1] == "openai-1/model-1:200"


async def test_several_answers_are_asked_only_of_whom_gives_them(tmp_path: Path) -> None:
    async with gateway(tmp_path, ("anthropic", "openai")) as gate:
        assert (await gate.chat(n=2)).attempts == ["openai-1/model-1:200"]
    async with gateway(tmp_path, ("anthropic",)) as gate:
        answer = await gate.chat(n=2)
        assert (answer.status, answer.error["param"]) == (400, "n")


async def test_a_request_keeps_the_secrets_that_it_began_with(tmp_path: Path) -> None:
    """A reload in the middle of a request sends no new secret to an old address, nor any later one there."""
    slow = Retry(attempts=1, backoff=Backoff(base=0.3, cap=0.3, jitter="none"))
    async with gateway(tmp_path, ("openai", "openai"), [Script.of("500", "500")], retry=slow) as gate:
        old, new = gate.providers
        (route,) = gate.world.snapshot.routes
        routes = (msgspec.structs.replace(route, choices=route.choices[:1]),)
        gate.world.adopt(msgspec.structs.replace(gate.world.snapshot, routes=routes))
        under_way = asyncio.create_task(gate.chat())
        await until(lambda: len(old.seen) == 1)
        moved = msgspec.structs.replace(route.choices[0].deployment, base_url=new.base_url)
        choices = (msgspec.structs.replace(route.choices[0], deployment=moved),)
        snapshot = msgspec.structs.replace(
            gate.world.snapshot,
            routes=(msgspec.structs.replace(route, choices=choices),),
            secrets={"key-0": "sk-new-secret"},
        )
        gate.world.adopt(snapshot)
        await under_way
        assert [seen.headers["authorization"] for seen in old.seen] == ["matched", "matched"]
        await gate.chat()
        assert len(old.seen) == 2
        assert new.seen[-1].headers["authorization"] == "wrong"


@pytest.mark.parametrize(("status", "told"), [(None, 400), (200, 400), (422, 422)])
async def test_an_error_of_the_clients_as_a_first_event_is_told_as_an_error(
    tmp_path: Path, status: int | None, told: int
) -> None:
    """Never 200: both official SDKs would take that for an empty answer."""
    failed = Failed(at=0.0, kind="bad_request", status=status, message="no such parameter")
    async with gateway(tmp_path) as gate:
        books = Books(gate.world, cast("Any", SimpleNamespace(headers={})), "openai_chat")
        assert failure_error(failed, books).status == told


@PATHS
async def test_while_it_drains_the_port_says_so(tmp_path: Path, path: str) -> None:
    async with gateway(tmp_path) as gate:
        gate.server.handler = Port(gate.world, lambda: False)
        answer = await gate.chat(path=path)
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert not gate.providers[0].seen


async def test_anthropic_betas_go_with_the_clients_own_bytes_only(tmp_path: Path) -> None:
    headers = {"anthropic-beta": "context-management-2025-06-27"}
    async with gateway(tmp_path, ("anthropic",)) as gate:
        await gate.chat(path="/v1/messages", headers=headers)
        assert gate.providers[0].seen[-1].headers["anthropic-beta"] == headers["anthropic-beta"]
        await gate.chat(headers=headers)
        assert "anthropic-beta" not in gate.providers[0].seen[-1].headers
