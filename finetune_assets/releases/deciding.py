"""Deciding: a decision is recorded and counted in one transaction, and the release takes the state that follows.

Whoever decides, over whatever channel, decides through here. The release's row is locked meanwhile, so that of two who
approve at once each sees the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from finetune_assets.records.digests import digest_of, short
from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.approvals import write_decision
from finetune_assets.releases.changes import set_state
from finetune_assets.releases.config import ReleaseConfig
from finetune_assets.releases.people import person_of
from finetune_assets.releases.pointer import PointerMove, withdrawal
from finetune_assets.releases.review import DecisionError, Review
from finetune_assets.releases.rows import (
    Release,
    as_release,
    find_row,
    place_of,
    read_decisions,
    read_moves,
    withdrawn_error,
)
from finetune_assets.releases.states import ReleaseState, may_become
from finetune_assets.releases.tally import POLICY, Approval, ApprovalDecision, Channel, Tally, tally
from finetune_assets.storage.database import Database
from finetune_assets.storage.models import ReleaseRow

_UNDECIDED = frozenset({"candidate", "validated", "rolled_back"})


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a decision.

    Attributes:
        approval: the decision as it is recorded; an earlier one where the same was said before.
        repeated: whether it was.
        tally: how the candidate stands now.
        release: the release, in the state that follows.
    """

    approval: Approval
    repeated: bool
    tally: Tally
    release: Release


def decide(
    db: Database,
    review: Review,
    decision: ApprovalDecision,
    *,
    approver: str,
    channel: Channel,
    note: str,
    run_id: str = "",
) -> Decided:
    """Record a decision by somebody whom the machine knows, or by the policy.

    What a person said last on this report is not recorded again: then `repeated` is True. An approval from before the
    candidate was rolled back is another matter, and is recorded anew.

    Args:
        db: the database.
        review: what is decided on.
        decision: approve or reject.
        approver: `user:NAME@HOST` or `key:NAME`, as the machine and not as somebody typed it; `tally.POLICY` for the
            policy.
        channel: how it came here.
        note: why.
        run_id: the run, "" outside of runs.

    Raises:
        DecisionError: when the verdict does not bear it, the approver is none, the candidate is not registered, or
            another report has judged it since.
        FinetuneError: when the policy approves what was rolled back, which only a person brings back, or what a person
            rejected; nothing was recorded.
    """
    by_person = approver != POLICY
    review.refuse_unfit(decision, by_person=by_person)
    if by_person:
        review.refuse_people(approver)
    with db.session() as session:
        row = _row_of(session, review)
        moves = read_moves(session, review.task)
        withdrawn = withdrawal(moves, row.id)
        if withdrawn is not None and not by_person:
            raise withdrawn_error(row, withdrawn)
        said = _said_last(session, review, approver, withdrawn)
        repeated = said is not None and said.decision == decision
        if said is None or not repeated:
            said = write_decision(
                session,
                task=review.task,
                candidate=review.candidate,
                report_digest=review.report_digest,
                decision=decision,
                approver=approver,
                authenticated=by_person,
                policy="manual" if by_person else "automatic",
                channel=channel,
                note=note,
                pointer_seq=moves[-1].seq if moves else 0,
            )
        standing = _settled(session, row, review, withdrawn, by=approver, note=note, run_id=run_id)
        if not by_person and standing.rejections:
            raise _rejected_error(row, standing)
        return Decided(said, repeated, standing, as_release(row))


def settle(db: Database, review: Review, *, by: str, run_id: str = "") -> tuple[Tally, Release]:
    """Count again what was decided, and give the release the state that follows; nothing is recorded.

    Raises:
        DecisionError: when the candidate is not registered, or another report has judged it since.
    """
    with db.session() as session:
        row = _row_of(session, review)
        withdrawn = withdrawal(read_moves(session, review.task), row.id)
        standing = _settled(session, row, review, withdrawn, by=by, note="", run_id=run_id)
        return standing, as_release(row)


def standing_of(db: Database, task: str, candidate: str, report_digest: str, policy: ReleaseConfig) -> Tally:
    """Return how a candidate stands on a report by a policy; see `tally.tally`."""
    with db.reading() as session:
        row = find_row(session, task, candidate)
        withdrawn = None if row is None else withdrawal(read_moves(session, task), row.id)
        return tally(read_decisions(session, task, candidate), report_digest, policy, withdrawn)


def decision_key(review: Review, standing: Tally) -> str:
    """Return the identity of what was decided: the same approvals of the same candidate on the same report."""
    said = [approval.id for approval in standing.approvals]
    return digest_of({"task": review.task, "candidate": review.candidate, "report": review.report_digest, "said": said})


def waiting(db: Database, review: Review) -> tuple[Release, Tally] | None:
    """Return the release that waits for people's decision on a report, with how it stands; None when it does not."""
    if review.policy.approval != "manual" or not review.is_open_to(by_person=True):
        return None
    with db.reading() as session:
        row = find_row(session, review.task, review.candidate)
        if row is None or row.state not in _UNDECIDED or row.report_digest != review.report_digest:
            return None
        withdrawn = withdrawal(read_moves(session, review.task), row.id)
        said = tally(
            read_decisions(session, review.task, review.candidate), review.report_digest, review.policy, withdrawn
        )
        return (as_release(row), said) if said.outcome == "open" else None


def _row_of(session: Session, review: Review) -> ReleaseRow:
    row = find_row(session, review.task, review.candidate, lock=True)
    if row is None:
        raise DecisionError(
            "not_registered",
            "candidate is not registered",
            where=f"{review.task}, candidate {short(review.candidate)}",
            mend="materialize validation_report again",
        )
    # A live release keeps the report by which it went live.
    if row.state != "live" and row.report_digest != review.report_digest:
        raise DecisionError(
            "stale_report",
            "candidate was judged anew",
            where=place_of(row),
            found=f"report {short(review.report_digest)}",
            expected=f"the newest report, {row.report_digest}",
            mend="read the newest report and decide on that",
        )
    return row


def _rejected_error(row: ReleaseRow, standing: Tally) -> FinetuneError:
    return FinetuneError(
        "a person's rejection outweighs the policy",
        where=place_of(row),
        found=standing.sentence,
        expected="no rejection of this report",
        mend="set `release: {approval: manual}` in defs.yaml and decide by hand, or tune another candidate",
    )


def _said_last(session: Session, review: Review, approver: str, withdrawn: PointerMove | None) -> Approval | None:
    """Return what a person said last on the report, as far as it still counts."""
    person = person_of(approver)
    own = [
        said
        for said in read_decisions(session, review.task, review.candidate)
        if said.report_digest == review.report_digest
        and said.person == person
        and said.authenticated == (approver != POLICY)
        and said.is_after(withdrawn)
    ]
    return own[-1] if own else None


def _settled(
    session: Session,
    row: ReleaseRow,
    review: Review,
    withdrawn: PointerMove | None,
    *,
    by: str,
    note: str,
    run_id: str,
) -> Tally:
    """Count, and take the steps that the outcome asks for; what is live or retired stays so."""
    decisions = read_decisions(session, review.task, review.candidate)
    standing = tally(decisions, review.report_digest, review.policy, withdrawn)

    def step(to: ReleaseState, why: str) -> None:
        # The count is stricter than the guards of `Registry.transition`, so each step is taken as it is.
        set_state(session, row, to, by, why, run_id)

    if standing.outcome == "reject":
        if row.state != "rolled_back" and may_become(row.state, "rejected"):
            step("rejected", note or standing.sentence)
        return standing
    # A report that a gate rejected bears no approval, so this one was rejected by people, who have taken it back.
    if row.state == "rejected" and review.is_open_to(by_person=standing.by_people):
        step("candidate", "the rejection was taken back")
        if review.verdict == "PASS":
            step("validated", review.verdict)
    if standing.outcome == "approve" and row.state in _UNDECIDED:
        step("approved", note or standing.sentence)
    return standing
