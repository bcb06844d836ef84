"""How a router's answers are marked: whole plans, lists of calls, single routes.

`correct` is a plan whose tools are the right ones in the right order, a list of calls that is right as a whole, the
right route. An invalid answer, also one that is JSON but no legal plan, has the worst value of every mark; `json_valid`
alone tells the two apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from finetune_assets.evaluation.metrics.calls import call_marks
from finetune_assets.evaluation.metrics.references import reference_note
from finetune_assets.evaluation.metrics.routes import (
    LOWER_IS_BETTER,
    length_ratio,
    plan_marks,
    plan_references,
    read_plan,
    route_right,
    same_text,
)
from finetune_assets.records.example import Example
from finetune_assets.records.measure import Marks, Measure, Stats, mean, share
from finetune_assets.records.task_type import ParsedAnswer
from finetune_assets.task_types.routing_route import KEY as ROUTE

# Answers with these problems were read as a JSON object; what is wrong is what stands in it.
_READ_AS_JSON = frozenset({"missing_key", "wrong_type", "unknown_difficulty", "malformed_step", "unknown_tool"})
_MEANS = frozenset({"tool_precision", "tool_recall", "tool_f1", "todo_alignment"})
_PLAN_TITLES = {
    "route_exact": "tools right, in order",
    "json_valid": "answer is a JSON object",
    "tool_precision": "tools called that are right",
    "tool_recall": "right tools that are called",
    "tool_f1": "tool F1",
    "route_length_match": "number of steps right",
    "first_tool": "first tool right",
    "last_tool": "last tool right",
    "steps_exact": "steps equal word for word",
    "metrics_keys": "names of the metrics right",
    "guidance_kept": "guidance metrics kept",
    "computation_kept": "computation metrics kept",
    "primary_nonempty": "primary metrics given",
    "secondary_nonempty": "secondary metrics given",
    "artifacts_nonempty": "artifacts given",
    "acceptance_nonempty": "acceptance criteria given",
    "todo_alignment": "todos of a right tool",
    "todo_coverage": "todos cover all right tools",
    "handoff_tools": "handoff covers all right tools",
    "handoff_router_qa": "handoff ends at router QA",
    "over_1_1": "more than 1.1 times as long",
    "over_1_25": "more than 1.25 times as long",
    "under_0_9": "less than 0.9 times as long",
}

PLAN_MEASURES = tuple(
    Measure(name, title, "mean" if name in _MEANS else "share", higher_is_better=name not in LOWER_IS_BETTER)
    for name, title in _PLAN_TITLES.items()
)
CALL_MEASURES = (
    Measure("calls_exact", "calls right as a whole", "share"),
    Measure("tool_name", "tools right, in order", "share"),
    Measure("arguments", "calls with right arguments", "mean"),
)
ROUTE_MEASURES = (Measure("exact", "route right", "share"),)


def mark_plan(example: Example, answer: ParsedAnswer) -> Marks:
    """Mark a whole plan."""
    target = json.loads(example.target)
    right = read_plan(target)
    plan = None
    if answer.valid:
        plan = right if same_text(target, answer.value) else read_plan(answer.value)
    values = plan_marks(right, plan)
    stats: dict[str, Stats] = {name: mean(value) for name, value in values.items()}
    stats["json_valid"] = share(answer.valid or answer.problem in _READ_AS_JSON)
    notes: dict[str, Any] = reference_note(example.target, json_valid=None, **plan_references(right))
    if plan is not None:
        notes["metrics_missing"] = sorted(set(right.metrics) - set(plan.metrics))
        ratio = length_ratio(right, plan)
        notes["length_ratio"] = None if ratio is None else round(ratio, 3)
    return Marks(values.get("route_exact") == 1.0, stats, notes)


def mark_calls(example: Example, answer: ParsedAnswer) -> Marks:
    """Mark a list of calls; `facts.arguments_allowed` says which other arguments are right."""
    right, allowed = json.loads(example.target), example.facts.get("arguments_allowed")
    calls = answer.value.get("calls") if answer.valid else None
    values = call_marks(right, calls if isinstance(calls, list) else None, allowed if isinstance(allowed, list) else ())
    names = [call["tool"] for call in right]
    return Marks(
        values["calls_exact"] == 1.0,
        {name: mean(value) for name, value in values.items()},
        reference_note(example.target, tool_name=names),
    )


def mark_route(example: Example, answer: ParsedAnswer) -> Marks:
    """Mark a single route; those of `facts.alternate_routes` are right too."""
    answered, others = answer.value.get(ROUTE) if answer.valid else None, example.facts.get("alternate_routes")
    right = json.loads(example.target)[ROUTE]
    hit = isinstance(answered, str) and route_right(right, others if isinstance(others, list) else (), answered)
    notes: dict[str, Any] = reference_note(right)
    if hit and answered != right:
        notes["alternate_route"] = True
    return Marks(hit, {"exact": share(hit)}, notes)


MARKERS: Mapping[str, tuple[tuple[Measure, ...], Callable[[Example, ParsedAnswer], Marks]]] = {
    "traces": (PLAN_MEASURES, mark_plan),
    "calls": (CALL_MEASURES, mark_calls),
    "route": (ROUTE_MEASURES, mark_route),
}
"""What a record holds → its measures, and how one answer is marked."""


def mark_routes(records: str, examples: Sequence[Example], answers: Sequence[ParsedAnswer]) -> list[Marks]:
    """Mark a router's answers, row by row.

    Args:
        records: what a record holds, one of `MARKERS`.
        examples: the questions.
        answers: one for each.
    """
    _, marker = MARKERS[records]
    return [marker(*pair) for pair in zip(examples, answers, strict=True)]
