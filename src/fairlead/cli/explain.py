"""`fairlead explain`: which deployments a request would try, in which order, and why each other one is skipped.

It asks the policy that workers ask, with a fleet that is all healthy. It must not contact anyone: a credential that
comes over the network counts as there.
"""

import argparse
import os
import sys
from random import Random
from typing import Any

from fairlead.canonical.routing import Choice, Route
from fairlead.cli.output import print_json, print_problems, print_table
from fairlead.config.load import load
from fairlead.config.problems import did_you_mean
from fairlead.config.references import remote_credentials
from fairlead.policy.health import Fleet
from fairlead.policy.routes import Routes, served_model
from fairlead.policy.select import Needs, consider, for_tenant


def run(args: argparse.Namespace) -> int:
    """0 where a deployment would be tried, else 1."""
    loaded = load(args.config, os.environ)
    if loaded.snapshot is None:
        print_problems(loaded.errors)
        return 1
    route = Routes(loaded.snapshot.routes, loaded.snapshot.facts).find(args.model)
    if route is None:
        names = [route.model for route in loaded.snapshot.routes]
        print(f"fairlead explain: no route serves {args.model!r}{did_you_mean(args.model, names)}", file=sys.stderr)
        return 1
    tenant = loaded.snapshot.tenants.get(args.tenant or "")
    if args.tenant and tenant is None:
        hint = did_you_mean(args.tenant, loaded.snapshot.tenants)
        print(f"fairlead explain: there is no tenant {args.tenant!r}{hint}", file=sys.stderr)
        return 1
    needs = for_tenant(Needs(tools=args.tools, images=args.images), tenant)
    asked_later = set(remote_credentials(loaded.config)) if loaded.config else set()
    explained = _explained(route, args.model, needs, set(loaded.snapshot.secrets) | asked_later)
    if args.json:
        print_json(explained)
    else:
        _print(explained)
    return 0 if explained["tried"] else 1


def _explained(route: Route, model: str, needs: Needs, secrets: set[str]) -> dict[str, Any]:
    usable, skipped = consider(route, Fleet(Random(0)), 0.0, needs=needs, secrets=secrets)
    return {
        "model": model,
        "route": route.model,
        "select": route.select,
        "attempts": {"same_deployment": 1 + route.retry.attempts, "all": route.retry.max_attempts},
        "tried": [_tried(choice, model) for choice in usable],
        "skipped": [{"deployment": skip.deployment, "reason": skip.reason} for skip in skipped],
    }


def _tried(choice: Choice, asked: str) -> dict[str, Any]:
    deployment = choice.deployment
    model = served_model(deployment, asked)
    return {"deployment": deployment.name, "rank": choice.rank, "weight": choice.weight, "model": model}


def _print(explained: dict[str, Any]) -> None:
    attempts = explained["attempts"]
    print(f"{explained['model']!r} is served by the route {explained['route']!r}, select: {explained['select']}")
    print(f"at most {attempts['same_deployment']} attempts on a deployment, {attempts['all']} in all\n")
    if explained["tried"]:
        print_table(
            ("RANK", "DEPLOYMENT", "MODEL", "WEIGHT"),
            [(str(one["rank"]), one["deployment"], one["model"], f"{one['weight']:g}") for one in explained["tried"]],
        )
    else:
        print("no deployment would be tried")
    for skip in explained["skipped"]:
        print(f"skipped: {skip['deployment']}: {skip['reason']}")
