"""Who is let in: keys made at run time beside those of the file, from where, until when, and what is remembered."""

from types import SimpleNamespace
from typing import Any

import pytest

from fairlead.canonical import credential
from fairlead.canonical.errors import GatewayError
from fairlead.canonical.routing import Snapshot
from fairlead.canonical.tenants import Tenant, VirtualKey
from fairlead.gateway.callers import ANYONE, Callers

PEPPER, OLD_PEPPER = b"p" * 32, b"o" * 32
MINTED = credential.mint(bytes(range(credential.ENTROPY)))


class Index:
    """The keys made at run time, as a worker's index answers; it notes what it was asked."""

    def __init__(self, *keys: VirtualKey, pepper: bytes = PEPPER) -> None:
        self.keys = {credential.mac(pepper, MINTED.text.encode()): key for key in keys}
        self.asked = 0
        self.is_untouched = not keys

    def find(self, mac: bytes) -> VirtualKey | None:
        self.asked += 1
        return self.keys.get(mac)


class Setting:
    def __init__(self, index: Index, **snapshot: Any) -> None:
        self.generation, self.clock, self.wall = 0, 0.0, 1000.0
        self.index = index
        self.callers = Callers(
            generation=lambda: self.generation,
            clock=lambda: self.clock,
            wall=lambda: self.wall,
            wanted=lambda _: None,
        )
        self.callers.index = index
        facts = {"version": "t", "routes": (), "pepper": PEPPER, "tenants": {"acme": Tenant(name="acme")}}
        self.callers.adopt(Snapshot(**{**facts, **snapshot}))

    def admit(self, key: str = MINTED.text, peer: str = "10.1.2.3") -> VirtualKey:
        headers = {b"authorization": f"Bearer {key}".encode()} if key else {}
        exchange: Any = SimpleNamespace(headers=headers, query="", peer=peer)
        return self.callers.admit(exchange)

    def refused(self, key: str = MINTED.text, peer: str = "10.1.2.3") -> str:
        with pytest.raises(GatewayError) as caught:
            self.admit(key, peer)
        return caught.value.message


def test_a_key_of_the_index_is_found_and_remembered_until_keys_change() -> None:
    setting = Setting(Index(VirtualKey(id="a")))
    assert setting.admit().id == "a"
    assert setting.admit().id == "a"
    assert setting.index.asked == 1
    setting.index.keys.clear()
    setting.generation = 1
    assert "not known" in setting.refused()


def test_a_key_made_under_the_old_pepper_is_good() -> None:
    assert Setting(Index(VirtualKey(id="a"), pepper=OLD_PEPPER), old_pepper=OLD_PEPPER).admit().id == "a"
    assert "not known" in Setting(Index(VirtualKey(id="a"), pepper=OLD_PEPPER)).refused()


def test_x1_garbage_never_reaches_the_index() -> None:
    setting = Setting(Index(VirtualKey(id="a")))
    for garbage in (MINTED.text[:-1] + "!", MINTED.text[:-1], "fl_", f"fl_{'0' * 60}", MINTED.text + "0"):
        setting.refused(garbage, peer=garbage)
    assert setting.index.asked == 0


def test_x1_an_address_that_guesses_waits_and_good_keys_do_not() -> None:
    setting = Setting(Index(VirtualKey(id="a")))
    for number in range(20):
        assert "not known" in setting.refused(f"wrong-key-number-{number:04}")
    with pytest.raises(GatewayError, match="too many requests from this address came without a valid key") as caught:
        setting.admit("wrong-key-again-and-again")
    assert (caught.value.code, caught.value.status, caught.value.retry_after) == ("rate_limit_exceeded", 429, 60.0)
    assert setting.admit().id == "a"
    assert "not known" in setting.refused("another-address-has-its-own", peer="10.9.9.9")
    setting.clock = 61.0
    assert "not known" in setting.refused("wrong-key-a-minute-later")


def test_a_key_ends_by_the_clock_even_while_it_is_remembered() -> None:
    setting = Setting(Index(VirtualKey(id="a", expires_at=1001.0)))
    assert setting.admit().id == "a"
    setting.wall = 1001.0
    assert "not known" in setting.refused()


def test_a_key_is_good_from_its_networks_only() -> None:
    setting = Setting(Index(VirtualKey(id="a", cidrs=("10.0.0.0/8", "2001:db8::/32"))))
    for peer in ("10.9.8.7", "2001:db8::1", "::ffff:10.0.0.1"):
        assert setting.admit(peer=peer).id == "a"
    for peer in ("11.0.0.1", "2001:db9::1", "::ffff:11.0.0.1", "?"):
        assert "this address" in setting.refused(peer=peer)


def test_a_key_whose_tenant_or_tier_is_gone_is_refused_rather_than_unbounded() -> None:
    assert "tenant" in Setting(Index(VirtualKey(id="a", tenant="gone"))).refused()
    assert "tier" in Setting(Index(VirtualKey(id="a", tier="gone"))).refused()
    assert Setting(Index(VirtualKey(id="a", tenant="acme"))).admit().tenant == "acme"


def test_an_open_gateway_closes_when_the_first_key_is_made() -> None:
    setting = Setting(Index(), open=True)
    assert setting.admit("") is ANYONE
    setting.index.keys[credential.mac(PEPPER, MINTED.text.encode())] = VirtualKey(id="a")
    setting.index.is_untouched = False
    setting.generation = 1
    assert "no API key" in setting.refused("")
    assert setting.admit().id == "a"


def test_a_gateway_whose_last_key_was_revoked_does_not_open_again() -> None:
    setting = Setting(Index(VirtualKey(id="a")), open=True)
    assert setting.admit().id == "a"
    setting.index.keys.clear()
    setting.generation = 1
    assert "not known" in setting.refused()
    assert "no API key" in setting.refused("")


def test_x6_every_carrier_gives_the_same_decision() -> None:
    setting = Setting(Index(VirtualKey(id="a")))
    for name in (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"):
        value = MINTED.text.encode()
        headers = {name: b"Bearer " + value if name == b"authorization" else value}
        exchange: Any = SimpleNamespace(headers=headers, query="", peer="10.1.2.3")
        assert setting.callers.admit(exchange).id == "a"
