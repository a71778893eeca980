"""What comes back when canonical values go out in Anthropic's words and are read again."""

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.dialects import strategies

from fairlead.canonical.chat import Answer, ChatRequest, Image, Refusal, ToolChoice
from fairlead.canonical.errors import GatewayError
from fairlead.canonical.events import collect
from fairlead.canonical.routing import Deployment
from fairlead.canonical.usage import Usage
from fairlead.dialects import anthropic

THERE = Deployment(name="p/there", provider="p", model="there", dialect="anthropic", base_url="http://x")


def as_anthropic_says_it(request: ChatRequest) -> ChatRequest:
    """`request` without what is lost: the names of schemas, and what only spells out a default."""
    form = request.output_format
    top_p = None if request.temperature is not None and request.top_p == 1 else request.top_p
    return replace(
        request,
        model="there",
        include_usage=True,
        output_format=form and replace(form, name=None, strict=None),
        parallel_tool_calls=_parallel(request),
        tool_choice=_choice(request),
        top_p=top_p,
    )


def _choice(request: ChatRequest) -> ToolChoice | None:
    if request.tool_choice is None and request.parallel_tool_calls is False:
        return ToolChoice(mode="auto")
    return request.tool_choice


def _parallel(request: ChatRequest) -> bool | None:
    forbidden = request.tool_choice is not None and request.tool_choice.mode == "none"
    return False if request.parallel_tool_calls is False and not forbidden else None


@given(strategies.requests())
def test_requests(request: ChatRequest) -> None:
    body = anthropic.encode_request(request, THERE)
    assert anthropic.decode_request(body) == as_anthropic_says_it(request)
    asked = anthropic.ask(body)
    assert (asked.model, asked.stream, asked.tools) == ("there", request.stream, bool(request.tools))
    assert (asked.max_tokens, asked.user) == (request.max_tokens, request.user)
    assert asked.images == any(isinstance(part, Image) for m in request.messages for part in m.parts)


@given(strategies.requests())
def test_a_patched_request_means_the_same_as_before(request: ChatRequest) -> None:
    body = anthropic.encode_request(request, THERE)
    patched = anthropic.patch_request(body, anthropic.ask(body), "else/where")
    assert anthropic.decode_request(patched) == replace(anthropic.decode_request(body), model="else/where")


def as_anthropic_answers(answer: Answer) -> Answer:
    """`answer` without what is lost: when it was made, that nobody counted it, whose filter it was."""
    finish = "refusal" if answer.finish == "content_filter" else answer.finish
    return replace(answer, created=0, usage=answer.usage or Usage(), finish=finish, raw_finish=None)


@given(strategies.answers())
def test_answers(answer: Answer) -> None:
    body = anthropic.encode_answer(answer)
    again = anthropic.decode_answer(body)
    assert replace(again, raw_finish=None) == as_anthropic_answers(answer)
    assert anthropic.read_usage(body) == (again.model, again.usage)


@given(strategies.answers(), st.integers(1, 9))
def test_streams(answer: Answer, size: int) -> None:
    encoder, decoder = anthropic.Encoder(include_usage=True), anthropic.Decoder()
    stream = b"".join([encoder.encode(event) for event in strategies.events(answer, size)])
    again = collect([*decoder.feed(stream), *decoder.end()])
    assert replace(again, raw_finish=None) == as_anthropic_answers(answer)
    assert again == anthropic.decode_answer(anthropic.encode_answer(answer))
    relay = anthropic.Relay(hide_usage=True)
    assert relay.feed(stream) == stream
    assert (relay.usage, relay.model, relay.end(), relay.broken) == (again.usage, again.model, b"", None)


@given(strategies.answers(), strategies.WORDS)
def test_refusals_are_told_the_same_whole_and_streamed(answer: Answer, words: str) -> None:
    refused = replace(answer, parts=(*answer.parts, Refusal(text=words)))
    encoder, decoder = anthropic.Encoder(include_usage=True), anthropic.Decoder()
    stream = b"".join([encoder.encode(event) for event in strategies.events(refused)])
    again = collect([*decoder.feed(stream), *decoder.end()])
    assert again == anthropic.decode_answer(anthropic.encode_answer(refused))
    assert (again.parts, again.finish) == (refused.parts, "refusal")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["text", "tool_use", "user"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "messages", "model", "max_tokens", "source", "id", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_json_makes_a_reader_fail_in_another_way_than_it_says(value: object) -> None:
    shaped = [{"model": "m", "max_tokens": 1, "messages": value}, value]
    for body in map(str.encode, map(json.dumps, shaped)):
        for refuse in (anthropic.ask, anthropic.decode_request):
            with suppress(GatewayError):
                refuse(body)
        for read in (anthropic.decode_answer, anthropic.read_usage):
            with suppress(ValueError):
                read(body)
        anthropic.decode_error(400, {}, body, at=0.0, wall=0.0)
        anthropic.Decoder().feed(b"data: " + body + b"\n\n")
        anthropic.Relay(hide_usage=False).feed(b"data: " + body + b"\n\n")
