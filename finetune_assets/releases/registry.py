"""The release registry: candidates with their numbers and states, and the live pointer.

Every change is one transaction; the events and the pointer's history are only ever added to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from finetune_assets.records.digests import canonical_json
from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.changes import (
    add_release,
    check_may_go_live,
    judge_anew,
    move_to,
    moved_error,
    set_state,
)
from finetune_assets.releases.pointer import PointerAction, PointerMove, good_releases
from finetune_assets.releases.rows import (
    LiveRelease,
    Release,
    ReleaseEvent,
    as_live,
    as_move,
    as_release,
    find_row,
    get_row,
    place_of,
    read_moves,
    refuse_open_verdict,
    refuse_withdrawn,
)
from finetune_assets.releases.states import TRANSITIONS, ReleaseState, may_become
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.models import PointerRow, ReleaseEventRow, ReleaseRow

__all__ = ["LiveRelease", "PointerMove", "Registry", "Release", "ReleaseEvent"]


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

        Raises:
            ValueError: for a score that is NaN or Infinity.
        """
        evidence = {
            "base_model": base_model,
            "request_key": request_key,
            "dataset_digest": dataset_digest,
            "report_key": report_key,
            "report_digest": report_digest,
            "scores": json.loads(canonical_json(dict(scores))),
        }
        if artifact_key:
            evidence["artifact_key"] = artifact_key
        while True:
            try:
                with self._db.session() as session:
                    row = find_row(session, task, candidate, lock=True)
                    if row is None:
                        row = add_release(session, task, candidate, evidence, by, run_id)
                    elif row.state != "live" and row.report_digest != report_digest:
                        judge_anew(session, row, evidence, by, run_id)
                    return as_release(row)
            except IntegrityError:
                continue  # two took the same version at once (PostgreSQL); the next round sees the other's row

    def attach_manifest(self, release_id: int, artifact_key: str) -> Release:
        """Say which artifact is the release's manifest; needed before it can be deployed.

        Raises:
            FinetuneError: when the release is live with another manifest.
        """
        with self._db.session() as session:
            row = get_row(session, release_id, lock=True)
            if row.artifact_key != artifact_key:
                if row.state == "live":
                    raise FinetuneError(
                        "a live release keeps its manifest",
                        where=place_of(row),
                        found=artifact_key,
                        expected=row.artifact_key,
                        mend="deploy another candidate; versions are immutable",
                    )
                row.artifact_key = artifact_key
                row.updated_at = utc_now()
            return as_release(row)

    def transition(self, release_id: int, to: ReleaseState, *, by: str, note: str = "", run_id: str = "") -> Release:
        """Take a release one step on its way; to the state it is in already, nothing happens.

        Args:
            release_id: the release.
            to: the state to reach; `live` is reached by `move_pointer` only.
            by: who or what does it.
            note: why.
            run_id: the run.

        Raises:
            FinetuneError: for a step that `states.TRANSITIONS` does not know, or the approval of a release that was
                rolled back, or that no gate validated, when no person approved it.
        """
        with self._db.session() as session:
            row = get_row(session, release_id, lock=True)
            if row.state == to:
                return as_release(row)
            if not may_become(row.state, to):
                raise FinetuneError(
                    f"a release that is {row.state} cannot become {to}",
                    where=place_of(row),
                    expected=" or ".join(sorted(TRANSITIONS[row.state])) or "a move of the live pointer",
                    mend="deploy or roll back to change what is live" if "live" in (row.state, to) else "",
                )
            if to == "approved":
                if row.state == "candidate":
                    refuse_open_verdict(session, row)
                refuse_withdrawn(session, row)
            set_state(session, row, to, by, note, run_id)
            return as_release(row)

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
                moves = read_moves(session, task)
                current = moves[-1] if moves else None
                row = get_row(session, release_id, lock=True)
                if row.task != task:
                    raise FinetuneError("release belongs to another task", where=place_of(row), expected=task)
                if current is not None and current.release_id == release_id:
                    return as_live(row, current)
                seq = 0 if current is None else current.seq
                if seq != expected_seq:
                    raise moved_error(task, seq, expected_seq)
                check_may_go_live(row, moves, action)
                return move_to(session, row, current, action, by, run_id)
        except IntegrityError as error:  # PostgreSQL: two inserted the same number
            raise moved_error(task, expected_seq + 1, expected_seq) from error

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
            return {row.task: as_live(row, as_move(pointer)) for row, pointer in session.execute(query)}

    def before(self, task: str, candidate: str) -> LiveRelease | None:
        """Return the release that a candidate replaced when it was last deployed, with the move that had deployed it.

        None when the candidate was never deployed or was the first.
        """
        with self._db.reading() as session:
            row = find_row(session, task, candidate)
            moves = read_moves(session, task)
            own = [move for move in moves if row is not None and (move.release_id, move.action) == (row.id, "deploy")]
            if not own or own[-1].previous_release_id is None:
                return None
            previous = get_row(session, own[-1].previous_release_id)
            return as_live(previous, moves[own[-1].seq - 2])

    def history(self, task: str) -> list[PointerMove]:
        """Return every move of the task's pointer, oldest first."""
        with self._db.reading() as session:
            return read_moves(session, task)

    def rollback_target(self, task: str, *, is_usable: Callable[[Release], bool] | None = None) -> Release | None:
        """Return the last good release along history, None when there is none to return to.

        Args:
            task: the task.
            is_usable: asked for each in turn, for instance whether its artifacts are still there.
        """
        with self._db.reading() as session:
            good = [as_release(get_row(session, release_id)) for release_id in good_releases(read_moves(session, task))]
        return next((release for release in good if is_usable is None or is_usable(release)), None)

    def release(self, task: str, candidate: str) -> Release | None:
        """Return the release of a candidate, or None."""
        with self._db.reading() as session:
            row = find_row(session, task, candidate)
            return None if row is None else as_release(row)

    def releases(self, task: str) -> list[Release]:
        """Return the task's releases, version 1 first."""
        query = select(ReleaseRow).where(ReleaseRow.task == task).order_by(ReleaseRow.version)
        with self._db.reading() as session:
            return [as_release(row) for row in session.scalars(query)]

    def events(self, release_id: int) -> list[ReleaseEvent]:
        """Return a release's changes of state, oldest first."""
        query = select(ReleaseEventRow).where(ReleaseEventRow.release_id == release_id).order_by(ReleaseEventRow.id)
        with self._db.reading() as session:
            return [
                ReleaseEvent(row.from_state, row.to_state, row.at, row.by, row.note, row.run_id)
                for row in session.scalars(query)
            ]
