"""The decision itself: pure, from one window and one policy."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from finetune_assets.feedback.triggers.decision import Decision, ManualRequest, slot_of
from finetune_assets.feedback.triggers.expression import evaluate, holding, written
from finetune_assets.feedback.triggers.finding import Finding, State
from finetune_assets.feedback.triggers.policy import TriggerPolicy
from finetune_assets.feedback.triggers.rules import findings
from finetune_assets.feedback.triggers.vetoes import ALWAYS, BY_ITSELF
from finetune_assets.feedback.window import Window
from finetune_assets.records.digests import digest_of


def decide(window: Window, policy: TriggerPolicy, *, manual: ManualRequest | None = None) -> Decision:
    """Say whether a run is asked for at the end of a window.

    By evidence it fires when `policy.fire_when` holds and no veto stands: a run under way, the cool-down, nothing to
    learn from, the budget, the expected gain. A manual request needs no rule to hold and waits for no cool-down; a run
    under way and the budget still stand.

    Args:
        window: the evidence; its end counts as now.
        policy: the rules.
        manual: a person's request; what the rules say is kept beside its reason.

    Returns:
        The decision; equal windows and policies give equal decisions.
    """
    said = findings(window, policy)
    state = evaluate(policy.fire_when, said)
    vetoes = [veto(window, policy) for veto in (ALWAYS if manual else BY_ITSELF)]
    standing = [veto for veto in vetoes if veto.state != "holds"]
    held = [said[rule].text for rule in holding(policy.fire_when, said)]
    fires = not standing and (manual is not None or state == "holds")
    if fires:
        reasons = [*_asked(manual), *held]
    else:
        lacking = [] if manual or state == "holds" else [one.lacks for one in said.values() if one.state != "holds"]
        reasons = [*(veto.lacks for veto in standing), *lacking]
    evidence = _evidence(window, policy, state, [*said.values()], vetoes)
    if manual:
        evidence["manual"] = {"reason": manual.reason, "requested_by": manual.requested_by, "id": manual.request_id}
    return Decision(
        task=window.task,
        verdict="fire" if fires else "wait",
        reasons=tuple(dict.fromkeys(reasons)),
        evidence=evidence,
        key=window.digest if manual is None else digest_of([window.task, "manual", manual.request_id]),
        slot=slot_of(window.task, window.last_fired),
        origin="manual" if manual else "evidence",
        decided_at=window.until.astimezone(UTC),
        estimated_cost_usd=window.estimated_cost_usd,
    )


def policy_digest(policy: TriggerPolicy) -> str:
    """Return the SHA-256 of a policy, by which history tells under which rules it was decided."""
    return digest_of(policy.model_dump(mode="json"))


def _asked(manual: ManualRequest | None) -> list[str]:
    return [f"asked for by {manual.requested_by}: {manual.reason}"] if manual else []


def _evidence(
    window: Window, policy: TriggerPolicy, state: State, rules: list[Finding], vetoes: list[Finding]
) -> dict[str, Any]:
    return {
        "fire_when": written(policy.fire_when),
        "state": state,
        "rules": [rule.to_json() for rule in rules],
        "vetoes": [veto.to_json() for veto in vetoes],
        "policy": policy_digest(policy),
        "window": {
            "digest": window.digest,
            "since": window.since.astimezone(UTC).isoformat(),
            "until": window.until.astimezone(UTC).isoformat(),
            "predictions": window.predictions,
            "errors": window.errors,
            "open_cases": window.open_cases,
            "corrected_cases": window.corrected_cases,
        },
    }
