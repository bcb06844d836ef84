"""The release registry: candidates with their numbers and states, and the live pointer.

Every change is one transaction; the events and the pointer's history are only ever added to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from finetune_assets.records.digests import short
from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases import approvals
from finetune_assets.releases.pointer import PointerAction, PointerMove, good_releases, withdrawal
from finetune_assets.releases.states import DEPLOYABLE, TRANSITIONS, ReleaseState, may_become
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.models import PointerRow, ReleaseEventRow, ReleaseRow


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
    """One change of a release's state: from (""  at registration), to, when, by whom, why, in which run."""

    from_state: str
    to_state: str
    at: datetime
    by: str
    note: str
    run_id: str


class Registry:
    """Releases of all tasks in one database.

    Args:
        db: the open database.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    def register(
        self,
        task: str,
        candidate: str,
        *,
        base_model: str,
        request_key: str,
        dataset_digest: str,
        report_key: str,
        report_digest: str,
        scores: Mapping[str, Any],
        artifact_key: str = "",
        by: str = "report",
        run_id: str = "",
    ) -> Release:
        """Give a judged candidate its version, or find it again: one row per task and candidate.

        A candidate that comes back with another report is judged anew: the row takes that report and the state returns
        to `candidate`, so that a decision on the old report does not carry over. Two exceptions: a live release stays
        as it was deployed, and one that was rolled back keeps that state until a person takes it up again.

        Args:
            task: the task.
            candidate: identity of weights, base and template.
            base_model: the base model's name.
            request_key: the tuning request that made it.
            dataset_digest: the data that it was tuned on.
            report_key: artifact of the report.
            report_digest: the report's digest.
            scores: headline scores, as JSON.
            artifact_key: artifact of the release manifest, when there is one already.
            by: who or what registers it.
            run_id: the run.

        Returns:
            The release.
        """
        evidence = {
            "base_model": base_model,
            "request_key": request_key,
            "dataset_digest": dataset_digest,
            "report_key": report_key,
            "report_digest": report_digest,
            "scores": dict(scores),
        }
        if artifact_key:
            evidence["artifact_key"] = artifact_key
        while True:
            try:
                with self._db.session() as session:
                    row = _find(session, task, candidate)
                    if row is None:
                        row = _add(session, task, candidate, evidence, by, run_id)
                    elif row.state != "live" and row.report_digest != report_digest:
                        _judge_anew(session, row, evidence, by, run_id)
                    return _release(row)
            except IntegrityError:
                continue  # two took the same version at once (PostgreSQL); the next round sees the other's row

    def attach_manifest(self, release_id: int, artifact_key: str) -> Release:
        """Say which artifact is the release's manifest; needed before it can be deployed.

        Raises:
            FinetuneError: when the release is live with another manifest.
        """
        with self._db.session() as session:
            row = _get(session, release_id)
            if row.artifact_key != artifact_key:
                if row.state == "live":
                    raise FinetuneError(
                        "a live release keeps its manifest",
                        where=_place(row),
                        found=artifact_key,
                        expected=row.artifact_key,
                        mend="deploy another candidate; versions are immutable",
                    )
                row.artifact_key = artifact_key
                row.updated_at = utc_now()
            return _release(row)

    def transition(
        self, release_id: int, to: ReleaseState, *, by: str, note: str = "", run_id: str = ""
    ) -> Release:
        """Take a release one step on its way; to the state it is in already, nothing happens.

        Args:
            release_id: the release.
            to: the state to reach; `live` is reached by `move_pointer` only.
            by: who or what does it.
            note: why.
            run_id: the run.

        Raises:
            FinetuneError: for a step that `states.TRANSITIONS` does not know, or the approval of a release that was
                rolled back when no person approved it since.
        """
        with self._db.session() as session:
            row = _get(session, release_id)
            if row.state == to:
                return _release(row)
            if not may_become(row.state, to):
                raise FinetuneError(
                    f"a release that is {row.state} cannot become {to}",
                    where=_place(row),
                    expected=" or ".join(sorted(TRANSITIONS[row.state])) or "a move of the live pointer",
                    mend="deploy or roll back to change what is live" if "live" in (row.state, to) else "",
                )
            if to == "approved":
                _check_withdrawn(session, row)
            _set_state(session, row, to, by, note, run_id)
            return _release(row)

    def move_pointer(
        self, task: str, release_id: int, *, expected_seq: int, action: PointerAction, by: str, run_id: str = ""
    ) -> LiveRelease:
        """Make a release live: pointer, its state and its predecessor's change in one transaction.

        The predecessor becomes `retired` after a deploy and `rolled_back` after a rollback.

        Args:
            task: the task.
            release_id: the release to make live.
            expected_seq: the pointer's number when the caller decided (`LiveRelease.seq`), 0 when nothing was live.
            action: `deploy` an approved release, or `rollback` to one that was live before.
            by: who or what does it.
            run_id: the run.

        Returns:
            What is live now. A release that is live already is returned as it is, whatever number was expected: a run
            that was killed after its move finds its work done.

        Raises:
            FinetuneError: when the pointer moved meanwhile, or the release may not become live; nothing has changed.
        """
        try:
            with self._db.session() as session:
                moves = _moves(session, task)
                current = moves[-1] if moves else None
                row = _get(session, release_id)
                if row.task != task:
                    raise FinetuneError("release belongs to another task", where=_place(row), expected=task)
                if current is not None and current.release_id == release_id:
                    return _live(row, current)
                seq = 0 if current is None else current.seq
                if seq != expected_seq:
                    raise _moved(task, seq, expected_seq)
                _check_may_go_live(row, moves, action)
                return _move(session, row, current, action, by, run_id)
        except IntegrityError as error:  # PostgreSQL: two inserted the same number
            raise _moved(task, expected_seq + 1, expected_seq) from error

    def live(self, task: str) -> LiveRelease | None:
        """Return what is live, None before the first deploy. One small query; cheap enough to poll."""
        return self.live_all(task).get(task)

    def live_all(self, task: str | None = None) -> dict[str, LiveRelease]:
        """Return what is live in every task, or in one, by task name."""
        newest = select(PointerRow.task, func.max(PointerRow.seq).label("seq")).group_by(PointerRow.task)
        if task is not None:
            newest = newest.where(PointerRow.task == task)
        last = newest.subquery()
        query = (
            select(ReleaseRow, PointerRow)
            .join(PointerRow, PointerRow.release_id == ReleaseRow.id)
            .join(last, (last.c.task == PointerRow.task) & (last.c.seq == PointerRow.seq))
        )
        with self._db.reading() as session:
            return {row.task: _live(row, _pointer_move(pointer)) for row, pointer in session.execute(query)}

    def before(self, task: str, candidate: str) -> LiveRelease | None:
        """Return the release that a candidate replaced when it was last deployed, with the move that had deployed it.

        None when the candidate was never deployed or was the first.
        """
        with self._db.reading() as session:
            row = _find(session, task, candidate)
            moves = _moves(session, task)
            own = [move for move in moves if row is not None and (move.release_id, move.action) == (row.id, "deploy")]
            if not own or own[-1].previous_release_id is None:
                return None
            previous = _get(session, own[-1].previous_release_id)
            return _live(previous, moves[own[-1].seq - 2])

    def history(self, task: str) -> list[PointerMove]:
        """Return every move of the task's pointer, oldest first."""
        with self._db.reading() as session:
            return _moves(session, task)

    def rollback_target(self, task: str, *, is_usable: Callable[[Release], bool] | None = None) -> Release | None:
        """Return the last good release along history, None when there is none to return to.

        Args:
            task: the task.
            is_usable: asked for each in turn, for instance whether its artifacts are still there.
        """
        with self._db.reading() as session:
            good = [_release(_get(session, release_id)) for release_id in good_releases(_moves(session, task))]
        return next((release for release in good if is_usable is None or is_usable(release)), None)

    def release(self, task: str, candidate: str) -> Release | None:
        """Return the release of a candidate, or None."""
        with self._db.reading() as session:
            row = _find(session, task, candidate)
            return None if row is None else _release(row)

    def releases(self, task: str) -> list[Release]:
        """Return the task's releases, version 1 first."""
        query = select(ReleaseRow).where(ReleaseRow.task == task).order_by(ReleaseRow.version)
        with self._db.reading() as session:
            return [_release(row) for row in session.scalars(query)]

    def events(self, release_id: int) -> list[ReleaseEvent]:
        """Return a release's changes of state, oldest first."""
        query = select(ReleaseEventRow).where(ReleaseEventRow.release_id == release_id).order_by(ReleaseEventRow.id)
        with self._db.reading() as session:
            return [
                ReleaseEvent(row.from_state, row.to_state, row.at, row.by, row.note, row.run_id)
                for row in session.scalars(query)
            ]
