from __future__ import annotations

from typing import Any

import pytest

from finetune_assets.releases.approvals import write_decision
from finetune_assets.releases.registry import LiveRelease, Registry, Release
from finetune_assets.releases.rows import read_moves
from finetune_assets.releases.tally import Approval
from finetune_assets.storage.database import Database

TASK = "childcare"


class Desk(Registry):
    """A registry with the shortest way to each state."""

    def add(self, candidate: str, **changes: Any) -> Release:
        facts: dict[str, Any] = {
            "base_model": "embedded",
            "request_key": "request",
            "dataset_digest": "data",
            "report_key": "report",
            "report_digest": f"report of {candidate}",
            "scores": {"exact": 0.5},
            "artifact_key": f"manifest of {candidate}",
        }
        return self.register(TASK, candidate, **(facts | changes))

    def approved(self, candidate: str) -> Release:
        release = self.add(candidate)
        self.transition(release.id, "validated", by="gate")
        return self.transition(release.id, "approved", by="ann")

    def seq(self) -> int:
        live = self.live(TASK)
        return 0 if live is None else live.seq

    def deploy(self, candidate: str) -> LiveRelease:
        release = self.approved(candidate)
        return self.move_pointer(TASK, release.id, expected_seq=self.seq(), action="deploy", by="ann", run_id="run")

    def roll_back(self) -> LiveRelease:
        target = self.rollback_target(TASK)
        assert target is not None
        return self.move_pointer(TASK, target.id, expected_seq=self.seq(), action="rollback", by="bob")

    def state(self, candidate: str) -> str:
        release = self.release(TASK, candidate)
        assert release is not None
        return release.state

    def states(self) -> dict[str, str]:
        return {release.candidate: release.state for release in self.releases(TASK)}


def said(db: Database, candidate: str, report: str, decision: str = "approve", **changes: Any) -> Approval:
    """Write a decision down, whether it may be taken or not."""
    facts: dict[str, Any] = {
        "task": TASK,
        "candidate": candidate,
        "report_digest": report,
        "decision": decision,
        "approver": "user:ann@desk",
        "authenticated": True,
        "policy": "manual",
        "channel": "cli",
        "note": "",
    }
    with db.session() as session:
        moves = read_moves(session, TASK)
        return write_decision(session, **(facts | {"pointer_seq": moves[-1].seq if moves else 0} | changes))


@pytest.fixture
def desk(db: Database) -> Desk:
    return Desk(db)
