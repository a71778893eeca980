"""Two machines that share a Valkey and a PostgreSQL: what they allow together is what one of them would."""

import http.client
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.forms import FULL
from tests.processes.family import Family, fetch
from tests.processes.pair import Asked, Crowd, Pair, pair, undisturbed
from tests.processes.tenants import admin, config, fake_provider, records, standing

RATES = ("sliding_window", "sliding_log", "fixed_window", "token_bucket", "gcra")
LIMIT = 60
OVER = 10
FLOW, PER, SECONDS = 20, 4.0, 10.0
WORST = {"sliding_window": FLOW, "sliding_log": FLOW, "fixed_window": 2 * FLOW, "token_bucket": 2 * FLOW,
         "gcra": FLOW + 2}  # fmt: skip
"""What docs/limits.md says that any one period may let through, at the worst; `gcra` here has a burst of 2."""
MONEY = 40_000 if FULL else 4_000
"""Millionths of a dollar."""
LEASE_AND_GRACE = 60.0


def limits(rates: dict[str, str]) -> str:
    """A tenant with one limit on requests for each, and one for the configuration's own key."""
    tenants = "\n".join(f"  {name}: {{limits: {{requests: {{{rate}}}}}}}" for name, rate in rates.items())
    return f"tenants:\n  acme: {{}}\n{tenants}"


def keys(both: Pair) -> dict[str, str]:
    """A new key for the tenant of each algorithm, known on both machines."""
    made = {name: admin(both.machines[0], "keys", {"name": name, "tenant": name})["key"] for name in RATES}
    for key, machine in ((key, machine) for key in made.values() for machine in both.machines):
        headers = {"authorization": f"Bearer {key}"}
        machine.until(partial(knows, machine, headers), "a machine does not know a key")
    return made


def knows(machine: Family, headers: dict[str, str]) -> bool:
    return fetch(f"{machine.url}/v1/models", headers=headers)[0] == 200


def kill_whole(machine: Family) -> None:
    """kill -9 of every process before any of them can notice."""
    found = subprocess.run(["ps", "--ppid", str(machine.process.pid), "-o", "pid="], capture_output=True, text=True)
    for pid in (machine.process.pid, *map(int, found.stdout.split())):
        os.kill(pid, signal.SIGKILL)


def refused(asked: Sequence[Asked]) -> bool:
    return [one.status for one in asked[-3:]] == [429] * 3


def lost(machine: Family) -> None:
    """A request whose machine is killed before it is answered."""
    with suppress(OSError, http.client.HTTPException):
        machine.chat(max_tokens=50)


def rate(algorithm: str, limit: int, per: str, burst: int) -> str:
    return f"limit: {limit}, per: {per}, algorithm: {algorithm}" + (f", burst: {burst}" if algorithm == "gcra" else "")


def crowds(both: Pair, key: str, **how: object) -> list[Crowd]:
    return [Crowd(machine, 1, key=key, **how) for machine in both.machines]  # type: ignore[arg-type]


def admitted(asked: Sequence[Asked]) -> list[Asked]:
    assert {(one.status, one.code) for one in asked} <= {(200, ""), (429, "rate_limit_exceeded")}
    return sorted((one for one in asked if one.status == 200), key=lambda one: one.sent)


def most_within(let_in: list[Asked], period: float) -> int:
    """The most that were certainly let in within one period: sent and answered in it."""
    return max(
        sum(first.sent <= one.sent and one.answered <= first.sent + period for one in let_in) for first in let_in
    )


def own(name: str) -> str:
    """A tenant acme, as the key of the configuration has it, with other limits."""
    return f"tenants: {{acme: {{limits: {name}}}}}"


def test_a_key_made_on_one_machine_is_good_on_the_other_within_a_second_and_gone_as_soon(tmp_path: Path) -> None:
    with fake_provider() as port, pair(tmp_path, config(port, workers=2, more=own("{}"))) as both:
        one, two = both.machines
        made = admin(one, "keys", {"name": "new", "tenant": "acme"})
        two.until(lambda: two.chat(key=made["key"])[0] == 200, "the other machine does not know the key", 1.0)
        assert {machine.chat(key=made["key"])[0] for machine in both.machines for _ in range(6)} == {200}
        admin(two, f"keys/{made['id']}/revoke", {})
        one.until(lambda: one.chat(key=made["key"])[0] == 401, "the revoked key is still good", 1.0)
        assert {machine.chat(key=made["key"])[0] for machine in both.machines for _ in range(6)} == {401}


def test_ten_times_the_limit_asked_of_both_machines_lets_in_exactly_the_limit(tmp_path: Path) -> None:
    """A limit over a week, so that nothing comes back meanwhile: every algorithm is exact then."""
    more = limits({name: rate(name, LIMIT, "1w", burst=LIMIT) for name in RATES})
    each = OVER * LIMIT // 2

    def measure(both: Pair) -> dict[str, list[Asked]]:
        asking = {name: crowds(both, key, enough=lambda mine: len(mine) == each) for name, key in keys(both).items()}
        return {name: [one for crowd in crowded for one in crowd.wait()] for name, crowded in asking.items()}

    with fake_provider() as port:
        asked = undisturbed(tmp_path, config(port, more=more), measure)
    assert {len(every) for every in asked.values()} == {OVER * LIMIT}
    assert {name: len(admitted(every)) for name, every in asked.items()} == dict.fromkeys(RATES, LIMIT)


def test_under_overload_no_period_lets_in_more_than_documented_and_the_limit_can_be_used(tmp_path: Path) -> None:
    more = limits({name: rate(name, FLOW, f"{PER:.0f}s", burst=2) for name in RATES})
    pause = PER / FLOW / OVER

    def measure(both: Pair) -> tuple[float, dict[str, list[Asked]]]:
        made = keys(both)
        begun = time.monotonic()
        asking = {name: crowds(both, key, pause=pause) for name, key in made.items()}
        time.sleep(SECONDS)  # what is measured is a time
        asked = {name: [one for crowd in crowded for one in crowd.stop()] for name, crowded in asking.items()}
        return time.monotonic() - begun, asked

    with fake_provider() as port:
        lasted, asked = undisturbed(tmp_path, config(port, more=more), measure)
    for name, every in asked.items():
        let_in = admitted(every)
        share = len(let_in) / (FLOW * lasted / PER)
        print(f"{name}: asked {len(every)}, let in {len(let_in)}: {share:.1%} of the limit over {lasted:.1f} s")
        assert most_within(let_in, PER) <= WORST[name], name
        assert share >= 0.95, name


def test_one_budget_over_both_machines_is_used_up_and_never_overspent(tmp_path: Path) -> None:
    """And the ledger in PostgreSQL says what the journals of both say."""
    more = own(f"{{budget: {{limit: {MONEY / 1e6:.6f} USD, per: 1mo}}, concurrency: 1000}}")

    def measure(both: Pair) -> tuple[list[Asked], list[int], list[dict[str, float]], int]:
        crowd = [Crowd(machine, 64 if FULL else 8, enough=refused) for machine in both.machines]
        asked = [one for each in crowd for one in each.wait()]
        asked += Crowd(both.machines[1], 1, enough=refused).wait()  # what the others held when they were refused
        served = sum(one.status == 200 for one in asked)
        both.machines[0].until(lambda: sum(record.status == 200 for record in both.records()) == served)
        charged = [sum(record.charged for record in records(folder)) for folder in both.folders]
        both.machines[0].until(lambda: both.in_ledger("acme") == sum(charged), "the ledger says something else")
        return asked, charged, [standing(machine) for machine in both.machines], served

    with fake_provider() as port:
        asked, charged, left, served = undisturbed(tmp_path, config(port, more=more), measure)
    print(f"{len(asked)} requests, {served} served, {sum(charged)} spent of {MONEY}")
    assert {one.code for one in asked} == {"", "insufficient_quota"}
    assert min(charged) > 0
    assert 0.95 * MONEY <= sum(charged) <= MONEY
    for one in left:
        assert (one["concurrency"], round(one["money"] * 1e6)) == (1000, MONEY - sum(charged))


def test_what_a_machine_held_that_is_killed_whole_comes_back_by_the_other_and_is_not_free(tmp_path: Path) -> None:
    """The one wait for leases of this suite: they run out after 30 s, 15 s later another machine takes them over."""
    more = own("{budget: {limit: 1 USD, per: 1mo}, concurrency: 1000}")
    with fake_provider("--first=300") as port, pair(tmp_path, config(port, more=more)) as both:
        one, two = both.machines
        assert standing(two)["money"] == 1.0
        for _ in range(5):
            threading.Thread(target=lost, args=(one,), daemon=True).start()
        two.until(lambda: standing(two)["concurrency"] == 995, "not under way")
        held = 1_000_000 - round(standing(two)["money"] * 1e6)
        assert held > 0
        kill_whole(one)
        killed = time.monotonic()
        two.until(lambda: standing(two)["concurrency"] == 1000, "holds stayed", LEASE_AND_GRACE)
        print(f"{time.monotonic() - killed:.1f} s until nothing was held any more")
        assert round(standing(two)["money"] * 1e6) == 1_000_000 - held
        left = records(both.folders[1])
        assert [record.ended for record in left] == ["lost"] * 5
        assert sum(record.charged for record in left) == held
        two.until(lambda: both.in_ledger("acme") == held)
