"""What a request leaves behind: where its time went, what was not tried and why, what is charged without an answer."""

import asyncio
import json
import math
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from tests.gateway.gateway_harness import KEY, Gateway, gateway, request_bytes, until

from fairlead.canonical.routing import Backoff, Cooldown, Latency, RequestRecord, Retry, Timeouts
from fairlead.canonical.tenants import Tenant
from fairlead.canonical.usage import SELF_HOSTED, Price
from fairlead.fakes import Script

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
PATHS = pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"], ids=["openai", "anthropic"])
NO_RETRY = Retry(attempts=0)
PRICE = Price(input=Decimal(2), output=Decimal(8), version="test")


def total(latency: Latency) -> float:
    parts: tuple[float, ...] = msgspec.structs.astuple(latency)
    return sum(parts)


async def only(gate: Gateway) -> RequestRecord:
    """The record of the one request that there was."""
    await gate.settled()
    (record,) = gate.records()
    return record


@BOTH
@PATHS
async def test_the_parts_of_the_time_sum_to_the_whole_of_it(tmp_path: Path, path: str, stream: bool) -> None:
    pauses = Retry(attempts=1, backoff=Backoff(base=0.02, jitter="none"))
    async with gateway(tmp_path, ("openai", "anthropic"), [Script.of("500", "500")], retry=pauses) as gate:
        await gate.chat(path=path, stream=stream)
        record = await only(gate)
    assert total(record.latency) == pytest.approx(record.duration, rel=0.001)
    assert record.latency.queue > 0.01
    assert record.latency.connect > 0
    assert record.latency.first_token > 0
    assert record.overhead_us == int(record.latency.gateway * 1e6)
    assert (record.latency.answer > 0) is stream


async def test_a_slow_body_is_the_clients_time_and_a_slow_provider_the_providers(tmp_path: Path) -> None:
    async with gateway(tmp_path, scripts=[Script.of("slow:0.15")]) as gate:
        reader, writer = await gate.open()
        body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "hello"}]}).encode()
        whole = request_bytes(body)
        writer.write(whole[:-5])
        await until(lambda: gate.server.in_flight)
        await asyncio.sleep(0.1)
        writer.write(whole[-5:])
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        record = await only(gate)
    assert record.latency.body >= 0.09
    assert record.latency.first_token >= 0.14
    assert record.latency.gateway < 0.1
    assert total(record.latency) == pytest.approx(record.duration, rel=0.001)


async def test_a_provider_that_cannot_be_reached_is_time_spent_connecting(tmp_path: Path) -> None:
    async with gateway(tmp_path, ("openai", "anthropic"), retry=NO_RETRY) as gate:
        await gate.chat()
        assert gate.records()[-1].attempts[0].connect > 0
        await gate.chat()
        assert gate.records()[-1].latency.connect == pytest.approx(0, abs=0.001)


@PATHS
@BOTH
async def test_who_answered_under_which_configuration(tmp_path: Path, path: str, stream: bool) -> None:
    async with gateway(tmp_path) as gate:
        await gate.chat(path=path, stream=stream)
        record = await only(gate)
    assert (record.route, record.config, record.served) == ("chat", "test", "openai-0/model-0")
    assert record.response_model == "model-0"
    assert (record.chunks > 0) is stream


async def test_deployments_that_were_not_tried_and_why(tmp_path: Path) -> None:
    kinds = ("openai", "anthropic", "openai")
    async with gateway(
        tmp_path, kinds, [Script.of("500")], retry=NO_RETRY, cooldown=Cooldown(after=1, duration=60.0)
    ) as gate:
        await gate.chat()
        await gate.chat()
        first, second = gate.records()
    assert [(one.deployment, one.reason) for one in first.skipped] == [
        ("openai-2/model-2", "the request did not come to it")
    ]
    assert [one.deployment for one in second.skipped] == ["openai-0/model-0", "openai-2/model-2"]
    assert second.skipped[0].reason.startswith("cooling down for ")


async def test_a_deployment_that_cannot_serve_the_request_is_told_so(tmp_path: Path) -> None:
    async with gateway(tmp_path, ("openai",), facts={"tools": False}) as gate:
        tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
        answer = await gate.chat(tools=[tool])
        assert answer.status == 503
        (skipped,) = gate.records()[0].skipped
    assert skipped.reason == "the request has tools and the model takes none"


async def test_an_attempt_that_timed_out_may_be_charged_and_says_so(tmp_path: Path) -> None:
    quick = Timeouts(total=5.0, connect=1.0, first_token=0.2, idle=0.2)
    async with gateway(
        tmp_path, ("openai", "anthropic"), [Script.of("stall")], timeouts=quick, retry=NO_RETRY, facts={"price": PRICE}
    ) as gate:
        body = {"model": "chat", "messages": [{"role": "user", "content": "x" * 4000}]}
        answer = await gate.send(json.dumps(body).encode())
        assert answer.status == 200
        failed, answered = (await only(gate)).attempts
    assert failed.outcome == "timeout"
    assert failed.usage is not None
    assert 1000 <= failed.usage.input <= 1100
    assert failed.usage.output == 0
    assert failed.cost == f"{Decimal(failed.usage.input) * 2 / 1_000_000:f}"
    assert (answered.usage, answered.cost) == (None, None)


async def test_a_refused_attempt_costs_nothing(tmp_path: Path) -> None:
    async with gateway(
        tmp_path, ("openai", "anthropic"), [Script.of("500")], retry=NO_RETRY, facts={"price": PRICE}
    ) as gate:
        await gate.chat()
        assert gate.records()[0].attempts[0].usage is None


async def test_a_stream_that_is_left_is_charged_as_far_as_it_came(tmp_path: Path) -> None:
    async with gateway(tmp_path, scripts=[Script.of("stall_stream")], facts={"price": PRICE}) as gate:
        reader, writer = await gate.open()
        body = {"model": "chat", "stream": True, "messages": [{"role": "user", "content": "x" * 400}]}
        writer.write(request_bytes(json.dumps(body).encode()))
        await reader.readuntil(b"data: ")
        writer.transport.abort()
        record = await only(gate)
    assert (record.ended, record.estimated) == ("client_gone", True)
    assert record.usage is not None
    assert record.usage.input >= 100
    assert record.usage.output > 0
    assert record.cost is not None


async def test_whoever_leaves_before_an_attempt_has_answered_is_booked_to_it(tmp_path: Path) -> None:
    """The input was read by the deployment that was being asked, not by the one that had refused before."""
    scripts = [Script.of("500"), Script.of("stall")]
    async with gateway(tmp_path, ("openai", "anthropic"), scripts, retry=NO_RETRY, facts={"price": PRICE}) as gate:
        _, writer = await gate.open()
        body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
        writer.write(request_bytes(json.dumps(body).encode()))
        await until(lambda: bool(gate.providers[1].seen))
        writer.transport.abort()
        record = await only(gate)
    refused, left = record.attempts
    assert (refused.outcome, refused.usage) == ("server_error", None)
    assert (left.outcome, left.status, left.usage) == ("client_gone", None, None)
    assert (record.ended, record.estimated) == ("client_gone", True)
    assert record.served == left.deployment != refused.deployment
    assert record.usage is not None
    assert (record.usage.input > 0, record.usage.output) == (True, 0)
    assert record.cost == f"{Decimal(record.usage.input) * 2 / 1_000_000:f}"
    assert record.charged == math.ceil(Decimal(record.cost) * 1_000_000)


@pytest.mark.parametrize("script", [Script.of(), Script.of("stall")], ids=["answered", "timeout"])
async def test_what_nobody_charges_for_has_no_cost_and_none_is_missing(tmp_path: Path, script: Script) -> None:
    async with gateway(
        tmp_path,
        ("self_hosted",),
        [script],
        retry=NO_RETRY,
        timeouts=Timeouts(connect=1.0, first_token=0.2, idle=1.0, total=1.0),
        facts={"self_hosted": True},
    ) as gate:
        await gate.chat()
        record = await only(gate)
    assert record.cost is None
    assert not record.unpriced
    assert [attempt.usage for attempt in record.attempts] == [None]
    assert record.price == (SELF_HOSTED if record.served else "")


async def test_metadata_is_kept_as_it_came(tmp_path: Path) -> None:
    async with gateway(tmp_path) as gate:
        await gate.chat(headers={"x-fairlead-metadata": '{"job": "42"}'})
        assert (await only(gate)).metadata == '{"job": "42"}'


@pytest.mark.parametrize("said", ["[1]", "{", "null", '{"a": "' + "x" * 2048 + '"}', '{"a": "\\ud8"}', "[" * 3000])
async def test_metadata_that_is_no_small_object_is_refused(tmp_path: Path, said: str) -> None:
    async with gateway(tmp_path) as gate:
        answer = await gate.chat(headers={"x-fairlead-metadata": said})
        assert (answer.status, answer.error["param"]) == (400, "x-fairlead-metadata")
        assert gate.records()[0].metadata == ""


@BOTH
@PATHS
async def test_texts_are_kept_where_the_tenant_wants_that(tmp_path: Path, path: str, stream: bool) -> None:
    wants = {"tenants": {"acme": Tenant(name="acme", content=True)}}
    async with gateway(tmp_path, ("anthropic",), snapshot=wants) as gate:
        answer = await gate.chat("what is a fairlead?", path=path, stream=stream)
        content = (await only(gate)).content
    assert answer.status == 200
    assert content is not None
    assert "what is a fairlead?" in content.prompt
    (part,) = json.loads(content.answer)
    assert part["text"]


@pytest.mark.parametrize(
    ("everybody", "tenant", "kept"),
    [(False, None, False), (True, None, True), (True, False, False), (False, True, True)],
)
async def test_a_tenants_word_on_texts_goes_before_everybodys(
    tmp_path: Path, everybody: bool, tenant: bool | None, kept: bool
) -> None:
    tenants = {"acme": Tenant(name="acme", content=tenant)}
    async with gateway(tmp_path, snapshot={"content": everybody, "tenants": tenants}) as gate:
        await gate.chat()
        assert ((await only(gate)).content is not None) is kept


async def test_long_texts_are_cut_and_a_broken_stream_is_kept_as_far_as_it_came(tmp_path: Path) -> None:
    wants = {"content": True}
    async with gateway(tmp_path, scripts=[Script.of("cut")], snapshot=wants) as gate:
        await gate.chat("é" * 100_000, stream=True)
        content = (await only(gate)).content
    assert content is not None
    assert 32_000 < len(content.prompt.encode()) <= 32 * 1024
    assert json.loads(content.answer)


async def test_a_request_that_is_refused_at_the_door_leaves_no_texts(tmp_path: Path) -> None:
    async with gateway(tmp_path, snapshot={"content": True, "keys": {}}) as gate:
        assert (await gate.chat()).status == 401
        record = gate.records()[0]
    assert record.content is None
    assert KEY not in repr(record)


TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


async def test_a_callers_trace_goes_on_through_every_attempt(tmp_path: Path) -> None:
    async with gateway(tmp_path, ("openai", "anthropic"), [Script.of("500")], retry=NO_RETRY) as gate:
        await gate.chat(headers={"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"})
        record = await only(gate)
        told = [provider.seen[-1].headers for provider in gate.providers]
    assert record.trace is not None
    assert (record.trace.trace_id, record.trace.parent_id, record.trace.sampled) == (TRACE, SPAN, True)
    spans = [attempt.span_id for attempt in record.attempts]
    assert len({record.trace.span_id, SPAN, *spans}) == 4
    assert [one["traceparent"] for one in told] == [f"00-{TRACE}-{span}-01" for span in spans]
    assert {one["tracestate"] for one in told} == {"vendor=1"}


async def test_a_trace_begins_here_only_where_somebody_takes_it(tmp_path: Path) -> None:
    async with gateway(tmp_path) as gate:
        await gate.chat(headers={"traceparent": "00-nonsense"})
        assert "traceparent" not in gate.providers[0].seen[-1].headers
        assert (await only(gate)).trace is None
    (tmp_path / "on").mkdir()
    async with gateway(tmp_path / "on", snapshot={"tracing": True}) as gate:
        await gate.chat()
        trace = (await only(gate)).trace
    assert trace is not None
    assert (trace.parent_id, trace.sampled) == ("", True)
    assert trace.trace_id in str(gate.providers[0].seen[-1].headers["traceparent"])
