"""What a request costs that only its own dialect can say: documents, audio, server tools, several answers.

Pure, and of no dialect: the body is counted as the JSON that it is, which is longer than what models are shown, with
files taken out of it and counted by their size.
"""

from typing import Any

import msgspec

from fairlead.tokens.chat import PER_MESSAGE, TOOLS, Content

IMAGES = frozenset({"image", "image_url", "input_image"})
FILES = frozenset({"document", "file", "input_file", "input_audio", "container_upload"})
ENCODED = frozenset({"data", "file_data"})
"""Members that hold a file in base64."""
BASE64_PER_TOKEN = 8
"""Characters. A page of a PDF has some 20 000 of them and costs 2 000 to 3 000 tokens; audio costs far less."""


def unmodelled(body: bytes) -> Content:
    """Everything of `body`, a JSON object, that can cost tokens. Raises ValueError where it is none."""
    request = msgspec.json.decode(body, type=dict[str, Any])
    found = Content([])
    messages = request.get("messages")
    found.frame += PER_MESSAGE * (len(messages) if isinstance(messages, list) else 1)
    if request.get("tools"):
        found.tools = True
        found.frame += TOOLS
    found.texts.append(msgspec.json.encode(_without_files(request, found)).decode())
    return found


def _without_files(value: Any, found: Content) -> Any:
    """`value` with nothing in the place of its files, which are counted."""
    if isinstance(value, dict):
        kind = value.get("type")
        if kind in IMAGES:
            found.images += 1
            return None
        if kind in FILES:
            found.images += 1  # for what is not in the request itself, and for how it is introduced
        encoded = () if kind == "text" else ENCODED  # a document's text may be called data too
        return {
            key: _file(item, found) if key in encoded else _without_files(item, found) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_without_files(item, found) for item in value]
    if isinstance(value, str) and value.startswith("data:"):
        return _file(value, found)
    return value


def _file(value: Any, found: Content) -> Any:
    if not isinstance(value, str):
        return _without_files(value, found)
    found.frame += -(-len(value) // BASE64_PER_TOKEN)
    return None
