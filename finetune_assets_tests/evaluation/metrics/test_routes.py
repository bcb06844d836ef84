from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.evaluation.metrics.calls import arguments_allowed, call_marks, same
from finetune_assets.evaluation.metrics.routes import (
    LOWER_IS_BETTER,
    Plan,
    length_ratio,
    plan_marks,
    read_plan,
    route_right,
)

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just("\ud800") | st.just(10**30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
RIGHT: dict[str, Any] = {
    "route_plan": ["/general-search(query=x, mode=web)", "/math(derive it)", "/code(run it, using Python)"],
    "route_rationale": "because",
    "expected_artifacts": ["a report"],
    "handoff_plan": "/general-search -> /math -> /code -> router QA; fallback: back to /math",
    "todo_list": [
        "- [ ] /general-search: find papers",
        "- [ ] /math: derive",
        "- [ ] /code: run",
        "- [ ] router QA: approve",
    ],
    "acceptance_criteria": ["it holds"],
    "tags": ["optimisation", "regularisation"],
    "metrics": {"primary": ["error below 1 %"], "secondary": ["time"], "primary_guidance": {"why": "so"}},
}
FIELDS = st.fixed_dictionaries({}, optional=dict.fromkeys(RIGHT, JSON))


def marks(**changes: Any) -> dict[str, float]:
    """The marks of the right plan with some fields changed; ... removes a field."""
    plan = {name: value for name, value in {**RIGHT, **changes}.items() if value is not ...}
    return plan_marks(read_plan(RIGHT), read_plan(plan))


def worst(found: dict[str, float]) -> set[str]:
    return {name for name, value in found.items() if value == float(name in LOWER_IS_BETTER)}


def test_the_right_plan_has_every_mark() -> None:
    found = marks()
    assert set(found) == {
        *("route_exact", "steps_exact", "tool_precision", "tool_recall", "tool_f1", "route_length_match"),
        *("first_tool", "last_tool", "metrics_keys", "guidance_kept", "primary_nonempty", "secondary_nonempty"),
        *("artifacts_nonempty", "acceptance_nonempty", "todo_alignment", "todo_coverage", "handoff_tools"),
        *("handoff_router_qa", "over_1_1", "over_1_25", "under_0_9"),
    }
    assert not worst(found)


def test_an_answer_that_cannot_be_read_has_the_worst_of_every_mark() -> None:
    # The source left such rows out of all averages but one.
    found = plan_marks(read_plan(RIGHT), None)
    assert set(found) == set(marks())
    assert worst(found) == set(found)


def test_an_empty_plan_calls_no_right_tool() -> None:
    # The source gave it precision 1.
    for empty in ([], None, "x", 3, {}, [None], ...):
        found = marks(route_plan=empty)
        assert found["tool_precision"] == found["tool_recall"] == found["tool_f1"] == 0
        assert {"route_exact", "first_tool", "last_tool", "steps_exact"} <= worst(found)


def test_tools_are_compared_as_sets_and_in_order() -> None:
    found = marks(route_plan=["/math(x)", "/code(y)", "/code(z)", "/paint(w)"])
    assert found["tool_precision"] == found["tool_recall"] == found["tool_f1"] == pytest.approx(2 / 3)
    assert {"route_exact", "route_length_match", "first_tool", "last_tool"} <= worst(found)
    other_words = marks(route_plan=["/general-search(a)", "/math(b)", "/code(c)"])
    assert (other_words["route_exact"], other_words["steps_exact"]) == (1, 0)


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"metrics": {"primary": ["x"], "secondary": [], "primary_guidance": {"a": 1}}}, {"secondary_nonempty"}),
        ({"metrics": {"primary": ["x"], "secondary": ["y"]}}, {"metrics_keys", "guidance_kept"}),
        ({"metrics": {**RIGHT["metrics"], "primary_guidance": "text"}}, {"guidance_kept"}),
        ({"metrics": {**RIGHT["metrics"], "primary_guidance": {}}}, {"guidance_kept"}),
        ({"metrics": {**RIGHT["metrics"], "primary": [" ", 3]}}, {"primary_nonempty"}),
        ({"expected_artifacts": [""]}, {"artifacts_nonempty"}),
        ({"acceptance_criteria": "x"}, {"acceptance_nonempty"}),
        ({"handoff_plan": "/math -> /codec -> router QA, with more words to be as long"}, {"handoff_tools"}),
        ({"handoff_plan": "/general-search -> /math -> /code -> router, then nothing more"}, {"handoff_router_qa"}),
        ({"todo_list": [*RIGHT["todo_list"][1:], "- [ ] Router: check it all over"]}, {"todo_coverage"}),
        ({"route_rationale": "b" * 80}, {"over_1_1"}),
        ({"route_rationale": "b" * 400}, {"over_1_1", "over_1_25"}),
        ({"route_rationale": ..., "expected_artifacts": ["x"], "tags": ...}, {"under_0_9"}),
    ],
)
def test_single_faults_cost_their_own_marks(changes: dict[str, Any], lost: set[str]) -> None:
    assert worst(marks(**changes)) == lost


def test_todos_of_other_tools() -> None:
    assert marks(todo_list=["- [ ] /math: x", "- [ ] /paint: y", "- [ ] tidy up", 5, ""])[
        "todo_alignment"
    ] == pytest.approx(1 / 3)
    assert {"todo_alignment", "todo_coverage"} <= worst(marks(todo_list=[]))


def test_marks_that_the_right_plan_would_fail_are_not_asked_for() -> None:
    right = read_plan({**RIGHT, "handoff_plan": "/general-search -> /math -> /code", "metrics": {"primary": []}})
    found = plan_marks(right, right)
    assert not {"handoff_router_qa", "primary_nonempty", "secondary_nonempty", "guidance_kept"} & set(found)
    assert set(plan_marks(right, None)) == set(found)


@given(JSON | FIELDS)
def test_any_json_can_be_marked(value: Any) -> None:
    # `route_plan: null` stopped the whole evaluation of the source.
    found = plan_marks(read_plan(RIGHT), read_plan(value))
    assert all(0 <= mark <= 1 for mark in found.values())
    assert set(found) == set(marks())
    if not isinstance(value, dict) or not value:
        assert worst(found) >= {"route_exact", "tool_f1", "todo_alignment", "handoff_tools", "metrics_keys"}


def test_lengths_are_those_of_compact_json() -> None:
    assert read_plan(RIGHT).characters == len(json.dumps(RIGHT, separators=(",", ":")))
    assert read_plan({"tags": 10**30}).characters == len('{"tags":}') + 31
    assert read_plan({"tags": {1}}).characters is None
    assert length_ratio(read_plan(RIGHT), Plan()) is None


def test_a_single_route() -> None:
    assert route_right("claims", [], "claims")
    assert route_right("claims", ["appeals", None], "appeals")
    assert not route_right("claims", [""], "")
    assert not route_right("claims", [], "appeals")


# --- lists of calls

CALL = {"tool": "weather", "arguments": {"city": "Bonn", "days": 3}}


def test_calls_are_right_as_a_whole() -> None:
    everything = {"calls_exact": 1, "tool_name": 1, "arguments": 1}
    assert call_marks([CALL], [CALL]) == everything
    assert call_marks([CALL], [{"tool": "weather", "arguments": {"city": " bonn", "days": 3.0}}]) == everything
    assert call_marks([CALL], None) == dict.fromkeys(everything, 0)
    assert call_marks([CALL], []) == dict.fromkeys(everything, 0)
    assert call_marks([CALL], [CALL, CALL]) == {"calls_exact": 0, "tool_name": 0, "arguments": 0.5}
    assert call_marks([CALL], [{**CALL, "arguments": {}}]) == {"calls_exact": 0, "tool_name": 1, "arguments": 0}
    # No call at all is an answer too, and one that cannot be read is not it.
    assert call_marks([], []) == {"calls_exact": 1, "tool_name": 1}
    assert call_marks([], None) == {"calls_exact": 0, "tool_name": 0}
    assert call_marks([], [CALL]) == {"calls_exact": 0, "tool_name": 0}


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ({"city": "Bonn"}, True),
        ({"city": "BONN, NRW", "unit": "C"}, True),
        ({"city": "Bonn", "unit": ""}, True),
        ({"city": "Bonn", "unit": "K"}, False),
        ({"unit": "C"}, False),
        ({"city": "Bonn", "days": 3}, False),
        ({"city": ["Bonn"]}, False),
    ],
)
def test_allowed_arguments(arguments: dict[str, Any], right: bool) -> None:
    allowed = {"city": ["Bonn", "Bonn, NRW"], "unit": ["", "C"]}
    assert arguments_allowed(arguments, allowed) is right
    call = {"tool": "weather", "arguments": arguments}
    assert call_marks([CALL], [call], [allowed])["calls_exact"] == right


def test_allowed_values_within_values() -> None:
    allowed = {"where": [{"lat": [1, 1.5], "name": ["", "x"]}], "list": [[1, 2], [3]], "none": []}
    assert arguments_allowed({"where": {"lat": 1.5}, "list": [3]}, allowed)
    assert not arguments_allowed({"where": {"lat": 2}, "list": [3]}, allowed)
    assert not arguments_allowed({"where": {"lat": 1}, "list": [1]}, allowed)


def test_values_are_compared_as_json() -> None:
    assert same(1, 1.0)
    assert same({"a": [None, True]}, {"a": [None, True]})
    for right, value in ((1, True), (True, 1), (0, False), (None, 0), ("1", 1), (1, "1"), ([], {}), ({}, None)):
        assert not same(right, value)


@given(JSON)
def test_any_json_can_be_marked_as_calls(value: Any) -> None:
    for calls in (value if isinstance(value, list) else [value], [{"tool": "weather", "arguments": value}]):
        found = call_marks([CALL], calls, [{"city": ["Bonn"]}])
        assert all(0 <= mark <= 1 for mark in found.values())
