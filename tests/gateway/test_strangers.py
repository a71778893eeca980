"""X1 to X3 and X10 at the port: what a stranger learns from an answer, its time, or hostile text; what tenants share.

Timing is measured where a caller is admitted or refused, without sockets: their noise would only hide a difference.
"""

import math
import statistics
import time
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from tests.forms import FULL
from tests.gateway.gateway_harness import KEY, Response, gateway, known_keys
from tests.gateway.test_callers import PEPPER, Setting

from fairlead.canonical import credential
from fairlead.canonical.errors import GatewayError
from fairlead.canonical.limits import SECOND, Limit
from fairlead.canonical.tenants import Scoped, Tenant, VirtualKey
from fairlead.gateway.callers import Callers
from fairlead.state.keys import Entry, KeyIndex, KeyWriter, Standing

LOOKS = 100_000 if FULL else 5_000
EACH = 500
"""Keys of every kind."""
SURE = 4.5
"""Welch's t beyond which two samples are taken to differ."""
HOSTILE = (
    "' OR '1'='1", "'; DROP TABLE keys;--", '{"$gt": ""}', "*)(uid=*))(|(uid=*", "%s%s%s%n", "{0.__class__}", "${jndi:ldap://h/a}",
    "../../etc/passwd", "a\tb", "%0d%0aset-cookie:%20x=1", "\u202eevil", "fl_' OR 1=1--",
)  # fmt: skip


def told(answer: Response) -> tuple[int, dict[str, str], bytes]:
    """All of an answer but what is different each time."""
    request = answer.headers["x-request-id"]
    each_time = ("x-request-id", "date", "x-fairlead-overhead-us")
    headers = {name: value for name, value in answer.headers.items() if name not in each_time}
    return answer.status, headers, answer.body.replace(request.encode(), b"")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_x1_unknown_expired_garbled_and_forged_keys_are_told_the_same(tmp_path: Path, path: str) -> None:
    snapshot = {"keys": known_keys(VirtualKey(id="k1"), VirtualKey(id="over", expires_at=1.0))}
    forged = credential.mint(bytes(range(1, credential.ENTROPY + 1))).text
    keys = (f"{KEY}1", "nobody-knows-this-key-at-all", forged, forged[:-1] + "!", f"fl_{'0' * 60}", KEY[:-1] + "X")
    async with gateway(tmp_path, snapshot=snapshot) as gate:
        answers = [told(await gate.chat(path=path, headers={"authorization": f"Bearer {key}"})) for key in keys]
        assert answers[0][0] == 401
        assert answers == answers[:1] * len(keys)
        assert not gate.providers[0].seen


async def test_x3_hostile_text_in_every_place_is_text(tmp_path: Path) -> None:
    """Refused where it is no key or model; where any text is good, it is served and recorded as it is."""
    one = (Limit(unit="requests", algorithm="fixed_window", limit=1, per=3600 * SECOND),)
    snapshot = {"scoped": (Scoped(scope="user", limits=one), Scoped(scope="tag", limits=one))}
    async with gateway(tmp_path, snapshot=snapshot) as gate:
        for text in HOSTILE:
            in_header = text.encode("ascii", "ignore").decode()
            answers = {
                "key": await gate.chat(headers={"authorization": f"Bearer {in_header}"}),
                "model": await gate.chat(model=text),
                "tag": await gate.chat(headers={"x-fairlead-tags": f"{in_header}, x={in_header}"}),
                "user": await gate.chat(user=text),
                "again": await gate.chat(user=text),
                "id": await gate.chat(user=f"{text} id", headers={"x-request-id": in_header}),
            }
            statuses = {place: answer.status for place, answer in answers.items()}
            assert statuses.pop("key") in (400, 401), text
            assert statuses.pop("tag") in (200, 400), text
            assert statuses.pop("model") in (400, 404), text
            assert statuses.pop("id") in (200, 400), text
            assert statuses == {"user": 200, "again": 429}, text
            assert all("set-cookie" not in answer.headers for answer in answers.values())
            assert any(record.user == text for record in gate.records())


async def test_x10_tenants_with_users_and_tags_of_the_same_names_share_no_count(tmp_path: Path) -> None:
    one = (Limit(unit="requests", algorithm="fixed_window", limit=1, per=3600 * SECOND),)
    snapshot: dict[str, Any] = {
        "keys": known_keys(VirtualKey(id="k", tenant="acme"), VirtualKey(id="k", tenant="globex")),
        "tenants": {name: Tenant(name=name) for name in ("acme", "globex")},
        "scoped": tuple(Scoped(scope=scope, limits=one) for scope in ("key", "user", "tag")),
    }
    async with gateway(tmp_path, snapshot=snapshot) as gate:
        other = {"authorization": f"Bearer {KEY}1", "x-fairlead-tags": "team=a"}
        mine = {"x-fairlead-tags": "team=a"}
        statuses = [(await gate.chat(user="ann", headers=headers)).status for headers in (mine, other, mine, other)]
        assert statuses == [200, 200, 429, 429]


def test_x2_the_time_of_a_refusal_tells_nothing_of_how_much_of_a_key_is_right(tmp_path: Path) -> None:
    """One that begins as a good key, one that was revoked, any other: the same time. In full, 100 000 looks at each."""
    chance = Random(1)
    made = {kind: [chance.randbytes(credential.ENTROPY) for _ in range(EACH)] for kind in ("good", "revoked", "ended")}
    writer = KeyWriter(tmp_path)
    for kind, all_of_them in made.items():
        writer.apply([entry(kind, each) for each in all_of_them], Standing("uid", 1))
    writer.apply([Entry(each.hex(), ()) for each in made["revoked"]], Standing("uid", 2))
    writer.close()
    index = KeyIndex(tmp_path)
    callers = Setting(index).callers  # type: ignore[arg-type]
    guesses = {
        "begins as a good one": [each[:-1] + bytes([each[-1] ^ 1]) for each in made["good"]],
        "was revoked": made["revoked"],
        "has ended": made["ended"],
        "unknown": [chance.randbytes(credential.ENTROPY) for _ in range(EACH)],
    }
    found = looked(callers, guesses)
    index.close()
    quick = {name: sorted(times)[: LOOKS * 9 // 10] for name, times in found.items()}
    means = {name: statistics.fmean(times) for name, times in quick.items()}
    apart = {name: welch(times, quick["unknown"]) for name, times in quick.items() if name != "unknown"}
    print({name: f"{mean:.0f} ns, t {apart.get(name, 0.0):.1f}" for name, mean in means.items()})
    for name, mean in means.items():
        assert abs(mean / means["unknown"] - 1) < 0.25, name
    if FULL:
        assert max(abs(apart[name]) for name in ("begins as a good one", "was revoked")) < SURE


def entry(kind: str, entropy: bytes) -> Entry:
    key = VirtualKey(id=entropy.hex(), tenant="acme", expires_at=1.0 if kind == "ended" else None)
    return Entry(key.id, ((credential.mac(PEPPER, credential.mint(entropy).text.encode()), key),))


def looked(callers: Callers, guesses: dict[str, list[bytes]]) -> dict[str, list[int]]:
    """Nanoseconds of every refusal, each by another address, in an order that changes."""
    texts = {kind: [credential.mint(each).text.encode() for each in entropies] for kind, entropies in guesses.items()}
    found: dict[str, list[int]] = {kind: [] for kind in guesses}
    order = list(guesses)
    chance = Random(2)
    for look in range(LOOKS):
        chance.shuffle(order)
        for kind in order:
            headers = {b"authorization": b"Bearer " + chance.choice(texts[kind])}
            peer = f"10.{look >> 16}.{look >> 8 & 255}.{look & 255}"
            exchange: Any = SimpleNamespace(headers=headers, query="", peer=peer)
            begun = time.perf_counter_ns()
            try:
                callers.admit(exchange)
            except GatewayError:
                found[kind].append(time.perf_counter_ns() - begun)
    return found


def welch(one: list[int], other: list[int]) -> float:
    spread = statistics.variance(one) / len(one) + statistics.variance(other) / len(other)
    return (statistics.fmean(one) - statistics.fmean(other)) / math.sqrt(spread)
