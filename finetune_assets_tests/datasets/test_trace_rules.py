from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from finetune_assets.datasets.quarantine import REASONS
from finetune_assets.datasets.synthetic.router import valid_traces
from finetune_assets.datasets.synthetic.router_flaws import FLAWS
from finetune_assets.datasets.traces.config import FILLER, TraceRulesConfig
from finetune_assets.datasets.traces.fields import COMPLETION_KEYS, TRACE_FIELDS
from finetune_assets.datasets.traces.names import RULES
from finetune_assets.datasets.traces.quality import trace_quality
from finetune_assets.datasets.traces.rules import TraceRules, filler_metrics, handoff_tools, route_tools

TOOLS = ("math", "code", "general-search")
STRICT = TraceRules(TraceRulesConfig(), TOOLS)
TRACES = valid_traces(7, 60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def trace(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(TRACES[number]), **changes}


def test_a_trace_has_nineteen_fields_and_ten_of_them_are_the_answer() -> None:
    assert len(set(TRACE_FIELDS)) == 19
    assert COMPLETION_KEYS == (
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
    assert set(COMPLETION_KEYS) < set(TRACE_FIELDS)


def test_sound_traces_break_no_rule() -> None:
    assert [fault for one in TRACES for fault in STRICT.faults(one)] == []


@pytest.mark.parametrize("number", range(len(FLAWS)), ids=[reason for reason, _ in FLAWS])
def test_each_planted_flaw_is_found_by_its_name(number: int) -> None:
    reason, break_it = FLAWS[number]
    for one in range(0, len(TRACES), 7):
        broken = trace(one)
        break_it(broken)
        faults = STRICT.faults(broken)
        assert faults
        assert faults[0].reason == reason
        assert faults[0].field
        assert faults[0].expected


def test_padding_says_nothing() -> None:
    blank = " " * 60
    broken = {
        "user_query": {"user_query": "Prove the loss bound." + blank * 2 + "?"},
        "task_summary": {"task_summary": "Bound of a loss." + "\n" * 60 + "."},
        "route_plan[1]": {"route_plan": [f"/math({blank})"]},
        "todo_list[1]": {"todo_list": ["- [ ] /math" + blank, *trace()["todo_list"][1:]]},
        "handoff_plan": {"handoff_plan": "/math -> verify" + "\u00a0" * 60 + "."},
    }
    for name, changes in broken.items():
        assert name in [fault.field for fault in STRICT.faults(trace(**changes)) if fault.reason.startswith("short_")]


def test_the_score_counts_what_stands_between_a_steps_brackets() -> None:
    rules = TraceRulesConfig(min_context=(10, 10, 10))
    short, exact = (trace_quality(trace(route_plan=[f"/math({'x' * size})"]), rules) for size in (6, 10))
    assert exact - short == 10


def test_every_rule_has_a_flaw_and_a_reason_in_the_quarantine() -> None:
    planted = {reason for reason, _ in FLAWS}
    assert set(RULES) <= planted
    assert planted <= set(REASONS)


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"tags": []}, "missing_field", "tags"),
        ({"tags": ["a", " "]}, "missing_field", "tags[2]"),
        ({"metrics": {"primary": ["x"]}}, "missing_field", "metrics.secondary"),
        ({"metrics": ["x"]}, "wrong_type", "metrics"),
        ({"metrics": {"primary": "x", "secondary": ["y"]}}, "wrong_type", "metrics.primary"),
        ({"quality_score": True}, "wrong_type", "quality_score"),
        ({"requires_browse": "yes"}, "wrong_type", "requires_browse"),
        ({"repro": {"seed": 1.5, "deterministic": True, "framework": "x"}}, "wrong_type", "repro"),
        ({"io_schema": {"artifacts": [], "logs": ""}}, "wrong_type", "io_schema"),
        ({"compute_budget": {"gpu_minutes": -1, "cpu_minutes": 0, "vram_gb": 0}}, "wrong_type", "compute_budget"),
        ({"citation_policy": None}, "missing_field", "citation_policy"),
        ({"id": None}, "missing_field", "id"),
    ],
)
def test_fields_have_their_types(changes: dict[str, Any], reason: str, field: str) -> None:
    faults = STRICT.faults(trace(**changes))
    assert [(fault.reason, fault.field) for fault in faults] == [(reason, field)]


def test_limits_grow_with_the_difficulty() -> None:
    query = "Derive the gradient of the loss of a linear model. " + "x" * 29
    assert len(query) == 80
    config = TraceRulesConfig(level="completion")
    reasons = {
        name: {fault.reason for fault in TraceRules(config, TOOLS).faults(trace(user_query=query, difficulty=name))}
        for name in ("introductory", "intermediate", "advanced")
    }
    assert "short_query" not in reasons["introductory"] | reasons["intermediate"]
    assert "short_query" in reasons["advanced"]


def test_completion_asks_for_less_but_holds_what_is_there_to_its_rules() -> None:
    rules = TraceRules(TraceRulesConfig(level="completion"), TOOLS)
    bare = {name: TRACES[0][name] for name in ("user_query", *COMPLETION_KEYS)}
    assert rules.faults(bare) == []
    assert {fault.reason for fault in STRICT.faults(bare)} == {"missing_field"}
    assert [fault.reason for fault in rules.faults({**bare, "quality_score": 101})] == ["quality_out_of_range"]


def test_all_breaches_are_told() -> None:
    one = trace(handoff_plan="none", expected_artifacts=["one"])
    assert [fault.reason for fault in STRICT.faults(one)] == [
        "artifact_count",
        "short_handoff",
        "handoff_without_arrow",
        "handoff_without_check",
    ]


def test_limits_and_words_are_configuration() -> None:
    config = TraceRulesConfig(step_words={"math": "QED"}, final_todo="end", keywords=[])
    found = {fault.reason for fault in TraceRules(config, TOOLS).faults(trace())}
    assert found == {"step_lacks_word", "todo_lacks_router_qa"}
    with pytest.raises(ValidationError, match="no rules of these names: short_quarry"):
        TraceRulesConfig(waive=["short_quarry"])
    with pytest.raises(ValidationError):
        TraceRulesConfig(min_query=(1, 2))  # type: ignore[arg-type]


def test_routes_and_handoffs_are_read_in_order() -> None:
    assert route_tools(["/math(a)", "code(b)", '/general-search(query="(x)", mode=web)']) == ["math", "general-search"]
    plan = "/math (derivation) → /code runs /math's result -> router QA (fallback: /general-search -> /code)"
    assert handoff_tools(plan) == ["math", "code"]
    assert handoff_tools("") == []


def test_filler_metrics_are_known() -> None:
    assert filler_metrics({"primary": [FILLER[0]], "secondary": ["own", FILLER[1]]}, FILLER) == ["primary"]
    assert filler_metrics({"primary": [], "secondary": 3}, FILLER) == []


@given(st.dictionaries(st.sampled_from(TRACE_FIELDS), JSON, max_size=19))
def test_any_json_can_be_held_against_the_rules(found: dict[str, Any]) -> None:
    for level in ("strict", "completion"):
        rules = TraceRules(TraceRulesConfig.model_validate({"level": level}), TOOLS)
        assert all(fault.reason in REASONS for fault in rules.faults(found))
        assert all(fault.reason in REASONS for fault in rules.faults(trace(**found)))


def test_quality_falls_with_what_is_taken_away() -> None:
    config = TraceRulesConfig()
    whole = trace_quality(TRACES[0], config)
    assert whole > 90
    for name in ("user_query", "task_summary", "route_plan", "todo_list"):
        assert 0 <= trace_quality({**TRACES[0], name: None}, config) < whole
    assert trace_quality({}, config) == 0


def test_the_real_traces(real_data: Path) -> None:
    rows = [
        json.loads(line) for line in (real_data / "router" / "coursegpt_router_hard.jsonl").read_text().splitlines()
    ]
    rules = TraceRules(TraceRulesConfig(level="completion"), TOOLS)
    assert len(rows) == 314
    assert Counter(fault.reason for row in rows for fault in rules.faults(row)) == {}
    # The seven fields and the id's companions that only whole traces have.
    missing = Counter(fault.field for row in rows for fault in STRICT.faults(row))
    assert set(missing) == set(TRACE_FIELDS) - set(rows[0])
    assert set(missing.values()) == {314}
    assert sum(handoff_tools(row["handoff_plan"]) != route_tools(row["route_plan"]) for row in rows) == 18
    assert all(filler_metrics(row["metrics"], FILLER) == ["primary", "secondary"] for row in rows)
