"""The `secrets` section of `fairlead.yaml`: where the stores of secrets are and what opens them.

It must not know how a store is asked.
"""

from typing import Annotated, Literal

from fairlead.config.kinds import Doc, LocalSecret, Section
from fairlead.config.units import Duration, Text, Url


class Vault(Section, frozen=True, kw_only=True):
    address: Annotated[
        Url | None, Doc(description="Where Vault or OpenBao answers. Unset: `$VAULT_ADDR`, else `$BAO_ADDR`.")
    ] = None
    namespace: Annotated[
        Text | None, Doc(description="The namespace. Unset: `$VAULT_NAMESPACE`, else `$BAO_NAMESPACE`, else none.")
    ] = None
    auth: Annotated[Literal["token", "approle", "kubernetes"], Doc(description="How the gateway logs in.")] = "token"
    token: Annotated[
        LocalSecret | None, Doc(description="The token for `auth: token`. Unset: `$VAULT_TOKEN`, else `$BAO_TOKEN`.")
    ] = None
    role_id: Annotated[LocalSecret | None, Doc(description="The role id for `auth: approle`.")] = None
    secret_id: Annotated[
        LocalSecret | None, Doc(description="The secret id for `auth: approle`; unset where the role needs none.")
    ] = None
    role: Annotated[Text | None, Doc(description="The role for `auth: kubernetes`.")] = None
    jwt: Annotated[
        LocalSecret | None, Doc(description="The token for `auth: kubernetes`. Unset: the pod's own service account.")
    ] = None
    mount: Annotated[
        Text | None, Doc(description="Where the auth method is mounted. Unset: `approle` or `kubernetes`.")
    ] = None
    ca: Annotated[
        Text | None, Doc(description="Path of a CA bundle (PEM). Unset: `$VAULT_CACERT`, `$BAO_CACERT`, the system's.")
    ] = None


class Aws(Section, frozen=True, kw_only=True):
    region: Annotated[
        Text | None, Doc(description="The region. Unset: as AWS tools find it (`$AWS_REGION`, profile).")
    ] = None
    endpoint: Annotated[
        Url | None, Doc(description="Another address for both services. Unset: `$AWS_ENDPOINT_URL`, else AWS itself.")
    ] = None


class Gcp(Section, frozen=True, kw_only=True):
    endpoint: Annotated[Url, Doc(description="Where Secret Manager answers.")] = "https://secretmanager.googleapis.com"


class Azure(Section, frozen=True, kw_only=True):
    domain: Annotated[Text, Doc(description="What follows a vault's name; other clouds have others.")] = (
        "vault.azure.net"
    )
    endpoint: Annotated[
        Url | None, Doc(description="One address for every vault. Unset: `https://<vault>.<domain>`.")
    ] = None


class Kubernetes(Section, frozen=True, kw_only=True):
    server: Annotated[Url | None, Doc(description="The API server. Unset: the one of the pod that we run in.")] = None
    token: Annotated[LocalSecret | None, Doc(description="The bearer token. Unset: the pod's service account.")] = None
    ca: Annotated[Text | None, Doc(description="Path of a CA bundle (PEM). Unset: the service account's.")] = None


class Secrets(Section, frozen=True, kw_only=True):
    refresh: Annotated[Duration, Doc(description="How often every reference is asked for anew.")] = 300.0
    vault: Annotated[Vault, Doc(description="For `vault://`.")] = Vault()
    aws: Annotated[Aws, Doc(description="For `aws-sm://` and `aws-ssm://`.")] = Aws()
    gcp: Annotated[Gcp, Doc(description="For `gcp-sm://`.")] = Gcp()
    azure: Annotated[Azure, Doc(description="For `azure-kv://`.")] = Azure()
    kubernetes: Annotated[Kubernetes, Doc(description="For `k8s://`.")] = Kubernetes()
