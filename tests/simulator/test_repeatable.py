"""The same seed gives the same report to the byte, memory does not grow with the requests, and work does so evenly."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from tests.forms import FULL
from tests.simulator.worlds import QUICK, deployment, route, setting

from fairlead.canonical.limits import SECOND, Limit
from fairlead.canonical.routing import Cooldown, Retry, Server, Timeouts
from fairlead.canonical.tenants import Scoped, Tenant
from fairlead.policy import attempts, health, select
from fairlead.simulator import providers, supply
from fairlead.simulator.scenario import Bursts, Day, Load, Outage, Quota, Scenario, Time, Tokens
from fairlead.simulator.setting import Setting
from fairlead.simulator.simulate import simulate

ROOT = Path(__file__).resolve().parents[2]
DEEPLY = """
import sys
import msgspec
from tests.simulator.test_repeatable import rich
from fairlead.simulator.simulate import simulate
sys.stdout.buffer.write(msgspec.json.encode(simulate(rich(2000, seed=7))))
"""


def rich(requests: int, seed: int = 1) -> Setting:
    """Something of everything: tenants, end users, limits, quotas, queues, outages, bursts, several workers."""
    chain = route(
        *(deployment(name, region="eu") for name in "abc"),
        retry=Retry(attempts=1),
        timeouts=Timeouts(total=30.0, first_token=5.0),
        cooldown=Cooldown(after=5, duration=5.0),
    )
    weighted = msgspec.structs.replace(chain, model="n", select="least_busy")
    made = setting(
        chain,
        weighted,
        errors="429=0.1,503=0.05,cut=0.01,timeout=0.01",
        providers={
            "a": msgspec.structs.replace(QUICK, first_token=Time(median=0.2, p99=1.0)),
            "c": msgspec.structs.replace(QUICK, first_token=Time(mean=0.1, shape=2.0), capacity=10, queue=20),
        },
        outages=[Outage(of=("region:eu",), every=60.0, lasting=5.0, share=0.5)],
        requests=requests,
        seed=seed,
    )
    load = Load(prompt=Tokens(median=300, p99=3000), answer=Tokens(median=50, p99=400), user=20)
    bursts = Bursts(every=30.0, lasting=5.0, times=4.0)
    scenario = Scenario(
        providers=made.scenario.providers,
        outages=made.scenario.outages,
        traffic={
            "t": msgspec.structs.replace(load, bursts=bursts),
            "others": msgspec.structs.replace(load, day=Day(), max_tokens=500),
        },
    )
    tokens = Limit(unit="tokens", algorithm="sliding_window", limit=100_000, per=10 * SECOND)
    requests_each = Limit(unit="requests", algorithm="gcra", limit=1, per=SECOND, burst=2)
    snapshot = msgspec.structs.replace(
        made.snapshot,
        tenants={"t": Tenant(name="t", limits=(tokens,))},
        scoped=(Scoped(scope="user", match="*", limits=(requests_each,)),),
        server=Server(workers=3),
    )
    return msgspec.structs.replace(made, snapshot=snapshot, scenario=scenario)


def told(made: Setting) -> bytes:
    return msgspec.json.encode(simulate(made))


def test_a_seed_is_a_report() -> None:
    assert told(rich(2000, seed=7)) == told(rich(2000, seed=7))
    assert told(rich(2000, seed=7)) != told(rich(2000, seed=8))


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_a_seed_is_a_report_in_any_process(hash_seed: str) -> None:
    """Sets and hashes of texts come in another order there."""
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run([sys.executable, "-c", DEEPLY], env=environment, capture_output=True, check=True)
    assert done.stdout == told(rich(2000, seed=7))


def test_everything_in_it_is_reached() -> None:
    """Or else the tests here would prove less than they seem to."""
    found = simulate(rich(5000))
    kinds = {kind for one in found.deployments for kind in one.failures}
    assert kinds >= {"rate_limited", "overloaded", "timeout"}
    assert found.cut_rate.value > 0
    assert {refusal.limit.rpartition(" of ")[2].split()[0] for refusal in found.refusals} == {"tenant", "user"}
    assert all(one.attempts and one.breaker_openings for one in found.deployments)


def peak(requests: int) -> int:
    tracemalloc.start()
    try:
        simulate(rich(requests))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_requests() -> None:
    requests = 20_000 if FULL else 2000
    peak(100)  # caches, and modules that are loaded late
    few, many = peak(requests), peak(10 * requests)
    assert many < 1.1 * few


def test_work_grows_evenly_with_the_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request costs as many calls of the policy and of providers, however many there are. Nothing here comes and
    goes, so that a short simulation meets the same as a long one.
    """
    quota = Quota(requests=200, per=1.0)
    steady = setting(
        route("a", "b", "c", retry=Retry(attempts=1), cooldown=Cooldown(after=5, duration=1.0)),
        errors="429=0.2,503=0.2",
        providers={"a": msgspec.structs.replace(QUICK, quota=quota, capacity=5)},
        rps=300.0,
    )
    calls = 0

    def counting(module: object, name: str) -> None:
        original = getattr(module, name)

        def counted(*given: object, **named: object) -> object:
            nonlocal calls
            calls += 1
            return original(*given, **named)

        monkeypatch.setattr(module, name, counted)

    counting(attempts, "choose")
    counting(select, "is_available")
    counting(health, "answered")
    counting(health, "failed")
    counting(supply, "take_bucket")
    counting(providers, "_drawn")
    counting(providers.Provider, "_answered")

    def each(requests: int) -> float:
        nonlocal calls
        calls = 0
        simulate(msgspec.structs.replace(steady, requests=requests))
        return calls / requests

    few, many = each(3000), each(30_000)
    assert few > 5
    assert many == pytest.approx(few, rel=0.05)
