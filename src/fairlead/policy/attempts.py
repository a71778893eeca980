"""The loop at the heart of a gateway: try, retry on the same deployment, fall back to another, or give up.

A generator that yields the next `Try` and is sent its `Outcome`. Any driver can run it: the worker with sockets, the
simulator with a virtual clock, a test with a list. It never waits; a `Try` says from when on it may start.

Backoff is full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): the wait is drawn from
[0, min(cap, base * 2**n)], and never shorter than what the provider asked for.
"""

from collections.abc import Collection, Generator
from random import Random

import msgspec

from fairlead.canonical.errors import KINDS
from fairlead.canonical.routing import Answered, Backoff, Choice, Failed, Outcome, Route, Try
from fairlead.policy.health import Fleet
from fairlead.policy.select import NO_NEEDS, Needs, choose

LONGEST_WAIT = 60.0
"""Seconds; a provider that asks for a longer pause is not waited for."""
RETRY_AFTER_SPREAD = 0.1
LIMITING = frozenset({"rate_limited", "limited"})


class Plan(msgspec.Struct, frozen=True):
    """Everything that the decisions about one request depend on, besides time and what happens."""

    route: Route
    fleet: Fleet
    rng: Random
    needs: Needs = NO_NEEDS
    secrets: Collection[str] | None = None


def attempts(plan: Plan, start: float, deadline: float) -> Generator[Try, Outcome, Answered | Failed | None]:
    """Yields each `Try` in turn and takes its `Outcome`; returns what the request came to.

    `Answered` ends it at once. Otherwise the `Failed` that tells the client most is returned, with the shortest
    Retry-After of all; None means that no deployment could be tried at all. No `Try` starts at or after `deadline`,
    and there are never more than `route.retry.max_attempts`. One that asked for a pause or timed out is not waited for
    while another can answer now. A driver that gives up closes the generator.
    """
    route, fleet, now = plan.route, plan.fleet, start
    needs = plan.needs
    failures: list[Failed] = []
    spent: list[str] = []
    choice = _next(plan, now, needs, spent)
    while choice is not None:
        deployment = choice.deployment
        spent.append(deployment.name)
        start_at: float | None = now
        retries = 0
        while start_at is not None:
            fleet.try_begins(deployment)
            try:
                outcome = yield Try(choice=choice, number=len(failures), start_at=start_at, deadline=deadline)
            except GeneratorExit:
                fleet.try_abandoned(deployment)
                raise
            fleet.learn(deployment, outcome, route.cooldown, route.timeouts.first_token / 2)
            if isinstance(outcome, Answered):
                return outcome
            failures.append(outcome)
            now = outcome.at
            if len(failures) >= route.retry.max_attempts or now >= deadline:
                return verdict(failures)
            leave = outcome.retry_after is not None or outcome.kind == "timeout"
            elsewhere = _elsewhere(plan, outcome, choice, needs, spent) if leave else None
            start_at = None if elsewhere else _retry_at(plan, choice, outcome, retries, deadline)
            retries += 1
        choice = elsewhere or _elsewhere(plan, failures[-1], choice, needs, spent)
        needs = _narrowed(needs, failures[-1], deployment.context)
    return verdict(failures) if failures else None


def verdict(failures: list[Failed]) -> Failed:
    """The failure that the client is told, out of at least one.

    "All limited" is said only when all were: else the last failure of another kind stands. The Retry-After is the
    shortest that any provider gave.
    """
    telling = next((f for f in reversed(failures) if f.kind not in LIMITING), failures[-1])
    waits = [f.retry_after for f in failures if f.retry_after is not None]
    if telling.kind not in LIMITING or not waits:
        return telling
    return msgspec.structs.replace(telling, retry_after=min(waits))


def backoff(policy: Backoff, number: int, rng: Random) -> float:
    """Seconds to wait before further attempt `number` (from 0)."""
    longest = min(policy.cap, policy.base * 2.0**number)
    return rng.uniform(0.0, longest) if policy.jitter == "full" else longest


def _next(plan: Plan, now: float, needs: Needs, spent: list[str]) -> Choice | None:
    return choose(plan.route, plan.fleet, now, plan.rng, needs=needs, spent=spent, secrets=plan.secrets)


def _elsewhere(plan: Plan, failure: Failed, choice: Choice, needs: Needs, spent: list[str]) -> Choice | None:
    """Where to fall back to after this failure, if the route allows it and there is anywhere to go."""
    if KINDS[failure.kind].on not in plan.route.fallback:
        return None
    return _next(plan, failure.at, _narrowed(needs, failure, choice.deployment.context), spent)


def _retry_at(plan: Plan, choice: Choice, failure: Failed, retries: int, deadline: float) -> float | None:
    """When the same deployment is tried again; None: it is not."""
    retry, kind = plan.route.retry, KINDS[failure.kind]
    if kind.on not in retry.on or not kind.same_deployment or retries >= retry.attempts:
        return None
    asked = failure.retry_after or 0.0
    wait = backoff(retry.backoff, retries, plan.rng)
    if asked:
        wait = max(asked, wait) + plan.rng.uniform(0.0, RETRY_AFTER_SPREAD * asked)
    if asked > LONGEST_WAIT or failure.at + wait >= deadline:
        return None
    return failure.at + wait if plan.fleet.retry_allowed(choice.deployment, failure.at, retry.budget) else None


def _narrowed(needs: Needs, failure: Failed, context: int | None) -> Needs:
    """After a context window proved too small, only a larger one will do."""
    if failure.kind != "context_window" or context is None:
        return needs
    return msgspec.structs.replace(needs, context_over=max(needs.context_over, context))
