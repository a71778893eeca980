"""Cases X4 and X6: where a credential may stand, and that it means the same wherever it stands."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.gateway_harness import KEY, gateway

from fairlead.canonical.errors import GatewayError
from fairlead.gateway.presented import CARRIERS, IN_QUERY, presented

PATHS = pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"], ids=["openai", "anthropic"])
EVERY = (b"authorization", *CARRIERS)
CANARY = "canary-key-of-enough-characters"


def carried(carrier: bytes, key: bytes) -> dict[bytes, bytes]:
    return {carrier: b"Bearer " + key if carrier == b"authorization" else key}


def refused(headers: dict[bytes, bytes], query: str = "") -> GatewayError:
    with pytest.raises(GatewayError) as error:
        presented(headers, query)
    return error.value


@pytest.mark.parametrize("carrier", EVERY)
def test_every_carrier_gives_the_same_key(carrier: bytes) -> None:
    assert presented(carried(carrier, b"k1"), "") == b"k1"


def test_nothing_is_found_where_nothing_is() -> None:
    assert presented({}, "") is None
    assert presented({b"cookie": b"authorization=Bearer k1; x-api-key=k1", b"host": b"k1"}, "") is None


@pytest.mark.parametrize("written", [b"Bearer k1", b"bearer k1", b"BEARER   k1", b"Bearer k1 "])
def test_the_scheme_is_read_without_regard_to_case(written: bytes) -> None:
    assert presented({b"authorization": written}, "") == b"k1"


@pytest.mark.parametrize(
    "written", [b"Basic azE6", b"k1", b"Token k1", b"Bearerk1", b"Digest a=b", b"\xffk1", b"Negotiate k1"]
)
def test_x6_another_scheme_is_refused_without_repeating_it(written: bytes) -> None:
    error = refused({b"authorization": written})
    assert error.code == "invalid_api_key"
    assert error.message == "the Authorization header has another scheme; write 'Bearer <key>'"


@pytest.mark.parametrize("written", [b"Bearer", b"Bearer ", b""])
def test_a_scheme_without_a_key_is_no_key(written: bytes) -> None:
    assert presented({b"authorization": written}, "") is None
    assert presented({b"authorization": written, b"x-api-key": b"k1"}, "") == b"k1"
    assert presented({b"authorization": b"Bearer k1", b"x-api-key": b""}, "") == b"k1"


@pytest.mark.parametrize("one", EVERY)
@pytest.mark.parametrize("other", EVERY)
def test_x6_two_carriers_must_agree(one: bytes, other: bytes) -> None:
    if one == other:
        return
    assert presented({**carried(one, b"k1"), **carried(other, b"k1")}, "") == b"k1"
    error = refused({**carried(one, b"k1"), **carried(other, b"k2")})
    assert error.code == "invalid_request_error"
    assert "k1" not in error.message
    assert "k2" not in error.message


@pytest.mark.parametrize("name", [*sorted(IN_QUERY), "KEY", "Api_Key", "%6bey", "api%5fkey", "api%2Dkey"])
def test_x4_a_key_in_the_query_is_refused_and_not_repeated(name: str) -> None:
    for query in (f"{name}={CANARY}", f"api-version=1&{name}={CANARY}", f"{name}", f"a&&{name}={CANARY}&b=c"):
        error = refused(carried(b"authorization", b"k1"), query)
        assert (error.code, error.status) == ("invalid_request_error", 400)
        assert CANARY not in error.message


@pytest.mark.parametrize(
    "query", ["api-version=2024-10-21", "beta=true", "alt=sse", "keys=1", "monkey=1", "x=key", "&", "="]
)
def test_other_parameters_are_left_alone(query: str) -> None:
    assert presented(carried(b"authorization", b"k1"), query) == b"k1"


@given(st.dictionaries(st.sampled_from(EVERY), st.binary(max_size=12)), st.text(max_size=20))
def test_whatever_comes_is_a_credential_none_or_a_refusal(headers: dict[bytes, bytes], query: str) -> None:
    try:
        found = presented(headers, query)
    except GatewayError:
        return
    assert found is None or any(found in value for value in headers.values())


@PATHS
async def test_x6_every_carrier_decides_alike(tmp_path: Path, path: str) -> None:
    """The same key, a wrong one and none, through every carrier: one decision each, and one message each."""
    async with gateway(tmp_path) as gate:
        for key, status in ((KEY, 200), (KEY[:-1], 401), (KEY.upper(), 401), ("", 401)):
            answers = []
            for carrier in EVERY:
                headers = {
                    "authorization": "",
                    **{n.decode(): v.decode() for n, v in carried(carrier, key.encode()).items()},
                }
                answers.append(await gate.chat(path=path, headers=headers))
            assert {answer.status for answer in answers} == {status}
            if status == 401:
                assert len({answer.error["message"] for answer in answers}) == 1


@PATHS
async def test_x6_carriers_that_disagree_are_a_400_even_if_one_is_right(tmp_path: Path, path: str) -> None:
    async with gateway(tmp_path) as gate:
        for other in CARRIERS:
            answer = await gate.chat(path=path, headers={other.decode(): CANARY})
            assert answer.status == 400
            assert CANARY.encode() not in answer.body
            assert KEY.encode() not in answer.body
            assert (await gate.chat(path=path, headers={other.decode(): KEY})).status == 200
        assert len(gate.providers[0].seen) == len(CARRIERS)


@PATHS
async def test_x4_a_key_in_the_url_a_cookie_or_the_body_lets_nobody_in_and_is_never_logged(
    tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway(tmp_path) as gate:
        for name in sorted(IN_QUERY):
            for headers in ({}, {"authorization": ""}):
                answer = await gate.chat(path=f"{path}?{name}={CANARY}", headers=headers)
                assert answer.status == 400
                assert CANARY.encode() not in answer.body
        models = await gate.send(b"", method="GET", path=f"/v1/models?key={CANARY}")
        assert models.status == 400
        cookie = {"authorization": "", "cookie": f"key={KEY}; authorization=Bearer {KEY}"}
        assert (await gate.chat(path=path, headers=cookie)).status == 401
        body = await gate.chat(path=path, headers={"authorization": ""}, api_key=CANARY)
        assert body.status == 401
        assert not gate.providers[0].seen
        assert not any(CANARY in str(record.__dict__) for record in caplog.records)
        gate.world.journal.flush()
        assert not any(CANARY.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


async def test_parameters_that_sdks_send_go_through(tmp_path: Path) -> None:
    async with gateway(tmp_path) as gate:
        assert (await gate.chat(path="/v1/messages?beta=true", max_tokens=9)).status == 200
        assert (await gate.chat(path="/v1/chat/completions?api-version=2024-10-21")).status == 200
