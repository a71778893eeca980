"""The proxy port: which method and path is which operation in which dialect, and the port's own small answers.

It routes on the path as it was sent, never on a URL put together from headers.
"""

from collections.abc import Awaitable, Callable

import msgspec

from fairlead.canonical.errors import GatewayError
from fairlead.dialects import anthropic, openai_chat
from fairlead.dialects.table import Dialect
from fairlead.gateway.answers import CONTENT_JSON, SOON, error_fields, error_of, refused_by
from fairlead.gateway.chat import chat
from fairlead.gateway.world import World
from fairlead.http.server import Exchange

CHATS: dict[str, Dialect] = {
    "/v1/chat/completions": openai_chat,
    "/chat/completions": openai_chat,
    "/v1/messages": anthropic,
}
"""Where each dialect takes chat requests. The second row is for clients whose base URL lacks `/v1`."""
MODELS = "/v1/models"
UNRECORDED = "there is no room for a record of this request now; try again in a moment"
PLAIN = b"content-type: text/plain\r\n"


class Port:
    """The handler of every exchange on the proxy port."""

    def __init__(self, world: World, is_ready: Callable[[], bool]) -> None:
        self._world = world
        self._is_ready = is_ready

    def __call__(self, exchange: Exchange) -> Awaitable[None]:
        dialect = CHATS.get(exchange.path)
        if dialect is not None and exchange.method == "POST" and self._is_ready() and self._world.journal.promise():
            return chat(self._world, exchange, dialect)  # which opens books, and they keep the promise as they close
        return self._small(exchange)

    async def _small(self, exchange: Exchange) -> None:
        """Everything but chats: quick answers that no record is kept of."""
        try:
            status, block, body = self._answer(exchange)
            block += b"x-request-id: %b\r\n" % self._world.request_id(exchange.headers).encode()
        except Exception as error:
            dialect = _dialect_of(exchange)
            request_id = self._world.request_id(exchange.headers)
            refused = refused_by(request_id, error_of(error, request_id))
            status, block, body = refused.status, error_fields(refused), dialect.encode_error(refused)
        exchange.send(status, block, body)

    def _answer(self, exchange: Exchange) -> tuple[int, bytes, bytes]:
        path = exchange.path
        if path in {"/", "/livez"}:
            self._only(exchange, "GET", "HEAD")
            return 200, PLAIN, b"ok\n"
        if path in {"/readyz", "/healthz"}:
            self._only(exchange, "GET", "HEAD")
            return (200, PLAIN, b"ok\n") if self._is_ready() else (503, PLAIN, b"not ready\n")
        if path == MODELS or path.startswith(MODELS + "/"):
            self._only(exchange, "GET")
            return self._models(exchange, path[len(MODELS) + 1 :])
        if path in CHATS:
            self._only(exchange, "POST")
            if self._is_ready():
                raise GatewayError("ledger_unavailable", UNRECORDED, retry_after=SOON["ledger_unavailable"])
            raise GatewayError("shutting_down", "the gateway is shutting down", retry_after=SOON["shutting_down"])
        raise GatewayError("not_found", f"there is nothing at {exchange.method} {path[:200]!r}")

    def _models(self, exchange: Exchange, name: str) -> tuple[int, bytes, bytes]:
        models = self._world.models(self._world.callers.admit(exchange))
        dialect = _dialect_of(exchange)
        if not name:
            return 200, CONTENT_JSON.encode(), dialect.encode_models(models)
        if name not in models:
            raise GatewayError("model_not_found", f"the model {name[:256]!r} does not exist here", param="model")
        return 200, CONTENT_JSON.encode(), _entry(dialect.encode_models([name]))

    def _only(self, exchange: Exchange, *methods: str) -> None:
        if exchange.method not in methods:
            message = f"{exchange.path} takes {' and '.join(methods)}, not {exchange.method}"
            raise GatewayError("method_not_allowed", message)


class _Listed(msgspec.Struct):
    data: list[msgspec.Raw]


def _entry(models: bytes) -> bytes:
    """The only entry of a list of models, as every dialect lists them."""
    return bytes(msgspec.json.decode(models, type=_Listed).data[0])


def _dialect_of(exchange: Exchange) -> Dialect:
    """The dialect in which a caller of a shared path expects its answer."""
    return CHATS.get(exchange.path) or (anthropic if b"anthropic-version" in exchange.headers else openai_chat)
