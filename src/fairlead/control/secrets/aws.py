"""AWS Secrets Manager and Systems Manager parameters, through boto3 for credentials, signing and regions.

It must not know what a secret is for. boto3 is imported at the first read.
"""

import threading
from collections.abc import Callable
from typing import Any

from fairlead.config import vaults
from fairlead.control.secrets.store import StoreError, field_of, in_thread, json_object, sdk, word

LOGGERS = ("boto3", "botocore", "urllib3")
DENIED = (
    "AccessDenied",
    "UnrecognizedClient",
    "InvalidClientTokenId",
    "ExpiredToken",
    "InvalidSignature",
    "SignatureDoesNotMatch",
    "DecryptionFailure",
)
MISSING = ("ResourceNotFound", "ParameterNotFound", "ParameterVersionNotFound", "InvalidRequest")
"""Beginnings of the error codes of both services."""


class _Aws:
    """One service. Its client is made once, on the first thread that needs it, and used by all."""

    def __init__(self, settings: vaults.Aws, service: str) -> None:
        self._settings = settings
        self._service = service
        self._client: Any = None
        self._making = threading.Lock()

    async def ask(self, operation: Callable[[Any], Any]) -> Any:
        """What `operation` makes of the service's client. Raises StoreError."""
        return await in_thread(lambda: self._asked(operation))

    def _asked(self, operation: Callable[[Any], Any]) -> Any:
        boto = sdk("boto3", "aws", LOGGERS)
        exceptions = sdk("botocore.exceptions", "aws", LOGGERS)
        try:
            return operation(self._opened(boto))
        except exceptions.ClientError as error:
            raise self._error(error.response.get("Error", {}).get("Code")) from None
        except (exceptions.NoRegionError, exceptions.NoCredentialsError, exceptions.ProfileNotFound) as error:
            way_out = "set AWS_REGION or secrets.aws.region, and credentials as AWS tools find them"
            raise StoreError("unconfigured", f"AWS: {type(error).__name__}; {way_out}") from None
        except exceptions.BotoCoreError as error:
            raise StoreError("unreachable", f"AWS {self._service} does not answer: {type(error).__name__}") from None

    def _opened(self, boto: Any) -> Any:
        with self._making:
            if self._client is None:
                config = sdk("botocore.config", "aws", LOGGERS)
                bounds = config.Config(connect_timeout=2, read_timeout=4, retries={"total_max_attempts": 1})
                self._client = boto.session.Session().client(
                    self._service,
                    region_name=self._settings.region,
                    endpoint_url=self._settings.endpoint,
                    config=bounds,
                )
            return self._client

    def _error(self, code: object) -> StoreError:
        shown = word(code)
        if shown.startswith(DENIED):
            return StoreError("denied", f"AWS {self._service} denies it ({shown}); let our identity read it")
        if shown.startswith(MISSING):
            return StoreError("missing", f"AWS {self._service} does not have it ({shown}); create it in this region")
        return StoreError("unreachable", f"AWS {self._service} answers with {shown}")

    async def close(self) -> None:
        """Threads end by themselves, and the client with them."""


class SecretsManager(_Aws):
    """`aws-sm://name`, or a field of a JSON secret: `aws-sm://name#field`."""

    def __init__(self, settings: vaults.Aws) -> None:
        super().__init__(settings, "secretsmanager")

    async def read(self, rest: str) -> str:
        name, _, field = rest.partition("#")
        answer = await self.ask(lambda client: client.get_secret_value(SecretId=name))
        text = answer.get("SecretString")
        if not isinstance(text, str):
            raise StoreError("unusable", f"the secret {name} is binary; store it as text")
        return field_of(json_object(text, f"the secret {name}"), field, f"the secret {name}") if field else text


class Parameters(_Aws):
    """`aws-ssm://path`; a path of several words begins with a slash at AWS, written here or not."""

    def __init__(self, settings: vaults.Aws) -> None:
        super().__init__(settings, "ssm")

    async def read(self, rest: str) -> str:
        name = f"/{rest}" if "/" in rest and not rest.startswith("/") else rest
        answer = await self.ask(lambda client: client.get_parameter(Name=name, WithDecryption=True))
        return str(answer["Parameter"]["Value"])
