"""The gate on request bodies: what it refuses, with which words, and edits that keep every other byte."""

import json
import string
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.canonical.errors import GatewayError
from fairlead.dialects import body as gate

FILLER = json.dumps([{"role": "user", "content": [{"type": "text", "text": 'say "[[[{" \\'}]}] * 80)


def refusal(body: bytes) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        gate.check(body)
    return caught.value


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "line 1, column 1 (byte 0): input data was truncated"),
        (b"{", "input data was truncated"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ('{"a":1}'.encode("utf-16"), "UTF-16"),
        ('{"a":1}'.encode("utf-16-le"), "UTF-16"),
        ('{"a":1}'.encode("utf-32-be"), "UTF-16"),
        (b'{"a":\n"\xff"}', "line 2, column 2 (byte 7): it is not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "it is not UTF-8"),
        (b'{"a":"x","b":"\\ud800"}', "(byte 14): half of a surrogate pair"),
        (b'{"a":"\\udc00\\ud800"}', "(byte 6): half of a surrogate pair"),
        (b'{"a":"\\\\\\ud83dx"}', "(byte 8): half of a surrogate pair"),
        (b'{"a":NaN}', "line 1, column 6 (byte 5): invalid character"),
        (b'{"a":Infinity}', "invalid character"),
        (b'{"a":-Infinity}', "invalid"),
        (b'{"a":1e999}', "(byte 5): number out of range"),
        (b'{"a":-1E+400}', "number out of range"),
        (b'{"a":1} {"b":2}', "column 10 (byte 9): trailing characters"),
        (b'{"a":1,}', "trailing comma"),
        (b'{"a":"\\ud83d\\ude00",}', "trailing comma"),
        (b"{'a':1}", "object keys must be strings"),
        (b'{"a":"\x01"}', "invalid character"),
        (b"<html>", "invalid character"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "nesting is deeper than 64"),
        (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "nesting is deeper than 64"),
        (b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", "nesting is deeper than 64"),
        (b'{"a":' + b"[" * 100_000 + b"}", "nesting is deeper than 64"),
        (b'{"m":' + FILLER.encode() + b',"a":' + b"[" * 64 + b"]" * 64 + b"}", "nesting is deeper than 64"),
        (b'{"m":' + FILLER[:-1].encode() + b',{"a":' + b"[" * 62 + b"]" * 62 + b"}]}", "nesting is deeper than 64"),
        (b'{"model":"a","model":"b"}', "'model' twice"),
        (b'{"model":"a","mod\\u0065l":"b"}', "'model' twice"),
        (b'{"stream":true, "x": {"stream": 1}, "stream":false}', "'stream' twice"),
        (b'{"messages":[],"x":1,"y":2,"z":3,"q":4,"messages":[1]}', "'messages' twice"),
    ],
)
def test_refused_as_invalid_json(body: bytes, says: str) -> None:
    error = refusal(body)
    assert (error.code, error.status) == ("invalid_json", 400)
    assert says in error.message


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"1"])
def test_json_that_is_no_object_has_the_wrong_shape(body: bytes) -> None:
    error = refusal(body)
    assert (error.code, error.param) == ("invalid_request_error", None)
    assert "the request body: Expected `object`" in error.message


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b' {"a" : 1 } \n',
        '{"a":"ü\u2028😀"}'.encode(),
        b'{"a":"\\ud83d\\ude00"}',
        b'{"a":"\\\\ud800"}',
        b'{"a":1e300,"b":' + b"9" * 300 + b"}",
        b'{"a":1e-999}',
        b'{"a":' * 64 + b"1" + b"}" * 64,
        b'{"m":' + FILLER.encode() + b',"a":' + b"[" * 63 + b"]" * 63 + b"}",
        b'{"m":' + FILLER[:-1].encode() + b',{"a":' + b"[" * 61 + b"]" * 61 + b"}]}",
        b'{"m":"' + b"[" * 5000 + b'"}',
        b'{"m":["' + b'\\"[{' * 2000 + b'"]}',
        b'{"m":[' + b"[[],{}]," * 2000 + b"1]}",
        b'{"m":{"k":[' + b"[],{}," * 2000 + b"1]}}",
        b'{"m":[' + b",".join([b"[[[[[[[[0],0],0],0],0],0],0],0]"] * 200) + b"]}",
        b'{"model":"a","tools":[{"model":1,"stream":2,"messages":3}],"x":"model"}',
        b'{\n  "model": "a",\n  "b": {"model": 1},\n  "c": 1,\n  "d": 2\n}',
        b'{"mod\\u0065l":"a","messages":[]}',
        b'{"m":[' + b",".join([b"[" * 60 + b"]" * 60] * 100) + b"]}",
        b'{"a":1,"a":2}',
    ],
)
def test_passed(body: bytes) -> None:
    assert {key: json.loads(bytes(raw)) for key, raw in gate.check(body).items()} == json.loads(body)


@given(st.binary(max_size=60))
def test_whatever_passes_is_json_for_everyone(body: bytes) -> None:
    try:
        members = gate.check(body)
    except GatewayError:
        return
    assert members.keys() == json.loads(body).keys()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.text(max_size=6).filter(lambda name: name.casefold() not in {*gate.ROUTING, *gate.STEERING})
KEYS = st.sampled_from(["model", "stream", "messages", "a", "ü", '"', "\\", ""]) | NAMES
OBJECTS = st.dictionaries(KEYS, JSON, max_size=8)
STYLES: list[dict[str, Any]] = [
    {},
    {"separators": (",", ":")},
    {"indent": 2},
    {"ensure_ascii": False},
    {"separators": (" , ", " : ")},
]


@given(OBJECTS, st.sampled_from(STYLES), st.sampled_from(["", " ", "\n"]))
def test_every_object_passes_however_it_is_written(value: dict[str, Any], style: dict[str, Any], around: str) -> None:
    body = (around + json.dumps(value, **style) + around).encode()
    assert {key: json.loads(bytes(raw)) for key, raw in gate.check(body).items()} == value


@given(OBJECTS, st.sampled_from(STYLES), st.sampled_from(gate.STEERING), st.data())
def test_a_doubled_steering_member_never_passes(
    value: dict[str, Any], style: dict[str, Any], name: str, data: st.DataObject
) -> None:
    """However it is spelled and wherever it stands."""
    members = [json.dumps(key, **style) + ":" + json.dumps(v, **style) for key, v in value.items() if key != name]
    for _ in range(2):
        spelled = "".join(data.draw(st.sampled_from([c, f"\\u{ord(c):04x}"])) for c in name)
        members.insert(data.draw(st.integers(0, len(members))), f'"{spelled}":' + json.dumps(data.draw(JSON)))
    body = "{" + data.draw(st.sampled_from([",", ", ", " ,\n"])).join(members) + "}"
    assert refusal(body.encode()).message.startswith(f"the request body gives {name!r} twice")


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(JSON, st.integers(56, 66), st.integers(0, 2**66), st.booleans(), st.booleans())
def test_nesting_is_allowed_as_far_as_the_limit(
    value: Any, wraps: int, kinds: int, as_item: bool, padded: bool
) -> None:
    for at in range(wraps):
        value = [1, value, "]"] if kinds >> at & 1 else {"[": value, "}": 2}
    whole = {"a": [0] * 99 + [value] if as_item else value, "filler": json.loads(FILLER) if padded else []}
    body = json.dumps(whole).encode()
    if depth(whole) <= gate.DEPTH:
        gate.check(body)
    else:
        assert "nesting is deeper than 64" in refusal(body).message


@given(OBJECTS, st.sampled_from(STYLES), st.dictionaries(KEYS | st.just("model"), JSON, max_size=3))
def test_patch_is_an_update(value: dict[str, Any], style: dict[str, Any], edits: dict[str, Any]) -> None:
    body = json.dumps(value, **style).encode()
    patched = gate.patch(body, {key: json.dumps(edit).encode() for key, edit in edits.items()})
    assert json.loads(patched) == {**value, **edits}
    assert list(json.loads(patched)) == list({**value, **edits})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{ "model" : "a" , "x" : 1.0 }', b'{ "model" : "NEW" , "x" : 1.0 }'),
        (
            b'{"messages": [1 ,2], "model": "a", "stream": true}\n',
            b'{"messages": [1 ,2], "model": "NEW", "stream": true}\n',
        ),
        (b'{"messages":[1 ,2],"model":"a"}', b'{"messages":[1 ,2],"model":"NEW"}'),
        (
            b'{"messages":[1 ,2],"model":"a","tools":[{"model":"b"}]}',
            b'{"messages":[1 ,2],"model":"NEW","tools":[{"model":"b"}]}',
        ),
        (b'{"tools":{"model":"b"},"x":1e2}', b'{"tools":{"model":"b"},"x":1e2,"model":"NEW"}'),
        (b'{"model":"a\\n", "x":1.50}', b'{"model":"NEW","x":1.50}'),
        (b'{"x":0,"\\"model":"a"}', b'{"x":0,"\\"model":"a","model":"NEW"}'),
        (b'{"x":{"model":"a","y":"z"}}', b'{"x":{"model":"a","y":"z"},"model":"NEW"}'),
        (b"{}", b'{"model":"NEW"}'),
    ],
)
def test_patch_leaves_every_other_value_as_it_is(body: bytes, expected: bytes) -> None:
    assert gate.patch(body, {"model": b'"NEW"'}) == expected


def test_patch_without_edits_or_members() -> None:
    assert gate.patch(b"{ }", {}) == b"{}"


class Inner(msgspec.Struct):
    role: str


class Outer(msgspec.Struct):
    messages: list[Inner]


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        (b'{"messages":[{"role":1}]}', "messages[0].role", "messages[0].role: Expected `str`, got `int`"),
        (b'{"messages":1}', "messages", "messages: Expected `array`, got `int`"),
        (b'{"messages":[{}]}', "messages[0].role", "messages[0]: Object missing required field `role`"),
        (b"[]", None, "the request body: Expected `object`, got `array`"),
        (b"{}", "messages", "the request body: Object missing required field `messages`"),
    ],
)
def test_a_wrong_shape_names_its_place(body: bytes, param: str | None, says: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=Outer)
    with pytest.raises(GatewayError) as refused:
        gate.refuse(body, caught.value)
    assert (refused.value.code, refused.value.param, refused.value.message) == ("invalid_request_error", param, says)


def test_the_alphabet_of_a_position_is_characters_not_bytes() -> None:
    body = ('{"a":"' + "ü" * 10 + '",' + string.digits + "}").encode()
    assert "line 1, column 19 (byte 28)" in refusal(body).message


@pytest.mark.parametrize(
    ("data", "mended"),
    [
        (b'{"a":"\\ud83d"}', "\ufffd"),
        (b'{"a":"\\ude00\\ud83d"}', "\ufffd\ufffd"),
        (b'{"a":"\\ud83d\\ud83d\\ude00"}', "\ufffd😀"),
        (b'{"a":"\\ud83d\\ude00\\ude00"}', "😀\ufffd"),
        (b'{"a":"\\\\ud83d\\\\\\ud83d"}', "\\ud83d\\\ufffd"),
        (b'{"a":"\\uD83Dx\\uDE00"}', "\ufffdx\ufffd"),
        ('{"a":"😀"}'.encode(), "😀"),
    ],
)
def test_half_surrogate_pairs_are_mended(data: bytes, mended: str) -> None:
    assert msgspec.json.decode(gate.mend(data)) == {"a": mended}


ROUTED = ["api_base", "base_url", "api_key", "headers", "extra_headers", "proxy", "provider", "organization",
          "api_version", "custom_llm_provider", "models", "route", "fallbacks", "aws_access_key_id"]  # fmt: skip


@pytest.mark.parametrize("name", ROUTED)
@pytest.mark.parametrize("spelled", [str.lower, str.upper, str.title, lambda name: f"\\u{ord(name[0]):04x}{name[1:]}"])
def test_x14_callers_do_not_say_where_a_request_goes(name: str, spelled: Callable[[str], str]) -> None:
    written = spelled(name)
    error = refusal(f'{{"model":"a","messages":[],"{written}":null}}'.encode())
    assert (error.code, error.status) == ("invalid_request_error", 400)
    assert error.param == json.loads(f'"{written}"')
    assert "is not for callers to set" in error.message


@pytest.mark.parametrize("name", ["Model", "MODEL", "ſtream", "meſſages", "STREAM", "Messages"])
def test_a_steering_member_in_other_letters_is_refused(name: str) -> None:
    """Readers that ignore case would follow it instead of ours."""
    error = refusal(json.dumps({"model": "a", name: "b"}).encode())
    assert (error.code, error.param) == ("invalid_request_error", name)
    assert "must be written" in error.message


def test_x14_real_members_with_similar_names_pass() -> None:
    real = ["metadata", "service_tier", "user", "container", "mcp_servers", "betas", "modalities", "prediction",
            "web_search_options", "inference_geo", "context_management", "safety_identifier", "store"]  # fmt: skip
    gate.check(json.dumps({name: {"provider": 1, "api_base": 2} for name in real}).encode())
