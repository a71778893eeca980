"""How to reach each deployment of one snapshot: made once, with that snapshot's secrets and no others.

A request keeps the calls that it began with, so that a reload in its middle sends no new secret to an old address.
"""

from urllib.parse import urlsplit

import msgspec

from fairlead.canonical.auth import AUTH
from fairlead.canonical.routing import Deployment
from fairlead.dialects.table import DIALECTS
from fairlead.http import fields
from fairlead.http.origin import Origin


class Call(msgspec.Struct, frozen=True):
    """Everything about a request to a deployment but its body."""

    origin: Origin
    target: str
    fields: bytes
    secret: str

    def __repr__(self) -> str:
        return f"Call({self.origin.host}, {self.target})"


class Calls:
    """The calls of one snapshot, by deployment."""

    def __init__(self, secrets: dict[str, str]) -> None:
        self._secrets = secrets
        self._made: dict[str, Call] = {}

    def of(self, deployment: Deployment) -> Call:
        call = self._made.get(deployment.name)
        if call is None:
            call = self._made[deployment.name] = _call(deployment, self._secrets.get(deployment.credential, ""))
        return call


def _call(deployment: Deployment, secret: str) -> Call:
    dialect = DIALECTS[deployment.dialect]
    origin = Origin.of(
        deployment.base_url,
        ca=deployment.ca,
        client_cert=deployment.client_cert,
        proxy=deployment.proxy,
        max_connections=deployment.max_connections,
    )
    pairs = (
        ("user-agent", "fairlead"),
        ("content-type", "application/json"),
        *dialect.fields(deployment.api_version),
        *deployment.headers,
        *(AUTH[deployment.auth](secret) if secret else ()),
    )
    return Call(origin, _joined(urlsplit(deployment.base_url).path, dialect.TARGET), fields.encode(pairs), secret)


def _joined(path: str, target: str) -> str:
    """A base URL's path and a dialect's target; the version that may stand in both (`/v1`) is said once."""
    root = "/" + target.split("/")[1]
    return path.rstrip("/").removesuffix(root) + target
