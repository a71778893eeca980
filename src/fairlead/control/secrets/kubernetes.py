"""Kubernetes: secrets of the cluster's own API, with the pod's service account unless another way is given.

It must not know what a secret is for.
"""

import base64
import binascii

from fairlead.config import vaults
from fairlead.config.secrets import Secret
from fairlead.control.secrets.rest import Rest, refused
from fairlead.control.secrets.store import Machine, StoreError, field_of

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


class Kubernetes:
    """One cluster. Opened at the first read; the token is read anew each time, because Kubernetes replaces it."""

    def __init__(self, settings: vaults.Kubernetes, machine: Machine) -> None:
        self._settings = settings
        self._machine = machine
        self._rest: Rest | None = None

    async def read(self, rest: str) -> str:
        path, _, key = rest.partition("#")
        namespace, _, name = path.partition("/")
        what = f"the secret {path}"
        api = self._opened()
        token = self._machine.reveal(self._settings.token or Secret(f"file://{SERVICE_ACCOUNT}/token"))
        headers = (("authorization", f"Bearer {token}"),)
        status, answer = await api.call("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}", headers)
        if status != 200 or not isinstance(answer, dict):
            raise refused(
                status, api.place, f"let our service account get {what}", f"create {what}, or mend the reference"
            )
        try:
            return base64.b64decode(field_of(answer.get("data") or {}, key, what), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise StoreError("unusable", f"the key {key!r} of {what} is not text in base64") from None

    async def close(self) -> None:
        if self._rest is not None:
            await self._rest.close()

    def _opened(self) -> Rest:
        if self._rest is None:
            server, ca = self._settings.server, self._settings.ca
            if server is None:
                server, ca = self._pods_server(), ca or f"{SERVICE_ACCOUNT}/ca.crt"
            self._rest = Rest("the Kubernetes API", server, ca)
        return self._rest

    def _pods_server(self) -> str:
        host, port = self._machine.first("KUBERNETES_SERVICE_HOST"), self._machine.first("KUBERNETES_SERVICE_PORT")
        if host is None:
            raise StoreError("unconfigured", "this is no pod, so k8s:// needs secrets.kubernetes.server")
        return f"https://[{host}]:{port or 443}" if ":" in host else f"https://{host}:{port or 443}"
