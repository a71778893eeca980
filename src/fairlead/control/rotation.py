"""Provider keys change with proof: the new one is tried at the provider before it takes the old one's place.

It decides which credentials a snapshot goes out with. It must not know where they come from, nor publish anything.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping

from fairlead.canonical.routing import Deployment, Snapshot
from fairlead.config.compile import with_secrets
from fairlead.control.probe import Verdict

log = logging.getLogger("fairlead.secrets")

FIRST_RETRY, LAST_RETRY = 1.0, 60.0
"""Seconds until a provider that gave no verdict is asked again: twice as long each time."""
REPORT_HOLDS = 600.0
"""Seconds for which a worker's word counts that the provider refuses the credential in use."""

Probe = Callable[[Deployment, str], Awaitable[tuple[Verdict, str]]]


class _Trial:
    """A value that may take a credential's place."""

    def __init__(self, value: str) -> None:
        self.mark = _mark(value)
        self.verdict: Verdict = "unsure"
        self.task: asyncio.Task[None] | None = None


class Rotation:
    """The credentials in use and those on trial. `decided` is called when a trial ends with the new one accepted."""

    def __init__(self, probe: Probe, decided: Callable[[], None], clock: Callable[[], float]) -> None:
        self._probe = probe
        self._decided = decided
        self._clock = clock
        self._trials: dict[str, _Trial] = {}
        self._reported: dict[str, tuple[str, float]] = {}
        self._retiring: dict[str, int] = {}

    def admit(self, snapshot: Snapshot, serving: Snapshot | None) -> Snapshot:
        """`snapshot` with the credentials that may go out: those in use, wherever a new one has no proof yet."""
        if serving is None:
            return snapshot
        allowed = dict(snapshot.secrets)
        for name, deployment in _same_places(snapshot, serving).items():
            old, new = serving.secrets.get(name), snapshot.secrets.get(name)
            if old is None or old == new:
                self._end_trial(name)
            elif new is None or not self._may_replace(name, old, new, deployment):
                allowed[name] = old
        for name in self._trials.keys() - snapshot.secrets.keys():
            self._end_trial(name)
        return snapshot if allowed == snapshot.secrets else with_secrets(snapshot, allowed)

    def published(self, snapshot: Snapshot, before: Snapshot | None, generation: int) -> None:
        """`snapshot` goes out as `generation`: what it replaces can retire once every worker has it."""
        if before is None:
            return
        for name, value in snapshot.secrets.items():
            old = before.secrets.get(name)
            if old is not None and old != value:
                trial = self._trials.get(name)
                proof = "accepted" if trial is not None and trial.verdict == "accepted" else "the old one is refused"
                if name not in _same_places(snapshot, before):
                    proof = "none: the provider's address or auth changed too"
                log.info("credential_rotated", extra={"provider": name, "proof": proof, "generation": generation})
                self._end_trial(name)
                self._reported.pop(name, None)
                self._retiring[name] = generation

    def retire(self, oldest: int) -> None:
        """Every worker serves generation `oldest` or a newer one: what went out before it is used no more."""
        for name in [name for name, generation in self._retiring.items() if generation <= oldest]:
            del self._retiring[name]
            log.info("credential_retired", extra={"provider": name})

    @property
    def is_retiring(self) -> bool:
        """Whether an old credential may still be in use."""
        return bool(self._retiring)

    def refused(self, name: str, value: str) -> None:
        """A worker says that the provider refuses `value`, the credential in use."""
        if name not in self._retiring:  # else the worker may speak of the one before
            self._reported[name] = (_mark(value), self._clock())

    def has_trial(self, name: str) -> bool:
        """Whether another value waits to take this credential's place."""
        return name in self._trials

    async def close(self) -> None:
        for name in list(self._trials):
            self._end_trial(name)

    def _may_replace(self, name: str, old: str, new: str, deployment: Deployment) -> bool:
        """Whether `new` can be used at once; otherwise it is, or has been, on trial."""
        if self._is_reported(name, old):
            return True
        trial = self._trials.get(name)
        if trial is None or trial.mark != _mark(new):
            self._end_trial(name)
            trial = self._trials[name] = _Trial(new)
            trial.task = asyncio.create_task(self._try(name, new, deployment, trial))
        return trial.verdict == "accepted"

    def _is_reported(self, name: str, value: str) -> bool:
        mark, at = self._reported.get(name, ("", 0.0))
        return mark == _mark(value) and self._clock() - at < REPORT_HOLDS

    async def _try(self, name: str, value: str, deployment: Deployment, trial: _Trial) -> None:
        wait = FIRST_RETRY
        while True:
            trial.verdict, why = await self._probe(deployment, value)
            if trial.verdict != "unsure":
                break
            log.warning("credential_unproven", extra={"provider": name, "reason": why, "again_in_s": wait})
            await asyncio.sleep(wait)
            wait = min(wait * 2, LAST_RETRY)
        if trial.verdict == "accepted":
            log.info("credential_probed", extra={"provider": name, "by": why})
            self._decided()
        else:
            log.error("credential_refused", extra={"provider": name, "reason": why, "kept": "the one in use"})

    def _end_trial(self, name: str) -> None:
        trial = self._trials.pop(name, None)
        if trial is not None and trial.task is not None:
            trial.task.cancel()


def _same_places(snapshot: Snapshot, serving: Snapshot) -> Mapping[str, Deployment]:
    """A deployment of each credential that both snapshots send to the same addresses in the same way."""
    new, old = _places(snapshot), _places(serving)
    return {name: deployments[0] for name, (deployments, ways) in new.items() if name in old and ways == old[name][1]}


def _places(snapshot: Snapshot) -> dict[str, tuple[list[Deployment], set[tuple[str | None, ...]]]]:
    found: dict[str, tuple[list[Deployment], set[tuple[str | None, ...]]]] = {}
    for route in snapshot.routes:
        for choice in route.choices:
            deployment = choice.deployment
            if deployment.credential:
                deployments, ways = found.setdefault(deployment.credential, ([], set()))
                deployments.append(deployment)
                ways.add((deployment.base_url, deployment.auth, deployment.proxy, deployment.ca))
    return found


def _mark(value: str) -> str:
    """Tells values apart without keeping them."""
    return hashlib.sha256(value.encode()).hexdigest()
