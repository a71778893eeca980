"""The official OpenAI SDK in front of the gateway, our fakes behind it, in every dialect."""

import asyncio
import base64
import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel
from tests.real.processes import Gateway
from tests.real.setting import BEHIND, KEY, Fakes

pytestmark = pytest.mark.real

PREFIXES = ["openai", "claude", "old-claude", "self"]
HELLO: Any = [{"role": "system", "content": "You are terse"}, {"role": "user", "content": "hello there world"}]
WEATHER: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "description": "d", "parameters": WEATHER}}
    for name in ("weather", "tides")
]


class City(BaseModel):
    name: str
    people: int
    twins: list[str]


@pytest.fixture(params=PREFIXES)
def model(request: pytest.FixtureRequest) -> str:
    return f"{request.param}-x"


def said(answer: ChatCompletion) -> str | None:
    return answer.choices[0].message.content


def test_an_answer_is_strictly_valid_and_carries_the_usage(chat: openai.OpenAI, fake: Fakes, model: str) -> None:
    raw = chat.chat.completions.with_raw_response.create(model=model, messages=HELLO)
    answer = ChatCompletion.model_validate_json(raw.content, strict=True)
    assert said(answer) == "You said: hello there world"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    counts = (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens)
    assert counts == (6, 5, 11)


def test_the_answer_says_who_served_it(chat: openai.OpenAI, fake: Fakes, model: str) -> None:
    raw = chat.chat.completions.with_raw_response.create(model=model, messages=HELLO)
    served = raw.headers["x-fairlead-deployment"]
    assert served.partition("/")[0] in {"openai", "anthropic", "anthropic-old", "self-hosted"}
    assert raw.headers["x-fairlead-attempts"] == f"{served}:200"
    assert raw.headers["x-request-id"]


def test_a_stream_tells_the_same_as_the_whole_answer(chat: openai.OpenAI, fake: Fakes, model: str) -> None:
    whole = chat.chat.completions.create(model=model, messages=HELLO)
    stream = chat.chat.completions.create(
        model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.model_dump(), strict=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == said(whole)
    finishes = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert finishes[-1] == "stop"
    assert set(finishes[:-1]) <= {None}
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert len(usages) == 1
    assert chunks[-1].choices == []
    assert whole.usage is not None
    assert (usages[0].prompt_tokens, usages[0].completion_tokens) == (
        whole.usage.prompt_tokens,
        whole.usage.completion_tokens,
    )


def test_usage_comes_only_when_asked_for(chat: openai.OpenAI, fake: Fakes, model: str) -> None:
    chunks = list(chat.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert [chunk.usage for chunk in chunks if chunk.usage] == []
    assert all(chunk.choices for chunk in chunks)


def test_the_async_client_works_too(gate: Gateway, fake: Fakes, model: str) -> None:
    async def go() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(base_url=gate.base_url, api_key=KEY, max_retries=0) as client:
            whole = await client.chat.completions.create(model=model, messages=HELLO)
            stream = await client.chat.completions.create(model=model, messages=HELLO, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return said(whole), "".join(pieces)

    assert asyncio.run(go()) == ("You said: hello there world",) * 2


def test_many_clients_at_once_get_their_own_answers(gate: Gateway, fake: Fakes, model: str) -> None:
    async def one(client: openai.AsyncOpenAI, number: int) -> str | None:
        asked: Any = [{"role": "user", "content": f"number {number}"}]
        if number % 2:
            return said(await client.chat.completions.create(model=model, messages=asked))
        stream = await client.chat.completions.create(model=model, messages=asked, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def go() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=gate.base_url, api_key=KEY, max_retries=0) as client:
            return await asyncio.gather(*(one(client, number) for number in range(40)))

    assert asyncio.run(go()) == [f"You said: number {number}" for number in range(40)]


@pytest.mark.parametrize("stream", [False, True])
def test_tools_go_round(chat: openai.OpenAI, fake: Fakes, model: str, stream: bool) -> None:
    first: Any = [{"role": "user", "content": "call weather and call tides"}]
    if stream:
        with chat.chat.completions.stream(model=model, messages=first, tools=TOOLS) as events:
            answer: Any = events.get_final_completion()
    else:
        answer = chat.chat.completions.create(model=model, messages=first, tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    calls = answer.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["weather", "tides"]
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "fake", "days": 2}] * 2
    assert len({call.id for call in calls}) == 2
    asked: Any = [
        *first,
        answer.choices[0].message.model_dump(include={"role", "content", "tool_calls"}),
        *({"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name} is fine"} for call in calls),
    ]
    after = chat.chat.completions.create(model=model, messages=asked, tools=TOOLS)
    text = said(after)
    assert text is not None
    assert "tides is fine" in text


def test_a_tool_choice_is_kept(chat: openai.OpenAI, fake: Fakes, model: str) -> None:
    forced: Any = {"type": "function", "function": {"name": "tides"}}
    answer: Any = chat.chat.completions.create(model=model, messages=HELLO, tools=TOOLS, tool_choice=forced)
    assert [call.function.name for call in answer.choices[0].message.tool_calls] == ["tides"]
    none = chat.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "call tides"}], tools=TOOLS, tool_choice="none"
    )
    assert none.choices[0].finish_reason == "stop"


def test_a_structured_answer_is_parsed(chat: openai.OpenAI, fake: Fakes, model: str) -> None:
    parsed = chat.chat.completions.parse(model=model, messages=HELLO, response_format=City)
    assert parsed.choices[0].message.parsed == City(name="fake", people=1, twins=["fake"])


def test_limits_and_stops_arrive(chat: openai.OpenAI, fake: Fakes, model: str) -> None:
    short = chat.chat.completions.create(model=model, messages=HELLO, max_completion_tokens=2)
    assert (said(short), short.choices[0].finish_reason) == ("You said:", "length")
    stopped = chat.chat.completions.create(model=model, messages=HELLO, stop=["there"])
    assert (said(stopped), stopped.choices[0].finish_reason) == ("You said: hello ", "stop")


def test_a_temperature_does_not_break_a_provider_that_takes_none(chat: openai.OpenAI, fake: Fakes, model: str) -> None:
    answer = chat.chat.completions.create(model=model, messages=HELLO, temperature=0.7, top_p=0.9)
    assert said(answer) == "You said: hello there world"


def test_reasoning_is_counted(chat: openai.OpenAI, fake: Fakes) -> None:
    for prefix in ("openai", "claude"):
        answer = chat.chat.completions.create(model=f"{prefix}-x", messages=HELLO, reasoning_effort="high")
        assert answer.usage is not None
        assert answer.usage.completion_tokens_details is not None
        assert (answer.usage.completion_tokens_details.reasoning_tokens or 0) > 0
        assert said(answer) == "You said: hello there world"


def test_images_reach_the_provider_in_its_own_shape(chat: openai.OpenAI, fake: Fakes) -> None:
    data = base64.b64encode(b"not really a png").decode()
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    asked: Any = [{"role": "user", "content": [{"type": "text", "text": "what is it"}, part]}]
    chat.chat.completions.create(model="claude-x", messages=asked)
    (seen,) = fake["anthropic"].log()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    images = [block for block in seen["body"]["messages"][0]["content"] if block["type"] == "image"]
    assert [block["source"] for block in images] == [source]


def test_unknown_fields_and_the_bytes_of_text_pass_through(chat: openai.OpenAI, fake: Fakes) -> None:
    text = "snow ☃ \u2028 \u0085 \\ud83d 😀 \x7f"
    model = "openai-x"
    answer = chat.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], seed=7, extra_body={"x_future": {"deep": [1]}}
    )
    stream = chat.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], stream=True)
    (seen, _) = fake["openai"].log()
    assert seen["body"]["x_future"] == {"deep": [1]}
    assert seen["body"]["messages"][0]["content"] == text
    assert said(answer) == f"You said: {text}"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == f"You said: {text}"


def test_the_clients_key_never_reaches_a_provider(chat: openai.OpenAI, fake: Fakes) -> None:
    for prefix in PREFIXES:
        chat.chat.completions.create(model=f"{prefix}-x", messages=HELLO)
    seen = [entry for one in fake.values() for entry in one.log()]
    assert len(seen) == len(PREFIXES)
    assert KEY not in json.dumps(seen)
    credentials = {"authorization", "x-api-key", "api-key"}
    given = [{k: v for k, v in entry["headers"].items() if k in credentials} for entry in seen]
    assert {value for headers in given for value in headers.values()} == {"matched"}
    (own,) = fake["self_hosted"].log()
    assert not credentials & set(own["headers"])


def test_models_are_listed_for_the_sdk(chat: openai.OpenAI) -> None:
    assert all(model.object == "model" for model in chat.models.list())


UNTOLD = {("claude", "context_length_exceeded"), ("claude", "content_policy_violation")}
"""Anthropic says these in prose only, and prose is nothing to decide by."""


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ("400", openai.BadRequestError, "invalid_request_error"),
        ("404", openai.NotFoundError, None),
        ("422", openai.UnprocessableEntityError, None),
        ("400_context", openai.BadRequestError, "context_length_exceeded"),
        ("400_policy", openai.BadRequestError, "content_policy_violation"),
        ("429:0.01", openai.RateLimitError, "upstream_rate_limited"),
        ("500", openai.InternalServerError, "upstream_error"),
        ("bad_json", openai.InternalServerError, "upstream_protocol"),
        ("html", openai.InternalServerError, "upstream_protocol"),
        ("redirect", openai.InternalServerError, "upstream_protocol"),
        ("reset", openai.InternalServerError, None),
        ("stall", openai.InternalServerError, "upstream_timeout"),
    ],
)
@pytest.mark.parametrize("prefix", ["openai", "claude"])
def test_a_providers_failure_becomes_the_sdks_exception(
    chat: openai.OpenAI, fake: Fakes, lone: str, prefix: str, fault: str, error: type[Exception], code: str | None
) -> None:
    fake[BEHIND[prefix]].script(fault, fault)
    with pytest.raises(error) as caught:
        chat.chat.completions.create(model=f"once-{prefix}-{lone}", messages=HELLO)
    failure: Any = caught.value
    if code is not None and (prefix, code) not in UNTOLD:
        assert failure.code == code
    assert failure.request_id
    assert set(failure.body) >= {"message", "type", "param", "code", "source", "request_id"}


def test_an_account_without_credit_is_not_asked_twice(chat: openai.OpenAI, fake: Fakes) -> None:
    fake["openai"].script("429_quota", "429_quota")
    with pytest.raises(openai.RateLimitError):
        chat.chat.completions.create(model="poor-openai-x", messages=HELLO)
    assert [entry["status"] for entry in fake["openai"].log()] == [429]


@pytest.mark.parametrize("provider", ["openai", "claude"])
def test_a_wrong_provider_key_is_no_fault_of_the_client(chat: openai.OpenAI, fake: Fakes, provider: str) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        chat.chat.completions.create(model=f"wrong-key-{provider}-x", messages=HELLO)
    assert caught.value.code == "upstream_auth"
    assert "sk-wrong" not in str(caught.value.body)
    assert [entry["status"] for entry in fake[BEHIND[provider]].log()] == [401]


@pytest.mark.parametrize(
    ("model", "key", "error", "code"),
    [
        ("no-such-route", KEY, openai.NotFoundError, "model_not_found"),
        ("openai-x", "fl-wrong-key-of-some-length", openai.AuthenticationError, "invalid_api_key"),
    ],
)
def test_our_own_refusals_are_the_sdks_exceptions_too(
    gate: Gateway, model: str, key: str, error: type[Exception], code: str
) -> None:
    with openai.OpenAI(base_url=gate.base_url, api_key=key, max_retries=0) as client, pytest.raises(error) as caught:
        client.chat.completions.create(model=model, messages=HELLO)
    failure: Any = caught.value
    assert failure.code == code
    assert failure.body["source"] == "client"
    assert key not in str(failure.body)


def test_a_wrong_shape_is_refused_by_its_parameter(chat: openai.OpenAI, fake: Fakes, model: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat.chat.completions.create(model=model, messages="hello")  # type: ignore[arg-type]
    assert caught.value.param == "messages"


@pytest.mark.parametrize("fault", ["cut:5", "cut_reset:5", "ended_early:5", "error_event:5", "stall_stream:5"])
@pytest.mark.parametrize("prefix", ["openai", "claude", "self"])
def test_a_stream_that_breaks_raises_after_what_arrived(
    chat: openai.OpenAI, fake: Fakes, lone: str, prefix: str, fault: str
) -> None:
    fake[BEHIND[prefix]].script(fault)
    stream = chat.chat.completions.create(model=f"{prefix}-{lone}", messages=HELLO, stream=True)
    got = []
    with pytest.raises(openai.APIError, match="broke off"):
        got += [chunk.choices[0].delta.content or "" for chunk in stream]
    assert "hello there world" not in "".join(got)


@pytest.mark.parametrize("stream", [False, True])
def test_the_sdk_does_not_multiply_our_retries(gate: Gateway, fake: Fakes, lone: str, stream: bool) -> None:
    """`attempts: 1` is one further attempt; the SDK would make two more of each if it were not told better."""
    fake["openai"].script(*["500"] * 10)
    with (
        openai.OpenAI(base_url=gate.base_url, api_key=KEY, max_retries=2) as client,
        pytest.raises(openai.InternalServerError),
    ):
        client.chat.completions.create(model=f"openai-{lone}", messages=HELLO, stream=stream)
    assert len(fake["openai"].log()) == 2


def test_a_retry_is_invisible_but_told(chat: openai.OpenAI, fake: Fakes, lone: str) -> None:
    fake["openai"].script("500")
    raw = chat.chat.completions.with_raw_response.create(model=f"openai-{lone}", messages=HELLO)
    deployment = f"openai/openai-{lone}"
    assert raw.headers["x-fairlead-attempts"] == f"{deployment}:500,{deployment}:200"
    assert said(raw.parse()) == "You said: hello there world"


@pytest.mark.parametrize("stream", [False, True])
def test_a_chain_falls_back_across_dialects(chat: openai.OpenAI, fake: Fakes, lone: str, stream: bool) -> None:
    fake["openai"].script("503")
    fake["anthropic"].script("529")
    answer: Any = chat.chat.completions.with_raw_response.create(
        model=f"once-chain-{lone}", messages=HELLO, stream=stream
    )
    tried = answer.headers["x-fairlead-attempts"].split(",")
    assert [entry.rpartition(":")[2] for entry in tried] == ["503", "529", "200"]
    assert answer.headers["x-fairlead-deployment"].startswith("self-hosted/")
    parsed = answer.parse()
    text = "".join(c.choices[0].delta.content or "" for c in parsed) if stream else said(parsed)
    assert text == "You said: hello there world"


@pytest.mark.parametrize("fault", ["cut:0", "error_event:0", "html", "ended_early:0", "reset", "stall"])
def test_a_stream_that_fails_before_its_first_event_falls_back(
    chat: openai.OpenAI, fake: Fakes, lone: str, fault: str
) -> None:
    fake["openai"].script(fault, fault)
    stream = chat.chat.completions.create(model=f"once-chain-{lone}", messages=HELLO, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in stream) == "You said: hello there world"
    assert len(fake["anthropic"].log()) == 1
