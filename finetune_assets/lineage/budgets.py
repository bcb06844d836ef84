"""A month's budget as people read it: the limit, what is reserved and spent, and every job's estimate and bill."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from finetune_assets.storage.database import Database
from finetune_assets.storage.intents import find_intent
from finetune_assets.storage.ledger import LedgerEntry, ledger_entries, month_spend, to_micros, to_usd
from finetune_assets.storage.settlement import request_keys


@dataclass(frozen=True)
class JobCost:
    """One attempt of a job in the ledger; amounts in US dollars.

    Attributes:
        key: its request key.
        run_key: the attempt's run key.
        attempt: 1, 2, …
        variant: the tuning variant, "" where there are none.
        backend: who tuned.
        state: how the attempt stands; `earlier attempt` where a later one was opened.
        reserved: what was set aside, by the high estimate.
        estimated: the middle estimate, None where the attempt is not the present one.
        billed: what it was billed, None before that is known.
        status: `reserved`, `settled` or `released`.
        note: what a person said of the bill.
    """

    key: str
    run_key: str
    attempt: int
    variant: str
    backend: str
    state: str
    reserved: float
    estimated: float | None
    billed: float | None
    status: str
    note: str


@dataclass(frozen=True)
class Budget:
    """A month in US dollars; `limit` and `left` are None where there is no limit, or where the task's YAML is gone.

    What jobs cost beyond their reservations makes `left` negative.
    """

    month: str
    limit: float | None
    reserved: float
    settled: float
    left: float | None


@dataclass(frozen=True)
class MonthBudget(Budget):
    """A task's month with all its jobs."""

    task: str
    jobs: tuple[JobCost, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def budget_of(db: Database, task: str, month: str, limit_usd: float | None) -> Budget:
    """Return what a task's month has reserved, spent and left; arguments as `month_budget`'s."""
    spend = month_spend(db, task, month)
    left = None if limit_usd is None else to_usd(to_micros(limit_usd) - spend.total)
    return Budget(month, limit_usd, to_usd(spend.reserved), to_usd(spend.settled), left)


def month_budget(db: Database, task: str, month: str, limit_usd: float | None) -> MonthBudget:
    """Return a task's month.

    Args:
        db: the database.
        task: the task's name.
        month: YYYY-MM, UTC.
        limit_usd: `cloud.budget.monthly_usd`.
    """
    by_run: dict[str, list[LedgerEntry]] = {}
    for entry in ledger_entries(db, task, month):
        by_run.setdefault(entry.run_key, []).append(entry)
    keys = request_keys(db)
    jobs = tuple(_job(db, run_key, entries, keys) for run_key, entries in by_run.items())
    return MonthBudget(**asdict(budget_of(db, task, month, limit_usd)), task=task, jobs=jobs)


def tasks_with_entries(db: Database, month: str) -> list[str]:
    """Return the tasks that reserved something in a month."""
    return sorted({entry.task for entry in ledger_entries(db, month=month)})


def _job(db: Database, run_key: str, entries: list[LedgerEntry], keys: Mapping[str, tuple[str, int]]) -> JobCost:
    key, attempt = keys.get(run_key, ("", 0))
    intent = find_intent(db, key) if key else None
    is_present = intent is not None and intent.run_key == run_key
    last = entries[-1]
    estimated = intent.estimate_mid if intent and is_present else None
    return JobCost(
        key=key,
        run_key=run_key,
        attempt=attempt,
        variant=intent.variant if intent else "",
        backend=intent.backend if intent else "",
        state=intent.state if intent and is_present else "earlier attempt",
        reserved=to_usd(max(entry.amount for entry in entries if entry.kind == "reserve")),
        estimated=None if estimated is None else to_usd(estimated),
        billed=to_usd(sum(entry.amount for entry in entries)) if last.kind == "settle" else None,
        status={"reserve": "reserved", "release": "released"}.get(last.kind, "settled"),
        note=last.note,
    )
