"""Every secret of a configuration is found, wherever it stands."""

from fairlead.config.bind import bind
from fairlead.config.model import Config
from fairlead.config.problems import Findings
from fairlead.config.references import Reference, files, references, remote, remote_credentials

TEXT = """
admin: {key: "k8s://ns/admin#key"}
providers:
  a: {kind: openai, api_key: "vault://secret/data/llm#a"}
  b: {kind: openai, api_key: file:///run/b}
  c: {kind: openai, api_key: sk-literal}
keys:
  - {name: one, key: env://ONE}
  - {name: two, key: "aws-sm://two"}
secrets:
  vault: {token: file:///run/token}
"""


def config() -> Config:
    bound = bind(TEXT.encode(), Findings("f.yaml"))
    assert bound is not None
    return bound


def test_every_reference_is_found_with_its_path() -> None:
    assert set(references(config())) == {
        Reference("admin.key", "k8s://ns/admin#key"),
        Reference("providers.a.api_key", "vault://secret/data/llm#a"),
        Reference("providers.b.api_key", "file:///run/b"),
        Reference("keys[0].key", "env://ONE"),
        Reference("keys[1].key", "aws-sm://two"),
        Reference("secrets.vault.token", "file:///run/token"),
    }


def test_they_are_told_apart() -> None:
    assert remote(config()) == {"k8s://ns/admin#key", "vault://secret/data/llm#a", "aws-sm://two"}
    assert files(config()) == ("/run/b", "/run/token")
    assert remote_credentials(config()) == {"a": "vault://secret/data/llm#a"}
