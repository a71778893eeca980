"""The chat completions wire format, as OpenAI and as an OpenAI-compatible self-hosted server (vLLM's way) speak it.

It knows their JSON. It must not know sockets or faults.
"""

from collections.abc import Mapping
from typing import Any, Literal

from fairlead.fakes import model
from fairlead.fakes.formats import CREATED, ERRORS, JsonObject, RefusedError, json, read_json, require, text_of
from fairlead.fakes.model import OfferedTool, Question, Reply

DONE = b"data: [DONE]\n\n"
FINISH = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool": "tool_calls",
    "refusal": "stop",
}
TARGETS = ("/chat/completions",)


def key_of(headers: Mapping[str, str]) -> str | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key if scheme.lower() == "bearer" else None


def read(raw: bytes, _headers: Mapping[str, str]) -> Question:
    """What the request asks. Raises RefusedError as the provider would refuse."""
    body = read_json(raw)
    messages = require(body, "messages", list)
    _check_messages(messages)
    result = text_of(messages[-1].get("content")) if messages[-1]["role"] == "tool" else None
    tools = tuple(_tool(entry) for entry in body.get("tools") or ())
    choice, choice_name = _choice(body.get("tool_choice"), tools)
    said = [text_of(message.get("content")) for message in messages]
    systems = [text for text, message in zip(said, messages, strict=True) if _is_system(message)]
    stop = body.get("stop") or ()
    limit = body.get("max_completion_tokens")
    return Question(
        model=require(body, "model", str),
        last_text=next((t for t, m in zip(said[::-1], messages[::-1], strict=True) if m["role"] == "user"), ""),
        tool_result=result,
        tools=tools,
        choice=choice,
        choice_name=choice_name,
        parallel=body.get("parallel_tool_calls") is not False,
        schema=_schema(body.get("response_format")),
        reasons=body.get("reasoning_effort") not in (None, "none"),
        max_tokens=body.get("max_tokens") if limit is None else limit,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        stream=body.get("stream") is True,
        include_usage=(body.get("stream_options") or {}).get("include_usage") is True,
        n=body.get("n") or 1,
        input_tokens=sum(map(model.count_tokens, said)) + model.count_tokens(str(body.get("tools") or "")),
        cache_read=sum(map(model.count_tokens, systems)),
    )


def _is_system(message: JsonObject) -> bool:
    return message["role"] in ("system", "developer")


def _check_messages(messages: list[Any]) -> None:
    if not messages:
        raise RefusedError("invalid", "[] is too short - 'messages'", "messages")
    calls: set[str] = set()
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("system", "developer", "user", "assistant", "tool", "function"):
            raise RefusedError("invalid", f"Invalid value: {role!r} in '{where}.role'.", f"{where}.role")
        if role == "tool" and message.get("tool_call_id") not in calls:
            text = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
            raise RefusedError("invalid", f"Invalid parameter: {text}", f"{where}.role")
        calls |= {call["id"] for call in message.get("tool_calls") or ()}


def _tool(entry: JsonObject) -> OfferedTool:
    function = require(entry, "function", dict)
    return OfferedTool(name=require(function, "name", str), schema=function.get("parameters") or {})


def _choice(value: Any, tools: tuple[OfferedTool, ...]) -> tuple[Literal["auto", "none", "required"], str | None]:
    if value is None:
        return "auto", None
    if not tools:
        raise RefusedError("invalid", "'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    if value in ("auto", "none", "required"):
        return value, None
    name = (value.get("function") or {}).get("name") if isinstance(value, dict) else None
    if name not in {tool.name for tool in tools}:
        raise RefusedError("invalid", f"Invalid value for 'tool_choice': no function named {name!r}.", "tool_choice")
    return "required", name


def _schema(response_format: Any) -> model.Schema | None:
    match response_format:
        case {"type": "json_object"}:
            return {}
        case {"type": "json_schema", "json_schema": {"name": str(), "schema": dict(schema)}}:
            return schema
        case {"type": "json_schema"}:
            raise RefusedError("invalid", "Missing required parameter: 'response_format.json_schema.name'.")
        case _:
            return None


class OpenAI:
    """OpenAI's own API: full usage details, no reasoning text."""

    name = "openai"
    targets: tuple[str, ...] = TARGETS
    prefix = "chatcmpl-fake"
    models_known: tuple[str, ...] = ("gpt-4o-mini", "gpt-4o")
    key_of = staticmethod(key_of)
    read = staticmethod(read)

    def whole(self, question: Question, reply: Reply, number: int) -> JsonObject:
        choice = {"message": self._message(reply, number), "finish_reason": FINISH[reply.finish], "logprobs": None}
        return {
            **self._common(question, number, "chat.completion"),
            "choices": [{"index": index, **choice} for index in range(question.n)],
            "usage": self._usage(question, reply),
        }

    def events(self, question: Question, reply: Reply, number: int) -> list[bytes]:
        common = self._common(question, number, "chat.completion.chunk")
        if question.include_usage:
            common["usage"] = None
        deltas: list[tuple[JsonObject, str | None]] = [(delta, None) for delta in self._deltas(reply, number)]
        deltas.append(({}, FINISH[reply.finish]))
        chunks = [
            {**common, "choices": [{"index": at, "delta": delta, "logprobs": None, "finish_reason": finish}]}
            for delta, finish in deltas
            for at in range(question.n)
        ]
        if question.include_usage:
            chunks.append({**common, "choices": [], "usage": self._usage(question, reply)})
        return [b"data: %b\n\n" % json(one) for one in chunks] + [DONE]

    def nothing(self, question: Question, number: int) -> JsonObject:
        return {**self._common(question, number, "chat.completion"), "choices": []}

    def error(self, wrong: RefusedError, _number: int) -> JsonObject:
        words = ERRORS[wrong.kind]
        return {
            "error": {
                "message": wrong.message,
                "type": words.openai_type,
                "param": wrong.param,
                "code": words.openai_code,
            }
        }

    def error_event(self, wrong: RefusedError, number: int) -> bytes:
        return b"data: %b\n\n" % json(self.error(wrong, number))

    def fields(self, number: int) -> tuple[tuple[str, str], ...]:
        return (
            ("x-request-id", f"req_fake{number:06d}"),
            ("openai-version", "2020-10-01"),
            ("openai-processing-ms", "1"),
            ("x-ratelimit-limit-requests", "10000"),
            ("x-ratelimit-remaining-requests", "9999"),
            ("x-ratelimit-reset-requests", "6ms"),
        )

    def models(self) -> JsonObject:
        listed = [{"id": name, "object": "model", "created": CREATED, "owned_by": "fake"} for name in self.models_known]
        return {"object": "list", "data": listed}

    def _common(self, question: Question, number: int, kind: str) -> JsonObject:
        return {
            "id": f"{self.prefix}{number:06d}",
            "object": kind,
            "created": CREATED,
            "model": question.model,
            "system_fingerprint": "fp_fake",
        }

    def _message(self, reply: Reply, number: int) -> JsonObject:
        refused = reply.finish == "refusal"
        message: JsonObject = {
            "role": "assistant",
            "content": None if refused or reply.calls else reply.text,
            "refusal": reply.text if refused else None,
        }
        if reply.calls:
            message["tool_calls"] = self._tool_calls(reply, number)
        return message

    def _tool_calls(self, reply: Reply, number: int) -> list[JsonObject]:
        return [
            {
                "id": f"call_fake{number:06d}_{index}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(reply.calls)
        ]

    def _deltas(self, reply: Reply, number: int) -> list[JsonObject]:
        field = "refusal" if reply.finish == "refusal" else "content"
        empty = None if reply.calls else ""
        deltas: list[JsonObject] = [{"role": "assistant", "content": empty, "refusal": None}]
        deltas += [{field: piece} for piece in model.pieces(reply.text)]
        for index, call in enumerate(self._tool_calls(reply, number)):
            function = call["function"]
            begun = {**call, "index": index, "function": {"name": function["name"], "arguments": ""}}
            deltas.append({"tool_calls": [begun]})
            deltas += [
                {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
                for piece in _halves(function["arguments"])
            ]
        return deltas

    def _usage(self, question: Question, reply: Reply) -> JsonObject:
        output = reply.output_tokens * question.n
        return {
            "prompt_tokens": question.input_tokens,
            "completion_tokens": output,
            "total_tokens": question.input_tokens + output,
            "prompt_tokens_details": {"cached_tokens": question.cache_read, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": reply.reasoning_tokens * question.n,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


class SelfHosted(OpenAI):
    """An OpenAI-compatible server of one's own: reasoning text, no usage details, numeric error codes."""

    name = "self_hosted"
    prefix = "chatcmpl-self"
    models_known = ("llama-3.3-70b",)

    def error(self, wrong: RefusedError, _number: int) -> JsonObject:
        kind = "BadRequestError" if wrong.status < 500 else "InternalServerError"
        return {"error": {"message": wrong.message, "type": kind, "param": wrong.param, "code": wrong.status}}

    def fields(self, _number: int) -> tuple[tuple[str, str], ...]:
        return ()

    def _common(self, question: Question, number: int, kind: str) -> JsonObject:
        common = super()._common(question, number, kind)
        del common["system_fingerprint"]
        return common

    def _message(self, reply: Reply, number: int) -> JsonObject:
        message = super()._message(reply, number)
        refused = message.pop("refusal")
        return {
            **message,
            "content": message["content"] if refused is None else refused,
            "reasoning_content": reply.reasoning or None,
            "tool_calls": message.get("tool_calls", []),
        }

    def _deltas(self, reply: Reply, number: int) -> list[JsonObject]:
        _, *rest = super()._deltas(reply, number)
        said = [{"content": delta["refusal"]} if "refusal" in delta else delta for delta in rest]
        thought = [{"reasoning_content": piece} for piece in model.pieces(reply.reasoning)]
        return [{"role": "assistant", "content": ""}, *thought, *said]

    def _usage(self, question: Question, reply: Reply) -> JsonObject:
        usage = super()._usage(question, reply)
        kept = ("prompt_tokens", "completion_tokens", "total_tokens")
        return {name: usage[name] for name in kept} | {"prompt_tokens_details": None}


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [half for half in (text[:middle], text[middle:]) if half]
