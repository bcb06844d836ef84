"""A job's life as a function of the clock: phases in virtual seconds, quota slots, cancellation, planned ends."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any

from finetune_assets_tests.fakes.vertex_store import Resource, Store
from finetune_assets_tests.fakes.vertex_wire import ENDED_STATES, Json, rpc_status

CANCEL_SECONDS = 5.0
RUNNING = "JOB_STATE_RUNNING"


@dataclass(frozen=True)
class Phase:
    """One stretch of a job's life."""

    key: str
    state: str
    fine: str
    seconds: float


@dataclass
class Timeline:
    """When each phase starts, and how and when the job ends if nothing changes."""

    spans: list[tuple[Phase, float, float]] = field(default_factory=list)
    end_v: float = 0.0
    end_state: str = "JOB_STATE_SUCCEEDED"
    error: Json | None = None
    slot_v: float | None = None
    cancel_v: float | None = None

    def at(self, now: float) -> tuple[Phase, float, float]:
        """Return the span of a moment; the last one after the end."""
        for span in self.spans:
            if now < span[2]:
                return span
        return self.spans[-1]

    def start_of(self, key: str) -> float:
        """Return when a phase starts."""
        return next(start for phase, start, _ in self.spans if phase.key == key)

    def end_of(self, key: str) -> float:
        """Return when a phase ends."""
        return next(end for phase, _, end in self.spans if phase.key == key)

    def state_at(self, now: float) -> str:
        """Return the job's coarse state of a moment."""
        if now >= self.end_v:
            return self.end_state
        if self.cancel_v is not None and now >= self.cancel_v:
            return "JOB_STATE_CANCELLING"
        return self.at(now)[0].state


def build(it: Resource, phases: list[Phase], slot_free: float) -> Timeline:
    """Return the life of a job whose quota slot is free at `slot_free`.

    The phase with the key QUOTA is stretched until the slot is free. What the job's plan says (durations, fail, expire,
    unknown_state) and a cancellation are worked in.
    """
    plan: Json = it.private.get("plan", {})
    line = Timeline()
    at = it.created_v
    for phase in phases:
        seconds = float(plan.get("durations", {}).get(phase.key, phase.seconds))
        seconds += float(plan.get(f"waiting_for_{phase.key.lower()}_s", 0.0))
        end = at + seconds
        if phase.key == "QUOTA":
            end = max(end, slot_free)
            line.slot_v = end
        if phase.key == "PROCESSING":
            end = max(end, it.private.get("stall_v", 0.0))
        line.spans.append((phase, at, end))
        at = end
    line.end_v = at
    _plan_end(it, plan, line)
    _cancel(it, plan, line)
    return line


def _plan_end(it: Resource, plan: Json, line: Timeline) -> None:
    if it.private.get("end"):  # found out while it ran: a bad file, a container's exit
        end = it.private["end"]
        line.end_v = max(end["v"], it.created_v)
        line.end_state, line.error = end["state"], end.get("error")
        return
    fail: Any = plan.get("fail")
    if fail:
        key = {"processing": "PROCESSING", "post": "POST", "capacity": "CAPACITY"}.get(fail.get("at", "tuning"), "WORK")
        spans = [span for span in line.spans if span[0].key == key] or [line.spans[-1]]
        line.end_v = (spans[0][1] + spans[0][2]) / 2
        line.end_state = "JOB_STATE_FAILED"
        code = fail.get("code", 13)
        message = fail.get("message", "Internal error occurred. Please retry in a few minutes.")
        line.error = rpc_status(code, message) if isinstance(code, str) else {"code": code, "message": message}
    elif plan.get("expire"):
        line.end_v = line.end_of("WORK")
        line.end_state = "JOB_STATE_EXPIRED"
        line.error = rpc_status("DEADLINE_EXCEEDED", "The job has expired.")
    elif plan.get("partially_succeed"):
        line.end_state = "JOB_STATE_PARTIALLY_SUCCEEDED"


def _cancel(it: Resource, plan: Json, line: Timeline) -> None:
    cancelled: float | None = it.private.get("cancel_v")
    if cancelled is None or cancelled >= line.end_v:
        return
    line.cancel_v = cancelled
    if plan.get("succeed_despite_cancel"):
        return
    line.end_v = cancelled + float(plan.get("cancel_s", CANCEL_SECONDS))
    line.end_state = "JOB_STATE_CANCELLED"
    line.error = rpc_status("CANCELLED", "The job was cancelled.")


def schedule(store: Store, kind: str, phases: list[Phase], quota: int) -> dict[str, Timeline]:
    """Return the lives of all jobs of a kind that have not ended, each quota class with `quota` slots (0: no limit)."""
    lives: dict[str, Timeline] = {}
    slots: dict[str, list[float]] = {}
    for it in store.alive(kind):
        name = it.private.get("quota_class", "")
        if quota <= 0:
            lives[it.name] = build(it, phases, 0.0)
            continue
        if name not in slots:
            ends = store.last_ends(kind, name, quota)
            slots[name] = ends + [0.0] * (quota - len(ends))
            heapq.heapify(slots[name])
        free = slots[name][0]
        life = build(it, phases, free)
        lives[it.name] = life
        if life.slot_v is not None and life.end_v > life.slot_v:
            heapq.heapreplace(slots[name], life.end_v)
    return lives


def finish(store: Store, it: Resource, life: Timeline) -> None:
    """Write a job's end down for good."""
    it.ended, it.end_v = True, life.end_v
    it.private["held_slot"] = int(life.slot_v is not None and life.end_v > life.slot_v)
    it.private["start_v"] = life.slot_v if it.private["held_slot"] else None
    it.private["shown_state"] = life.end_state
    it.body["state"] = life.end_state
    if life.error is not None and life.end_state in ENDED_STATES - {"JOB_STATE_SUCCEEDED"}:
        it.body["error"] = life.error
    store.save(it)
