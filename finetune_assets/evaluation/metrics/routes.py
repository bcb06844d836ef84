"""A router's plan against the right one, by the marks of the router's own source.

Two things differ from that source. An answer that cannot be read has the worst value of every mark instead of leaving
the averages, and an empty plan has tool precision 0, not 1. Any JSON may stand in any field of an answer: a wrong type
counts as an empty field, and the marks that need it are lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

_MENTION = re.compile(r"/([A-Za-z][\w-]*)")
_ROUTER_QA = re.compile(r"\brouter[\s_-]+qa\b", re.IGNORECASE)
_ROUTERS_TODO = re.compile(r"^\W*router\b", re.IGNORECASE)
_ROUTER = "router"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the marks look at in a plan; everything of a wrong type is empty.

    Attributes:
        steps: the steps as written.
        tools: the tool of each step, without its slash, in order.
        tool_set: the same, each once.
        metrics: the metrics block.
        todo_tools: for each todo item the tool that it names first, `router` for the router's own, "" for none.
        handoff: the handoff plan.
        artifacts: the expected artifacts.
        acceptance: the acceptance criteria.
        characters: length of the whole plan as compact JSON, None where it cannot be written as such.
    """

    steps: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    tool_set: frozenset[str] = frozenset()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    todo_tools: tuple[str, ...] = ()
    handoff: str = ""
    artifacts: tuple[str, ...] = ()
    acceptance: tuple[str, ...] = ()
    characters: int | None = None


def read_plan(value: Any) -> Plan:
    """Read a plan out of any JSON value. Never raises."""
    if not isinstance(value, Mapping):
        return Plan()
    # A step that is no text stays a step, so that it lengthens the route, but it calls no tool.
    route = value.get("route_plan")
    steps = tuple(step if isinstance(step, str) else "" for step in route) if isinstance(route, list) else ()
    tools = tuple([step.split("(", 1)[0].strip().removeprefix("/") for step in steps])
    metrics, handoff = value.get("metrics"), value.get("handoff_plan")
    return Plan(
        steps=steps,
        tools=tools,
        tool_set=frozenset(tools),
        metrics=metrics if isinstance(metrics, Mapping) else {},
        todo_tools=tuple(map(_todo_tool, _texts(value.get("todo_list")))),
        handoff=handoff if isinstance(handoff, str) else "",
        artifacts=_texts(value.get("expected_artifacts")),
        acceptance=_texts(value.get("acceptance_criteria")),
        characters=_characters(value),
    )


def _texts(value: Any) -> tuple[str, ...]:
    """Return the texts of a list that say something."""
    items = value if isinstance(value, list) else ()
    return tuple([item for item in items if isinstance(item, str) and item.strip()])


def _characters(value: Mapping[str, Any]) -> int | None:
    try:
        return len(orjson.dumps(value).decode())
    except TypeError:
        pass
    try:
        # A whole number beyond 64 bits or half of a UTF-16 pair, which only the slow way takes.
        return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    except (TypeError, ValueError, RecursionError):
        return None


def same_text(one: Any, other: Any) -> bool:
    """True when two JSON values are written the same, keys in the same order; 1, 1.0 and true are not.

    False too for what cannot be written quickly: whether two plans differ then takes reading both.
    """
    try:
        return one == other and orjson.dumps(one) == orjson.dumps(other)
    except TypeError:
        return False


def length_ratio(right: Plan, plan: Plan) -> float | None:
    """Return the plan's characters over the right one's, both as compact JSON; None where one has no length."""
    return plan.characters / right.characters if right.characters and plan.characters is not None else None


def _tool_precision(right: Plan, plan: Plan) -> float:
    return len(plan.tool_set & right.tool_set) / len(plan.tool_set) if plan.tool_set else 0.0


def _tool_recall(right: Plan, plan: Plan) -> float:
    return len(plan.tool_set & right.tool_set) / len(right.tool_set) if right.tool_set else 0.0


def _tool_f1(right: Plan, plan: Plan) -> float:
    precision, recall = _tool_precision(right, plan), _tool_recall(right, plan)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _kept(word: str) -> Callable[[Plan, Plan], float | None]:
    """Return the mark for metrics whose name has a word: all of the right plan's are there, with the same JSON type."""

    def mark(right: Plan, plan: Plan) -> float | None:
        wanted = [name for name in right.metrics if word in name]
        if not wanted:
            return None
        return float(all(_same_kind(right.metrics[name], plan.metrics.get(name)) for name in wanted))

    return mark


def _same_kind(right: Any, given: Any) -> bool:
    return type(right) is type(given) and bool(given) >= bool(right)


def _nonempty(name: str) -> Callable[[Plan, Plan], float]:
    return lambda _, plan: float(bool(_texts(plan.metrics.get(name))))


def _todo_alignment(right: Plan, plan: Plan) -> float:
    aligned = sum([tool == _ROUTER or tool in right.tool_set for tool in plan.todo_tools])
    return aligned / len(plan.todo_tools) if plan.todo_tools else 0.0


def _todo_tool(todo: str) -> str:
    """Return the tool that a todo item names first, `router` for the router's own, "" for none."""
    mention = _MENTION.search(todo)
    if mention is not None:
        return mention[1]
    # A box stands before the item: `- [ ] router QA: …`.
    return _ROUTER if _ROUTERS_TODO.search(todo) or _ROUTER_QA.search(todo) else ""


def _todo_coverage(right: Plan, plan: Plan) -> float:
    return float(bool(plan.todo_tools) and right.tool_set.issubset(plan.todo_tools))


def _handoff_tools(right: Plan, plan: Plan) -> float:
    return float(bool(plan.handoff.strip()) and right.tool_set.issubset(_MENTION.findall(plan.handoff)))


def _beyond(limit: float) -> Callable[[Plan, Plan], float]:
    def mark(right: Plan, plan: Plan) -> float:
        ratio = length_ratio(right, plan)
        return float(ratio is None or ratio > limit)

    return mark


def _below(limit: float) -> Callable[[Plan, Plan], float]:
    def mark(right: Plan, plan: Plan) -> float:
        ratio = length_ratio(right, plan)
        return float(ratio is None or ratio < limit)

    return mark


_MARKS: Mapping[str, Callable[[Plan, Plan], float | None]] = {
    "route_exact": lambda right, plan: float(bool(plan.tools) and plan.tools == right.tools),
    "steps_exact": lambda right, plan: float(bool(plan.steps) and plan.steps == right.steps),
    "tool_precision": _tool_precision,
    "tool_recall": _tool_recall,
    "tool_f1": _tool_f1,
    "route_length_match": lambda right, plan: float(len(plan.steps) == len(right.steps)),
    "first_tool": lambda right, plan: float(bool(plan.tools) and plan.tools[:1] == right.tools[:1]),
    "last_tool": lambda right, plan: float(bool(plan.tools) and plan.tools[-1:] == right.tools[-1:]),
    "metrics_keys": lambda right, plan: float(set(plan.metrics) == set(right.metrics)),
    "guidance_kept": _kept("guidance"),
    "computation_kept": _kept("computation"),
    "primary_nonempty": _nonempty("primary"),
    "secondary_nonempty": _nonempty("secondary"),
    "artifacts_nonempty": lambda _, plan: float(bool(plan.artifacts)),
    "acceptance_nonempty": lambda _, plan: float(bool(plan.acceptance)),
    "todo_alignment": _todo_alignment,
    "todo_coverage": _todo_coverage,
    "handoff_tools": _handoff_tools,
    "handoff_router_qa": lambda _, plan: float(_ROUTER_QA.search(plan.handoff) is not None),
    "over_1_1": _beyond(1.1),
    "over_1_25": _beyond(1.25),
    "under_0_9": _below(0.9),
}

LOWER_IS_BETTER = frozenset({"over_1_1", "over_1_25", "under_0_9"})


def plan_marks(right: Plan, plan: Plan | None) -> dict[str, float]:
    """Return every mark of a plan, each in [0, 1].

    Args:
        right: the right plan.
        plan: the answered one, `right` itself where both are equal; None for an answer that cannot be read, which has
            the worst of every mark.

    Returns:
        Mark → value. A mark that the right plan itself would fail is not there, nor is `guidance_kept` or
        `computation_kept` where the right plan has no such metrics: no answer could earn them.
    """
    marks: dict[str, float] = {}
    for name, mark in _MARKS.items():
        worst = float(name in LOWER_IS_BETTER)
        own = mark(right, right)
        if own is None or own == worst:
            continue
        value = own if plan is right else None if plan is None else mark(right, plan)
        marks[name] = worst if value is None else value
    return marks


def plan_references(right: Plan) -> dict[str, Any]:
    """Return what single marks are held against, as JSON, for `references.reference_note`."""
    tools = sorted(right.tool_set)
    metrics = right.metrics
    return {
        "route_exact": list(right.tools),
        "steps_exact": list(right.steps),
        **dict.fromkeys(("tool_precision", "tool_recall", "tool_f1"), tools),
        "route_length_match": len(right.steps),
        "first_tool": list(right.tools[:1]),
        "last_tool": list(right.tools[-1:]),
        "metrics_keys": sorted(metrics),
        "guidance_kept": {name: metrics[name] for name in metrics if "guidance" in name},
        "computation_kept": {name: metrics[name] for name in metrics if "computation" in name},
        "primary_nonempty": metrics.get("primary"),
        "secondary_nonempty": metrics.get("secondary"),
        "artifacts_nonempty": list(right.artifacts),
        "acceptance_nonempty": list(right.acceptance),
        "handoff_router_qa": None,
    }


def route_right(expected: str, alternatives: Sequence[Any], answered: str) -> bool:
    """True when a single route is the expected one, or one of those that the record names as right too."""
    return bool(answered) and (answered == expected or answered in [item for item in alternatives if item])
