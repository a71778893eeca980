"""A provider's verdict on a credential, asked of the fakes over the wire."""

import pytest

from fairlead.canonical.routing import Auth, Deployment
from fairlead.control.probe import probe
from fairlead.fakes.provider import serve

AUTHS: dict[str, tuple[str, Auth]] = {"openai": ("openai_chat", "bearer"), "anthropic": ("anthropic", "x-api-key")}


def deployment(base_url: str, dialect: str = "openai") -> Deployment:
    name, auth = AUTHS[dialect]
    return Deployment(
        name="p/m",
        provider="p",
        model="m",
        dialect=name,
        base_url=base_url,
        auth=auth,
        credential="p",
    )


@pytest.mark.parametrize("dialect", AUTHS)
async def test_a_provider_takes_its_key_and_refuses_another(dialect: str) -> None:
    async with serve(dialect, key="sk-right") as provider:
        assert await probe(deployment(provider.base_url, dialect), "sk-right") == ("accepted", "status 200")
        verdict, why = await probe(deployment(provider.base_url, dialect), "sk-canary")
        assert (verdict, why) == ("refused", "status 401")
        assert [seen.path for seen in provider.seen] == ["/v1/models", "/v1/models"]


async def test_no_answer_and_another_answer_are_no_verdict() -> None:
    async with serve("openai") as provider:
        assert await probe(deployment(f"{provider.origin}/none"), "sk") == ("unsure", "status 404")
        address = provider.base_url
    verdict, why = await probe(deployment(address), "sk-canary")
    assert verdict == "unsure"
    assert "canary" not in why


async def test_a_value_that_cannot_stand_in_a_header_is_refused() -> None:
    assert (await probe(deployment("http://127.0.0.1:9/v1"), "sk-\u20ac"))[0] == "refused"
