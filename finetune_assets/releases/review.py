"""What a decision is about: a report, its verdict, and the policy under which it may be decided on.

The chain reads the policy from YAML. The gateway, which never does, reads what was written down beside the report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from finetune_assets.records.digests import short
from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.config import ReleaseConfig
from finetune_assets.releases.tally import ApprovalDecision, may_decide
from finetune_assets.storage.database import Database
from finetune_assets.storage.models import ReleaseRow, ReportRow
from finetune_assets.storage.namespaces import MAIN

Reason = Literal[
    "not_passed",
    "approved_by_policy",
    "not_an_approver",
    "no_report",
    "unknown_candidate",
    "ambiguous_candidate",
    "other_candidate",
    "unknown_report",
    "ambiguous_report",
    "stale_report",
    "not_registered",
]
CANDIDATE_DIGITS = 8
REPORT_DIGITS = 12
_KEPT = ("approval", "approvers", "approver_names", "inconclusive")


class DecisionError(FinetuneError):
    """A decision that cannot be taken; nothing was recorded.

    Args:
        reason: which of the reasons it is.
        what: the thing that is wrong; the rest as for FinetuneError.
    """

    def __init__(self, reason: Reason, what: str, **rest: str) -> None:
        super().__init__(what, **rest)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Review:
    """A report that may be decided on.

    Attributes:
        task: the task.
        candidate: whom it judged.
        report_digest: its digest.
        verdict: `PASS`, `FAIL` or `INCONCLUSIVE`.
        policy: who has to approve, and what may be approved.
    """

    task: str
    candidate: str
    report_digest: str
    verdict: str
    policy: ReleaseConfig

    def is_open_to(self, *, by_person: bool) -> bool:
        """Return whether its verdict bears an approval."""
        taken_on = by_person and self.policy.inconclusive == "person" and self.verdict == "INCONCLUSIVE"
        return self.verdict == "PASS" or taken_on

    def refuse_unfit(self, decision: ApprovalDecision, *, by_person: bool) -> None:
        """Refuse the approval of a report whose verdict does not bear it.

        Raises:
            DecisionError: `not_passed`.
        """
        if decision == "approve" and not self.is_open_to(by_person=by_person):
            raise DecisionError(
                "not_passed",
                "candidate has not passed its gates",
                where=f"{self.task}/validation_report",
                found=self.verdict,
                expected="PASS",
                mend=self._mend(by_person=by_person),
            )

    def refuse_people(self, approver: str) -> None:
        """Refuse a person's decision where the policy decides, and that of somebody whom it does not name.

        Raises:
            DecisionError: `approved_by_policy` or `not_an_approver`.
        """
        if self.policy.approval != "manual":
            raise DecisionError(
                "approved_by_policy",
                "task is approved by policy",
                where=f"{self.task}: release.approval",
                found=self.policy.approval,
                expected="manual",
                mend="set `release: {approval: manual}` in defs.yaml and materialize validation_report again",
            )
        if not may_decide(approver, self.policy):
            raise DecisionError(
                "not_an_approver",
                "this is not yours to decide",
                where=f"{self.task}: release.approver_names",
                found=approver,
                expected=" or ".join(self.policy.approver_names),
                mend="ask one of them",
            )

    def _mend(self, *, by_person: bool) -> str:
        if self.verdict != "INCONCLUSIVE":
            return "read the report's gates; retrain, or gather the rows that it asks for"
        if self.policy.inconclusive == "refuse":
            return "gather the rows that the report asks for; `release.inconclusive: person` lets a person approve it"
        return "" if by_person else f"only a person may approve this: `finetune approve {self.task} CANDIDATE --note …`"


def kept_policy(policy: ReleaseConfig, rules: str) -> dict[str, Any]:
    """Return what is written down beside a report: the part of the policy that decisions go by.

    Args:
        policy: the task's.
        rules: digest of the gates' rules by which the report was made.
    """
    return policy.model_dump(mode="json", include=set(_KEPT)) | {"rules": rules}


def newest_review(db: Database, task: str) -> Review | None:
    """Return the task's newest report as the gateway may judge it; None when no run wrote one down with its policy."""
    query = select(ReportRow).where(ReportRow.task == task, ReportRow.namespace == MAIN).order_by(ReportRow.id.desc())
    with db.reading() as session:
        row = session.scalars(query.limit(1)).first()
    if row is None or row.policy is None:
        return None
    policy = ReleaseConfig.model_validate({name: row.policy[name] for name in _KEPT if name in row.policy})
    return Review(row.task, row.candidate, row.digest, row.verdict, policy)


def addressed_review(db: Database, task: str, candidate: str, report: str) -> Review:
    """Return the task's newest report if a decision names just that one and its candidate.

    Args:
        db: the database.
        task: the task.
        candidate: the candidate's id, or its first 8 digits or more.
        report: the report's digest, or its first 12 digits or more.

    Raises:
        DecisionError: when either is unknown, ambiguous, or not the newest; it names what is.
    """
    review = newest_review(db, task)
    if review is None:
        raise DecisionError(
            "no_report",
            "no report waits for a decision",
            where=task,
            mend=f"run `finetune run {task}`; a report from before approvals came over HTTP is decided with `finetune "
            "approve`",
        )
    with db.reading() as session:
        found = full_name(_candidates(session, task), candidate, CANDIDATE_DIGITS)
        if found != review.candidate:
            raise _other(task, "candidate", candidate, found, review.candidate)
        found = full_name(_reports(session, task), report, REPORT_DIGITS)
        if found != review.report_digest:
            raise _other(task, "report", report, found, review.report_digest)
    return review


def full_name(known: list[str], prefix: str, digits: int) -> str | None:
    """Return the one name that begins so; "" when there are several, None when there is none or it is too short."""
    found = {name for name in known if name.startswith(prefix)} if len(prefix) >= digits else set()
    return None if not found else found.pop() if len(found) == 1 else ""


def _candidates(session: Session, task: str) -> list[str]:
    return list(session.scalars(select(ReleaseRow.candidate).where(ReleaseRow.task == task)))


def _reports(session: Session, task: str) -> list[str]:
    query = select(ReportRow.digest).where(ReportRow.task == task, ReportRow.namespace == MAIN).distinct()
    return list(session.scalars(query))


def _other(task: str, kind: Literal["candidate", "report"], said: str, found: str | None, newest: str) -> Exception:
    reasons: dict[str, tuple[Reason, Reason, Reason]] = {
        "candidate": ("unknown_candidate", "ambiguous_candidate", "other_candidate"),
        "report": ("unknown_report", "ambiguous_report", "stale_report"),
    }
    unknown, ambiguous, other = reasons[kind]
    what: tuple[Reason, str] = (other, f"decision is about another {kind}")
    if not found:
        what = (unknown, f"{kind} is not known") if found is None else (ambiguous, f"{kind} is ambiguous")
    return DecisionError(
        what[0],
        what[1],
        where=task,
        found=said,
        expected=f"the newest {kind}, {newest}",
        mend=f"read the report of candidate {short(newest)} and decide about that"
        if kind == "candidate"
        else f"read the newest report, {newest}, and decide on that",
    )
