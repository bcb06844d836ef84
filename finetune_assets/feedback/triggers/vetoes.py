"""The vetoes, one function each: what keeps a run from being asked for although the rules hold.

A finding that `holds` lets the run pass; one that `fails` or is `unknown` does not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from statistics import median

from finetune_assets.feedback.triggers.finding import Finding, dollars, moment, more
from finetune_assets.feedback.triggers.policy import TriggerPolicy
from finetune_assets.feedback.window import Window

Veto = Callable[[Window, TriggerPolicy], Finding]


def in_flight(window: Window, policy: TriggerPolicy) -> Finding:
    """Let a run pass only while no other is under way."""
    figures = {"in_flight": window.in_flight, "max_in_flight": policy.max_in_flight}
    if window.in_flight:
        return Finding("in_flight", "fails", "a run is under way", "wait for the run that is under way", figures)
    return Finding("in_flight", "holds", "no run is under way", figures=figures)


def cool_down(window: Window, policy: TriggerPolicy) -> Finding:
    """Let a run pass only when enough time has gone since the last was asked for and since it ended.

    A last run that lies in the future, by a clock that was set back, counts as just asked for until then.
    """
    moments = [value for value in (window.last_fired, window.last_finished) if value is not None]
    if not moments:
        return Finding("cool_down", "holds", "no run was asked for before", figures={"cool_down_h": policy.cool_down_h})
    until = max(moments) + timedelta(hours=policy.cool_down_h)
    figures = {"cool_down_h": policy.cool_down_h, "until": until.isoformat()}
    if window.until < until:
        text = f"cooling down until {moment(until)}"
        return Finding("cool_down", "fails", text, text, figures)
    return Finding("cool_down", "holds", f"cooled down since {moment(until)}", figures=figures)


def eligible_cases(window: Window, policy: TriggerPolicy) -> Finding:
    """Let a run pass only when there is something new to learn from."""
    needed, have = policy.min_eligible_cases, window.corrected_cases
    figures = {"eligible_cases": have, "min_eligible_cases": needed}
    if have >= needed:
        return Finding("eligible_cases", "holds", f"{have:,} corrected cases to learn from", figures=figures)
    lacking = more(needed - have, "corrected case")
    return Finding("eligible_cases", "fails", f"nothing to learn from: {lacking}", lacking, figures)


def budget(window: Window, policy: TriggerPolicy) -> Finding:
    """Let a run pass only when its estimated cost fits; an unknown cost does not fit a limit."""
    monthly, limit, cost = window.budget_usd, policy.budget.max_run_usd, window.estimated_cost_usd
    figures = {
        "spent_usd": window.spent_usd,
        "budget_usd": monthly,
        "monthly_share": policy.budget.monthly_share,
        "estimated_cost_usd": cost,
        "max_run_usd": limit,
    }
    if monthly is None and limit is None:
        return Finding("budget", "holds", "no limit on spending", figures=figures)
    if cost is None:
        missing = "need the cost of the next run: it is unknown, and an unknown cost fits no budget"
        return Finding("budget", "unknown", missing, missing, figures)
    if limit is not None and cost > limit:
        text = f"the next run costs about {dollars(cost)}, more than the {dollars(limit)} a run may cost"
        return Finding("budget", "fails", text, text, figures)
    if monthly is not None:
        left = monthly * policy.budget.monthly_share - window.spent_usd
        if cost > left:
            text = f"the next run costs about {dollars(cost)}, and {dollars(max(0.0, left))} are left this month"
            return Finding("budget", "fails", text, text, figures)
    return Finding("budget", "holds", f"the next run costs about {dollars(cost)}, which fits", figures=figures)


def expected_gain(window: Window, policy: TriggerPolicy) -> Finding:
    """Let a run pass only when the median gain of the latest releases is worth its estimated cost."""
    asked, cost = policy.expected_gain, window.estimated_cost_usd
    if asked is None:
        return Finding("expected_gain", "holds", "no gain is asked for")
    gains = [row["gain"] for row in window.history if "gain" in row][-asked.releases :]
    figures = {
        "gains": gains,
        "estimated_cost_usd": cost,
        "min_gain_per_usd": asked.min_gain_per_usd,
    }
    if cost is None or len(gains) < asked.min_releases:
        lacking = "need the cost of the next run" if cost is None else more(asked.min_releases - len(gains), "release")
        state = "holds" if asked.when_unknown == "fire" else "unknown"
        return Finding("expected_gain", state, f"expected gain unknown: {lacking}", lacking, figures)  # type: ignore[arg-type]
    gain, needed = median(gains), asked.min_gain_per_usd * cost
    text = f"expected gain {gain:.4f} (an estimate) for about {dollars(cost)}, threshold {needed:.4f}"
    figures |= {"expected_gain": gain, "threshold": needed}
    return Finding("expected_gain", "holds" if gain >= needed else "fails", text, figures=figures)


ALWAYS: tuple[Veto, ...] = (in_flight, budget)
"""What a manual trigger respects as well."""
BY_ITSELF: tuple[Veto, ...] = (in_flight, cool_down, eligible_cases, budget, expected_gain)
"""What a run respects that nobody asked for."""
