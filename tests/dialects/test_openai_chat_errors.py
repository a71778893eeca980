"""Error answers of OpenAI-like servers, and the errors and lists that their clients read from us."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Model

from fairlead.canonical.errors import CODES, KINDS, Refused
from fairlead.canonical.events import Broken
from fairlead.canonical.routing import Failed
from fairlead.dialects import openai_chat
from fairlead.dialects.openai_chat.errors import BY_CODE, BY_HUNDRED, BY_STATUS, decode_stream_error, encode_broken
from fairlead.dialects.sse import Frames


def failed(status: int, error: Any = None, *, headers: dict[bytes, bytes] | None = None) -> Failed:
    body = error if isinstance(error, bytes) else json.dumps({"error": error}).encode()
    return openai_chat.decode_error(status, headers or {}, body, at=5.0, wall=1_800_000_000.0)


CODE = {"message": "said", "type": "invalid_request_error", "param": "messages"}


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, "quota"),
        (429, {"type": "insufficient_quota", "code": None}, "quota"),
        (429, {"code": "billing_hard_limit_reached"}, "quota"),
        (429, {"code": "rate_limit_exceeded", "type": "tokens"}, "rate_limited"),
        (429, {"message": "insufficient_quota"}, "rate_limited"),
        (429, {"code": "context_length_exceeded"}, "rate_limited"),
        (400, {**CODE, "code": "context_length_exceeded"}, "context_window"),
        (400, {"type": "exceed_context_size_error", "code": 400}, "context_window"),
        (400, {**CODE, "code": "content_policy_violation"}, "content_policy"),
        (400, {**CODE, "code": "content_filter"}, "content_policy"),
        (400, {**CODE, "code": "bad", "innererror": {"code": "ResponsibleAIPolicyViolation"}}, "content_policy"),
        (400, {**CODE, "code": "insufficient_quota"}, "bad_request"),
        (400, {"message": "context_length_exceeded"}, "bad_request"),
        (400, CODE, "bad_request"),
        (401, {**CODE, "code": "invalid_api_key"}, "auth"),
        (402, {"code": "insufficient_quota"}, "auth"),
        (403, None, "auth"),
        (404, {**CODE, "code": "model_not_found"}, "bad_request"),
        (405, None, "bad_request"),
        (408, None, "timeout"),
        (409, None, "bad_request"),
        (413, {**CODE, "code": "context_length_exceeded"}, "context_window"),
        (415, None, "bad_request"),
        (422, {"code": "x"}, "bad_request"),
        (301, None, "redirect"),
        (307, None, "redirect"),
        (500, {"code": "context_length_exceeded"}, "server_error"),
        (502, b"<html>", "server_error"),
        (503, None, "overloaded"),
        (504, b"", "server_error"),
        (529, None, "overloaded"),
        (599, None, "server_error"),
        (103, None, "protocol"),
        (600, None, "protocol"),
    ],
)
def test_kinds(status: int, error: Any, kind: str) -> None:
    result = failed(status, error)
    assert (result.kind, result.status, result.at) == (kind, status, 5.0)


def test_every_kind_that_can_come_is_a_row() -> None:
    assert {*BY_CODE.values(), *BY_STATUS.values(), *BY_HUNDRED.values()} <= KINDS.keys()


def test_what_the_client_did_wrong_is_told_in_the_providers_words() -> None:
    result = failed(400, {**CODE, "message": "x" * 2000, "code": "context_length_exceeded"})
    assert (result.message, result.code, result.param) == ("x" * 1000, "context_length_exceeded", "messages")


@pytest.mark.parametrize("status", [401, 402, 403, 408, 429, 500, 503, 302])
def test_nothing_else_that_a_provider_says_gets_through(status: int) -> None:
    """Such messages name keys, organisations and hosts that are not the client's to see."""
    result = failed(status, {**CODE, "message": "Incorrect API key provided: sk-abc", "code": "whatever"})
    assert (result.message, result.code, result.param) == ("", None, None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":"model not found"}', "model not found"),
        (b'{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}', "too long"),
        (b'[{"error":{"code":400,"message":"in a list","status":"INVALID_ARGUMENT"}}]', "in a list"),
        (b'{"error":{"message":"half \\ud83d"}}', "half \ufffd"),
        (b'{"error":{"message":["a list"],"code":["x"],"param":7}}', ""),
        (b'{"error":null,"message":"beside it"}', "beside it"),
        (b'{"detail":"x"}', ""),
        (b"[]", ""),
        (b"[[]]", ""),
        (b"null", ""),
        (b"<html><h1>400</h1></html>", ""),
        (b"", ""),
        (b"\xff\xfe", ""),
        (b'{"error":{"message":"\xff"}}', ""),
        (b"[" * 100_000, ""),
    ],
)
def test_bodies_of_every_shape(body: bytes, message: str) -> None:
    result = failed(400, body)
    assert (result.kind, result.message, result.param) == ("bad_request", message, None)


@given(st.integers(300, 599), st.binary(max_size=80))
def test_no_body_makes_it_fail(status: int, body: bytes) -> None:
    assert failed(status, body).kind in KINDS


def test_the_wait_that_the_provider_asks_for() -> None:
    assert failed(429, {}, headers={b"retry-after": b"7"}).retry_after == 7.0
    assert failed(503, {}, headers={b"retry-after-ms": b"20"}).retry_after == 0.02
    assert failed(429, {}).retry_after is None


@pytest.mark.parametrize(
    ("error", "kind", "status", "message"),
    [
        ({"code": "rate_limit_exceeded", "message": "org-1"}, "rate_limited", None, None),
        ({"code": 429, "message": "x"}, "rate_limited", 429, None),
        ({"code": 502, "message": "x"}, "server_error", 502, None),
        ({"code": 400, "message": "tell me"}, "bad_request", 400, "tell me"),
        ({"code": 400, "message": ""}, "bad_request", 400, None),
        ({"code": "content_filter", "message": "tell me"}, "content_policy", None, "tell me"),
        (
            {"type": "invalid_request_error", "code": "context_length_exceeded", "message": "long"},
            "context_window",
            None,
            "long",
        ),
        ({"type": "invalid_request_error", "message": "odd"}, "bad_request", None, "odd"),
        ({"type": "server_error", "code": None, "message": "x"}, "server_error", None, None),
        ({"code": 7, "message": "x"}, "server_error", None, None),
        ({"code": True}, "server_error", None, None),
        ("overloaded", "server_error", None, None),
        (["x"], "server_error", None, None),
    ],
)
def test_errors_inside_a_stream(error: Any, kind: str, status: int | None, message: str | None) -> None:
    broken = decode_stream_error(error)
    assert (broken.kind, broken.status) == (kind, status)
    assert broken.message == (message or "the provider ended the stream with an error")


@pytest.mark.parametrize("code", CODES)
def test_an_error_body_has_all_that_clients_and_people_look_for(code: str) -> None:
    refused = Refused(
        code=code, message="words", status=418, param="n", request_id="req_1", attempts=("a/b:429", "c/d:timeout")
    )
    assert json.loads(openai_chat.encode_error(refused)) == {
        "error": {
            "message": "words",
            "type": CODES[code].type,
            "param": "n",
            "code": code,
            "source": CODES[code].source,
            "request_id": "req_1",
            "attempts": ["a/b:429", "c/d:timeout"],
        }
    }
    frames = Frames().feed(openai_chat.encode_stream_error(refused))
    assert [frame.data for frame in frames] == [openai_chat.encode_error(refused)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_break_has_its_words(kind: str) -> None:
    (frame,) = Frames().feed(encode_broken(Broken(kind=kind, message="gone")))
    error = json.loads(frame.data)["error"]
    assert (error["code"], error["message"]) == (KINDS[kind].code, "gone")


def test_the_list_of_models() -> None:
    listed = json.loads(openai_chat.encode_models(["chat", "gpt-*"]))
    assert listed["object"] == "list"
    assert [Model.model_validate(row, strict=True).id for row in listed["data"]] == ["chat", "gpt-*"]


def test_the_dialects_names() -> None:
    assert (openai_chat.NAME, openai_chat.TARGET) == ("openai_chat", "/chat/completions")
    assert openai_chat.fields("2024-10-21") == openai_chat.fields(None) == ()
