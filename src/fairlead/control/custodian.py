"""Has the audit trail open for this process, opens it again after a fault, and raises the alarm.

Any thread may use it. It must not know what is appended, nor when.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from typing import TypeVar

from fairlead.audit import alarm
from fairlead.audit.alarm import Alarm, AlarmError
from fairlead.audit.note import NoteError
from fairlead.audit.opening import LockedError, Terms, open_trail
from fairlead.audit.trail import Trail
from fairlead.control.projector import ProjectionError

log = logging.getLogger("fairlead.control")

Result = TypeVar("Result")


class Custodian:
    """The trail of this machine. `terms` raises ProjectionError as long as they are not known."""

    def __init__(self, terms: Callable[[], Terms], clock: Callable[[], float]) -> None:
        self._terms = terms
        self._clock = clock
        self._mutex = threading.RLock()
        self._trail: Trail | None = None
        self._alarm: Alarm | None = None
        self._closed = False
        self.trouble = "the audit trail is not open yet"
        """Why nothing can be appended; empty: it can."""

    @property
    def is_alarmed(self) -> bool:
        """Whether what is on the disk does not fit what was signed."""
        return self._alarm is not None

    @property
    def sizes(self) -> tuple[int, int] | None:
        """Entries of the trail, and how many of them are signed; None: it is not open."""
        trail = self._trail
        return None if trail is None else (trail.size, trail.signed)

    def use(self, work: Callable[[Trail], Result]) -> Result:
        """What `work` makes of the trail. Raises ProjectionError where the trail cannot be used; nothing is lost."""
        with self._mutex:
            try:
                result = work(self._trail or self._open())
            except ProjectionError as error:
                self.trouble = str(error)
                raise
            except AlarmError as error:
                self._raise(error.alarm)
            except LockedError as error:
                self._fail(str(error))
            except NoteError as error:
                self._fail(f"audit.signing_key: {error}")
            except (OSError, sqlite3.Error) as error:
                self._fail(f"the audit trail cannot be written: {_reason(error)}")
            self.trouble = ""
            return result

    def check(self) -> None:
        """Raises ProjectionError unless an entry could be written now."""
        self.use(lambda trail: trail.check())

    def close(self) -> None:
        """Signs what is not signed, and lets the next process have the trail."""
        with self._mutex:
            self._closed = True
            trail, self._trail = self._trail, None
            if trail is not None:
                try:
                    trail.sign()
                except OSError as error:
                    log.error("audit_unsigned", extra={"reason": _reason(error)})
                trail.close()

    def _open(self) -> Trail:
        if self._closed:
            raise ProjectionError("the audit trail is closed")
        terms = self._terms()
        if self._alarm is not None and alarm.pending(terms.folder) is None:
            raise ProjectionError(self._alarm.message)
        self._trail = trail = open_trail(terms, self._clock)
        if self._alarm is not None:
            log.warning("audit_alarm_acknowledged", extra={"kind": self._alarm.kind})
            self._alarm = None
        return trail

    def _raise(self, found: Alarm) -> None:
        self._drop()
        if self._alarm != found:
            folder = self._terms().folder
            log.error("audit_alarm", extra={"kind": found.kind, "reason": found.message, "folder": str(folder)})
            try:
                alarm.raise_it(folder, found)
            except OSError as error:
                log.error("audit_alarm_unwritten", extra={"reason": _reason(error)})
        self._alarm = found
        self._fail(found.message)

    def _fail(self, reason: str) -> None:
        self._drop()
        self.trouble = reason
        raise ProjectionError(reason) from None

    def _drop(self) -> None:
        """What is on the disk holds; the next use looks there."""
        trail, self._trail = self._trail, None
        if trail is not None:
            trail.close()


def _reason(error: OSError | sqlite3.Error) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
