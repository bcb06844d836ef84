"""What is broken on purpose in the synthetic traces: one change for each rule, with the reason that it must lead to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Trace = dict[str, Any]
Change = Callable[[Trace], None]


def _set(**values: Any) -> Change:
    return lambda trace: trace.update(values)


def _without(name: str) -> Change:
    def change(trace: Trace) -> None:
        del trace[name]

    return change


def _items(name: str, make: Callable[[list[str]], list[Any]]) -> Change:
    def change(trace: Trace) -> None:
        trace[name] = make(trace[name])

    return change


def _text(name: str, make: Callable[[str], str]) -> Change:
    def change(trace: Trace) -> None:
        trace[name] = make(trace[name])

    return change


_FIRST_SEARCH = '/general-search(query="notes and surveys on the subject", mode=web)'
_PLAN = ["/math(Derive the main result and state every assumption that it needs.)"]
_CODE = "/code(Program the method, run it with ten seeds and record the error, using Python)"

FLAWS: tuple[tuple[str, Change], ...] = (
    ("missing_field", _without("handoff_plan")),
    ("missing_field", _set(user_query="  ")),
    ("wrong_type", _set(route_plan="/math -> /code")),
    ("wrong_type", _items("todo_list", lambda items: [*items[:-1], 7])),
    ("wrong_type", _set(compute_budget={"gpu_minutes": "ten"})),
    ("unknown_difficulty", _set(difficulty="expert")),
    ("short_query", _set(user_query="Explain gradient descent.")),
    ("short_summary", _set(task_summary="A gradient study.")),
    ("few_keywords", _set(user_query="Write " + "something long about nothing at all, " * 4, task_summary="No" * 40)),
    ("malformed_step", _items("route_plan", lambda items: ["math: derive the result", *items[1:]])),
    (
        "unknown_tool",
        _items("route_plan", lambda items: ["/browser(Open every page that speaks of the subject.)", *items]),
    ),
    ("short_context", _set(route_plan=["/math(Derive it.)", _CODE])),
    ("step_lacks_word", _set(route_plan=[*_PLAN, '/general-search(query="notes and surveys on the subject")'])),
    ("step_lacks_word", _set(route_plan=[*_PLAN, "/code(Program the method and run it with ten seeds at least)"])),
    ("repeated_tool", _set(route_plan=[*_PLAN, *_PLAN])),
    ("rationale_lacks_word", _set(route_plan=[_FIRST_SEARCH, *_PLAN], route_rationale="First look, then derive.")),
    ("artifact_count", _items("expected_artifacts", lambda items: items[:2])),
    ("artifact_count", _items("expected_artifacts", lambda items: [*items, *items][:6])),
    ("few_thinking_steps", _items("thinking_outline", lambda items: items[:2])),
    ("unnumbered_thinking", _items("thinking_outline", lambda items: [items[0].lstrip("1. "), *items[1:]])),
    ("todo_count", _items("todo_list", lambda items: [*items[:-1], *[items[0]] * 6, items[-1]])),
    ("todo_without_box", _items("todo_list", lambda items: [items[0].replace("[ ] ", ""), *items[1:]])),
    ("short_todo", _items("todo_list", lambda items: [*items[:-2], "- [ ] verify", items[-1]])),
    ("todo_lacks_tool", _items("todo_list", lambda items: [item.replace("/math", "maths") for item in items])),
    (
        "few_verifications",
        _items(
            "todo_list",
            lambda _: ["- [ ] /math /code /general-search: do it all"] * 4 + ["- [ ] router QA: end it"],
        ),
    ),
    ("todo_lacks_router_qa", _items("todo_list", lambda items: [*items[:-1], "- [ ] send the verified report off"])),
    ("short_handoff", _set(handoff_plan="/math -> /code, fallback /math")),
    ("handoff_without_arrow", _text("handoff_plan", lambda text: text.replace("->", "then"))),
    (
        "handoff_without_check",
        _set(handoff_plan="/math -> /code -> router QA, and then the report goes out to whoever asked for it."),
    ),
    ("quality_out_of_range", _set(quality_score=117)),
)
"""Reason → the change that leads to it."""
