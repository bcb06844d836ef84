"""The writing steps of the registry, each inside a transaction of its caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from finetune_assets.records.digests import short
from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.pointer import PointerAction, PointerMove, good_releases
from finetune_assets.releases.rows import LiveRelease, as_live, as_move, get_row, place_of
from finetune_assets.releases.states import DEPLOYABLE
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.models import PointerRow, ReleaseEventRow, ReleaseRow


def add_release(
    session: Session, task: str, candidate: str, evidence: Mapping[str, Any], by: str, run_id: str
) -> ReleaseRow:
    """Add a release in state `candidate` with the task's next version."""
    last = session.scalar(select(func.max(ReleaseRow.version)).where(ReleaseRow.task == task))
    now = utc_now()
    row = ReleaseRow(task=task, version=(last or 0) + 1, candidate=candidate, state="", created_at=now, updated_at=now)
    row.artifact_key = ""
    _take(row, evidence)
    session.add(row)
    session.flush()
    set_state(session, row, "candidate", by, "registered", run_id)
    session.flush()
    return row


def judge_anew(session: Session, row: ReleaseRow, evidence: Mapping[str, Any], by: str, run_id: str) -> None:
    """Give a release another report's evidence; what was decided on the old one no longer holds."""
    _take(row, evidence)
    row.updated_at = utc_now()
    if row.state not in ("candidate", "rolled_back"):
        set_state(session, row, "candidate", by, "judged anew", run_id)


def _take(row: ReleaseRow, evidence: Mapping[str, Any]) -> None:
    for name, value in evidence.items():
        setattr(row, name, value)


def set_state(session: Session, row: ReleaseRow, state: str, by: str, note: str, run_id: str) -> None:
    """Change a release's state and write the event; whether the step is legal is the caller's to know."""
    now = utc_now()
    session.add(
        ReleaseEventRow(
            release_id=row.id, from_state=row.state, to_state=state, at=now, by=by, note=note, run_id=run_id
        )
    )
    row.state = state
    row.updated_at = now


def check_may_go_live(row: ReleaseRow, moves: Sequence[PointerMove], action: PointerAction) -> None:
    """Refuse to make a release live that has no right to be.

    Raises:
        FinetuneError: when a deploy lacks approval or manifest, or a rollback leads to a release that is not good.
    """
    if action == "rollback":
        if row.id not in good_releases(moves):
            raise FinetuneError(
                "release is no target for a rollback",
                where=place_of(row),
                found=row.state,
                expected="a release that was live and was not rolled back",
                mend="approve and deploy it instead",
            )
    elif row.state not in DEPLOYABLE:
        raise FinetuneError(
            "release may not be deployed",
            where=place_of(row),
            found=row.state,
            expected=", ".join(sorted(DEPLOYABLE)),
            mend=_way_to_deploy(row),
        )
    elif not row.artifact_key:
        raise FinetuneError("release has no manifest", where=place_of(row), mend="attach its manifest first")


def _way_to_deploy(row: ReleaseRow) -> str:
    if row.state == "rolled_back":
        return f"it was withdrawn; only a person brings it back: finetune approve {row.task} {short(row.candidate)}"
    return f"materialize the steps before it, or approve it: finetune approve {row.task} {short(row.candidate)}"


def move_to(
    session: Session, row: ReleaseRow, current: PointerMove | None, action: PointerAction, by: str, run_id: str
) -> LiveRelease:
    """Move the pointer to a release, and change its state and its predecessor's."""
    pointer = PointerRow(
        task=row.task,
        seq=1 if current is None else current.seq + 1,
        release_id=row.id,
        previous_release_id=None if current is None else current.release_id,
        action=action,
        at=utc_now(),
        by=by,
        run_id=run_id,
    )
    session.add(pointer)
    if current is not None:
        left = "rolled_back" if action == "rollback" else "retired"
        set_state(
            session, get_row(session, current.release_id, lock=True), left, by, f"version {row.version} is live", run_id
        )
    set_state(session, row, "live", by, action, run_id)
    session.flush()
    return as_live(row, as_move(pointer))


def moved_error(task: str, found: int, expected: int) -> FinetuneError:
    """Return the error for a pointer that is not where the caller saw it."""
    return FinetuneError(
        "the live pointer moved meanwhile",
        where=task,
        found=f"move {found}",
        expected=f"move {expected}",
        mend="look at what is live now (`finetune status`) and decide again",
    )
