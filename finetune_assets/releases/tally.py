"""Decisions, and what they come to: who stands for a candidate on one report, who against it, and who is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from finetune_assets.releases.config import ReleaseConfig
from finetune_assets.releases.people import person_of
from finetune_assets.releases.pointer import PointerMove

ApprovalDecision = Literal["approve", "reject"]
Channel = Literal["cli", "launchpad", "api", "policy"]
Outcome = Literal["approve", "reject", "open"]
POLICY = "policy:automatic"
"""The approver where the policy approves."""


@dataclass(frozen=True, slots=True)
class Approval:
    """One decision.

    Attributes:
        id: its number; later decisions have higher ones.
        task: the task.
        candidate: what was decided about.
        report_digest: the report that it was decided on; on another report it does not hold.
        decision: `approve` or `reject`.
        approver: who decided: `user:NAME@HOST`, `key:NAME`, or `policy:automatic`.
        authenticated: True when the machine knew who that was.
        policy: `automatic` when a rule in YAML decided, `manual` for a person.
        note: why.
        at: when.
        channel: `cli`, `launchpad`, `api` or `policy`; "" for a decision from before that was kept.
        pointer_seq: the number of the live pointer's last move then, 0 for none; None from before that was kept.
    """

    id: int
    task: str
    candidate: str
    report_digest: str
    decision: str
    approver: str
    authenticated: bool
    policy: str
    note: str
    at: datetime
    channel: str
    pointer_seq: int | None

    @property
    def person(self) -> str:
        """Who decided, as one person; see `people.person_of`."""
        return person_of(self.approver)

    def is_after(self, withdrawn: PointerMove | None) -> bool:
        """Return whether it was made after the candidate was rolled back; True when it was not."""
        if withdrawn is None:
            return True
        # The pointer's number cannot be put back, as a clock can.
        return self.at >= withdrawn.at if self.pointer_seq is None else self.pointer_seq >= withdrawn.seq


@dataclass(frozen=True, slots=True)
class Tally:
    """How a candidate stands on one report.

    Attributes:
        approvals: the approvals that count, oldest first: one of each person.
        rejections: the rejections that count, likewise.
        needed: how many approvals the policy asks for.
    """

    approvals: tuple[Approval, ...]
    rejections: tuple[Approval, ...]
    needed: int

    @property
    def outcome(self) -> Outcome:
        """`approve`, `reject`, or `open` while approvals are missing."""
        if self.rejections:
            return "reject"
        return "approve" if len(self.approvals) >= self.needed else "open"

    @property
    def by_people(self) -> bool:
        """Whether a person is among those who approve."""
        return any(said.authenticated for said in self.approvals)

    @property
    def approvers(self) -> str:
        """Who approves, for people: one name, or several with commas."""
        return ", ".join(said.approver for said in self.approvals)

    @property
    def sentence(self) -> str:
        """Where it stands, for people, without a full stop."""
        if self.rejections:
            return f"rejected by {', '.join(said.approver for said in self.rejections)}"
        if not self.approvals:
            return "no decision" if self.needed == 1 else f"0 of {self.needed} approvals"
        return f"{len(self.approvals)} of {self.needed} approvals: {self.approvers}"


def tally(
    decisions: Iterable[Approval], report_digest: str, policy: ReleaseConfig, withdrawn: PointerMove | None
) -> Tally:
    """Count the decisions about one candidate.

    Of each person the newest decision on this very report counts. A candidate is approved when among those newest
    decisions there are at least `policy.approvers` approvals and no rejection. So a person takes an approval back by
    rejecting and a rejection by approving, in nobody's name but the own, and one rejection outweighs any number of
    approvals until its author takes it back or another report comes. What does not count at all: decisions on other
    reports, from before the candidate was rolled back, by nobody whom the machine knew, or by somebody who is not among
    `policy.approver_names`.

    Where the policy is `automatic`, its own approval counts as one more person's; a person's rejection outweighs it.

    Whoever tuned the candidate or started the run may approve it too: nobody records who that was in a way that could
    be trusted.

    Args:
        decisions: all decisions about the candidate, oldest first.
        report_digest: the report.
        policy: who has to approve.
        withdrawn: the rollback that withdrew the candidate, None when it was not or has been live since.
    """
    newest: dict[str, Approval] = {}
    for said in decisions:
        if said.report_digest == report_digest and said.is_after(withdrawn) and counts(said, policy):
            newest[said.person] = said
    standing = sorted(newest.values(), key=lambda said: said.id)
    return Tally(
        approvals=tuple(said for said in standing if said.decision == "approve"),
        rejections=tuple(said for said in standing if said.decision == "reject"),
        needed=policy.approvers,
    )


def counts(said: Approval, policy: ReleaseConfig) -> bool:
    """Return whether the policy hears whoever said that."""
    if said.authenticated:
        return may_decide(said.approver, policy)
    return said.policy == policy.approval == "automatic"


def may_decide(approver: str, policy: ReleaseConfig) -> bool:
    """Return whether somebody may decide, as far as the policy names who may."""
    names = {person_of(name) for name in policy.approver_names}
    return not names or person_of(approver) in names
