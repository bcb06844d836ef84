"""The quality score of a trace: the source's weighted heuristic, from what the trace itself shows.

Weights as the source names them: query length 20, summary 10, context of the steps 25, verification 20, keywords 3 each
up to 6, theme 7, todos 8, verifying todos 4, the router's own check 3; the sum is capped at 100. Lengths count in
proportion to the limit of the trace's difficulty, so that a trace that keeps every rule scores near 100.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from finetune_assets.datasets.traces.config import TraceRulesConfig
from finetune_assets.datasets.traces.fields import DIFFICULTIES

_WORD = re.compile(r"[a-z]{4,}")


def trace_quality(trace: Mapping[str, Any], config: TraceRulesConfig) -> int:
    """Score a trace.

    Args:
        trace: one that `TraceRules.faults` finds no wrong type in; fields that it lacks score nothing.
        config: the limits and words of its task.

    Returns:
        0 to 100.
    """
    tier = DIFFICULTIES.index(trace["difficulty"]) if trace.get("difficulty") in DIFFICULTIES else 0
    query, summary = trace.get("user_query") or "", trace.get("task_summary") or ""
    steps, todos = trace.get("route_plan") or [], trace.get("todo_list") or []
    text = f"{query}\n{summary}".lower()
    keywords = sum(keyword in text for keyword in config.keywords)
    verifying = sum(_verifies(todo, config) for todo in todos)
    context = min((len(step.partition("(")[2].removesuffix(")")) for step in steps), default=0)
    score = (
        20 * _share(len(query), config.min_query[tier])
        + 10 * _share(len(summary), config.min_summary[tier])
        + 25 * _share(context, config.min_context[tier])
        + 20 * (_verifies(trace.get("handoff_plan") or "", config) or verifying > 0)
        + min(6, 3 * keywords)
        + 7 * _has_theme(trace.get("tags") or [], text)
        + 8 * (config.min_todos[tier] <= len(todos) <= config.max_todos[tier])
        + 4 * (verifying >= config.min_verifications[tier])
        + 3 * (bool(todos) and config.final_todo in todos[-1].lower())
    )
    return min(100, round(score))


def _share(found: int, wanted: int) -> float:
    return min(1.0, found / wanted) if wanted else 1.0


def _verifies(text: str, config: TraceRulesConfig) -> bool:
    lowered = text.lower()
    return any(word in lowered for word in config.verification_words)


def _has_theme(tags: list[str], text: str) -> bool:
    """True when query or summary speak of a tag."""
    return any(word in text for tag in tags for word in _WORD.findall(tag.lower()))
