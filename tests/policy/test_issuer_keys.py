"""Of what an issuer publishes only public keys that can bear the trust are used, and only their public parts."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OctKey
from tests.gateway.token_maker import ec, ed, public, rsa

from fairlead.policy.issuer_keys import MOST_KEYS, read


def reasons(*keys: Any) -> tuple[str, ...]:
    found = read(public(*keys))
    assert not found.keys
    return found.ignored


def test_each_kind_of_key_has_its_algorithms() -> None:
    found = read(public(rsa(), ec(), ec("ec3", "P-384"), ec("ec5", "P-521"), ed()))
    assert not found.ignored
    assert {key.kid: key.algorithms for key in found.keys} == {
        "rsa": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        "ec": ("ES256",),
        "ec3": ("ES384",),
        "ec5": ("ES512",),
        "ed": ("EdDSA",),
    }


def test_a_key_that_names_its_algorithm_checks_no_other() -> None:
    (key,) = read(public({**rsa().as_dict(private=False), "alg": "RS512", "use": "sig"})).keys
    assert key.algorithms == ("RS512",)


def test_an_algorithms_newer_name_is_understood() -> None:
    (key,) = read(public({**ed().as_dict(private=False), "alg": "Ed25519"})).keys
    assert key.algorithms == ("EdDSA",)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (OctKey.generate_key(256).as_dict(private=True), "it is a shared secret"),
        (rsa().as_dict(private=True), "its private part is published"),
        (ec().as_dict(private=True), "its private part is published"),
        (ed().as_dict(private=True), "its private part is published"),
        ({**rsa().as_dict(private=False), "k": "c2VjcmV0"}, "its private part is published"),
        (rsa("short", 1024).as_dict(private=False), "it has 1024 bits"),
        ({"kty": "RSA", "n": "A" * 12000, "e": "AQAB"}, "it has 0 bits"),
        ({"kty": "RSA", "n": "_" * 12000, "e": "AQAB"}, "it has 72000 bits"),
        ({"kty": "RSA", "n": "!", "e": "AQAB"}, "it has 0 bits"),
        ({**rsa().as_dict(private=False), "e": "A" * 300}, "its exponent is too long"),
        ({**rsa().as_dict(private=False), "use": "enc"}, "it is not for signatures"),
        ({**rsa().as_dict(private=False), "use": ["sig"]}, "it is not for signatures"),
        ({**rsa().as_dict(private=False), "key_ops": ["encrypt"]}, "it is not for signatures"),
        ({**rsa().as_dict(private=False), "key_ops": 7}, "it is not for signatures"),
        ({**rsa().as_dict(private=False), "alg": "HS256"}, "its algorithm or curve is not known"),
        ({**rsa().as_dict(private=False), "alg": "none"}, "its algorithm or curve is not known"),
        ({**rsa().as_dict(private=False), "alg": "RSA-OAEP"}, "its algorithm or curve is not known"),
        ({**rsa().as_dict(private=False), "alg": ["RS256"]}, "its algorithm or curve is not known"),
        ({**rsa().as_dict(private=False), "kid": 7}, "it is not complete"),
        ({"kty": "RSA", "n": 7, "e": "AQAB"}, "it is not complete"),
        ({"kty": "EC", "crv": "P-256", "x": "AA"}, "it is not complete"),
        ({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}, "its algorithm or curve is not known"),
        ({"kty": "OKP", "crv": "X25519", "x": "AA"}, "its algorithm or curve is not known"),
        ({"kty": "EC", "crv": "Ed25519", "x": "AA", "y": "AA"}, "its algorithm or curve is not known"),
        ({"kty": "AKP", "pub": "AA"}, "its kind is not known"),
        ({"kty": ["RSA"]}, "its kind is not known"),
        ({}, "its kind is not known"),
    ],
)
def test_a_key_that_could_prove_nothing_is_ignored(key: dict[str, Any], reason: str) -> None:
    (why,) = reasons(key)
    assert why.startswith(f"keys[0]: {reason}")


def test_a_bad_key_does_not_take_the_good_ones_with_it() -> None:
    found = read(public(rsa("short", 1024), {"kty": "oct", "k": "AA"}, rsa()))
    assert [key.kid for key in found.keys] == ["rsa"]
    assert [why.partition(":")[0] for why in found.ignored] == ["keys[0]", "keys[1]"]


def test_reasons_hold_no_key_material() -> None:
    secret = OctKey.generate_key(256).as_dict(private=True)
    private = rsa().as_dict(private=True)
    said = " ".join(reasons(secret, private))
    assert str(secret["k"]) not in said
    assert str(private["d"]) not in said


def test_only_public_members_are_kept_and_reading_them_again_gives_the_same() -> None:
    odd = {**rsa().as_dict(private=False), "alg": "RS256", "x5c": ["MII"], "x5u": "http://elsewhere", "note": 1}
    found = read(public(odd, ec()))
    assert set(json.loads(found.text)["keys"][0]) == {"kty", "kid", "alg", "n", "e"}
    assert read(found.text) == msgspec.structs.replace(found, ignored=())


@pytest.mark.parametrize("document", ["", "[]", "{}", '{"keys": 1}', '{"keys": [1]}', "<html>", "[" * 5000, "\ud800"])
def test_what_is_no_key_set_is_told(document: str) -> None:
    with pytest.raises(ValueError, match="it is not a JSON Web Key Set"):
        read(document.encode(errors="surrogatepass"))


def test_a_flood_of_keys_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 100 are taken"):
        read(public(*[{}] * (MOST_KEYS + 1)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
MEMBERS = st.sampled_from(["kty", "kid", "use", "alg", "key_ops", "n", "e", "crv", "x", "y", "d", "k"])
WORDS = st.sampled_from(["RSA", "EC", "OKP", "oct", "sig", "RS256", "P-256", "Ed25519", "AQAB", "_" * 400])


@given(st.lists(st.dictionaries(MEMBERS, WORDS | JSON), max_size=3))
def test_whatever_is_published_is_used_or_ignored(keys: list[dict[str, Any]]) -> None:
    found = read(json.dumps({"keys": keys}))
    assert len(found.keys) + len(found.ignored) == len(keys)
    assert not any({"d", "k"} & set(key.jwk) for key in found.keys)
