"""All that the control process runs for tenants: keys and their index, the ledger, budgets' past, overdue holds.

It puts together what the modules beside it know apart. Only the control process imports it: drivers come with it.
"""

import asyncio
import contextlib
import logging
import os
import time

from fairlead.canonical.limits import Rule
from fairlead.config.records import Observability
from fairlead.control.accounts import Author
from fairlead.control.admin import Entry
from fairlead.control.alerts import Alerts
from fairlead.control.audit_changes import AuditChanges
from fairlead.control.auditing import Auditing
from fairlead.control.configuring import Configuring
from fairlead.control.desk import Desk
from fairlead.control.health import Health
from fairlead.control.history import History
from fairlead.control.key_entries import KeyEntries
from fairlead.control.keyring import Keyring
from fairlead.control.keys import Follower
from fairlead.control.ledger import Ledger
from fairlead.control.projector import Projector
from fairlead.control.setup_entries import SetupEntries
from fairlead.control.standing_entries import StandingEntries
from fairlead.control.sweeper import Sweeper
from fairlead.control.tenancy_post import TenancyPost
from fairlead.control.wishes import Terms, terms_of
from fairlead.database import schema
from fairlead.database.engine import Database
from fairlead.database.place import DatabaseError, UnfitError
from fairlead.journal import Journal, Reader
from fairlead.policy.rules import NOBODY, SHARED
from fairlead.state.board import Board
from fairlead.state.channel import Notice
from fairlead.state.choice import open_state
from fairlead.state.keys import KeyWriter
from fairlead.state.port import State, StateError
from fairlead.state.proof import prove

log = logging.getLogger("fairlead.control")

DEFAULT_KEEP = Observability().request_log


class Tenancy:
    """From the first look at the database to the last."""

    def __init__(
        self,
        post: TenancyPost,
        board: Board,
        config: Configuring,
        health: Health,
        auditing: Auditing,
        *,
        reader: Reader,
    ) -> None:
        self._post = post
        self._config = config
        self._health = health
        self._database = Database(post.place)
        self._index = KeyWriter(post.index)
        self._desk = Desk("admin")
        self._follower = Follower(self._database, self._index, board)
        self._changes = AuditChanges(self._database, auditing.custodian, post.machine)
        self._keyring = Keyring(
            self._database,
            lambda: config.serving.pepper,
            terms=self._terms,
            clock=time.time,
            author=Author("admin", post.machine),
            may_change=auditing.may_change,
        )
        self._ledger = Ledger(reader, post.place, post.machine, self._kept)
        self._history = History(post.place, time.time, time.monotonic)
        self._journal = Journal(post.journals, "lost", asyncio.get_running_loop())
        self._state: State
        self._seeding: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._alerts = Alerts(self._ledger.spending)

    @property
    def projectors(self) -> tuple[Projector, ...]:
        """Who reads the journals here."""
        return (self._ledger.projector,)

    @property
    def budget_alerts(self) -> int:
        """Times that a budget came to one of its degrees."""
        return self._alerts.count

    def entries(self) -> tuple[Entry, ...]:
        """What the admin port answers about keys and tenants."""
        keys = KeyEntries(self._keyring, self._desk, self._changed)
        standing = StandingEntries(self._config, self._keyring, self._desk, self.standings)
        setup = SetupEntries(self._config)
        return (*keys.entries(), *standing.entries(), *self._history.entries(), *setup.entries())

    async def start(self) -> None:
        """Makes the database fit, catches up, so that the first worker finds every key, and follows from then on.

        Ends the process, and the family with it, where the database's tables are not those of this version.
        """
        try:
            await self._desk.do(lambda: schema.prepare(self._database))
        except UnfitError as unfit:
            log.error("database_unfit", extra={"reason": str(unfit)})
            raise SystemExit(os.EX_CONFIG) from None
        except DatabaseError:
            pass  # the follower says so, and goes on trying
        self._state = state = await self._proven()
        self._health.limits(lambda: state.trouble)
        self._journal.adopt(self._config.serving.journal)
        await self._follower.catch_up()

    async def _proven(self) -> State:
        """Where limits are counted. What cannot be opened, or a limiter that does not limit, must not start."""
        try:
            state = open_state(self._config.serving.sharing, self._post.limits)
            await prove(state)
        except StateError as error:
            log.error("limits_unproven", extra={"reason": str(error)})
            raise SystemExit(os.EX_CONFIG) from None
        return state

    async def run(self) -> None:
        """Follows keys, journals and leases until it is cancelled."""
        sweeper = Sweeper(self._state, self._ledger, self._journal, machine=self._post.machine, slots=self._slots)
        async with asyncio.TaskGroup() as group:
            for work in (
                self._follower.run(),
                self._ledger.run(),
                self._alerts.run(),
                self._changes.run(),
                sweeper.run(time.time),
            ):
                group.create_task(work)

    def _changed(self) -> None:
        """A key was changed on the admin port."""
        self._follower.nudge()
        self._changes.nudge()

    def heed(self, notice: Notice) -> None:
        """A worker needs a budget's past, or tells that one is used up to a degree."""
        rule = notice.rule
        if rule is None:
            return
        if notice.kind == "alert":
            self._alerts.heed(notice, rule)
        elif (rule.slot, rule.key) not in self._seeding:
            task = asyncio.create_task(self.seed(rule))
            self._seeding[(rule.slot, rule.key)] = task
            task.add_done_callback(lambda _: self._seeding.pop((rule.slot, rule.key), None))

    async def seed(self, rule: Rule) -> None:
        """Tells the state what the ledger knows of a budget's past, unless it has a state already."""
        spending = await self._ledger.spending(rule, time.time_ns() // 1000)
        if spending is not None:
            with contextlib.suppress(StateError):
                await self._state.seed(spending)

    async def standings(self, rules: tuple[Rule, ...]) -> list[tuple[Rule, int, int]]:
        """Each rule with what is left of it and microseconds until all of it is. Raises StateError."""
        for rule in rules:
            if rule.unit == "money":
                await self.seed(rule)
        standings = await self._state.standings(rules)
        return [(rule, one.remaining, one.reset) for rule, one in zip(rules, standings, strict=True)]

    async def close(self) -> None:
        tasks = list(self._seeding.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._changes.catch_up()
        await self._changes.close()
        await self._ledger.catch_up()
        await self._ledger.close()
        await self._history.close()
        await self._follower.close()
        await asyncio.to_thread(self._desk.close)
        await self._state.close()
        self._journal.close()
        self._index.close()
        self._database.close()

    def _slots(self) -> list[str]:
        return [SHARED, NOBODY, *self._config.serving.tenants]

    def _kept(self) -> float:
        config = self._config.config
        return DEFAULT_KEEP if config is None else config.observability.request_log

    def _terms(self) -> Terms:
        return Terms() if self._config.config is None else terms_of(self._config.config)
