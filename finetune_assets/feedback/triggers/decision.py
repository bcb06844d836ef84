"""A decision: fire or wait, with its reasons, its evidence and the key under which a run may be asked for once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from finetune_assets.records.digests import digest_of, short
from finetune_assets.records.errors import FinetuneError

Verdict = Literal["fire", "wait"]
Origin = Literal["evidence", "manual"]
MAX_REASON = 500
"""Longest reason of a manual trigger, in characters."""
TAG_CHARS = 200
"""Longest value of a run tag."""


@dataclass(frozen=True, slots=True)
class ManualRequest:
    """A person asks for a run.

    Attributes:
        reason: why, in the person's words; kept beside what the rules say, not in its place.
        requested_by: who, as authenticated.
        request_id: unique name of this request, so that repeating it asks for one run.
    """

    reason: str
    requested_by: str
    request_id: str

    def __post_init__(self) -> None:
        """Refuse a request that nobody could account for.

        Raises:
            FinetuneError: when the reason, the person or the id is empty, or the reason is too long.
        """
        for name in ("reason", "requested_by", "request_id"):
            if not getattr(self, name).strip():
                raise FinetuneError("a manual trigger is incomplete", where=name, expected="a text that is not empty")
        if len(self.reason) > MAX_REASON:
            raise FinetuneError(
                "the reason of a manual trigger is too long",
                found=f"{len(self.reason)} characters",
                expected=f"at most {MAX_REASON}",
            )


@dataclass(frozen=True)
class Decision:
    """Whether a run is asked for.

    Attributes:
        task: the task.
        verdict: fire or wait.
        reasons: sentences; why it fires, or what it waits for.
        evidence: everything that decided, as JSON holds it: every rule, every veto, the expression and the window's
            counts. No times besides those of the rules.
        key: the run key; for a decision by evidence the window's digest.
        slot: the same for all decisions that follow one and the same run; of those that fire, one may become a run.
        origin: by evidence or by a person.
        decided_at: the end of the window, in UTC.
        estimated_cost_usd: what the run would cost; None when it is unknown.
    """

    task: str
    verdict: Verdict
    reasons: tuple[str, ...]
    evidence: Mapping[str, Any]
    key: str
    slot: str
    origin: Origin
    decided_at: datetime
    estimated_cost_usd: float | None = None

    @property
    def fires(self) -> bool:
        """Whether a run is asked for."""
        return self.verdict == "fire"

    @property
    def sentence(self) -> str:
        """The reasons as one line, for a skip reason or a log."""
        return "; ".join(self.reasons)

    def tags(self) -> dict[str, str]:
        """Return what a run carries about why it was asked for."""
        return {
            "finetune/trigger": self.origin,
            "finetune/trigger_reason": self.sentence[:TAG_CHARS],
            "finetune/trigger_key": self.key,
            "finetune/trigger_slot": short(self.slot),
        }

    def to_json(self) -> dict[str, Any]:
        """Return the decision as JSON."""
        return {
            "task": self.task,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "evidence": dict(self.evidence),
            "key": self.key,
            "slot": self.slot,
            "origin": self.origin,
            "decided_at": self.decided_at.astimezone(UTC).isoformat(),
            "estimated_cost_usd": self.estimated_cost_usd,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Decision:
        """Return the decision that `to_json` gave.

        Raises:
            FinetuneError: when a field is missing or of another shape.
        """
        try:
            verdict, origin, cost = value["verdict"], value["origin"], value["estimated_cost_usd"]
            decided_at = datetime.fromisoformat(value["decided_at"])
            decision = cls(
                str(value["task"]),
                verdict,
                tuple(str(reason) for reason in value["reasons"]),
                dict(value["evidence"]),
                str(value["key"]),
                str(value["slot"]),
                origin,
                decided_at,
                None if cost is None else float(cost),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FinetuneError("a written decision cannot be read", found=f"{type(error).__name__}: {error}") from None
        if verdict not in ("fire", "wait") or origin not in ("evidence", "manual") or decided_at.tzinfo is None:
            raise FinetuneError("a written decision cannot be read", found=f"{verdict}, {origin}, {decided_at}")
        return decision


def slot_of(task: str, last_fired: datetime | None) -> str:
    """Return the name of the place after a task's last run, which one further run may take."""
    return digest_of([task, last_fired.astimezone(UTC).isoformat() if last_fired else None])
