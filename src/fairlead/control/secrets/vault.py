"""HashiCorp Vault and OpenBao: KV v2 over HTTP; logs in by token, AppRole or Kubernetes, and keeps its token alive.

It must not know what a secret is for. The way in is read anew at each login, so that a changed file counts.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec

from fairlead.config import vaults
from fairlead.config.secrets import Secret
from fairlead.control.secrets.kubernetes import SERVICE_ACCOUNT
from fairlead.control.secrets.rest import Rest, refused
from fairlead.control.secrets.store import Machine, StoreError, field_of

RENEW_AT = 2 / 3
"""The share of a token's life after which it is renewed."""
SOONEST = 0.5
"""Seconds between two attempts at renewing, at the least."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What a login gave. `life` in seconds; 0: it does not end."""

    value: str
    life: float = 0.0
    renewable: bool = False

    def __repr__(self) -> str:
        return f"Token(life={self.life:g}, renewable={self.renewable})"


class Vault:
    """One vault. Opened at the first read."""

    def __init__(self, settings: vaults.Vault, machine: Machine) -> None:
        self._settings = settings
        self._machine = machine
        self._rest: Rest | None = None
        self._token: Token | None = None
        self._login = asyncio.Lock()
        self._keeping: asyncio.Task[None] | None = None

    async def read(self, rest: str) -> str:
        path, _, field = rest.partition("#")
        token = await self._current()
        status, answer = await self._get(path, token)
        if status == 403:  # the token may be over before its time: revoked, or the vault was set up anew
            token = await self._current(instead_of=token)
            status, answer = await self._get(path, token)
        if status == 200 and isinstance(answer, dict) and isinstance(answer.get("data"), dict):
            if "data" not in answer["data"]:
                raise StoreError("unusable", f"{path} is not in a KV v2 engine, which vault:// reads")
            return field_of(answer["data"]["data"], field, path)
        raise self._error(status, answer, path)

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping
        if self._rest is not None:
            await self._rest.close()

    def _error(self, status: int, answer: Any, path: str) -> StoreError:
        place = self._opened().place
        if status == 503:
            return StoreError("unreachable", f"{place} is sealed or on standby; unseal it")
        if status == 404 and isinstance(answer, dict) and isinstance(answer.get("data"), dict):
            return StoreError("missing", f"the newest version of {path} is deleted; write a new one or undelete it")
        return refused(
            status, place, f"its policy must let our token read {path}", f"write it, or mend the path {path}"
        )

    async def _get(self, path: str, token: Token) -> tuple[int, Any]:
        return await self._opened().call("GET", f"/v1/{quote(path)}", self._headers(token))

    def _opened(self) -> Rest:
        if self._rest is None:
            settings, machine = self._settings, self._machine
            address = settings.address or machine.first("VAULT_ADDR", "BAO_ADDR")
            if address is None:
                raise StoreError("unconfigured", "no vault is known; set secrets.vault.address or VAULT_ADDR")
            self._rest = Rest("the vault", address, settings.ca or machine.first("VAULT_CACERT", "BAO_CACERT"))
        return self._rest

    def _headers(self, token: Token | None) -> tuple[tuple[str, str], ...]:
        namespace = self._settings.namespace or self._machine.first("VAULT_NAMESPACE", "BAO_NAMESPACE")
        headers = [("x-vault-request", "true")]
        headers += [("x-vault-namespace", namespace)] if namespace else []
        headers += [("x-vault-token", token.value)] if token else []
        return tuple(headers)

    # The token.

    async def _current(self, instead_of: Token | None = None) -> Token:
        """The token to use; a new one once there is none, or the one that was used is no good."""
        async with self._login:
            if self._token is None or self._token is instead_of:
                self._token = None
                self._token = await LOGINS[self._settings.auth](self)
                self._keep()
            return self._token

    async def log_in_by_token(self) -> Token:
        """The given token, with the life that the vault says it has left."""
        given = self._settings.token
        value = self._machine.reveal(given) if given else self._machine.first("VAULT_TOKEN", "BAO_TOKEN")
        if value is None:
            raise StoreError("unconfigured", "no token for the vault; set secrets.vault.token or VAULT_TOKEN")
        status, answer = await self._opened().call(
            "GET", "/v1/auth/token/lookup-self", self._headers(Token(value=value))
        )
        if status == 503:
            raise self._error(status, answer, "")
        facts = answer.get("data") if status == 200 and isinstance(answer, dict) else None
        if not isinstance(facts, dict):  # a token need not be allowed to look at itself
            return Token(value=value)
        return Token(value=value, life=_seconds(facts.get("ttl")), renewable=facts.get("renewable") is True)

    async def log_in_by_approle(self) -> Token:
        role_id = self._needed(self._settings.role_id, "role_id")
        body = {"role_id": self._machine.reveal(role_id)}
        if self._settings.secret_id is not None:
            body["secret_id"] = self._machine.reveal(self._settings.secret_id)
        return await self._log_in("approle", body)

    async def log_in_by_kubernetes(self) -> Token:
        role = self._settings.role
        if role is None:
            raise StoreError("unconfigured", "auth: kubernetes needs secrets.vault.role")
        jwt = self._settings.jwt or Secret(f"file://{SERVICE_ACCOUNT}/token")
        return await self._log_in("kubernetes", {"role": role, "jwt": self._machine.reveal(jwt)})

    def _needed(self, secret: Secret | None, name: str) -> Secret:
        if secret is None:
            raise StoreError("unconfigured", f"auth: {self._settings.auth} needs secrets.vault.{name}")
        return secret

    async def _log_in(self, method: str, body: dict[str, str]) -> Token:
        mount = self._settings.mount or method
        rest = self._opened()
        status, answer = await rest.call("POST", f"/v1/auth/{quote(mount)}/login", self._headers(None), body)
        if status == 200 and (token := _token(answer)) is not None:
            return token
        if status in {400, 401, 403, 404}:
            way_out = f"check secrets.vault and the auth method at auth/{mount}"
            raise StoreError("denied", f"{rest.place} refuses the {method} login (status {status}); {way_out}")
        raise self._error(status, answer, f"auth/{mount}/login")

    def _keep(self) -> None:
        """From now on the token is renewed, or replaced, before its life ends."""
        if self._keeping is not None:
            self._keeping.cancel()
        self._keeping = asyncio.create_task(self._keep_alive())

    async def _keep_alive(self) -> None:
        while (token := self._token) is not None and token.life:
            await asyncio.sleep(max(token.life * RENEW_AT, SOONEST))
            if self._token is token:
                await self._renewed(token)

    async def _renewed(self, token: Token) -> None:
        """Puts a longer-lived token in this one's place; where there is none, the next read logs in."""
        try:
            fresh = await self._renew(token) if token.renewable else None
        except StoreError:  # the vault is away: the token has a third of its life left to try again
            left = token.life * (1 - RENEW_AT)
            fresh = msgspec.structs.replace(token, life=left) if left > SOONEST else None
        if self._token is token:
            self._token = fresh

    async def _renew(self, token: Token) -> Token | None:
        """The same token with a new life; None: the vault gives it none, or hardly any."""
        path = "/v1/auth/token/renew-self"
        status, answer = await self._opened().call("POST", path, self._headers(token), {})
        if status in {503, 500, 502, 504, 429}:
            raise StoreError("unreachable", f"status {status}")
        fresh = _token(answer) if status == 200 else None
        return fresh if fresh is not None and fresh.life >= min(token.life, 3 * SOONEST) else None


LOGINS: dict[str, Callable[[Vault], Any]] = {
    "token": Vault.log_in_by_token,
    "approle": Vault.log_in_by_approle,
    "kubernetes": Vault.log_in_by_kubernetes,
}
"""`secrets.vault.auth` → how to log in."""


def _token(answer: Any) -> Token | None:
    auth = answer.get("auth") if isinstance(answer, dict) else None
    if not isinstance(auth, dict) or not isinstance(auth.get("client_token"), str):
        return None
    return Token(
        value=auth["client_token"],
        life=_seconds(auth.get("lease_duration")),
        renewable=auth.get("renewable") is True,
    )


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0
