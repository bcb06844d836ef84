"""The cursor of a thin sensor: versioned JSON that remembers what was decided until the database says so too.

The cursor is a memory, never the truth: which runs were asked for is in the database, and a cursor that is lost, of
another version or not readable starts anew without asking for a run twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from finetune_assets.feedback.triggers.decide import decide
from finetune_assets.feedback.triggers.decision import Decision, ManualRequest
from finetune_assets.feedback.triggers.policy import TriggerPolicy
from finetune_assets.feedback.triggers.vetoes import ALWAYS
from finetune_assets.feedback.window import Window
from finetune_assets.records.errors import FinetuneError

VERSION = 1
MAX_AHEAD = timedelta(days=2)
"""How far a pending decision may lie beyond a window's end, as clocks jump; one further ahead is not believed."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A run that was asked for, as the database has it.

    Attributes:
        key: its run key.
        at: when its decision was made; aware.
        unlaunched: the decision, where it was written down but no run of that key was ever started; None otherwise.
    """

    key: str
    at: datetime
    unlaunched: Decision | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a sensor remembers between two ticks.

    Attributes:
        task: the task.
        pending: a decision to fire that the database has not been seen to hold; None for none.
        last: key and verdict of the last decision, to tell whether anything changed.
    """

    task: str
    pending: Decision | None = None
    last: tuple[str, str] | None = None

    def text(self) -> str:
        """Return the cursor as text."""
        value = {
            "version": VERSION,
            "task": self.task,
            "pending": self.pending.to_json() if self.pending else None,
            "last": list(self.last) if self.last else None,
        }
        return json.dumps(value, sort_keys=True, separators=(",", ":"))


def read_cursor(text: str | None, task: str) -> Cursor:
    """Return what a cursor's text says; a new one for no text, garbage, another version or another task's."""
    try:
        value: Any = json.loads(text or "")
        if value["version"] != VERSION or value["task"] != task:
            return Cursor(task)
        pending, last = value["pending"], value["last"]
        decision = None if pending is None else Decision.from_json(pending)
        named = None if last is None else (str(last[0]), str(last[1]))
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError, FinetuneError):
        return Cursor(task)
    if decision is not None and (decision.task != task or not decision.fires):
        decision = None
    return Cursor(task, decision, named)


def tick(
    cursor: str | None,
    window: Window,
    policy: TriggerPolicy,
    already_asked: Sequence[Asked],
    *,
    manual: ManualRequest | None = None,
) -> tuple[str, Decision]:
    """Decide once, whatever came before: ticks may be repeated, come late or have lost their cursor.

    The last run is the latest that the window or the database knows of, so that a window read before a
    run was asked for does not ask for another. A decision that the database holds without a run is given again, with
    the same key, until the run was started. One that only the cursor knows is given again until the database holds
    it, unless a run is under way or the budget has gone meanwhile, or the cool-down is over.

    Args:
        cursor: the sensor's cursor; None, garbage or another version starts anew.
        window: the evidence now.
        policy: the rules.
        already_asked: runs of this task that were asked for, from the database, in any order; those of the last
            cool-down are enough.
        manual: a person's request.

    Returns:
        The next cursor, and the decision. A caller that fires writes the decision down and then asks for the run
        under `decision.key`; both may be done twice with one effect.
    """
    known = read_cursor(cursor, window.task)
    left = [one.unlaunched for one in already_asked if one.unlaunched is not None]
    if left and manual is None:
        owed = min(left, key=lambda one: (one.decided_at, one.key))
        return replace(known, last=(owed.key, owed.verdict)).text(), owed
    pending = _still_open(known.pending, window, policy, already_asked)
    if pending is not None and manual is None and all(veto(window, policy).state == "holds" for veto in ALWAYS):
        kept = replace(known, pending=pending, last=(pending.key, pending.verdict))
        return kept.text(), pending
    seen = [value for value in (window.last_fired, *(one.at for one in already_asked)) if value]
    decision = decide(replace(window, last_fired=max(seen) if seen else None), policy, manual=manual)
    if decision.fires and decision.key in {one.key for one in already_asked}:
        decision = replace(decision, verdict="wait", reasons=("this run was asked for already",))
    known = replace(known, pending=pending, last=(decision.key, decision.verdict))
    if decision.fires:
        known = replace(known, pending=decision)
    return known.text(), decision


def _still_open(
    pending: Decision | None, window: Window, policy: TriggerPolicy, already_asked: Sequence[Asked]
) -> Decision | None:
    """Return a decision to fire that the database does not hold, nor a later one, while its cool-down lasts."""
    if pending is None or any(one.key == pending.key or one.at >= pending.decided_at for one in already_asked):
        return None
    age = window.until - pending.decided_at
    return pending if -MAX_AHEAD <= age < timedelta(hours=policy.cool_down_h) else None
