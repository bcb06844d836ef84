"""The door of approvals: what waits for a person's decision, and the decision itself, over HTTP.

It needs a key with the role `approve`; the key's name is the approver. The gateway never reads defs.yaml: by which
policy a report may be decided on was written down beside it. What a decision comes to is counted again by the policy in
YAML before anything goes live.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from fastapi import Depends, FastAPI, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError

from finetune_assets.releases.deciding import Decided, decide, waiting
from finetune_assets.releases.people import KEY
from finetune_assets.releases.review import (
    REPORT_DIGITS,
    DecisionError,
    Reason,
    addressed_review,
    newest_review,
)
from finetune_assets.releases.tally import Tally
from finetune_assets.serving.doors import needs
from finetune_assets.serving.problems import ApiProblem, line_without_mend
from finetune_assets.storage.api_keys import Caller
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.home import Home

APPROVALS_PATH = "/v1/tasks/{task}/approvals"
CANDIDATES_PATH = "/v1/tasks/{task}/candidates"
NOTE_MAX = 2_000
_RETRY_S = 5
_TASK = re.compile(r"[a-z][a-z0-9_]{0,40}")
_STATUS: dict[Reason, int] = {
    "no_report": 404,
    "unknown_candidate": 404,
    "unknown_report": 404,
    "not_an_approver": 403,
}
"""Every other reason is a contradiction to what is there: 409."""
T = TypeVar("T")


def _storable(text: str) -> str:
    """Refuse what no database keeps as text, and a note that says nothing."""
    if "\x00" in text or text != text.encode("utf-8", "replace").decode():
        raise ValueError("it holds characters that are no text")
    if not text.strip():
        raise ValueError("it says nothing")
    return text


class ApprovalRequest(BaseModel):
    """A person's decision about a candidate, bound to the report that the person has read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    candidate: str = Field(
        pattern=rf"^[0-9a-f]{{{REPORT_DIGITS},64}}$", description="The candidate, or its first 12 digits or more."
    )
    report: str = Field(
        pattern=rf"^[0-9a-f]{{{REPORT_DIGITS},64}}$",
        description="Digest of the report that was read, or its first 12 digits or more.",
    )
    decision: Literal["approve", "reject"] = Field(description="approve or reject.")
    note: Annotated[str, AfterValidator(_storable)] = Field(
        min_length=1, max_length=NOTE_MAX, description="Why; kept for ever with the decision."
    )


class ApprovalResponse(BaseModel):
    """What became of the decision."""

    task: str = Field(description="The task.")
    candidate: str = Field(description="The candidate, in full.")
    report: str = Field(description="The report's digest, in full.")
    decision: str = Field(description="What was decided.")
    approver: str = Field(description="By whom.")
    at: str = Field(description="When it was first said.")
    repeated: bool = Field(description="Whether the same person had said so before; nothing was recorded then.")
    outcome: Literal["approve", "reject", "open"] = Field(description="What all decisions come to.")
    approvals: int = Field(description="Approvals that count now.")
    needed: int = Field(description="Approvals that the policy asks for.")
    state: str = Field(description="The release's state now.")
    standing: str = Field(description="The same in words, with the names.")


class GivenDecision(BaseModel):
    """A decision that counts."""

    decision: str = Field(description="approve or reject.")
    approver: str = Field(description="Who decided.")
    channel: str = Field(description="How: cli, launchpad, api; empty for one from before that was kept.")
    at: str = Field(description="When.")
    note: str = Field(description="Why.")


class Candidate(BaseModel):
    """A candidate that waits for people to decide."""

    candidate: str = Field(description="The candidate.")
    version: int = Field(description="Its number within the task.")
    report: str = Field(description="Digest of the report to read, and to name in the decision.")
    verdict: str = Field(description="The gates' verdict in it.")
    state: str = Field(description="The release's state.")
    scores: dict[str, float] = Field(description="Headline scores in that report.")
    decisions: list[GivenDecision] = Field(description="Decisions so far that count.")
    needed: int = Field(description="Approvals that the policy asks for.")


class CandidateList(BaseModel):
    """What waits in one task."""

    task: str = Field(description="The task.")
    candidates: list[Candidate] = Field(description="Candidates that wait: the newest report's, or none.")


class ApprovalDesk:
    """Takes decisions into one installation's database, which is opened when the first one comes.

    Args:
        home: the installation's home.
    """

    def __init__(self, home: Home) -> None:
        self._url = home.database_url
        self._database: Database | None = None
        self._opening = threading.Lock()

    def waiting(self, task: str) -> list[Candidate]:
        """Return what waits for people's decision in a task."""
        review = newest_review(self._db(), task) if _TASK.fullmatch(task) else None
        found = None if review is None else waiting(self._db(), review)
        if review is None or found is None:
            return []
        release, standing = found
        return [
            Candidate(
                candidate=release.candidate,
                version=release.version,
                report=review.report_digest,
                verdict=review.verdict,
                state=release.state,
                scores=release.scores,
                decisions=_given(standing),
                needed=standing.needed,
            )
        ]

    def decide(self, task: str, body: ApprovalRequest, caller: Caller) -> Decided:
        """Record a decision.

        Raises:
            DecisionError: when it cannot be taken.
        """
        if not _TASK.fullmatch(task):
            raise DecisionError("no_report", "no report waits for a decision", mend="see `finetune tasks`")
        review = addressed_review(self._db(), task, body.candidate, body.report)
        return decide(
            self._db(), review, body.decision, approver=KEY + caller.name, channel="api", note=body.note.strip()
        )

    def _db(self) -> Database:
        with self._opening:
            if self._database is None:
                self._database = Database.open(self._url)
            return self._database


def add_approvals(app: FastAPI, home: Home | None) -> None:
    """Add the door to a gateway.

    Args:
        app: the gateway's application.
        home: the installation's home; None for a rehearsal, where nothing is decided.
    """
    if home is None:
        return
    desk = ApprovalDesk(home)

    @app.get(CANDIDATES_PATH)
    async def candidates(task: str, caller: Annotated[Caller, Depends(needs("approve"))]) -> CandidateList:
        _refuse_nameless(caller)
        return CandidateList(task=task, candidates=await _carefully(lambda: desk.waiting(task)))

    @app.post(APPROVALS_PATH)
    async def approvals(
        task: str, body: ApprovalRequest, request: Request, caller: Annotated[Caller, Depends(needs("approve"))]
    ) -> ApprovalResponse:
        _refuse_nameless(caller)
        decided = await _carefully(lambda: desk.decide(task, body, caller))
        # A task that was found is no name that a client made up, so the metrics may show it.
        request.state.task = task
        return _response(decided)


async def _carefully(work: Callable[[], T]) -> T:
    """Do it in a thread, and turn what goes wrong into an answer.

    Raises:
        ApiProblem: the refusal.
    """
    try:
        return await asyncio.to_thread(work)
    except DecisionError as refused:
        status = _STATUS.get(refused.reason, 409)
        mend = refused.mend or "Look at the candidates that wait."
        raise ApiProblem(status, refused.reason, line_without_mend(refused), mend) from refused
    except (StorageError, SQLAlchemyError) as error:
        raise ApiProblem(
            503,
            "decisions_out_of_reach",
            "The database of decisions cannot be used right now.",
            "Send the same again later: what was recorded counts once.",
            retry_after_s=_RETRY_S,
        ) from error


def _refuse_nameless(caller: Caller) -> None:
    """Refuse a caller whom nobody could name later, whatever roles the doors gave."""
    if not caller.name or not caller.key_id:
        raise ApiProblem(403, "nobody_to_name", "A decision needs a name.", "Send a key with the role `approve`.")


def _given(standing: Tally) -> list[GivenDecision]:
    said = sorted((*standing.approvals, *standing.rejections), key=lambda one: one.id)
    return [
        GivenDecision(
            decision=one.decision, approver=one.approver, channel=one.channel, at=one.at.isoformat(), note=one.note
        )
        for one in said
    ]


def _response(decided: Decided) -> ApprovalResponse:
    said, standing = decided.approval, decided.tally
    return ApprovalResponse(
        task=said.task,
        candidate=said.candidate,
        report=said.report_digest,
        decision=said.decision,
        approver=said.approver,
        at=said.at.isoformat(),
        repeated=decided.repeated,
        outcome=standing.outcome,
        approvals=len(standing.approvals),
        needed=standing.needed,
        state=decided.release.state,
        standing=standing.sentence,
    )
