"""Secrets in the configuration: a reference to where the value is, or the value itself.

It must not print a value, ever: not in a repr, not in a message. It asks nothing over the network: the environment,
files and what stores gave are passed in.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from fairlead.config.problems import did_you_mean
from fairlead.config.units import Unit

_LITELLM = "os.environ/"
_ANY_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+._-]*)://")
_SHELL = re.compile(r"\$\{\w+\}")


class Scheme(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of reference: what follows `scheme://`, and how to write it."""

    rest: re.Pattern[str]
    form: str
    remote: bool = True
    """Whether its values come over the network."""


def _scheme(rest: str, form: str, *, remote: bool = True) -> Scheme:
    return Scheme(rest=re.compile(rest, re.ASCII), form=form, remote=remote)


SCHEMES: dict[str, Scheme] = {
    "env": _scheme(r"[A-Za-z_][A-Za-z0-9_]*", "env://NAME, the name of an environment variable", remote=False),
    "file": _scheme(r"/.+", "file:///path, an absolute path", remote=False),
    "vault": _scheme(
        r"(?:[\w.@-]+/)+data/[\w.@-]+(?:/[\w.@-]+)*#[\w.@-]+",
        "vault://mount/data/path#field, such as vault://secret/data/llm#openai (KV v2)",
    ),
    "aws-sm": _scheme(
        r"[\w/+=.@:-]{1,2048}(?:#[\w.@-]+)?", "aws-sm://name or aws-sm://name#field; an ARN is a name too"
    ),
    "aws-ssm": _scheme(r"/?[\w.-]+(?:/[\w.-]+)*", "aws-ssm://path, such as aws-ssm://prod/openai"),
    "gcp-sm": _scheme(
        r"projects/[a-z0-9.:-]+/secrets/[\w-]{1,255}(?:/versions/(?:\d+|[A-Za-z][\w-]*))?",
        "gcp-sm://projects/PROJECT/secrets/SECRET, with /versions/N for one version",
    ),
    "azure-kv": _scheme(
        r"[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]/[A-Za-z0-9-]{1,127}(?:/[0-9a-f]{32})?", "azure-kv://vault/name"
    ),
    "k8s": _scheme(r"[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9.-]{0,252}#[\w.-]{1,253}", "k8s://namespace/secret#key"),
}
"""Every kind of reference, by scheme. Dots alone are no segment of a path: see `_malformed`."""


class Fetched(msgspec.Struct, frozen=True):
    """What stores gave over the network: values by reference, and why each other reference has none."""

    values: Mapping[str, str] = {}
    reasons: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"Fetched({len(self.values)} values, {len(self.reasons)} missing)"


class UnresolvedError(Exception):
    """The reference names something that is not there; the message names it and holds no secret."""


class UnaskedError(UnresolvedError):
    """The reference's value comes over the network, and nothing has been asked there."""


class Secret:
    """A reference or a literal value. Printing it shows the reference, never a literal."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @property
    def reference(self) -> str | None:
        """`scheme://…` (LiteLLM's `os.environ/NAME` becomes `env://NAME`); None: the text is the secret itself."""
        if self._text.startswith(_LITELLM):
            return "env://" + self._text.removeprefix(_LITELLM)
        scheme, mark, _ = self._text.partition("://")
        return self._text if mark and scheme in SCHEMES else None

    @property
    def is_remote(self) -> bool:
        """Whether the value comes over the network."""
        reference = self.reference
        return reference is not None and SCHEMES[reference.partition("://")[0]].remote

    def reveal(self) -> str:
        """The text as it was written: the secret itself unless `reference` is set."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({self.reference or '***'})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def read_text(path: str) -> str:
    """The text of a secret's file. Raises OSError or ValueError."""
    return Path(path).read_text(encoding="utf-8")


def resolve(
    secret: Secret,
    environ: Mapping[str, str],
    read_file: Callable[[str], str] = read_text,
    fetched: Fetched | None = None,
) -> str:
    """The secret's value. Raises UnresolvedError when there is none. `fetched` None: no store has been asked."""
    reference = secret.reference
    if reference is None:
        return secret.reveal()
    scheme, _, rest = reference.partition("://")
    if scheme == "env":
        return one_line(reference, _from_env(rest, environ))
    if scheme == "file":
        return one_line(reference, _from_file(rest, read_file))
    return _from_store(reference, fetched)


def one_line(reference: str, text: str) -> str:
    """The value that `text` holds, ready for a header. Raises UnresolvedError: it is empty or not one line."""
    value = text.strip()
    if not value:
        raise UnresolvedError(f"{reference} is empty; give it a value")
    if not value.isprintable():
        raise UnresolvedError(f"{reference} holds line breaks or control characters; it must be one line")
    return value


def _from_env(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if value is None:
        raise UnresolvedError(f"the environment variable {name} is not set")
    if not value.strip():
        raise UnresolvedError(f"the environment variable {name} is empty; give it a value")
    return value.strip()


def _from_file(path: str, read_file: Callable[[str], str]) -> str:
    try:
        value = read_file(path).strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UnresolvedError(f"the file {path} cannot be read: {reason}") from None
    if not value:
        raise UnresolvedError(f"the file {path} is empty; write the secret into it")
    return value


def _from_store(reference: str, fetched: Fetched | None) -> str:
    if fetched is None:
        raise UnaskedError(f"{reference} has not been asked for")
    value = fetched.values.get(reference)
    if value is None:
        raise UnresolvedError(f"{reference} has no value: {fetched.reasons.get(reference, 'it was not asked for')}")
    return value


def parse_secret(text: str) -> Secret:
    """A Secret that is well formed. Raises ValueError; the message shows a scheme at most."""
    secret = Secret(text)
    reference = secret.reference
    if reference is None:
        _check_literal(text)
        return secret
    scheme, _, rest = reference.partition("://")
    if SCHEMES[scheme].rest.fullmatch(rest) is None or not text.isprintable() or _climbs(scheme, rest):
        raise ValueError(f"a {scheme}:// reference is written {SCHEMES[scheme].form}")
    return secret


def parse_local(text: str) -> Secret:
    """A Secret that needs no store: what opens a store cannot lie in one. Raises ValueError."""
    secret = parse_secret(text)
    if secret.is_remote:
        raise ValueError("must be env://NAME or file:///path: it is needed before any store can be asked")
    return secret


def _climbs(scheme: str, rest: str) -> bool:
    """Whether a remote path leaves its place by a segment of dots."""
    return SCHEMES[scheme].remote and any(part in {".", ".."} for part in rest.partition("#")[0].split("/"))


def _check_literal(text: str) -> None:
    if not text.strip() or not text.isprintable():
        raise ValueError("must not be empty or hold control characters")
    match = _ANY_SCHEME.match(text)
    if match is not None:
        hint = did_you_mean(match[1].lower().replace("_", "-"), SCHEMES) or f"; known: {', '.join(SCHEMES)}"
        raise ValueError(f"unknown kind of reference {match[1][:20]}://{hint}")
    scheme, colon, _ = text.partition(":")
    if colon and scheme in SCHEMES:
        raise ValueError(f"a {scheme}:// reference is written {SCHEMES[scheme].form}")
    if _SHELL.fullmatch(text):
        raise ValueError("shell variables are not expanded here; write env://NAME")


PLACEHOLDER = re.compile(
    r"change[-_ ]?(?:me|this)|replace[-_ ]?(?:me|this)|your[-_ ].*(?:key|secret|token|pepper|password)|placeholder"
    r"|<[^>]+>|x{8,}|\*{3,}|\.{3}|insert[-_ ].*here|default[-_ ](?:key|secret|password)|example[-_ ](?:key|secret)",
    re.IGNORECASE,
)


def is_placeholder(value: str) -> bool:
    """Whether a secret is what an example says in its place (`change-me`, `<your key>`), so that others know it."""
    return PLACEHOLDER.search(value) is not None


SECRET = Unit(name="secret", parse=parse_secret, format=lambda secret: secret.reference or "***")
LOCAL_SECRET = Unit(name="secret", parse=parse_local, format=SECRET.format)
