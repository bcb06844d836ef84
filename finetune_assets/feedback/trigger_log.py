"""The log of triggers: every decision that says something new, and when the runs asked for ended. Append-only."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from finetune_assets.feedback.triggers.cursor import Asked
from finetune_assets.feedback.triggers.decision import slot_of
from finetune_assets.feedback.triggers.history import TriggerRecord, decision_of, worth_writing
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import TriggerEventRow


@dataclass(frozen=True, slots=True)
class Standing:
    """What a window tells of the runs that triggers asked for.

    Attributes:
        last_fired: when the last was asked for; None for never.
        last_finished: when the last that ended did so.
        in_flight: whether one has not ended.
    """

    last_fired: datetime | None
    last_finished: datetime | None
    in_flight: bool


class TriggerLog:
    """The decisions of every task.

    Args:
        db: the main database.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    def write(self, record: TriggerRecord) -> bool:
        """Write a decision down; writing it twice has one effect.

        Of the decisions to fire that follow one and the same run only the first is written, whoever made the others
        and from whatever windows. A decision to wait for the same as before is left out.

        Returns:
            Whether the log holds the decision now. A run may be asked for only when it does.
        """
        with self._db.session() as session:
            if record.kind == "wait":
                latest = self._latest(session, record.task)
                new = worth_writing(latest, record)
            else:
                held = session.scalar(
                    select(TriggerEventRow.id).where(
                        TriggerEventRow.run_key == record.run_key, TriggerEventRow.kind == "fire"
                    )
                )
                if held is not None:
                    return True
                new = record.evidence.get("slot") == slot_of(record.task, _last(session, record.task, "fire"))
            if new:
                session.add(TriggerEventRow(**{**record.to_json(), "at": record.at}))
            return new

    def end(self, run_key: str, outcome: str, *, by: str, at: datetime) -> bool:
        """Write down that a run ended; the first word stands.

        Args:
            run_key: the run's key.
            outcome: how it ended, such as `success`, `failure` or `canceled`.
            by: which part of the platform or which person says so.
            at: when it ended; aware.

        Returns:
            Whether this was the first word.

        Raises:
            FinetuneError: when no run of that key was asked for.
        """
        with self._db.session() as session:
            rows = session.scalars(select(TriggerEventRow).where(TriggerEventRow.run_key == run_key)).all()
            kinds = {row.kind: row for row in rows}
            if "fire" not in kinds:
                raise FinetuneError("no trigger asked for this run", where=run_key)
            if "end" in kinds:
                return False
            fired = kinds["fire"]
            session.add(
                TriggerEventRow(
                    task=fired.task,
                    kind="end",
                    run_key=run_key,
                    window_digest=fired.window_digest,
                    policy_digest=fired.policy_digest,
                    reasons=[outcome],
                    evidence={},
                    cost=None,
                    by=by,
                    at=at,
                )
            )
            return True

    def standing(self, task: str) -> Standing:
        """Return what a task's window tells of its runs."""
        with self._db.reading() as session:
            return Standing(_last(session, task, "fire"), _last(session, task, "end"), bool(_open_keys(session, task)))

    def asked(self, task: str, started: Container[str]) -> list[Asked]:
        """Return the runs that have not ended, and the last that was asked for, for a tick.

        Args:
            task: the task.
            started: run keys of which Dagster has a run.
        """
        with self._db.reading() as session:
            open_keys = _open_keys(session, task)
            latest = select(func.max(TriggerEventRow.at)).where(*_of(task, "fire")).scalar_subquery()
            rows = session.scalars(
                select(TriggerEventRow)
                .where(*_of(task, "fire"), (TriggerEventRow.run_key.in_(open_keys)) | (TriggerEventRow.at == latest))
                .order_by(TriggerEventRow.id)
            ).all()
        found = []
        for row in rows:
            owed = row.run_key in open_keys and row.run_key not in started
            found.append(Asked(str(row.run_key), row.at, decision_of(_record(row)) if owed else None))
        return found

    def records(self, task: str, since: datetime, until: datetime, *, limit: int = 10_000) -> list[TriggerRecord]:
        """Return decisions in order, at most `limit`, the latest ones.

        Args:
            task: the task.
            since: from when, included; aware.
            until: to when, not included; aware.
            limit: at most so many.
        """
        query = (
            select(TriggerEventRow)
            .where(
                TriggerEventRow.task == task,
                TriggerEventRow.kind != "end",
                TriggerEventRow.at >= since,
                TriggerEventRow.at < until,
            )
            .order_by(TriggerEventRow.id.desc())
            .limit(limit)
        )
        with self._db.reading() as session:
            rows = session.scalars(query).all()
        return [_record(row) for row in reversed(rows)]

    def _latest(self, session: Session, task: str) -> TriggerRecord | None:
        row = session.scalar(
            select(TriggerEventRow)
            .where(TriggerEventRow.task == task, TriggerEventRow.kind != "end")
            .order_by(TriggerEventRow.id.desc())
            .limit(1)
        )
        return None if row is None else _record(row)


def _of(task: str, kind: str) -> tuple[Any, Any]:
    return TriggerEventRow.task == task, TriggerEventRow.kind == kind


def _last(session: Session, task: str, kind: str) -> datetime | None:
    """Return the latest moment of a kind by the clock, not by the order of writing: clocks jump."""
    return session.scalar(
        select(TriggerEventRow.at).where(*_of(task, kind)).order_by(TriggerEventRow.at.desc()).limit(1)
    )


def _open_keys(session: Session, task: str) -> set[str]:
    ended = aliased(TriggerEventRow)
    query = select(TriggerEventRow.run_key).where(
        *_of(task, "fire"),
        ~select(ended.id).where(ended.run_key == TriggerEventRow.run_key, ended.kind == "end").exists(),
    )
    return {str(key) for key in session.scalars(query).all()}


def _record(row: TriggerEventRow) -> TriggerRecord:
    columns = [column.key for column in TriggerEventRow.__table__.columns if column.key != "id"]
    return TriggerRecord.from_json({name: getattr(row, name) for name in columns})
