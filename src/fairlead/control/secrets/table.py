"""Which store each scheme of a reference belongs to, and how it is opened.

It must not open one: importing this costs no SDK, and a store asks nothing before its first read.
"""

from collections.abc import Callable

import msgspec

from fairlead.config import vaults
from fairlead.control.secrets.aws import Parameters, SecretsManager
from fairlead.control.secrets.azure import Azure
from fairlead.control.secrets.gcp import Gcp
from fairlead.control.secrets.kubernetes import Kubernetes
from fairlead.control.secrets.store import Machine, Store
from fairlead.control.secrets.vault import Vault


class Row(msgspec.Struct, frozen=True):
    """The settings that a store depends on, and how to open it with them."""

    settings: Callable[[vaults.Secrets], msgspec.Struct]
    open: Callable[[vaults.Secrets, Machine], Store]


STORES: dict[str, Row] = {
    "vault": Row(lambda s: s.vault, lambda s, machine: Vault(s.vault, machine)),
    "aws-sm": Row(lambda s: s.aws, lambda s, _: SecretsManager(s.aws)),
    "aws-ssm": Row(lambda s: s.aws, lambda s, _: Parameters(s.aws)),
    "gcp-sm": Row(lambda s: s.gcp, lambda s, _: Gcp(s.gcp)),
    "azure-kv": Row(lambda s: s.azure, lambda s, _: Azure(s.azure)),
    "k8s": Row(lambda s: s.kubernetes, lambda s, machine: Kubernetes(s.kubernetes, machine)),
}
