"""The rules, one function each: a window and a policy in, a finding out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from finetune_assets.evaluation.statistics.exact import wilson_interval
from finetune_assets.feedback.triggers.adaptive import adapted_threshold
from finetune_assets.feedback.triggers.drift import DriftTest, drift_tests
from finetune_assets.feedback.triggers.finding import Finding, counted, moment, more, percent, share
from finetune_assets.feedback.triggers.policy import DRIFT_RULES, RuleName, TriggerPolicy, rules_in
from finetune_assets.feedback.triggers.schedule import due_since, next_due
from finetune_assets.feedback.window import Window

Rule = Callable[[Window, TriggerPolicy], Finding]


def error_cases(window: Window, policy: TriggerPolicy) -> Finding:
    """Hold when enough error cases are open; the threshold adapts where the policy says so."""
    adaptation = adapted_threshold(window.history, policy.min_error_cases, policy.adaptive)
    needed, have = adaptation.threshold, window.open_cases
    figures: dict[str, Any] = {"open_cases": have, "threshold": needed, "adaptive": policy.adaptive.enabled}
    text = f"{counted(have, 'open error case')}, threshold {needed:,}"
    if policy.adaptive.enabled:
        text += f" (adapted from {policy.min_error_cases:,})"
        figures["steps"] = [dict(step) for step in adaptation.steps]
    if have >= needed:
        return Finding("error_cases", "holds", text, figures=figures)
    return Finding("error_cases", "fails", text, more(needed - have, "error case"), figures)


def corrected_cases(window: Window, policy: TriggerPolicy) -> Finding:
    """Hold when enough open error cases have a correction."""
    needed, have = policy.min_corrected_cases, window.corrected_cases
    figures = {"corrected_cases": have, "threshold": needed}
    text = f"{counted(have, 'corrected case')}, threshold {needed:,}"
    if have >= needed:
        return Finding("corrected_cases", "holds", text, figures=figures)
    return Finding("corrected_cases", "fails", text, more(needed - have, "corrected case"), figures)


def correction_rate(window: Window, policy: TriggerPolicy) -> Finding:
    """Hold when enough of the open error cases have a correction, and there are enough of them."""
    asked, have, of = policy.correction_rate, window.corrected_cases, window.open_cases
    figures = {"corrected_cases": have, "open_cases": of, "threshold": asked.threshold, "min_cases": asked.min_cases}
    if of < asked.min_cases:
        lacking = more(asked.min_cases - of, "error case")
        return Finding("correction_rate", "unknown", f"correction rate unknown: {lacking}", lacking, figures)
    rate = have / of
    text = f"{have:,} of {counted(of, 'open error case')} corrected ({share(rate)}), threshold {share(asked.threshold)}"
    figures["rate"] = rate
    if rate >= asked.threshold:
        return Finding("correction_rate", "holds", text, figures=figures)
    return Finding("correction_rate", "fails", text, figures=figures)


def error_rate(window: Window, policy: TriggerPolicy) -> Finding:
    """Hold when the lower bound of the share of wrong answers exceeds the threshold (Wilson, one-sided)."""
    asked, errors, rows = policy.error_rate, window.errors, window.predictions
    figures = {"errors": errors, "predictions": rows, "threshold": asked.threshold, "confidence": asked.confidence}
    if rows < asked.min_predictions:
        lacking = more(asked.min_predictions - rows, "prediction")
        text = f"error rate unknown: {counted(rows, 'prediction')} of {asked.min_predictions:,}"
        return Finding("error_rate", "unknown", text, lacking, figures)
    # A one-sided bound at c is the lower end of the two-sided interval at 2c - 1.
    low = wilson_interval(errors, rows, confidence=2.0 * asked.confidence - 1.0)[0] if errors else 0.0
    figures |= {"rate": errors / rows, "lower_bound": low}
    text = (
        f"error rate {share(errors / rows)}, at least {share(low)} at {percent(asked.confidence)}: "
        f"threshold {share(asked.threshold)}"
    )
    return Finding("error_rate", "holds" if low > asked.threshold else "fails", text, figures=figures)


def label_drift(window: Window, policy: TriggerPolicy) -> Finding:
    """Hold when the answered labels are distributed otherwise than those of the rows the release was judged on."""
    found = [test for test in _drift(window, policy) if test.name == "labels"]
    return _drift_finding("label_drift", found, "the answered labels")


def input_drift(window: Window, policy: TriggerPolicy) -> Finding:
    """Hold when a numeric feature of the inputs is distributed otherwise than on the rows the release was judged on."""
    found = [test for test in _drift(window, policy) if test.name != "labels"]
    return _drift_finding("input_drift", found, "the inputs")


def _drift(window: Window, policy: TriggerPolicy) -> tuple[DriftTest, ...]:
    """Return every test that the policy's drift rules ask for: they share one level."""
    named = rules_in(policy.fire_when)
    both = not set(DRIFT_RULES) & set(named)
    return drift_tests(
        window, policy.drift, labels=both or "label_drift" in named, inputs=both or "input_drift" in named
    )


def _drift_finding(rule: str, tests: Sequence[DriftTest], what: str) -> Finding:
    figures = {"tests": [test.to_json() for test in tests]}
    drifted = [test for test in tests if test.state == "drifted"]
    if drifted:
        told = ", ".join(_told(test) for test in drifted)
        return Finding(rule, "holds", f"{what} drifted: {told}", figures=figures)
    lacking = [test.missing for test in tests if test.state == "unknown"]
    if lacking or not tests:
        missing = "; ".join(lacking) or f"need a numeric feature of {what}"
        return Finding(rule, "unknown", f"drift unknown: {missing}", missing, figures)
    least = min(tests, key=lambda test: (test.p_holm, test.name))
    return Finding(rule, "fails", f"{what} did not drift: {_told(least)}", figures=figures)


def _told(test: DriftTest) -> str:
    return f"{test.name} differ by {share(test.effect or 0.0)} (p {test.p_holm:.2g} adjusted)"


def schedule(window: Window, policy: TriggerPolicy) -> Finding:
    """Hold when the schedule was due since the last run was asked for or the release went live."""
    anchors = [value for value in (window.last_fired, window.live_since) if value is not None]
    if policy.schedule is None or not anchors:
        missing = "need a live release to count from" if policy.schedule else "need a section `schedule:`"
        return Finding("schedule", "unknown", f"schedule unknown: {missing}", missing)
    anchor = max(anchors)
    due = due_since(policy.schedule, anchor, window.until)
    figures = {"anchor": anchor.isoformat(), "due": due.isoformat() if due else None}
    if due is not None:
        return Finding("schedule", "holds", f"scheduled for {moment(due)}", figures=figures)
    upcoming = next_due(policy.schedule, anchor, window.until)
    text = f"next scheduled for {moment(upcoming)}"
    return Finding("schedule", "fails", text, figures={**figures, "next": upcoming.isoformat()})


RULES: Mapping[RuleName, Rule] = {
    "error_cases": error_cases,
    "corrected_cases": corrected_cases,
    "correction_rate": correction_rate,
    "error_rate": error_rate,
    "label_drift": label_drift,
    "input_drift": input_drift,
    "schedule": schedule,
}


def findings(window: Window, policy: TriggerPolicy) -> dict[RuleName, Finding]:
    """Return what every rule says that the policy names, in the order in which it names them."""
    return {name: RULES[name](window, policy) for name in rules_in(policy.fire_when)}
