"""A body that no canonical chat can hold is counted as what it is."""

import json
from typing import Any

import pytest

from fairlead.canonical.errors import GatewayError
from fairlead.dialects import anthropic, openai_chat
from fairlead.tokens.chat import PER_MESSAGE, PER_REQUEST, TOOLS
from fairlead.tokens.estimator import shown
from fairlead.tokens.unmodelled import unmodelled

PDF = "JVBERi0x" * 1000


def body(*parts: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps(
        {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": list(parts)}], **fields}
    ).encode()


ELSEWHERE = {"type": "file", "file": {"url": f"data:application/pdf;base64,{PDF}"}}
DOCUMENT = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}}
FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}}
AUDIO = {"type": "input_audio", "input_audio": {"format": "mp3", "data": PDF}}


@pytest.mark.parametrize(
    ("part", "dialect"), [(DOCUMENT, anthropic), (FILE, openai_chat), (AUDIO, openai_chat), (ELSEWHERE, openai_chat)]
)
def test_a_file_counts_by_its_size_and_not_as_text(part: dict[str, Any], dialect: Any) -> None:
    request = body({"type": "text", "text": "read this"}, part)
    with pytest.raises(GatewayError):
        dialect.decode_request(request)
    found = shown(request, dialect.decode_request)
    (text,) = found.texts
    assert "read this" in text
    assert "JVBERi0x" not in text
    assert found.images == 1
    assert 1000 <= found.frame - PER_REQUEST - PER_MESSAGE <= 1010


def test_a_file_that_is_elsewhere_is_not_free() -> None:
    found = unmodelled(body({"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}))
    assert found.images == 1
    assert found.frame == PER_REQUEST + PER_MESSAGE


def test_a_document_of_plain_text_is_text() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "a plain text"}
    assert "a plain text" in unmodelled(body({"type": "document", "source": source})).texts[0]


def test_images_count_as_images_wherever_they_are() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PDF}}
    found = unmodelled(body(image, {"type": "tool_result", "tool_use_id": "t", "content": [image]}))
    assert found.images == 2
    assert len(found.texts[0]) < 250


def test_tools_count_as_they_stand_with_their_frame() -> None:
    found = unmodelled(body(tools=[{"type": "web_search_20250305", "name": "web_search"}]))
    assert found.tools
    assert found.frame == PER_REQUEST + PER_MESSAGE + TOOLS
    assert "web_search_20250305" in found.texts[0]


@pytest.mark.parametrize("data", [17, None, {"data": ["x"]}])
def test_a_member_that_is_no_file_is_left_as_it_is(data: Any) -> None:
    assert json.loads(unmodelled(body({"type": "other", "data": data})).texts[0])["messages"][0]["content"][0] == {
        "type": "other",
        "data": data,
    }


def test_messages_of_a_wrong_shape_are_counted_all_the_same() -> None:
    assert unmodelled(b'{"messages": "hello"}').texts == ['{"messages":"hello"}']
