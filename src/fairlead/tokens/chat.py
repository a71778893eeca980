"""What of a chat request costs tokens: its texts, and the format around them.

Pure. The format is OpenAI's as its cookbook counts it; what is not published (tools, calls, results, schemas) is
counted so that it is never too little: as JSON, which is longer than what models are really shown.
"""

import msgspec

from fairlead.canonical.chat import (
    ChatRequest,
    Image,
    Message,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)

PER_REQUEST = 3
"""The beginning of the answer."""
PER_MESSAGE = 4
"""Three that surround it, one for its role."""
PER_NAME = 1
PER_CALL = 12
PER_RESULT = 12
PER_TOOL = 12
PER_SCHEMA = 16
TOOLS = 24
"""The frame of all tools together, with the choice among them."""


class Content(msgspec.Struct):
    """The parts of a request that cost tokens."""

    texts: list[str]
    frame: int = PER_REQUEST
    """Tokens of the format, which no text shows."""
    images: int = 0
    small_images: int = 0
    tools: bool = False

    @property
    def size(self) -> int:
        """What counting it costs, in characters; a text costs something even if it is short."""
        return sum(map(len, self.texts)) + 16 * len(self.texts)


def content(request: ChatRequest) -> Content:
    """Everything of `request` that the model is shown."""
    found = Content([])
    for message in request.messages:
        _message(message, found)
    for tool in request.tools:
        found.frame += PER_TOOL
        found.texts += (tool.name, tool.description or "", _json(tool.parameters))
    if request.tools:
        found.tools = True
        found.frame += TOOLS
    form = request.output_format
    if form is not None and form.schema is not None:
        found.frame += PER_SCHEMA
        found.texts += (form.name or "", _json(form.schema))
    return found


def _message(message: Message, found: Content) -> None:
    found.frame += PER_MESSAGE
    if message.name:
        found.frame += PER_NAME
        found.texts.append(message.name)
    for part in message.parts:
        match part:
            case Text(text=text) | Refusal(text=text):
                found.texts.append(text)
            case Reasoning(text=text, redacted=redacted):
                found.texts += (text, redacted or "")
            case ToolCall(name=name, arguments=arguments):
                found.frame += PER_CALL
                found.texts += (name, arguments, name)  # its result names it once more
            case ToolResult(parts=parts):
                found.frame += PER_RESULT
                _result(parts, found)
            case Image():
                _image(part, found)


def _result(parts: tuple[Text | Image, ...], found: Content) -> None:
    for part in parts:
        if isinstance(part, Text):
            found.texts.append(part.text)
        else:
            _image(part, found)


def _image(image: Image, found: Content) -> None:
    if image.detail == "low":
        found.small_images += 1
    else:
        found.images += 1


def _json(schema: dict[str, object]) -> str:
    return msgspec.json.encode(schema).decode()
