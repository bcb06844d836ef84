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
from finetune_assets.releases.rows import as_approval, newest_approval
from finetune_assets.releases.tally import Approval, ApprovalDecision, Channel
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.models import ApprovalCodeRow, ApprovalRow

ApprovalPolicy = Literal["automatic", "manual"]
CODE_LIFETIME_S = 15 * 60
_CODE_BYTES = 10  # 80 bits: no guess finds one within its quarter of an hour, so a plain hash keeps it
_CODE_GROUP = 4


@dataclass(frozen=True, slots=True)
class Redeemed:
    """Who decides with a code: the approver to whom it was given, and the channel for which."""

    approver: str
    channel: Channel


def latest(db: Database, task: str, candidate: str) -> Approval | None:
    """Return the last decision about a candidate, or None; what the decisions come to, `deciding.standing_of` says."""
    with db.reading() as session:
        row = newest_approval(session, task, candidate)
        return None if row is None else as_approval(row)


def history(db: Database, task: str) -> list[Approval]:
    """Return every decision that was ever taken about a task's candidates, oldest first."""
    query = select(ApprovalRow).where(ApprovalRow.task == task).order_by(ApprovalRow.id)
    with db.reading() as session:
        return [as_approval(row) for row in session.scalars(query)]


def write_decision(
    session: Session,
    *,
    task: str,
    candidate: str,
    report_digest: str,
    decision: ApprovalDecision,
    approver: str,
    authenticated: bool,
    policy: ApprovalPolicy,
    channel: Channel,
    note: str,
    pointer_seq: int,
) -> Approval:
    """Write a decision down, for ever; whether it may be taken is the caller's to know, see `deciding.decide`.

    Args:
        session: a writing transaction.
        task: the task.
        candidate: what is decided about.
        report_digest: the report that it is decided on.
        decision: approve or reject.
        approver: who decides.
        authenticated: whether the machine knows who that is.
        policy: whether a rule or a person decides.
        channel: how the decision came here.
        note: why.
        pointer_seq: the number of the live pointer's last move, 0 for none.
    """
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
        channel=channel,
        pointer_seq=pointer_seq,
    )
    session.add(row)
    session.flush()
    return as_approval(row)


def issue_code(
    db: Database,
    *,
    task: str,
    candidate: str,
    decision: ApprovalDecision,
    approver: str,
    channel: Channel = "launchpad",
    lifetime_s: float = CODE_LIFETIME_S,
) -> str:
    """Give out a code with which `approver` decides once in the UI.

    Args:
        db: the database.
        task: the task.
        candidate: the candidate that it is for.
        decision: the decision that it is for.
        approver: who is logged in, and will be named as having decided.
        channel: where the code will be used.
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
                channel=channel,
            )
        )
    return "-".join(plain[start : start + _CODE_GROUP] for start in range(0, len(plain), _CODE_GROUP))


def redeem_code(db: Database, code: str, task: str, candidate: str, decision: ApprovalDecision) -> Redeemed:
    """Spend a code; of any number of attempts at once exactly one succeeds.

    Args:
        db: the database.
        code: as it was given out; spaces, dashes and letter case do not matter.
        task: the task being decided about.
        candidate: the candidate being decided about.
        decision: the decision being made.

    Returns:
        Who decides with it.

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
        return Redeemed(row.approver, "cli" if row.channel == "cli" else "launchpad")


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
