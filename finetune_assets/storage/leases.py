"""Leases: one process at a time does a named thing, on every host that shares the database.

A lease lives as long as its holder's heartbeat. The lease of a process that was killed on this host is taken over at
once; that of a host that vanished, when it expires. Each acquisition has a higher fence than the one before.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Update, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.models import LeaseRow
from finetune_assets.storage.processes import ProcessMark

_LOG = logging.getLogger(__name__)
_FREE = ""
_BEATS_PER_TTL = 3
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """Who holds a lease.

    Attributes:
        name: the lease's name.
        process: the holder's process.
        acquired_at: since when.
        expires_at: when it ends unless a heartbeat renews it.
        fence: its acquisition's number.
    """

    name: str
    process: ProcessMark
    acquired_at: datetime
    expires_at: datetime
    fence: int


class Lease:
    """A lease that this process holds; `lease` makes it.

    Attributes:
        name: what is held.
        fence: a number that grows with every acquisition of this name; a later holder's is higher.
    """

    def __init__(self, db: Database, name: str, token: str, fence: int, ttl_s: float) -> None:
        self.name = name
        self.fence = fence
        self._db = db
        self._token = token
        self._ttl_s = ttl_s
        self._stop = threading.Event()
        self._beat = threading.Thread(target=self._keep, name=f"lease {name}", daemon=True)

    def check(self) -> None:
        """Ask the database whether the lease is still ours; call it before a step that must not happen twice.

        Raises:
            StorageError: when it expired (this process stood still for too long) or another took it over.
        """
        with self._db.reading() as session:
            row = session.get(LeaseRow, self.name)
            lost = row is None or row.holder != self._token or row.expires_at <= utc_now()
            holder = None if row is None or row.holder in (_FREE, self._token) else _holder(row)
        if lost:
            raise StorageError(
                "the lease was lost",
                where=f"lease {self.name}",
                found=f"held by {holder.process}" if holder else "expired",
                mend="run again; what is finished is kept",
            )

    def _start(self) -> None:
        self._beat.start()

    def _end(self) -> None:
        """Stop the heartbeat and free the lease, if it is still ours."""
        self._stop.set()
        self._beat.join()
        try:
            with self._db.session() as session:
                session.execute(self._ours().values(holder=_FREE, expires_at=utc_now()))
        except StorageError as error:
            # The work is done, and the lease ends by itself: this must not hide how the block ended.
            _LOG.warning("lease %s was not given back: %s", self.name, error)

    def _keep(self) -> None:
        while not self._stop.wait(self._ttl_s / _BEATS_PER_TTL):
            try:
                if not self._renew():
                    return  # another holder: `check` says so
            except StorageError as error:
                _LOG.warning("lease %s was not renewed, trying again: %s", self.name, error)

    def _renew(self) -> bool:
        with self._db.session() as session:
            until = utc_now() + timedelta(seconds=self._ttl_s)
            return session.connection().execute(self._ours().values(expires_at=until)).rowcount == 1

    def _ours(self) -> Update:
        return update(LeaseRow).where(
            LeaseRow.name == self.name, LeaseRow.holder == self._token, LeaseRow.fence == self.fence
        )


@contextmanager
def lease(db: Database, name: str, *, ttl_s: float = 60, wait_s: float = 0) -> Iterator[Lease]:
    """Hold a lease while the block runs.

    Args:
        db: the database that all contenders share.
        name: what is held, for instance `task/childcare`.
        ttl_s: seconds after the last heartbeat at which others may take over; a heartbeat comes every third of it.
        wait_s: seconds to wait for a lease that is taken.

    Yields:
        The lease; call its `check` before steps that must not happen twice.

    Raises:
        StorageError: when another process holds it still after `wait_s`; the line names that process.
    """
    token = secrets.token_hex(16)
    held = Lease(db, name, token, _acquire(db, name, token, ttl_s, wait_s), ttl_s)
    held._start()
    try:
        yield held
    finally:
        held._end()


def lease_holder(db: Database, name: str) -> LeaseHolder | None:
    """Return who holds a lease now; None when it is free, expired or its holder is dead."""
    with db.reading() as session:
        row = session.get(LeaseRow, name)
        return None if row is None or _is_free(row) else _holder(row)


def _acquire(db: Database, name: str, token: str, ttl_s: float, wait_s: float) -> int:
    """Return the fence of the acquisition."""
    deadline = time.monotonic() + wait_s
    pause = _FIRST_PAUSE_S
    while True:
        try:
            with db.session() as session:
                outcome = _compare_and_set(session, name, token, ttl_s)
        except IntegrityError:
            continue  # two made the first row of this name at once; now it is there
        if isinstance(outcome, int):
            return outcome
        if time.monotonic() >= deadline:
            raise _taken(outcome)
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def _compare_and_set(session: Session, name: str, token: str, ttl_s: float) -> int | LeaseHolder:
    """Take the lease if it is free: the new fence, else who holds it."""
    row = session.get(LeaseRow, name, with_for_update=True)
    now = utc_now()
    me = ProcessMark.current()
    if row is None:
        row = LeaseRow(name=name, fence=0)
        session.add(row)
    elif not _is_free(row):
        return _holder(row)
    elif row.holder != _FREE:
        _LOG.info("lease %s is taken over from %s", name, _holder(row).process)
    row.holder, row.host, row.pid, row.process_started = token, me.host, me.pid, me.started
    row.acquired_at, row.expires_at = now, now + timedelta(seconds=ttl_s)
    row.fence += 1
    return row.fence


def _is_free(row: LeaseRow) -> bool:
    return row.holder == _FREE or row.expires_at <= utc_now() or _process(row).is_dead()


def _process(row: LeaseRow) -> ProcessMark:
    return ProcessMark(host=row.host, pid=row.pid, started=row.process_started)


def _holder(row: LeaseRow) -> LeaseHolder:
    return LeaseHolder(row.name, _process(row), row.acquired_at, row.expires_at, row.fence)


def _taken(holder: LeaseHolder) -> StorageError:
    return StorageError(
        "another process is at it",
        where=f"lease {holder.name}",
        found=f"{holder.process}, since {holder.acquired_at:%Y-%m-%d %H:%M:%S} UTC",
        mend=f"wait for it to end, or end process {holder.process.pid} and run again",
    )
