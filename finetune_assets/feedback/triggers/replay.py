"""Replay: which runs a policy would have asked for in the past, when, why and at what cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from finetune_assets.feedback.triggers.decide import decide
from finetune_assets.feedback.triggers.decision import Decision
from finetune_assets.feedback.triggers.events import Event
from finetune_assets.feedback.triggers.past import Past
from finetune_assets.feedback.triggers.policy import TriggerPolicy, rules_in
from finetune_assets.records.errors import FinetuneError

MAX_STEPS = 1_000_000


@dataclass(frozen=True, slots=True)
class Supposed:
    """What a run that never was is supposed to do.

    Attributes:
        run_h: hours that it takes, 0 or more; a caller knows how long earlier ones took.
    """

    run_h: float = 1.0


@dataclass(frozen=True)
class Replay:
    """What a policy decided over a stretch of the past.

    Attributes:
        decisions: one for each step, in order.
        fired: those that asked for a run.
        cost_usd: estimated cost of those runs; runs of unknown cost are counted in `unpriced`.
        unpriced: runs of unknown cost.
    """

    decisions: tuple[Decision, ...]
    fired: tuple[Decision, ...]
    cost_usd: float
    unpriced: int

    def rows(self) -> list[dict[str, Any]]:
        """Return the runs as a table: when, why, at what cost."""
        return [
            {"at": one.decided_at.isoformat(), "why": one.sentence, "cost_usd": one.estimated_cost_usd, "key": one.key}
            for one in self.fired
        ]


def replay(
    happened: Iterable[Event],
    policy: TriggerPolicy,
    start: datetime,
    end: datetime,
    step: timedelta,
    *,
    task: str,
    runs: Supposed | Literal["recorded"] = "recorded",
    also: Iterable[datetime] = (),
) -> Replay:
    """Decide at `start`, then every `step` until `end`, as a sensor would have done.

    With recorded runs every decision is made from what was then true: cool-down, consumption and spending follow the
    runs that were asked for. With supposed ones they follow the runs of this replay: each learns the cases corrected
    by then, and recorded runs, their consumption and their spending are left out; releases stay as recorded.

    Args:
        happened: everything that happened to the task, also before `start`; in any order.
        policy: the rules.
        start: first moment; aware.
        end: last moment, included when a step falls on it; aware.
        step: time between two decisions.
        task: the task.
        runs: `recorded`, or what runs are supposed to do.
        also: further moments to decide at, such as those at which a sensor did: what held for a minute between two
            steps is seen then. Those before `start` or after `end` are left out.

    Raises:
        FinetuneError: for a step that is not positive, an end before the start, more than a million steps or a naive
            time.
    """
    further = {moment.astimezone(UTC) for moment in also if start <= moment <= end}
    moments = sorted({*_moments(start, end, step), *further})
    supposed = None if runs == "recorded" else runs
    past = Past(
        task,
        happened,
        policy.window_h,
        recorded=supposed is None,
        with_inputs="input_drift" in rules_in(policy.fire_when),
    )
    decisions = []
    for moment in moments:
        decision = decide(past.window(moment), policy)
        decisions.append(decision)
        if decision.fires and supposed is not None:
            past.fire(moment, run_h=supposed.run_h, cost_usd=decision.estimated_cost_usd)
    return summed(decisions)


def summed(decisions: Sequence[Decision]) -> Replay:
    """Return what decisions come to."""
    fired = tuple(decision for decision in decisions if decision.fires)
    costs = [decision.estimated_cost_usd for decision in fired if decision.estimated_cost_usd is not None]
    return Replay(tuple(decisions), fired, float(sum(costs)), len(fired) - len(costs))


@dataclass(frozen=True)
class ReplayComparison:
    """Two replays of the same stretch, or a replay and what really happened.

    Attributes:
        both: pairs of runs that both asked for, no further apart than the tolerance.
        only_first: runs that only the first asked for.
        only_second: runs that only the second asked for.
        cost_difference_usd: what the second costs more.
    """

    both: tuple[tuple[Decision, Decision], ...]
    only_first: tuple[Decision, ...]
    only_second: tuple[Decision, ...]
    cost_difference_usd: float


def compare_replays(first: Replay, second: Replay, tolerance: timedelta = timedelta(0)) -> ReplayComparison:
    """Match the runs of two replays in order of time.

    Args:
        first: for instance the policy in force.
        second: for instance a new one.
        tolerance: how far apart two runs may be to count as the same.
    """
    ours, theirs = list(first.fired), list(second.fired)
    both, only_first, only_second = [], [], []
    while ours and theirs:
        apart = theirs[0].decided_at - ours[0].decided_at
        if abs(apart) <= tolerance:
            both.append((ours.pop(0), theirs.pop(0)))
        elif apart > timedelta(0):
            only_first.append(ours.pop(0))
        else:
            only_second.append(theirs.pop(0))
    return ReplayComparison(
        tuple(both), (*only_first, *ours), (*only_second, *theirs), second.cost_usd - first.cost_usd
    )


def _moments(start: datetime, end: datetime, step: timedelta) -> list[datetime]:
    if start.tzinfo is None or end.tzinfo is None:
        raise FinetuneError("replay takes aware times only", found=f"{start.isoformat()} to {end.isoformat()}")
    if step <= timedelta(0) or end < start:
        raise FinetuneError(
            "replay needs a positive step and an end after its start",
            found=f"{start.isoformat()} to {end.isoformat()} by {step}",
        )
    steps = (end - start) // step + 1
    if steps > MAX_STEPS:
        raise FinetuneError(
            "replay takes too many steps",
            found=f"{steps:,}",
            expected=f"at most {MAX_STEPS:,}",
            mend="take a longer step",
        )
    # In UTC, so that a change to summer time is no jump.
    return [start.astimezone(UTC) + number * step for number in range(steps)]
