"""Tenants in a running family: keys made at run time, budgets over several workers, workers that die."""

import shutil
from pathlib import Path

from tests.forms import FULL
from tests.processes.family import ROOT, Family, serving
from tests.processes.tenants import (
    Clients,
    admin,
    check_books,
    config,
    fairlead,
    fake_provider,
    kill_workers,
    records,
    standing,
    tenants,
)

KILLS, WORKERS, SLOW = (200, 10, 0.2) if FULL else (6, 2, 0.05)
"""A worker that dies young is started again later and later, so it takes many to kill one every second."""


def status(family: Family, key: str) -> int:
    return family.chat(key=key, max_tokens=5)[0]


def test_a_key_made_while_the_gateway_runs_is_good_at_once_and_gone_when_revoked(tmp_path: Path) -> None:
    with fake_provider() as port, tenants(tmp_path, config(port, workers=2)) as family:
        key = fairlead(tmp_path, "keys", "create", "--name", "new", "--tenant", "acme").strip()
        family.until(lambda: status(family, key) == 200, "the new key is not known", 2.0)
        assert {status(family, key) for _ in range(10)} == {200}
        key_id = key.split("_")[1]
        assert admin(family, f"keys/{key_id}")["name"] == "new"
        admin(family, f"keys/{key_id}/revoke", {})
        family.until(lambda: status(family, key) == 401, "the revoked key is still good", 2.0)
        assert {status(family, key) for _ in range(10)} == {401}


def test_a_changed_limit_of_a_key_holds_on_every_worker(tmp_path: Path) -> None:
    with fake_provider() as port, tenants(tmp_path, config(port, workers=2)) as family:
        limits = {"requests": {"limit": 3, "per": "1h"}}
        made = admin(family, "keys", {"name": "small", "tenant": "acme", "limits": limits})
        family.until(lambda: status(family, made["key"]) == 200, "the new key is not known", 2.0)
        assert sorted(status(family, made["key"]) for _ in range(6)) == [200, 200, 429, 429, 429, 429]
        (left,) = admin(family, f"keys/{made['id']}/limits")["limits"]
        assert (left["of"], left["remaining"]) == (3, 0)


def test_a_budget_holds_over_two_workers_and_finds_its_past_again(tmp_path: Path) -> None:
    with fake_provider() as port:
        text = config(port, workers=2)
        with tenants(tmp_path, text) as family:
            for _ in range(10):
                assert family.chat(max_tokens=20)[0] == 200
            family.until(lambda: len(records(tmp_path)) == 10 and standing(family)["concurrency"] == 100_000)
            spent = sum(record.charged for record in records(tmp_path))
            assert round((1000 - standing(family)["money"]) * 1e6) == spent
        shutil.rmtree(tmp_path / "state" / "limits")
        with tenants(tmp_path, text) as family:
            assert round((1000 - standing(family)["money"]) * 1e6) == spent
        shutil.rmtree(tmp_path / "state" / "limits")
        tight = text.replace("1000 USD", f"{(spent + 100) / 1e6:.6f} USD")
        with tenants(tmp_path, tight) as family:
            refused = family.chat(max_tokens=200)
            assert (refused[0], refused[2]["error"]["code"]) == (429, "insufficient_quota")


def test_a_budget_that_is_written_later_counts_what_was_spent_before(tmp_path: Path) -> None:
    with fake_provider() as port, tenants(tmp_path, config(port, more="tenants: {acme: {}}")) as family:
        for _ in range(3):
            assert family.chat(max_tokens=20)[0] == 200
        family.until(lambda: len(records(tmp_path)) == 3)
        spent = sum(record.charged for record in records(tmp_path))
        assert spent > 0
        (tmp_path / "fairlead.yaml").write_text(config(port))
        family.event("config_published", 2)
        assert round((1000 - standing(family)["money"]) * 1e6) == spent


def test_workers_that_are_killed_leave_nothing_held_and_nothing_free(tmp_path: Path) -> None:
    with fake_provider(f"--first={SLOW}") as port, tenants(tmp_path, config(port, workers=WORKERS)) as family:
        clients = Clients(family, 4 * WORKERS)
        kill_workers(family, KILLS, clients)
        clients.stop()
        check_books(family, tmp_path)
        lost = sum(record.ended == "lost" for record in records(tmp_path))
        print(f"{KILLS} workers killed, {clients.answered} answers, {lost} requests lost and settled")
        assert lost > 0


def test_x31_a_gateway_whose_limits_do_not_limit_does_not_start(tmp_path: Path) -> None:
    """Every process is made to run a concurrency limit that lets everyone in."""
    (tmp_path / "sitecustomize.py").write_text(
        "import fairlead.policy.budget as budget, fairlead.policy.limits as limits\n"
        "def everyone(rule, state, now, amount): return state, limits.Standing(rule.limit, 0)\n"
        "budget.MECHANISMS['concurrency'] = limits.Mechanism(everyone, limits.settle_gauge)\n"
    )
    (tmp_path / "fairlead.yaml").write_text(config(9))
    environ = {"PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}"}
    with serving("--config", str(tmp_path / "fairlead.yaml"), data=tmp_path, environ=environ) as family:
        assert family.process.wait(20) == 1
        assert "does not limit by 'concurrency'" in family.event("limits_unproven")["reason"]
        assert not [line for line in family.lines if line["event"] == "ready"]
