"""Releases as values, and how they are read from the database inside a transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from finetune_assets.records.digests import short
from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.pointer import PointerMove, withdrawal
from finetune_assets.releases.tally import Approval
from finetune_assets.storage.models import ApprovalRow, PointerRow, ReleaseRow


@dataclass(frozen=True, slots=True)
class Release:
    """A candidate with its number.

    Attributes:
        id: the row's id, for `transition` and `move_pointer`.
        task: the task.
        version: 1, 2, … within the task.
        candidate: identity of weights, base and template.
        state: one of `states.STATES`.
        base_model: the base model's name.
        request_key: the tuning request that made it.
        dataset_digest: the data that it was tuned on.
        report_key: artifact of the report that judged it last.
        report_digest: that report's digest.
        artifact_key: artifact of its release manifest, "" before there is one.
        scores: its headline scores in that report.
        created_at: when it was registered.
        updated_at: when it last changed.
    """

    id: int
    task: str
    version: int
    candidate: str
    state: str
    base_model: str
    request_key: str
    dataset_digest: str
    report_key: str
    report_digest: str
    artifact_key: str
    scores: dict[str, Any] = field(repr=False)
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class LiveRelease(Release):
    """The release at which the pointer stands, with the move that put it there.

    Attributes:
        seq: the pointer's number; `move_pointer` compares it.
        deployed_at: when it became live.
        deployed_by: who or what made it live.
        action: `deploy` or `rollback`.
    """

    seq: int
    deployed_at: datetime
    deployed_by: str
    action: str


@dataclass(frozen=True, slots=True)
class ReleaseEvent:
    """One change of a release's state: from ("" at registration), to, when, by whom, why, in which run."""

    from_state: str
    to_state: str
    at: datetime
    by: str
    note: str
    run_id: str


def find_row(session: Session, task: str, candidate: str, *, lock: bool = False) -> ReleaseRow | None:
    """Return the row of a candidate, or None; with `lock`, held until the transaction ends."""
    query = select(ReleaseRow).where(ReleaseRow.task == task, ReleaseRow.candidate == candidate)
    return session.scalars(query.with_for_update() if lock else query).first()


def get_row(session: Session, release_id: int, *, lock: bool = False) -> ReleaseRow:
    """Return a release's row; with `lock`, held until the transaction ends.

    Raises:
        FinetuneError: when there is none.
    """
    row = session.get(ReleaseRow, release_id, with_for_update=lock or None)
    if row is None:
        raise FinetuneError("no such release", where=f"release {release_id}")
    return row


def read_moves(session: Session, task: str) -> list[PointerMove]:
    """Return the history of the task's pointer, oldest first."""
    query = select(PointerRow).where(PointerRow.task == task).order_by(PointerRow.seq)
    return [as_move(row) for row in session.scalars(query)]


def newest_approval(session: Session, task: str, candidate: str) -> ApprovalRow | None:
    """Return the last decision about a candidate, or None."""
    query = (
        select(ApprovalRow)
        .where(ApprovalRow.task == task, ApprovalRow.candidate == candidate)
        .order_by(ApprovalRow.id.desc())
        .limit(1)
    )
    return session.scalars(query).first()


def read_decisions(session: Session, task: str, candidate: str) -> list[Approval]:
    """Return every decision about a candidate, oldest first."""
    query = select(ApprovalRow).where(ApprovalRow.task == task, ApprovalRow.candidate == candidate)
    return [as_approval(row) for row in session.scalars(query.order_by(ApprovalRow.id))]


def refuse_open_verdict(session: Session, row: ReleaseRow) -> None:
    """Refuse the approval of a release that no gate validated, unless a known person approved this very report.

    Raises:
        FinetuneError: when no person did.
    """
    said = newest_approval(session, row.task, row.candidate)
    taken_on = ("approve", "manual", True, row.report_digest)
    if said is None or (said.decision, said.policy, said.authenticated, said.report_digest) != taken_on:
        raise FinetuneError(
            "a release that is candidate cannot become approved",
            where=place_of(row),
            found="no person's approval of its report",
            expected="a verdict of PASS, or a person who takes on an INCONCLUSIVE one",
            mend="materialize validation_report, or decide by hand",
        )


def refuse_withdrawn(session: Session, row: ReleaseRow) -> None:
    """Refuse the approval of a release that was rolled back, unless a person approved this very report since.

    Otherwise the next run, finding everything as before, would deploy again what was just withdrawn.

    Raises:
        FinetuneError: when no person did.
    """
    withdrawn = withdrawal(read_moves(session, row.task), row.id)
    if withdrawn is None:
        return
    said = newest_approval(session, row.task, row.candidate)
    if (
        said is None
        or (said.decision, said.policy, said.report_digest) != ("approve", "manual", row.report_digest)
        or not as_approval(said).is_after(withdrawn)
    ):
        raise withdrawn_error(row, withdrawn)


def withdrawn_error(row: ReleaseRow, withdrawn: PointerMove) -> FinetuneError:
    """Return the error that says that a release was rolled back and needs a person."""
    return FinetuneError(
        "release was rolled back",
        where=place_of(row),
        found=f"withdrawn by {withdrawn.by} on {withdrawn.at:%Y-%m-%d %H:%M} UTC",
        expected="a person's approval after that",
        mend=f"look at why, then: finetune approve {row.task} {short(row.candidate)}",
    )


def place_of(row: ReleaseRow) -> str:
    """Return the release for people."""
    return f"{row.task} version {row.version} ({short(row.candidate)})"


def as_approval(row: ApprovalRow) -> Approval:
    """Return a decision as a value."""
    return Approval(
        id=row.id,
        task=row.task,
        candidate=row.candidate,
        report_digest=row.report_digest,
        decision=row.decision,
        approver=row.approver,
        authenticated=row.authenticated,
        policy=row.policy,
        note=row.note,
        at=row.at,
        channel=row.channel or "",
        pointer_seq=row.pointer_seq,
    )


def as_move(row: PointerRow) -> PointerMove:
    """Return a move of the pointer as a value."""
    return PointerMove(
        seq=row.seq,
        release_id=row.release_id,
        previous_release_id=row.previous_release_id,
        action=row.action,
        at=row.at,
        by=row.by,
        run_id=row.run_id,
    )


def as_release(row: ReleaseRow) -> Release:
    """Return a release as a value."""
    return Release(**_columns(row))


def as_live(row: ReleaseRow, move: PointerMove) -> LiveRelease:
    """Return a release with the move that made it live."""
    return LiveRelease(**_columns(row), seq=move.seq, deployed_at=move.at, deployed_by=move.by, action=move.action)


def _columns(row: ReleaseRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "task": row.task,
        "version": row.version,
        "candidate": row.candidate,
        "state": row.state,
        "base_model": row.base_model,
        "request_key": row.request_key,
        "dataset_digest": row.dataset_digest,
        "report_key": row.report_key,
        "report_digest": row.report_digest,
        "artifact_key": row.artifact_key,
        "scores": dict(row.scores),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
