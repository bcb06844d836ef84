"""Approvals: who decided what about which candidate, on which report; and single-use codes for deciding in the UI.

A decision is never changed, only followed by another. A code is kept as its hash and bound to task, candidate,
decision and the approver who was logged in when it was given out.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from finetune_assets.records.digests import short
from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.pointer import withdrawal
from finetune_assets.releases.rows import find_row, newest_approval, read_moves, withdrawn_error
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.models import ApprovalCodeRow, ApprovalRow

ApprovalDecision = Literal["approve", "reject"]
ApprovalPolicy = Literal["automatic", "manual"]
CODE_LIFETIME_S = 15 * 60
_CODE_BYTES = 10  # 80 bits: no guess finds one within its quarter of an hour, so a plain hash keeps it
_CODE_GROUP = 4


@dataclass(frozen=True, slots=True)
class Approval:
    """One decision.

    Attributes:
        task: the task.
        candidate: what was decided about.
        report_digest: the report that it was decided on; on another report it does not hold.
        decision: `approve` or `reject`.
        approver: who decided.
        authenticated: True when the machine knew who that was.
        policy: `automatic` when a rule in YAML decided, `manual` for a person.
        note: why.
        at: when.
    """

    task: str
    candidate: str
    report_digest: str
    decision: str
    approver: str
    authenticated: bool
    policy: str
    note: str
    at: datetime


def approve(
    db: Database,
    task: str,
    candidate: str,
    report_digest: str,
    *,
    approver: str,
    authenticated: bool,
    policy: ApprovalPolicy,
    note: str = "",
) -> Approval:
    """Record that a candidate may go live. Said twice in a row, it counts once.

    Raises:
        FinetuneError: when the policy is `automatic` and the candidate was rolled back: only a person brings it back.
    """
    return _decide(db, task, candidate, report_digest, "approve", approver, authenticated, policy, note)


def reject(
    db: Database,
    task: str,
    candidate: str,
    report_digest: str,
    *,
    approver: str,
    authenticated: bool,
    policy: ApprovalPolicy,
    note: str = "",
) -> Approval:
    """Record that a candidate must not go live. Said twice in a row, it counts once."""
    return _decide(db, task, candidate, report_digest, "reject", approver, authenticated, policy, note)


def latest(db: Database, task: str, candidate: str) -> Approval | None:
    """Return the last decision about a candidate, or None."""
    with db.reading() as session:
        row = newest_approval(session, task, candidate)
        return None if row is None else _approval(row)


def issue_code(
    db: Database,
    *,
    task: str,
    candidate: str,
    decision: ApprovalDecision,
    approver: str,
    lifetime_s: float = CODE_LIFETIME_S,
) -> str:
    """Give out a code with which `approver` decides once in the UI.

    Args:
        db: the database.
        task: the task.
        candidate: the candidate that it is for.
        decision: the decision that it is for.
        approver: who is logged in, and will be named as having decided.
        lifetime_s: seconds for which it holds.

    Returns:
        Four groups of four letters and digits. It is shown once and kept nowhere.
    """
    plain = base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode()
    with db.session() as session:
        session.add(
            ApprovalCodeRow(
                code_hash=_hash(plain),
                task=task,
                candidate=candidate,
                decision=decision,
                approver=approver,
                expires_at=utc_now() + timedelta(seconds=lifetime_s),
                used_at=None,
            )
        )
    return "-".join(plain[start : start + _CODE_GROUP] for start in range(0, len(plain), _CODE_GROUP))


def redeem_code(db: Database, code: str, task: str, candidate: str, decision: ApprovalDecision) -> str:
    """Spend a code; of any number of attempts at once exactly one succeeds.

    Args:
        db: the database.
        code: as it was given out; spaces, dashes and letter case do not matter.
        task: the task being decided about.
        candidate: the candidate being decided about.
        decision: the decision being made.

    Returns:
        The approver to whom the code was given.

    Raises:
        FinetuneError: when it is unknown, used, expired, or was given out for something else; it is not spent then.
    """
    now = utc_now()
    with db.session() as session:
        row = session.scalars(select(ApprovalCodeRow).where(ApprovalCodeRow.code_hash == _hash(code))).first()
        problem = _problem(row, task, candidate, decision, now)
        if row is None or problem:
            raise _refused(task, candidate, decision, problem)
        spend = update(ApprovalCodeRow).where(ApprovalCodeRow.id == row.id, ApprovalCodeRow.used_at.is_(None))
        if session.connection().execute(spend.values(used_at=now)).rowcount != 1:
            raise _refused(task, candidate, decision, "a code that was used already")
        return row.approver


def _problem(row: ApprovalCodeRow | None, task: str, candidate: str, decision: str, now: datetime) -> str:
    if row is None:
        return "an unknown code"
    if row.used_at is not None:
        return "a code that was used already"
    if row.expires_at <= now:
        return "a code that has expired"
    if (row.task, row.candidate, row.decision) != (task, candidate, decision):
        return f"a code to {row.decision} {short(row.candidate)} of {row.task}"
    return ""


def _refused(task: str, candidate: str, decision: str, found: str) -> FinetuneError:
    return FinetuneError(
        "the approval code does not hold",
        where=f"{task}, candidate {short(candidate)}",
        found=found,
        mend=f"ask for a new one: `finetune approve-code {task} {short(candidate)} {decision}`",
    )


def _hash(code: str) -> str:
    letters = "".join(character for character in code.upper() if character.isalnum())
    return hashlib.sha256(letters.encode()).hexdigest()


def _decide(
    db: Database,
    task: str,
    candidate: str,
    report_digest: str,
    decision: ApprovalDecision,
    approver: str,
    authenticated: bool,
    policy: ApprovalPolicy,
    note: str,
) -> Approval:
    with db.session() as session:
        if decision == "approve" and policy == "automatic":
            _refuse_withdrawn(session, task, candidate)
        row = newest_approval(session, task, candidate)
        said = (report_digest, decision, approver, authenticated, policy)
        if row is None or (row.report_digest, row.decision, row.approver, row.authenticated, row.policy) != said:
            row = ApprovalRow(
                task=task,
                candidate=candidate,
                report_digest=report_digest,
                decision=decision,
                approver=approver,
                authenticated=authenticated,
                policy=policy,
                note=note,
                at=utc_now(),
            )
            session.add(row)
        return _approval(row)


def _refuse_withdrawn(session: Session, task: str, candidate: str) -> None:
    row = find_row(session, task, candidate)
    withdrawn = None if row is None else withdrawal(read_moves(session, task), row.id)
    if row is not None and withdrawn is not None:
        raise withdrawn_error(row, withdrawn)


def _approval(row: ApprovalRow) -> Approval:
    return Approval(
        task=row.task,
        candidate=row.candidate,
        report_digest=row.report_digest,
        decision=row.decision,
        approver=row.approver,
        authenticated=row.authenticated,
        policy=row.policy,
        note=row.note,
        at=row.at,
    )
