"""Which artifact is a stage's result: one row for each stage that a run made or took over, never changed.

A step reads what its own run made; a single materialization reads the newest of the namespace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.models import ReportRow, StageResultRow


@dataclass(frozen=True, slots=True)
class StageResult:
    """A stage's result in one run.

    Attributes:
        run_id: the run that made it or took it over.
        kind: the artifact's kind.
        key: the artifact's key.
        digest: the artifact's digest.
        reused: True when the run took it over unchanged.
    """

    run_id: str
    kind: str
    key: str
    digest: str
    reused: bool


def record_stage(
    database: Database,
    *,
    task: str,
    namespace: str,
    stage: str,
    run_id: str,
    kind: str,
    key: str,
    digest: str,
    reused: bool,
) -> None:
    """Write that an artifact is the stage's result in a run, and so the newest of the namespace.

    Args:
        database: the open database.
        task: the task, or `platform`.
        namespace: `main` or an experiment's.
        stage: the asset's name.
        run_id: the run.
        kind: the artifact's kind.
        key: the artifact's key.
        digest: the artifact's digest.
        reused: True when the run took it over unchanged.
    """
    with database.session() as session:
        session.add(
            StageResultRow(
                task=task,
                namespace=namespace,
                stage=stage,
                run_id=run_id,
                kind=kind,
                key=key,
                digest=digest,
                reused=reused,
                created_at=utc_now(),
            )
        )


def find_stage(database: Database, task: str, namespace: str, stage: str, run_id: str) -> StageResult | None:
    """Return the stage's result in the run `run_id`, else the newest of the namespace, else None."""
    mine = select(StageResultRow).where(
        StageResultRow.task == task, StageResultRow.namespace == namespace, StageResultRow.stage == stage
    )
    newest = mine.order_by(StageResultRow.id.desc()).limit(1)
    with database.reading() as session:
        row = session.scalars(newest.where(StageResultRow.run_id == run_id)).first() if run_id else None
        row = row or session.scalars(newest).first()
        return None if row is None else StageResult(row.run_id, row.kind, row.key, row.digest, row.reused)


def latest_run(database: Database, task: str) -> str | None:
    """Return the id of the run that wrote the task's newest stage result, in any namespace."""
    newest = select(StageResultRow.run_id).where(StageResultRow.task == task).order_by(StageResultRow.id.desc())
    with database.reading() as session:
        return session.scalars(newest.limit(1)).first()


def record_report(
    database: Database,
    *,
    task: str,
    namespace: str,
    report_key: str,
    digest: str,
    candidate: str,
    baseline: str,
    verdict: str,
    run_id: str,
    policy: dict[str, Any],
) -> None:
    """Write a report's verdict down, with the run that made it or found it again.

    Args:
        database: the open database.
        task: the task.
        namespace: `main` or an experiment's.
        report_key: the report's artifact.
        digest: the report's digest.
        candidate: whom it judged.
        baseline: against whom; "" for the untuned base.
        verdict: `PASS`, `FAIL` or `INCONCLUSIVE`.
        run_id: the run.
        policy: by which rules it may be decided on, as JSON.
    """
    with database.session() as session:
        session.add(
            ReportRow(
                task=task,
                namespace=namespace,
                report_key=report_key,
                digest=digest,
                candidate=candidate,
                baseline=baseline,
                verdict=verdict,
                run_id=run_id,
                created_at=utc_now(),
                policy=policy,
            )
        )
