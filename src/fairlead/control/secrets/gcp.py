"""GCP Secret Manager: its REST interface, with google-auth for the token and nothing else.

It must not know what a secret is for. google-auth is imported at the first read.
"""

import base64
import binascii
from typing import Any

from fairlead.config import vaults
from fairlead.control.secrets.rest import Rest, refused
from fairlead.control.secrets.store import StoreError, in_thread, sdk

LOGGERS = ("google", "urllib3")
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class Gcp:
    """Secret Manager. Opened at the first read, with the credentials that Google's own tools would find."""

    def __init__(self, settings: vaults.Gcp) -> None:
        self._rest = Rest("GCP Secret Manager", settings.endpoint)
        self._credentials: Any = None

    async def read(self, rest: str) -> str:
        token = await in_thread(self._token)
        name = rest if "/versions/" in rest else f"{rest}/versions/latest"
        headers = (("authorization", f"Bearer {token}"),)
        status, answer = await self._rest.call("GET", f"/v1/{name}:access", headers)
        if status != 200 or not isinstance(answer, dict):
            raise refused(
                status,
                self._rest.place,
                f"give our identity roles/secretmanager.secretAccessor on {rest}",
                f"create {rest}, or enable a version of it",
            )
        payload = answer.get("payload")
        data = payload.get("data") if isinstance(payload, dict) else None
        try:
            return base64.b64decode(data or "", validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, TypeError):
            raise StoreError("unusable", f"{name} is not text") from None

    async def close(self) -> None:
        await self._rest.close()

    def _token(self) -> str:
        auth = sdk("google.auth", "gcp", LOGGERS)
        transport = sdk("google.auth.transport.requests", "gcp", LOGGERS)
        errors = sdk("google.auth.exceptions", "gcp", LOGGERS)
        try:
            if self._credentials is None:
                self._credentials, _ = auth.default(scopes=[SCOPE])
            if not self._credentials.valid:
                self._credentials.refresh(transport.Request())
        except errors.DefaultCredentialsError:
            way_out = "set GOOGLE_APPLICATION_CREDENTIALS, or run where Google gives an identity"
            raise StoreError("unconfigured", f"there are no Google credentials; {way_out}") from None
        except errors.RefreshError:
            raise StoreError("denied", "Google gives our identity no token; check its key and its roles") from None
        except (errors.GoogleAuthError, OSError) as error:
            raise StoreError("unreachable", f"Google gives no token: {type(error).__name__}") from None
        return str(self._credentials.token)
