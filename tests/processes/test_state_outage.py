"""S1 to S3 end to end: the shared state freezes, dies and comes back empty under load. Workers are never restarted."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.processes.family import Family
from tests.processes.pair import Asked, Crowd
from tests.processes.tenants import admin, config, fake_provider, records, standing, tenants
from tests.valkey import Valkey, valkey

CLIENTS = 16
WORKERS = 2
PROCESSES = WORKERS + 1
"""Those that count: the workers and control."""
STRICT = "key-of-the-strict-tenant"
TENANTS_OF = ("acme", "bank")
LIMIT = 1000
"""Dollars."""
ESTIMATE = 200
"""Millionths of a dollar that one request holds at the most."""
TENANTS = f"""
tiers: {{big: {{requests: {{limit: 1M, per: 1h}}, concurrency: 100k, budget: {{limit: {LIMIT} USD, per: 1mo}}}}}}
tenants: {{acme: {{tier: big}}, bank: {{tier: big, strict: true}}}}
outage: {{budget: 10 USD}}
"""


@contextmanager
def served(folder: Path, *flags: str) -> Iterator[tuple[Family, Valkey]]:
    """A family whose limits are counted in a Valkey of its own."""
    with fake_provider(*flags) as port, valkey(folder / "valkey") as server:
        text = config(port, workers=WORKERS, more=f"{TENANTS}\nstate: {server.url}")
        text = text.replace("keys: [", f"keys: [{{name: bank, tenant: bank, key: {STRICT}}}, ")
        with tenants(folder, text) as family:
            family.until(lambda: family.chat(key=STRICT, max_tokens=5)[0] == 200, "the strict tenant is not served")
            yield family, server
            server.thaw()


def told(family: Family, event: str) -> int:
    return sum(line["event"] == event for line in family.lines)


def well(family: Family) -> int:
    """How often processes have lost the state so far, once each has found it again: a busy computer can do that."""
    family.until(lambda: told(family, "state_recovered") == told(family, "state_degraded"), "the state is not back")
    return told(family, "state_recovered")


def latency(asked: list[Asked], percent: int) -> float:
    lasted = sorted(one.answered - one.sent for one in asked)
    return lasted[len(lasted) * percent // 100]


def answers(asked: list[Asked]) -> set[tuple[int, str]]:
    """The kinds of answers: status, and code where it is an error."""
    return {(one.status, one.code) for one in asked}


def more(family: Family, crowd: Crowd, count: int) -> list[Asked]:
    """The next answers of a crowd."""
    before = len(crowd.asked)
    family.until(lambda: len(crowd.asked) >= before + count, f"nobody is answered: {crowd.failed}")
    return crowd.asked[before:]


def spent(folder: Path, tenant: str) -> int:
    return sum(record.charged for record in records(folder) if record.tenant == tenant)


def counted(family: Family, tenant: str) -> int:
    """What a tenant's budget has spent, in millionths of a dollar."""
    return round((LIMIT - standing(family, tenant)["money"]) * 1e6)


def is_counted(family: Family, folder: Path, tenant: str) -> bool:
    """Whether no more is missing than what was under way three times."""
    return abs(spent(folder, tenant) - counted(family, tenant)) <= 3 * CLIENTS * ESTIMATE


def test_a_frozen_state_fails_nobody_but_the_strict_and_is_told_once_by_each_process(tmp_path: Path) -> None:
    with served(tmp_path, "--first=0.01") as (family, server):
        crowd = Crowd(family, CLIENTS)
        before = more(family, crowd, 400)
        at_first = well(family)
        server.freeze()
        frozen = more(family, crowd, 400)
        refused = family.chat(key=STRICT)
        assert (refused[0], refused[2]["error"]["code"]) == (503, "ledger_unavailable")
        assert 1 <= int(refused[1]["retry-after"]) <= 10
        admin(family, "tenants/acme")  # control looks at the state, too
        family.event("state_degraded", at_first + PROCESSES)
        assert "did not answer within 100 ms" in family.health()["limits"]
        more(family, crowd, 100)
        assert told(family, "state_degraded") == at_first + PROCESSES
        last = [line["pid"] for line in family.lines if line["event"] == "state_degraded"][-PROCESSES:]
        assert len(set(last)) == PROCESSES
        assert told(family, "state_recovered") == at_first
        server.thaw()
        family.event("state_recovered", at_first + PROCESSES)
        family.until(lambda: family.health()["limits"] == "ok")
        family.until(lambda: family.chat(key=STRICT)[0] == 200, "the strict tenant is not served again")
        asked = crowd.stop()
        assert answers(asked) == {(200, "")}
        well(family)
        assert told(family, "child_died") == 0
        family.until(lambda: standing(family)["concurrency"] == 100_000, "holds stayed", 60.0)
        family.until(
            lambda: counted(family, "acme") == spent(tmp_path, "acme"), "what was spent meanwhile is not counted"
        )
    added = [
        f"p{percent} {1000 * (latency(frozen, percent) - latency(before, percent)):+.0f} ms" for percent in (50, 99)
    ]
    print(f"{len(asked)} requests, frozen against before: {', '.join(added)}")


def test_a_state_that_dies_and_comes_back_empty_finds_what_was_spent_in_the_ledger(tmp_path: Path) -> None:
    with served(tmp_path) as (family, server):
        crowd = Crowd(family, CLIENTS)
        more(family, crowd, 400)
        at_first = well(family)
        server.kill()
        admin(family, "tenants/acme")
        family.event("state_degraded", at_first + PROCESSES)
        assert family.chat(key=STRICT)[0] == 503
        more(family, crowd, 200)
        earlier = spent(tmp_path, "acme")
        assert earlier > 0
        server.start()
        family.event("state_recovered", at_first + PROCESSES)
        family.until(lambda: family.chat(key=STRICT)[0] == 200, "the strict tenant is not served again")
        assert counted(family, "acme") >= earlier
        more(family, crowd, 100)
        asked = crowd.stop()
        assert answers(asked) == {(200, "")}
        family.until(lambda: standing(family)["concurrency"] == 100_000, "holds stayed", 60.0)
        family.until(lambda: len(records(tmp_path)) >= len(asked))
        missing = spent(tmp_path, "acme") - counted(family, "acme")
        print(f"{len(asked)} requests; spent and not counted: {missing} millionths of a dollar")
        assert abs(missing) <= CLIENTS * ESTIMATE
        assert counted(family, "bank") == spent(tmp_path, "bank")


def test_a_state_that_is_emptied_under_load_is_told_the_past_and_strict_tenants_are_served_on(tmp_path: Path) -> None:
    """FLUSHALL, or a failover that loses everything: nobody is out of reach, so nobody notices but the budgets."""
    with served(tmp_path) as (family, server), server.client() as client:
        crowds = [Crowd(family, CLIENTS // 2), Crowd(family, CLIENTS // 2, key=STRICT)]
        for _ in range(3):
            more(family, crowds[0], 100)
            earlier = {tenant: spent(tmp_path, tenant) for tenant in TENANTS_OF}
            client.flushall()
            more(family, crowds[1], 50)
            for tenant, before in earlier.items():
                assert counted(family, tenant) >= before
        strict = crowds[1].stop()
        assert answers(crowds[0].stop()) == {(200, "")}
        assert answers(strict) == {(200, "")} or well(family) > 0
        family.until(lambda: standing(family)["concurrency"] == 100_000, "holds stayed", 60.0)
        for tenant in TENANTS_OF:
            family.until(partial(is_counted, family, tmp_path, tenant), "spent and not counted")
            missing = spent(tmp_path, tenant) - counted(family, tenant)
            print(f"{tenant}: spent and not counted: {missing} millionths of a dollar")
