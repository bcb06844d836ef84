"""What is written down of decisions, and what a history of them says. The table itself is the database's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from finetune_assets.feedback.triggers.decision import Decision
from finetune_assets.records.errors import FinetuneError

MICRO = 1_000_000
"""Whole units of a cost in one US dollar."""
POLICY = "policy"
"""Who asked for a run that no person asked for."""


@dataclass(frozen=True)
class TriggerRecord:
    """One decision as it is kept: a row of `trigger_events`.

    Attributes:
        task: the task.
        kind: fire, or wait.
        run_key: the run key of a decision that fired; None for one that waits.
        window_digest: of the window that decided.
        policy_digest: of the rules that decided.
        reasons: sentences.
        evidence: every rule and veto with its figures (see `Decision.evidence`), the origin and the slot.
        cost: estimated cost in millionths of a US dollar; None when it is unknown.
        by: the person who asked, or `policy`.
        at: when it was decided, in UTC.
    """

    task: str
    kind: Literal["fire", "wait"]
    run_key: str | None
    window_digest: str
    policy_digest: str
    reasons: tuple[str, ...]
    evidence: Mapping[str, Any]
    cost: int | None
    by: str
    at: datetime

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON."""
        return {
            "task": self.task,
            "kind": self.kind,
            "run_key": self.run_key,
            "window_digest": self.window_digest,
            "policy_digest": self.policy_digest,
            "reasons": list(self.reasons),
            "evidence": dict(self.evidence),
            "cost": self.cost,
            "by": self.by,
            "at": self.at.astimezone(UTC).isoformat(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TriggerRecord:
        """Return the record that `to_json` gave; `at` may be a moment as a database gives it.

        Raises:
            FinetuneError: when a field is missing or of another shape.
        """
        try:
            at = value["at"] if isinstance(value["at"], datetime) else datetime.fromisoformat(value["at"])
            record = cls(
                str(value["task"]),
                value["kind"],
                None if value["run_key"] is None else str(value["run_key"]),
                str(value["window_digest"]),
                str(value["policy_digest"]),
                tuple(str(reason) for reason in value["reasons"]),
                dict(value["evidence"]),
                None if value["cost"] is None else int(value["cost"]),
                str(value["by"]),
                at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise FinetuneError("a trigger record cannot be read", found=f"{type(error).__name__}: {error}") from None
        if record.kind not in ("fire", "wait") or (record.kind == "fire") != (record.run_key is not None):
            raise FinetuneError("a trigger record cannot be read", found=f"{record.kind} with key {record.run_key}")
        return record


def record_of(decision: Decision) -> TriggerRecord:
    """Return what is kept of a decision."""
    evidence = {**decision.evidence, "origin": decision.origin, "slot": decision.slot}
    cost, asked = decision.estimated_cost_usd, decision.evidence.get("manual")
    return TriggerRecord(
        decision.task,
        decision.verdict,
        decision.key if decision.fires else None,
        decision.evidence["window"]["digest"],
        decision.evidence["policy"],
        decision.reasons,
        evidence,
        None if cost is None else round(cost * MICRO),
        asked["requested_by"] if asked else POLICY,
        decision.decided_at,
    )


def decision_of(record: TriggerRecord) -> Decision:
    """Return the decision that a record keeps, for instance to ask again for a run that was never started.

    Raises:
        FinetuneError: when the record lacks what `record_of` wrote.
    """
    evidence = dict(record.evidence)
    value = {
        "task": record.task,
        "verdict": record.kind,
        "reasons": record.reasons,
        "key": record.run_key or record.window_digest,
        "slot": evidence.pop("slot", None),
        "origin": evidence.pop("origin", None),
        "evidence": evidence,
        "decided_at": record.at.isoformat(),
        "estimated_cost_usd": None if record.cost is None else record.cost / MICRO,
    }
    return Decision.from_json(value)


def worth_writing(previous: TriggerRecord | None, record: TriggerRecord) -> bool:
    """Return whether a decision says something new: one that fires always, one that waits when its rules changed.

    A sensor that ticks twice a minute would otherwise write a million rows a year that say the same.
    """
    if record.kind == "fire" or previous is None or previous.kind != "wait":
        return True
    return previous.policy_digest != record.policy_digest or _states(previous) != _states(record)


def _states(record: TriggerRecord) -> list[tuple[str, str]]:
    found = [*record.evidence.get("rules", ()), *record.evidence.get("vetoes", ())]
    return [(one["rule"], one["state"]) for one in found]


@dataclass(frozen=True, slots=True)
class HistorySummary:
    """What a history of decisions comes to.

    Attributes:
        decisions: how many are kept.
        fired: how many asked for a run.
        manual: those of them that a person asked for.
        by_rule: how often each rule held when a run was asked for.
        waited_for: how often each veto stood, or the rules did not hold, when none was.
        cost_usd: estimated cost of the runs asked for; those whose cost is unknown are counted in `unpriced`.
        unpriced: runs of unknown cost.
    """

    decisions: int
    fired: int
    manual: int
    by_rule: Mapping[str, int]
    waited_for: Mapping[str, int]
    cost_usd: float
    unpriced: int


def summarise(records: Iterable[TriggerRecord]) -> HistorySummary:
    """Return what a history comes to."""
    kept = list(records)
    fired = [record for record in kept if record.kind == "fire"]
    held: dict[str, int] = {}
    waited: dict[str, int] = {}
    for record in kept:
        told, into = (_held(record), held) if record.kind == "fire" else (_stood(record), waited)
        for name in told:
            into[name] = into.get(name, 0) + 1
    costs = [record.cost for record in fired if record.cost is not None]
    return HistorySummary(
        decisions=len(kept),
        fired=len(fired),
        manual=sum("manual" in record.evidence for record in fired),
        by_rule=dict(sorted(held.items())),
        waited_for=dict(sorted(waited.items())),
        cost_usd=sum(costs) / MICRO,
        unpriced=len(fired) - len(costs),
    )


def _held(record: TriggerRecord) -> list[str]:
    return [one["rule"] for one in record.evidence.get("rules", ()) if one["state"] == "holds"]


def _stood(record: TriggerRecord) -> list[str]:
    vetoes = [one["rule"] for one in record.evidence.get("vetoes", ()) if one["state"] != "holds"]
    return vetoes if record.evidence.get("state") == "holds" else [*vetoes, "rules"]
