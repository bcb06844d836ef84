"""The budget's ledger: what tasks have reserved and spent in a calendar month, entry by entry.

Here belong amounts and the limit they must not pass. What a job may cost is estimated in `tuning/cloud`. Amounts are
whole millionths of a US dollar ("micros"), so that sums are exact. Entries are only ever added.

    reserve(session, task=, run_key=, amount=, limit=, at=, by=) -> bool
                                                                   in the caller's transaction; BudgetExceededError
    settle(session, run_key, actual, at=, by=)                     the amount actually billed takes its place
    release(session, run_key, at=, by=, note=)                     nothing was billed
    month_spend(db, task, month) -> MonthSpend                     reserved, settled, total
    ledger_entries(db, task=None, month=None) -> list[LedgerEntry]
    to_micros(usd) -> int (rounded up), to_usd(micros) -> float
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.models import BudgetEntryRow, BudgetMonthRow

EntryKind = Literal["reserve", "release", "settle"]
MICROS = 1_000_000


class BudgetExceededError(StorageError):
    """A reservation does not fit into the month's limit; nothing was written."""

    def __init__(self, task: str, month: str, *, wanted: int, committed: int, limit: int) -> None:
        self.wanted = wanted
        self.committed = committed
        self.limit = limit
        super().__init__(
            "the job does not fit the month's budget",
            where=f"task {task}, {month}",
            found=f"${to_usd(wanted):.2f} wanted, ${to_usd(committed):.2f} of it reserved or spent already",
            expected=f"at most ${to_usd(limit):.2f} a month (cloud.budget.monthly_usd)",
            mend="raise the limit, wait for the next month, or tune on fewer rows or epochs",
        )


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a job may cost, and the limit that it has to fit.

    Attributes:
        low: the low estimate in micros.
        mid: the middle estimate.
        high: the high estimate; this is what is reserved.
        limit: what the task may commit in a month, None for no limit.
        prices_as_of: date of the oldest price in it, as YYYY-MM-DD.
        currency: always USD so far.
    """

    low: int
    mid: int
    high: int
    limit: int | None
    prices_as_of: str
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line of the ledger; `amount` (micros) is by how much the month's sum grew."""

    task: str
    month: str
    run_key: str
    seq: int
    kind: str
    amount: int
    at: datetime
    by: str
    note: str


@dataclass(frozen=True, slots=True)
class MonthSpend:
    """What a task has committed in a month, in micros.

    Attributes:
        reserved: for jobs whose price is not known yet.
        settled: of jobs whose price is known.
    """

    reserved: int
    settled: int

    @property
    def total(self) -> int:
        """Both together; a reservation must keep it at or below the limit."""
        return self.reserved + self.settled


def to_micros(usd: Decimal | float) -> int:
    """Return whole millionths of a dollar, rounded up: a budget must not be passed by rounding."""
    # What a float adds at its last digits is no money.
    return int((round(Decimal(str(usd)), 9) * MICROS).to_integral_value(rounding=ROUND_CEILING))


def to_usd(micros: int) -> float:
    """Return dollars."""
    return micros / MICROS


def month_of(at: datetime) -> str:
    """Return the calendar month of a moment, in UTC, as YYYY-MM."""
    return at.astimezone(UTC).strftime("%Y-%m")


def reserve(
    session: Session, *, task: str, run_key: str, amount: int, limit: int | None, at: datetime, by: str = ""
) -> bool:
    """Set an amount aside for a job, in the transaction that writes the job down.

    The month's row is locked first, so that two processes never both fit into the last dollar. A job that holds a
    reservation, or was settled, keeps it and reserves nothing more.

    Args:
        session: a writing transaction; the caller commits it, or lets it fail together with this.
        task: the task whose budget it is.
        run_key: the job.
        amount: micros, at least 0.
        limit: what the task may commit in the month, None for no limit.
        at: now; it decides the month.
        by: who asked.

    Returns:
        Whether an entry was written now.

    Raises:
        BudgetExceededError: when it does not fit.
        ValueError: for a negative amount.
    """
    if amount < 0:
        raise ValueError(f"a reservation of {amount} micros is below zero")
    month = month_of(at)
    _lock(session, task, month)
    earlier = _entries_of(session, run_key)
    if earlier and earlier[-1].kind != "release":
        return False
    committed = _sum(session, task, month)
    if limit is not None and committed + amount > limit:
        raise BudgetExceededError(task, month, wanted=amount, committed=committed, limit=limit)
    _append(session, task, month, run_key, "reserve", amount, at, by, "", seq=len(earlier) + 1)
    return True


def settle(session: Session, run_key: str, actual: int, *, at: datetime, by: str = "", note: str = "") -> None:
    """Put what a job really cost in the place of its reservation; a later call corrects an earlier one.

    What was billed is recorded even where it is more than was reserved; further reservations then find less room.

    Args:
        session: a writing transaction.
        run_key: the job.
        actual: micros, at least 0.
        at: now. The entry counts for the month of the reservation.
        by: who says so.
        note: where the amount is from.

    Raises:
        StorageError: when nothing was ever reserved for the job.
        ValueError: for a negative amount.
    """
    if actual < 0:
        raise ValueError(f"a price of {actual} micros is below zero")
    earlier = _locked_entries(session, run_key)
    change = actual - sum(entry.amount for entry in earlier)
    if change == 0 and earlier[-1].kind == "settle":
        return
    last = earlier[-1]
    _append(session, last.task, last.month, run_key, "settle", change, at, by, note, seq=len(earlier) + 1)


def release(session: Session, run_key: str, *, at: datetime, by: str = "", note: str = "") -> None:
    """Give back what was reserved for a job of which nothing is billed; a second call changes nothing.

    Args:
        session: a writing transaction.
        run_key: the job.
        at: now. The entry counts for the month of the reservation.
        by: who says so.
        note: how it is known.

    Raises:
        StorageError: when nothing was ever reserved, or the job's price is known already.
    """
    earlier = _locked_entries(session, run_key)
    last = earlier[-1]
    if last.kind == "release":
        return
    if last.kind == "settle":
        raise StorageError(
            "a job whose price is known cannot be released", where=f"job {run_key}", mend="settle it with 0 instead"
        )
    amount = -sum(entry.amount for entry in earlier)
    _append(session, last.task, last.month, run_key, "release", amount, at, by, note, seq=len(earlier) + 1)


def month_spend(db: Database, task: str, month: str) -> MonthSpend:
    """Return what a task has committed in a month (YYYY-MM, UTC)."""
    reserved = settled = 0
    with db.reading() as session:
        of_month = (BudgetEntryRow.task == task, BudgetEntryRow.month == month)
        sums = select(BudgetEntryRow.run_key, func.sum(BudgetEntryRow.amount)).where(*of_month)
        totals = {key: int(total) for key, total in session.execute(sums.group_by(BudgetEntryRow.run_key))}
        is_settled = select(BudgetEntryRow.run_key).where(*of_month, BudgetEntryRow.kind == "settle")
        known = set(session.scalars(is_settled))
    for run_key, total in totals.items():
        if run_key in known:
            settled += total
        else:
            reserved += total
    return MonthSpend(reserved, settled)


def ledger_entries(db: Database, task: str | None = None, month: str | None = None) -> list[LedgerEntry]:
    """Return the ledger's lines in the order they were written, of one task and month or of all."""
    query = select(BudgetEntryRow).order_by(BudgetEntryRow.id)
    if task is not None:
        query = query.where(BudgetEntryRow.task == task)
    if month is not None:
        query = query.where(BudgetEntryRow.month == month)
    with db.reading() as session:
        return [_entry(row) for row in session.scalars(query)]


def _lock(session: Session, task: str, month: str) -> None:
    """Hold the month until the transaction ends. Two that make its row at once: the second fails and is repeated."""
    if session.get(BudgetMonthRow, (task, month), with_for_update=True) is None:
        session.add(BudgetMonthRow(task=task, month=month))
        session.flush()


def _locked_entries(session: Session, run_key: str) -> list[BudgetEntryRow]:
    found = _entries_of(session, run_key)
    if not found:
        raise StorageError("nothing was reserved for this job", where=f"job {run_key}")
    _lock(session, found[-1].task, found[-1].month)
    return _entries_of(session, run_key)


def _entries_of(session: Session, run_key: str) -> list[BudgetEntryRow]:
    query = select(BudgetEntryRow).where(BudgetEntryRow.run_key == run_key).order_by(BudgetEntryRow.seq)
    return list(session.scalars(query))


def _sum(session: Session, task: str, month: str) -> int:
    of_month = (BudgetEntryRow.task == task, BudgetEntryRow.month == month)
    return int(session.scalar(select(func.coalesce(func.sum(BudgetEntryRow.amount), 0)).where(*of_month)) or 0)


def _append(
    session: Session,
    task: str,
    month: str,
    run_key: str,
    kind: EntryKind,
    amount: int,
    at: datetime,
    by: str,
    note: str,
    *,
    seq: int,
) -> None:
    session.add(
        BudgetEntryRow(
            task=task, month=month, run_key=run_key, seq=seq, kind=kind, amount=amount, at=at, by=by, note=note
        )
    )
    session.flush()


def _entry(row: BudgetEntryRow) -> LedgerEntry:
    return LedgerEntry(
        task=row.task,
        month=row.month,
        run_key=row.run_key,
        seq=row.seq,
        kind=row.kind,
        amount=row.amount,
        at=row.at,
        by=row.by,
        note=row.note,
    )
