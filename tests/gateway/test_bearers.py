"""Case X5: tokens of an issuer, right ones and every known way of making a wrong one look right."""

import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import Key, OctKey
from tests.gateway.token_maker import ISSUER, NOW, claims, ec, ed, encoded, issuer, public, rsa, token

from fairlead.canonical.errors import GatewayError
from fairlead.canonical.tenants import Claims, Issuer, VirtualKey
from fairlead.gateway import bearers as module
from fairlead.gateway.bearers import Bearers, inherited
from fairlead.policy.claims import Known

ALL = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
UNPROVEN = "this token is not accepted here; send one that a configured issuer has signed, as it was issued"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def bearers(*keys: Key | dict[str, Any], clock: Clock | None = None, **settings: Any) -> Bearers:
    return Bearers((issuer(*keys, **settings),), clock or Clock(), known=Known(tenants={"acme"}))


def accepted(presented: bytes, of: Bearers | None = None) -> VirtualKey:
    found = (of or bearers()).caller(presented)
    assert found is not None
    return found


def refused(presented: bytes, of: Bearers | None = None) -> str:
    with pytest.raises(GatewayError) as error:
        (of or bearers()).caller(presented)
    assert error.value.code == "invalid_api_key"
    return error.value.message


def test_a_token_of_a_configured_issuer_is_a_caller() -> None:
    made = accepted(token())
    assert (made.id, made.user, made.expires_at) == ("jwt:issuer.example/realms/a:alice", "alice", NOW + 630)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        (name, ed() if name == "EdDSA" else ec() if name == "ES256" else rsa())
        for name in ALL
        if name not in ("ES384", "ES512")
    ]
    + [("ES384", ec("ec3", "P-384")), ("ES512", ec("ec5", "P-521"))],
)
def test_every_algorithm_that_can_be_allowed_works_and_only_where_it_is_allowed(algorithm: str, key: Key) -> None:
    presented = token(key=key, algorithm=algorithm)
    assert accepted(presented, bearers(key, algorithms=ALL)).user == "alice"
    others = tuple(name for name in ALL if name != algorithm)
    assert refused(presented, bearers(key, algorithms=others)) == UNPROVEN


@pytest.mark.parametrize("named", [None, "JWT", "jwt", "at+jwt", "application/at+jwt"])
def test_a_token_may_say_that_it_is_one(named: str | None) -> None:
    assert accepted(token(header={"typ": named})).user == "alice"


def test_a_token_without_a_key_id_is_checked_with_the_only_key_that_it_can_be() -> None:
    presented = token(header={"kid": None})
    assert accepted(presented, bearers(rsa(), ec())).user == "alice"
    for keys in ((rsa(), rsa("other")), (rsa("other"), rsa())):
        assert refused(presented, bearers(*keys)) == UNPROVEN


SHARED = OctKey.generate_key(256, {"kid": "rsa"})
GOOD = token()
HEAD, BODY, TAIL = GOOD.split(b".")


def unsigned(header: dict[str, Any], signature: bytes = b"") -> bytes:
    return encoded(json.dumps(header).encode()) + b"." + BODY + b"." + signature


def with_hmac(secret: bytes, **header: Any) -> bytes:
    """RS256's public key taken for HS256's secret, by hand: joserfc refuses to."""
    signed = encoded(json.dumps({"alg": "HS256", **header}).encode()) + b"." + BODY
    return signed + b"." + encoded(hmac.digest(secret, signed, "sha256"))


ATTACKS: dict[str, bytes] = {
    "no signature, alg none": unsigned({"alg": "none"}),
    "alg none with the old signature": unsigned({"alg": "none", "kid": "rsa"}, TAIL),
    "alg None": unsigned({"alg": "None", "kid": "rsa"}, TAIL),
    "alg nONE": unsigned({"alg": "nONE"}),
    "alg empty": unsigned({"alg": "", "kid": "rsa"}, TAIL),
    "alg missing": unsigned({"kid": "rsa"}, TAIL),
    "alg a list": unsigned({"alg": ["RS256"], "kid": "rsa"}, TAIL),
    "alg a number": unsigned({"alg": 1, "kid": "rsa"}, TAIL),
    "alg in other letters": unsigned({"alg": "rs256", "kid": "rsa"}, TAIL),
    "HMAC with the public key as the secret": with_hmac(rsa().as_pem(private=False), kid="rsa"),
    "HMAC with the public key, no kid": with_hmac(rsa().as_pem(private=False)),
    "HMAC with the published key": with_hmac(public(rsa()).encode(), kid="rsa"),
    "HMAC with the public key, called RS256": with_hmac(rsa().as_pem(private=False), kid="rsa", alg="RS256"),
    "HMAC with an empty secret": with_hmac(b"", kid="rsa"),
    "no signature at all": HEAD + b"." + BODY + b".",
    "truncated signature": GOOD[:-4],
    "one bit of the signature": HEAD + b"." + BODY + b"." + (b"A" if TAIL[:1] != b"A" else b"B") + TAIL[1:],
    "signature with bits that nobody reads": GOOD[:-1] + bytes([GOOD[-1] + 1]),
    "longer signature": GOOD + b"AAAA",
    "signature of another token": HEAD + b"." + BODY + b"." + token(claims(sub="bob")).split(b".")[2],
    "another subject under the signature": HEAD + b"." + encoded(json.dumps(claims(sub="root")).encode()) + b"." + TAIL,
    "another header over the signature": unsigned({"alg": "RS256", "kid": "rsa", "typ": "at+jwt"}, TAIL),
    "wrong key, right kid": token(key=rsa("intruder"), header={"kid": "rsa"}),
    "wrong key, its own kid": token(key=rsa("intruder")),
    "kid a path": token(header={"kid": "../../../../dev/null"}),
    "kid a file": token(header={"kid": "/proc/sys/kernel/randomize_va_space"}),
    "kid a URL": token(header={"kid": "http://127.0.0.1:1/key"}),
    "kid SQL": token(header={"kid": "rsa' UNION SELECT 'key' --"}),
    "kid with a null byte": token(header={"kid": "rsa\0"}),
    "kid a list": token(header={"kid": ["rsa"]}),
    "kid null": token(header=b'{"alg":"RS256","kid":null}'),
    "kid in other letters": token(header={"kid": "RSA"}),
    "kid huge": token(header={"kid": "x" * 600}),
    "jwk in the header": token(key=rsa("intruder"), header={"jwk": rsa("intruder").as_dict(private=False)}),
    "jwk in the header, right key": token(header={"jwk": rsa().as_dict(private=False)}),
    "jku": token(header={"jku": "https://issuer.example/keys"}),
    "x5u": token(header={"x5u": "https://issuer.example/chain"}),
    "crit unknown": token(header={"crit": ["exp"]}),
    "crit empty": token(header={"crit": []}),
    "crit b64": token(header={"crit": ["b64"], "b64": False}),
    "b64 alone": token(header={"b64": False}),
    "zip": token(header={"zip": "DEF"}),
    "a logout token": token(header={"typ": "logout+jwt"}),
    "a DPoP proof": token(header={"typ": "dpop+jwt"}),
    "typ a number": token(header={"typ": 1}),
    "claims twice": token(json.dumps(claims()).encode()[:-1] + b',"sub":"root"}'),
    "claims twice, nested": token(json.dumps(claims()).encode()[:-1] + b',"a":{"t":"acme","t":"globex"}}'),
    "claims twice, escaped": token(json.dumps(claims()).encode()[:-1] + b',"\\u0073ub":"root"}'),
    "claims a list": token(b"[]"),
    "claims a text": token(b'"alice"'),
    "claims broken": token(b'{"iss":'),
    "claims NaN": token(json.dumps(claims()).encode()[:-1] + b',"x":NaN}'),
    "claims not UTF-8": token(json.dumps(claims()).encode()[:-1] + b',"x":"\xff"}'),
    "claims UTF-16": token(json.dumps(claims()).encode("utf-16")),
    "claims with a byte order mark": token(b"\xef\xbb\xbf" + json.dumps(claims()).encode()),
    "claims deep": token(json.dumps(claims()).encode()[:-1] + b',"x":' + b"[" * 2500 + b"]" * 2500 + b"}"),
    "claims empty": HEAD + b".." + TAIL,
    "iss missing": token(claims(iss=None)),
    "iss of somebody else": token(claims(iss="https://evil.example")),
    "iss with a slash": token(claims(iss=ISSUER + "/")),
    "iss in capitals": token(claims(iss=ISSUER.upper())),
    "iss a list": token(claims(iss=[ISSUER])),
    "iss an object": token(claims(iss={ISSUER: 1})),
}  # fmt: skip


@pytest.mark.parametrize("case", ATTACKS)
def test_x5_an_unproven_token_is_refused_and_learns_nothing(case: str) -> None:
    assert refused(ATTACKS[case], bearers(rsa(), algorithms=ALL)) == UNPROVEN


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (claims(aud="other"), "this token is for another audience"),
        (claims(aud=None), "this token is for another audience"),
        (claims(exp=NOW - 31), "this token has expired"),
        (claims(exp=None), "this token has no 'exp'"),
        (claims(exp=True), "'exp' in this token is not a time"),
        (claims(nbf=NOW + 31), "this token is not valid yet"),
        (claims(iat=NOW + 31), "this token is not valid yet"),
        (claims(sub=None), "this token has no 'sub'"),
    ],
)
def test_x5_a_proven_token_that_does_not_hold_is_told_why(body: dict[str, Any], says: str) -> None:
    assert refused(token(body)).startswith(says)
    assert refused(token(body, key=rsa("intruder"))) == UNPROVEN


@pytest.mark.parametrize("header", [b'{"alg":"none","alg":"RS256","kid":"rsa"}', b"[]", b'"alg"', b"{", b"\xff", b""])
def test_what_has_no_header_is_no_token(header: bytes) -> None:
    assert bearers().caller(token(header=header) if header else b"." + BODY + b"." + TAIL) is None


@pytest.mark.parametrize(
    "presented",
    [b"", b".", b"..", b"...", b"fl_abc_def", b"a.b.c", b"sk-abc.def.ghi", GOOD + b".x", GOOD + b" ", GOOD + b"=",
     GOOD.replace(b"-", b"+").replace(b"_", b"/") + b"+", b"e30.\xff.e30", b"x" * 100_000],
)  # fmt: skip
def test_what_is_written_otherwise_is_no_token_but_perhaps_a_key(presented: bytes) -> None:
    assert bearers().caller(presented) is None


def test_without_issuers_nothing_is_a_token() -> None:
    assert Bearers((), Clock()).caller(GOOD) is None


def test_x5_a_huge_token_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    huge = token(claims(filler="x" * 9000))
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("it was read"))
    assert refused(huge) == f"this token has {len(huge)} bytes; at most 8192 are read"


def test_the_largest_token_is_read() -> None:
    room = module.LONGEST - len(token(claims(filler="")))
    assert accepted(token(claims(filler="x" * (room * 3 // 4 - 2)))).user == "alice"


def test_an_issuer_without_keys_proves_nobody() -> None:
    assert refused(GOOD, Bearers((Issuer(issuer=ISSUER, audience=("fairlead",)),), Clock())) == UNPROVEN


@pytest.mark.parametrize(
    ("bad", "signer", "algorithm"),
    [
        (SHARED.as_dict(private=True), SHARED, "HS256"),
        (rsa().as_dict(private=True), rsa(), "RS256"),
        (rsa("short", 1024).as_dict(private=False), rsa("short", 1024), "RS256"),
        ({**rsa().as_dict(private=False), "use": "enc"}, rsa(), "RS256"),
        ({**rsa().as_dict(private=False), "alg": "RS512"}, rsa(), "RS256"),
        ({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "rsa"}, rsa(), "RS256"),
    ],
)
def test_x5_a_key_that_must_not_be_trusted_proves_nobody(bad: dict[str, Any], signer: Key, algorithm: str) -> None:
    made = bearers(bad, ec())
    assert refused(token(key=signer, algorithm=algorithm), made) == UNPROVEN
    assert accepted(token(key=ec(), algorithm="ES256"), made).user == "alice"


def test_of_two_issuers_each_is_checked_with_its_own_keys() -> None:
    other = "https://other.example"
    made = Bearers((issuer(rsa()), issuer(rsa("theirs"), issuer=other)), Clock())
    assert accepted(token(claims(iss=other), key=rsa("theirs")), made).id == "jwt:other.example:alice"
    assert refused(token(claims(iss=other), header={"kid": "theirs"}), made) == UNPROVEN
    assert refused(token(key=rsa("theirs")), made) == UNPROVEN


def test_a_claims_tenant_must_be_known() -> None:
    made = bearers(claims=Claims(tenant="org"))
    assert accepted(token(claims(org="acme")), made).tenant == "acme"
    assert refused(token(claims(org="evil")), made).startswith("this token names a tenant that is not known here")


def counted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every token that is proven anew from now on."""
    seen: list[bytes] = []
    real = Bearers._prove

    def watched(self: Bearers, presented: bytes) -> Any:
        seen.append(presented)
        return real(self, presented)

    monkeypatch.setattr(Bearers, "_prove", watched)
    return seen


def test_a_proven_token_is_not_proven_again_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, clock = counted(monkeypatch), Clock()
    made = bearers(clock=clock)
    assert accepted(GOOD, made) is accepted(GOOD, made)
    clock.now = NOW + 629
    accepted(GOOD, made)
    assert seen == [GOOD]
    clock.now = NOW + 630
    assert refused(GOOD, made).startswith("this token has expired")


def test_x5_tokens_that_begin_alike_are_told_apart() -> None:
    """CVE-2026-35030: a cache that knew tokens by their first characters, which are the header's."""
    made = bearers()
    alice, bob = token(), token(claims(sub="bob"))
    assert alice[:60] == bob[:60]
    assert [accepted(one, made).user for one in (alice, bob, alice, bob)] == ["alice", "bob", "alice", "bob"]
    forged = alice.rpartition(b".")[0] + b"." + bob.rpartition(b".")[2]
    assert refused(forged, made) == UNPROVEN


def test_refused_tokens_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, made = counted(monkeypatch), bearers()
    for _ in range(2):
        refused(ATTACKS["truncated signature"], made)
    assert len(seen) == 2


def test_only_so_many_tokens_are_remembered_and_the_ones_in_use_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PROVEN", 3)
    seen, made = counted(monkeypatch), bearers()
    tokens = [token(claims(sub=f"s{number}"), key=rsa()) for number in range(4)]
    for presented in (*tokens[:3], tokens[0], tokens[3], tokens[0], tokens[1]):
        accepted(presented, made)
    assert seen == [*tokens, tokens[1]]


def test_an_unknown_key_is_asked_for_but_not_more_often_than_is_decent() -> None:
    asked: list[str] = []
    clock = Clock()
    made = Bearers((issuer(),), clock, wanted=asked.append)
    for kid in ("new", "newer", "newest"):
        refused(token(header={"kid": kid}), made)
    assert asked == [ISSUER]
    clock.now += 10
    refused(token(header={"kid": "new"}), made)
    assert asked == [ISSUER, ISSUER]


@pytest.mark.parametrize(
    "case", ["iss of somebody else", "wrong key, right kid", "kid huge", "alg none with the old signature"]
)
def test_only_a_missing_key_makes_an_issuer_be_asked(case: str) -> None:
    asked: list[str] = []
    refused(ATTACKS[case], Bearers((issuer(),), Clock(), wanted=asked.append))
    assert not asked


def test_a_token_that_names_no_key_may_be_of_a_later_one() -> None:
    asked: list[str] = []
    made = Bearers((issuer(),), Clock(), wanted=asked.append)
    assert refused(token(key=rsa("next"), header={"kid": None}), made) == UNPROVEN
    assert asked == [ISSUER]


def test_an_issuer_keeps_its_keys_when_a_snapshot_brings_none() -> None:
    had = issuer(rsa())
    bare = Issuer(issuer=ISSUER, audience=("another",))
    assert inherited((bare,), (had,))[0].jwks == had.jwks
    assert inherited((bare,), (had,))[0].audience == ("another",)
    assert inherited((issuer(ec()),), (had,))[0].jwks == public(ec())
    moved = Issuer(issuer=ISSUER, audience=("a",), jwks_url="https://elsewhere/keys")
    assert inherited((moved,), (had,))[0].jwks == ""


def attempted(presented: bytes) -> VirtualKey | None:
    """The caller, or None: no token, or refused in the words that all unproven ones are refused in."""
    made = bearers()
    try:
        return made.caller(presented)
    except GatewayError:
        assert refused(presented, made) == UNPROVEN
        return None


PARTS = st.sampled_from([HEAD, BODY, TAIL, b"", b"e30"]) | st.binary(max_size=30).map(encoded)


@given(st.binary(max_size=80) | st.lists(PARTS, min_size=2, max_size=4).map(b".".join))
def test_whatever_is_presented_is_a_caller_no_token_or_a_plain_refusal(presented: bytes) -> None:
    assert attempted(presented) is None or presented == GOOD


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_token_with_one_other_byte_is_never_accepted(place: int, change: int) -> None:
    changed = bytearray(GOOD)
    changed[place] ^= change
    assert attempted(bytes(changed)) is None
