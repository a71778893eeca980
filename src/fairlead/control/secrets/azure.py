"""Azure Key Vault: its REST interface, with azure-identity for the token and nothing else.

It must not know what a secret is for. azure-identity is imported at the first read.
"""

from typing import Any

from fairlead.config import vaults
from fairlead.control.secrets.rest import Rest, refused
from fairlead.control.secrets.store import StoreError, field_of, in_thread, sdk

LOGGERS = ("azure", "msal", "urllib3")
VERSION = "7.4"
"""Of Key Vault's REST interface."""


class Azure:
    """Every vault that one identity may read. Opened at the first read."""

    def __init__(self, settings: vaults.Azure) -> None:
        self._settings = settings
        self._vaults: dict[str, Rest] = {}
        self._credential: Any = None

    async def read(self, rest: str) -> str:
        vault, _, name = rest.partition("/")
        token = await in_thread(self._token)
        api = self._opened(vault)
        headers = (("authorization", f"Bearer {token}"),)
        status, answer = await api.call("GET", f"/secrets/{name}?api-version={VERSION}", headers)
        if status != 200:
            denied = f"give our identity 'get' on the secrets of {vault}, or the role Key Vault Secrets User"
            raise refused(status, api.place, denied, f"create the secret {name}, or enable it")
        return field_of(answer, "value", f"the secret {rest}")

    async def close(self) -> None:
        for vault in self._vaults.values():
            await vault.close()

    def _opened(self, vault: str) -> Rest:
        if vault not in self._vaults:
            address = self._settings.endpoint or f"https://{vault}.{self._settings.domain}"
            self._vaults[vault] = Rest("Azure Key Vault", address)
        return self._vaults[vault]

    def _token(self) -> str:
        identity = sdk("azure.identity", "azure", LOGGERS)
        errors = sdk("azure.core.exceptions", "azure", LOGGERS)
        try:
            if self._credential is None:
                self._credential = identity.DefaultAzureCredential()
            return str(self._credential.get_token(f"https://{self._settings.domain}/.default").token)
        except errors.ClientAuthenticationError as error:
            way_out = "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or use a managed identity"
            raise StoreError("unconfigured", f"Azure gives no token ({type(error).__name__}); {way_out}") from None
        except (errors.AzureError, ValueError) as error:
            raise StoreError("unreachable", f"Azure gives no token: {type(error).__name__}") from None
