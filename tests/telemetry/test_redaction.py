"""What looks like a secret does not get out, wherever it lies; what does not is left alone."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.telemetry.redaction import redacted

SECRETS = [
    "fl_k1abcd_Zm9vYmFyYmF6cXV4",
    "sk-proj-abcdefgh12345678",
    "sk-ant-api03-abcdefgh12345678",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyD-abcdefghijklmnopqrstuv",
    "hvs.CAESIabcdefgh",
    "ghp_abcdefgh12345678",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqbyJ9.c2lnbmF0dXJl",
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIN\n-----END PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("frame", ["{}", "the key {} was refused", "x={};y", "['{}']"])
def test_the_shape_of_a_secret_is_enough(secret: str, frame: str) -> None:
    told = redacted(frame.format(secret))
    assert secret[8:] not in told
    assert "***" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Authorization: Bearer abc.def-ghi_123", "Authorization: ***"),
        ("postgresql://user:hunter22@db/x", "postgresql://***@db/x"),
        ("redis://:hunter22@db:6379", "redis://***@db:6379"),
        ('api_key="abcdefgh"', 'api_key="***"'),
        ('{"api_key": "0123456789abcdef", "model": "m"}', '{"api_key": "***", "model": "m"}'),
        ("x-api-key: 0123456789abcdef", "x-api-key: ***"),
        ("host=db password=hunter2 user=fairlead", "host=db password=*** user=fairlead"),
        ("AZURE_CLIENT_SECRET=abc~8Qdefghijklmnop", "AZURE_CLIENT_SECRET=***"),
        ("token: 0a1b2c3d4e5f60718293", "token: ***"),
        ("AccountKey=abcd1234abcd1234==;Endpoint=x", "AccountKey=***;Endpoint=x"),
    ],
)
def test_what_stands_beside_a_name_goes_too(text: str, told: str) -> None:
    assert redacted(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "openai/gpt-4o-mini:200",
        "req_8f7a6b5c4d3e2f1a",
        "http://127.0.0.1:4000/v1/chat/completions",
        "requests of key ci: 60 per 1m",
        "the database /data/fairlead.db cannot be used: disk is full",
        "0af7651916cd43dd8448eb211c80319c",
        "claude-haiku-4-5",
        "password authentication failed for user 'fairlead'",
        "the token: unexpected",
        "f.yaml:5:72: providers.fake.api_key: warning: vault://secret/data/llm#openai has no value: it is away",
        "api_key: env://OPENAI_API_KEY is not set",
        "secret: vault://secret/data/llm0123#openai",
        "input_tokens: 1234567890123456",
        "sk-1",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert redacted(text) == text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES, st.sampled_from(SECRETS))
def test_it_is_found_however_deep_it_lies(value: object, secret: str) -> None:
    told = msgspec.json.encode(redacted({"a": [value, {"b": (secret, {secret})}]})).decode()
    assert secret[8:] not in told


@pytest.mark.parametrize("name", ["password", "Authorization", "api_key", "token"])
def test_the_name_of_a_field_is_enough(name: str) -> None:
    assert redacted({name: "hunter", "key": "ci"}) == {name: "***", "key": "ci"}


@pytest.mark.parametrize("secret", SECRETS)
def test_the_name_of_a_field_may_be_a_secret_itself(secret: str) -> None:
    assert redacted({secret: 1}) == {"***": 1}
