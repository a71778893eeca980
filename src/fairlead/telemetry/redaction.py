"""What looks like a secret is taken out of what is told: the last net, for what should never have come so far.

Pure. It must not know which secrets there are: it goes by the shapes of keys, tokens and passwords.
"""

import re
from typing import Any

HIDDEN = "***"
_SHAPES = (
    r"(?P<pem>-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z))",
    r"(?P<ours>\bfl_[A-Za-z0-9]{4,}_[A-Za-z0-9]{8,})",
    r"(?P<provider>\b(?:sk|pk|rk|gsk|xai|pplx|hf|ghp|gho|xox[abps])[-_][A-Za-z0-9_-]{8,})",
    r"(?P<cloud>\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\bAIza[A-Za-z0-9_-]{20,}|\bhv[sb]\.[A-Za-z0-9_-]{8,})",
    r"(?P<jwt>\beyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*)",
    r"(?P<bearer>(?i:\b(?:bearer|basic))\s+[A-Za-z0-9._~+/=-]{8,})",
    r"(?P<url>(?<=://)[^\s/:@]*:[^\s/@]+(?=@))",
    r"(?P<named>(?<=api_key|api-key)[\"']?\s*[:=]\s*[\"']?[^\s\"',;&]{6,})",
)
_SECRET = re.compile("|".join(_SHAPES), re.DOTALL)
_HINT = re.compile(r"://|[-_.]|eyJ|AKIA|ASIA|AIza|(?i:bearer|basic|key|token|secret|password|authorization)")


def redacted(value: Any) -> Any:
    """`value` with every secret in any of its texts replaced by `***`, however deep it lies."""
    match value:
        case str():
            return _SECRET.sub(HIDDEN, value) if _HINT.search(value) else value
        case dict():
            return {key: redacted(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redacted(item) for item in value]
        case None | bool() | int() | float():
            return value
    return redacted(str(value))
