"""Where a request carries its credential: one of four headers, and nowhere else.

It knows the carriers. It must not know what a credential stands for, nor say a word of its value.
"""

from urllib.parse import unquote_plus

from fairlead.canonical.errors import GatewayError

CARRIERS = (b"x-api-key", b"api-key", b"x-goog-api-key")
"""Headers that hold nothing but a key. `Authorization` names its scheme first."""
IN_QUERY = frozenset({"key", "api_key", "api-key", "apikey", "access_token", "token"})
"""Parameters that would carry a key in the URL, where every proxy on the way writes it into a log."""


def presented(headers: dict[bytes, bytes], query: str) -> bytes | None:
    """The credential of a request; None: there is none. Cookies and bodies are not looked at.

    Raises GatewayError: `invalid_request_error` for a key in the query and for carriers that disagree,
    `invalid_api_key` for an Authorization of another scheme.
    """
    if query:
        _check_query(query)
    found = _authorization(headers.get(b"authorization", b""))
    for carrier in CARRIERS:
        value = headers.get(carrier)
        if value is None or value == found:
            continue
        if found and value:
            raise GatewayError(
                "invalid_request_error",
                f"the request carries two different keys, one of them in {carrier.decode()}; send one",
                param=carrier.decode(),
            )
        found = found or value
    return found or None


def _authorization(value: bytes) -> bytes:
    if not value:
        return b""
    scheme, _, credential = value.partition(b" ")
    if scheme.lower() != b"bearer":
        raise GatewayError("invalid_api_key", "the Authorization header has another scheme; write 'Bearer <key>'")
    return credential.strip()


def _check_query(query: str) -> None:
    for parameter in query.split("&"):
        name = unquote_plus(parameter.partition("=")[0]).lower()
        if name in IN_QUERY:
            raise GatewayError(
                "invalid_request_error",
                f"the URL has the parameter {name!r}, and keys in URLs end up in logs; "
                "send the key as 'Authorization: Bearer <key>'",
                param=name,
            )
