"""The fields of a routing trace: their names, their types, and the ten that a router answers with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetune_assets.datasets.rule_fault import RuleFault

COMPLETION_KEYS = (
    "route_plan",
    "route_rationale",
    "expected_artifacts",
    "thinking_outline",
    "handoff_plan",
    "todo_list",
    "difficulty",
    "tags",
    "acceptance_criteria",
    "metrics",
)
"""What a router answers, in this order."""

TRACE_FIELDS = (
    "id",
    "user_query",
    "task_summary",
    *COMPLETION_KEYS[:8],
    "quality_score",
    *COMPLETION_KEYS[8:],
    "compute_budget",
    "repro",
    "requires_browse",
    "citation_policy",
    "io_schema",
)
"""All nineteen fields of a whole trace."""

DIFFICULTIES = ("introductory", "intermediate", "advanced")
"""The three tiers, by which the limits grow."""

TEXTS = ("user_query", "task_summary", "route_rationale", "handoff_plan", "difficulty", "citation_policy")
LISTS = ("route_plan", "expected_artifacts", "thinking_outline", "todo_list", "tags", "acceptance_criteria")


def type_faults(trace: Mapping[str, Any], required: tuple[str, ...]) -> list[RuleFault]:
    """Return the fields that are missing or of another type than the rules can read.

    Args:
        trace: its fields; None and blank texts are absent.
        required: fields that must be there.
    """
    faults = []
    for name in required:
        value = trace.get(name)
        if value is None or (type(value) is str and not value.strip()):
            faults.append(_missing(name, value))
    for name in TEXTS:
        if (text := trace.get(name)) is not None and type(text) is not str:
            faults.append(_wrong_type(name, text, "text"))
    for name in LISTS:
        if (items := trace.get(name)) is not None and not _is_list_of_texts(items):
            faults += _list_faults(name, items)
    metrics = trace.get("metrics")
    if metrics is not None:
        faults += _metrics_faults(metrics)
    for name, check in _OTHERS.items():
        if (value := trace.get(name)) is not None and (expected := check(value)):
            faults.append(_wrong_type(name, value, expected))
    return faults


def _missing(name: str, value: Any) -> RuleFault:
    return RuleFault("missing_field", name, "nothing" if value is None else "blank text", "a value")


def _wrong_type(name: str, value: Any, expected: str) -> RuleFault:
    return RuleFault("wrong_type", name, type(value).__name__, expected)


def _is_list_of_texts(items: Any) -> bool:
    """True for a list of texts, none of them blank; the way that nearly every list takes."""
    try:
        return type(items) is list and bool(items) and all(map(str.strip, items))
    except TypeError:
        return False


def _list_faults(name: str, items: Any) -> list[RuleFault]:
    """Return the faults of a list of texts: no list, empty, or an item that is blank or no text."""
    if not isinstance(items, list):
        return [_wrong_type(name, items, "a list of texts")]
    if not items:
        return [RuleFault("missing_field", name, "an empty list", "at least one text")]
    faults = []
    for place, item in enumerate(items, start=1):
        if type(item) is not str:
            faults.append(_wrong_type(f"{name}[{place}]", item, "text"))
        elif not item or item.isspace():
            faults.append(RuleFault("missing_field", f"{name}[{place}]", "blank text", "text"))
    return faults


def _metrics_faults(metrics: Any) -> list[RuleFault]:
    """Return the faults of the metrics: both lists of texts must be there, further entries are free."""
    if not isinstance(metrics, dict):
        return [_wrong_type("metrics", metrics, "an object with primary and secondary")]
    faults = []
    for name in ("primary", "secondary"):
        if metrics.get(name) is None:
            faults.append(RuleFault("missing_field", f"metrics.{name}", "nothing", "a list of texts"))
        elif not _is_list_of_texts(metrics[name]):
            faults += _list_faults(f"metrics.{name}", metrics[name])
    return faults


def _number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def _budget(value: Any) -> str:
    expected = "an object of gpu_minutes, cpu_minutes and vram_gb, none below 0"
    if not isinstance(value, dict):
        return expected
    parts = [value.get(name) for name in ("gpu_minutes", "cpu_minutes", "vram_gb")]
    return "" if all(_number(part) and part >= 0 for part in parts) else expected  # type: ignore[operator]


def _repro(value: Any) -> str:
    expected = "an object of seed (whole number), deterministic (true or false) and framework (text)"
    if not isinstance(value, dict):
        return expected
    kinds = (type(value.get("seed")), type(value.get("deterministic")), type(value.get("framework")))
    return "" if kinds == (int, bool, str) else expected


def _io_schema(value: Any) -> str:
    expected = "an object of artifacts (list), logs, and outputs with artifacts (list) and logs"
    if not isinstance(value, dict) or not isinstance(value.get("artifacts"), list) or "logs" not in value:
        return expected
    outputs = value.get("outputs")
    whole = isinstance(outputs, dict) and isinstance(outputs.get("artifacts"), list) and "logs" in outputs
    return "" if whole else expected


_OTHERS = {
    "quality_score": lambda value: "" if _number(value) else "a number",
    "compute_budget": _budget,
    "repro": _repro,
    "requires_browse": lambda value: "" if isinstance(value, bool) else "true or false",
    "io_schema": _io_schema,
}
