from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.build import SplitSummary, build_splits
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.quarantine import REASONS
from finetune_assets.datasets.reading.ingest import ingest
from finetune_assets.datasets.render import CHATML, template_hash
from finetune_assets.datasets.schema import leakage_findings, taxonomy_findings, validate_examples
from finetune_assets.datasets.synthetic.router import valid_traces
from finetune_assets.datasets.traces.fields import COMPLETION_KEYS, TRACE_FIELDS
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example, RawRecord, Rejection, SourceRef
from finetune_assets.task_types import build_task_type, task_type_from_manifest
from finetune_assets.task_types.answers import find_list
from finetune_assets.task_types.routing import RoutingTask
from finetune_assets.task_types.routing_answers import compact_json
from finetune_assets.task_types.routing_calls import first_allowed

AGENTS = [{"name": name} for name in ("math", "code", "general-search")]
TRACES: dict[str, Any] = {"records": "traces", "tools": AGENTS}
OWN_TOOLS: dict[str, Any] = {"records": "calls"}
CATALOGUE: dict[str, Any] = {
    "records": "calls",
    "tools": [
        {"name": "play", "description": "Plays music.", "arguments": ["artist", "year"]},
        {"name": "weather", "parameters": {"properties": {"city": {"type": "string"}}, "required": ["city"]}},
    ],
}
ROUTES: dict[str, Any] = {"records": "route", "tools": [{"name": "claims"}, {"name": "appeals"}]}
AREA = {
    "name": "area",
    "description": "Area of a triangle.",
    "parameters": {
        "type": "dict",
        "properties": {"base": {"type": "integer"}, "height": {"type": "float"}, "unit": {"type": "string"}},
        "required": ["base", "height"],
    },
}
SOUND = valid_traces(3, 20)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["tool", "name", "arguments", "role", "content", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from([*TRACE_FIELDS, "messages", "tools", "route", "expected_route", "alternate_routes"])


def make_task(section: dict[str, Any], **more: Any) -> RoutingTask:
    task = build_task_type("routing", {**section, **more}, Path())
    assert isinstance(task, RoutingTask)
    return task


def read(task: RoutingTask, fields: dict[str, Any]) -> Example | Rejection:
    return task.example(RawRecord(fields, SourceRef("rows.jsonl", line=3)))


def accepted(task: RoutingTask, fields: dict[str, Any]) -> Example:
    found = read(task, fields)
    assert isinstance(found, Example), found
    answer = task.parse(found.target)
    assert answer.valid
    assert answer.label_path == found.label_path
    return found


def rejected(task: RoutingTask, fields: dict[str, Any]) -> tuple[str, str]:
    found = read(task, fields)
    assert isinstance(found, Rejection), found
    assert found.reason in REASONS
    assert found.expected
    assert found.mend
    return found.reason, found.field


def trace(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(SOUND[number]), **changes}


def call_row(**changes: Any) -> dict[str, Any]:
    """A function-calling row that brings its tools; None removes a field."""
    fields: dict[str, Any] = {
        "id": "c1",
        "messages": [{"role": "user", "content": " Area of a triangle of 10 by 5? "}],
        "tools": [AREA],
        "route": [{"tool": "area", "arguments_allowed": {"base": [10], "height": [5], "unit": ["", "units"]}}],
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


# --- traces


def test_a_trace_becomes_an_example() -> None:
    task = make_task(TRACES, prompt={"system": "Plan.", "user": "Question: {user_query}"})
    assert (task.name, task.text_field, task.label_levels) == ("routing", "user_query", ("difficulty",))
    assert task.choices() is None
    example = accepted(task, trace())
    assert example.record_id == SOUND[0]["id"]
    assert example.messages == (
        {"role": "system", "content": "Plan."},
        {"role": "user", "content": f"Question: {SOUND[0]['user_query']}"},
    )
    answer = json.loads(example.target)
    assert tuple(answer) == COMPLETION_KEYS
    assert answer == {key: SOUND[0][key] for key in COMPLETION_KEYS}
    assert example.target == json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    assert example.label == SOUND[0]["difficulty"]
    assert example.groups == ()
    assert example.facts["rules"] == "strict"
    json.dumps(example.to_json(), allow_nan=False)


def test_a_broken_rule_names_field_found_and_expected() -> None:
    found = read(make_task(TRACES), trace(expected_artifacts=["one"], handoff_plan="x"))
    assert isinstance(found, Rejection)
    assert (found.reason, found.field, found.expected) == ("artifact_count", "expected_artifacts", "3 to 5")
    assert found.found == "1; 3 further breaches"
    assert "routing.rules.waive" in found.mend
    assert found.record_id == SOUND[0]["id"]


def test_rules_can_be_waived_and_are_then_noted() -> None:
    broken = trace(expected_artifacts=["one"])
    assert rejected(make_task(TRACES), broken) == ("artifact_count", "expected_artifacts")
    task = make_task(TRACES, rules={"waive": ["artifact_count"]})
    assert accepted(task, broken).facts["waived"] == ["artifact_count"]
    assert accepted(task, trace()).facts["waived"] == []


def test_the_level_of_the_rules_may_stand_alone() -> None:
    bare = {name: SOUND[0][name] for name in ("user_query", "task_summary", *COMPLETION_KEYS)}
    assert rejected(make_task(TRACES), bare)[0] == "missing_field"
    example = accepted(make_task(TRACES, rules="completion"), bare)
    assert example.record_id == "rows.jsonl:3"
    assert example.facts["rules"] == "completion"
    assert example.target == accepted(make_task(TRACES), trace()).target


def test_order_and_filler_are_flagged() -> None:
    plan = "/code -> /math -> router QA (verification: the numbers agree with each other)"
    example = accepted(make_task(TRACES), trace(handoff_plan=plan))
    assert example.facts["handoff_order_differs"] is True
    filler = {
        "primary": ["Define at least one domain-specific performance metric with formulas and acceptance thresholds."],
        "secondary": ["Report runtime/memory usage and summarize failure cases discovered during evaluation."],
        "primary_guidance": "x",
    }
    example = accepted(make_task(TRACES), trace(metrics=filler))
    assert example.facts["filler_metrics"] == ["primary", "secondary"]
    assert "has_guidance" in example.slices


def test_slices_are_those_that_the_source_scores() -> None:
    task = make_task(TRACES)
    for number in range(len(SOUND)):
        example = accepted(task, trace(number))
        assert ("math_first" in example.slices) == SOUND[number]["route_plan"][0].startswith("/math")
        assert ("four_step" in example.slices) == (len(SOUND[number]["route_plan"]) >= 4)
        assert ("advanced" in example.slices) == (SOUND[number]["difficulty"] == "advanced")
        assert list(example.slices) == sorted(example.slices)


def test_unwritable_texts_and_huge_numbers() -> None:
    task = make_task(TRACES)
    assert rejected(task, trace(tags=["a\ud800"]))[0] == "lone_surrogate"
    assert rejected(task, trace(user_query="a\ud800 " + SOUND[0]["user_query"]))[0] == "lone_surrogate"
    huge = accepted(task, trace(metrics={**SOUND[0]["metrics"], "n": 10**30}))
    assert json.loads(huge.target)["metrics"]["n"] == 10**30


def test_control_tokens_in_a_completion_are_harmless_and_still_json() -> None:
    tags = ["<|im_end|>", "[INST] x", "</s>", "[ok]"]
    example = accepted(make_task(TRACES), trace(tags=tags))
    assert json.loads(example.target)["tags"] == ["< |im_end|>", "[ INST] x", "< /s>", "[ok]"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda plan: "no plan", "not_json"),
        (lambda plan: "[1]", "not_an_object"),
        (lambda plan: json.dumps({key: plan[key] for key in COMPLETION_KEYS[:-1]}), "missing_key"),
        (lambda plan: json.dumps({**plan, "route_plan": None}), "wrong_type"),
        (lambda plan: json.dumps({**plan, "difficulty": "hard"}), "unknown_difficulty"),
        (lambda plan: json.dumps({**plan, "route_plan": ["math"]}), "malformed_step"),
        (lambda plan: json.dumps({**plan, "route_plan": ["/browser(x)"]}), "unknown_tool"),
        (lambda plan: f"Here it is:\n```json\n{json.dumps(plan)}\n```\nDone.", ""),
    ],
)
def test_plans_are_read(change: Any, problem: str) -> None:
    answer = make_task(TRACES).parse(change({key: SOUND[0][key] for key in COMPLETION_KEYS}))
    assert answer.problem == problem
    assert answer.valid == (problem == "")
    if answer.valid:
        assert list(answer.value) == list(COMPLETION_KEYS)


# --- calls


def test_a_row_with_its_tools_becomes_an_example() -> None:
    task = make_task(OWN_TOOLS)
    assert task.label_levels == ("call",)
    example = accepted(task, call_row())
    assert example.target == '[{"tool":"area","arguments":{"base":10,"height":5}}]'
    assert example.label == "one_call"
    query, _, tools = example.messages[-1]["content"].partition("\n\nTools: ")
    assert query == "Area of a triangle of 10 by 5?"
    assert json.loads(tools)[0]["parameters"]["type"] == "object"
    assert json.loads(tools)[0]["parameters"]["properties"]["height"] == {"type": "number"}
    assert example.facts["mapped_types"] == ["dict", "float"]
    assert example.facts["arguments_allowed"] == [{"base": [10], "height": [5], "unit": ["", "units"]}]


def test_equal_queries_with_other_tools_are_other_questions_of_one_group() -> None:
    task = make_task(OWN_TOOLS)
    other_tool = {"name": "other", "parameters": {"type": "object", "properties": {}}}
    one = accepted(task, call_row())
    other = accepted(task, call_row(tools=[AREA, other_tool]))
    turned = accepted(task, call_row(tools=[other_tool, AREA]))
    none = accepted(task, call_row(tools=[other_tool], route=[]))
    assert one.content_key != other.content_key
    assert other.content_key == turned.content_key
    assert len({one.groups, other.groups, none.groups}) == 1
    assert one.groups[0].startswith("query=")
    assert (none.target, none.label) == ("[]", "no_call")
    canonical = json.loads(json.dumps(AREA).replace('"dict"', '"object"').replace('"float"', '"number"'))
    assert accepted(task, call_row(tools=[canonical])).content_key == one.content_key


@pytest.mark.parametrize(
    "call",
    [
        {"tool": "area", "arguments": {"base": 10, "height": 5.5}},
        {"name": "area", "arguments": '{"base": 10, "height": 5.5}'},
        {"function": {"name": "area", "arguments": {"base": 10, "height": 5.5}}, "type": "function"},
        {"tool": " area ", "arguments": [["base", 10], ["height", 5.5]]},
        {"name": "area", "parameters": {"base": 10, "height": 5.5}},
        {"type": "tool_use", "name": "area", "input": {"base": 10, "height": 5.5}},
        {"tool": "area", "arguments_allowed": {"base": [10, 11], "height": [5.5]}},
    ],
)
def test_calls_come_in_several_spellings(call: dict[str, Any]) -> None:
    example = accepted(make_task(OWN_TOOLS), call_row(route=[call]))
    assert json.loads(example.target) == [{"tool": "area", "arguments": {"base": 10, "height": 5.5}}]


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"messages": None}, "missing_field", "user_query"),
        ({"messages": "hi"}, "wrong_type", "messages"),
        ({"messages": [{"role": "user", "content": "a"}] * 2}, "several_turns", "messages"),
        ({"messages": [{"role": "user", "content": [1]}]}, "wrong_type", "user_query"),
        ({"messages": [{"role": "user", "content": " "}]}, "missing_field", "user_query"),
        ({"tools": None}, "missing_field", "tools"),
        ({"tools": {"name": "area"}}, "wrong_type", "tools"),
        ({"tools": [{"name": ""}]}, "invalid_tool", "tools"),
        ({"route": None}, "missing_field", "route"),
        ({"route": {"tool": "area"}}, "wrong_type", "route"),
        ({"route": ["area"]}, "invalid_call", "route[1]"),
        ({"route": [{"tool": "square"}]}, "unknown_tool", "route[1]"),
        ({"route": [{"tool": "area", "arguments": "{"}]}, "invalid_call", "route[1]"),
        ({"route": [{"tool": "area", "arguments": [["base"]]}]}, "invalid_call", "route[1]"),
        ({"route": [{"tool": "area", "arguments": {"base": 10}}]}, "invalid_arguments", "area"),
        ({"route": [{"tool": "area", "arguments": {"base": "10", "height": 1}}]}, "invalid_arguments", "area.base"),
        ({"route": [{"tool": "area", "arguments": {"base": 1, "height": 1, "w": 1}}]}, "invalid_arguments", "area.w"),
        ({"id": [1]}, "wrong_type", "id"),
    ],
)
def test_unusable_calls_are_rejected(changes: dict[str, Any], reason: str, field: str) -> None:
    assert rejected(make_task(OWN_TOOLS), call_row(**changes)) == (reason, field)


@pytest.mark.parametrize(
    ("allowed", "required", "expected"),
    [
        ({"a": ["x", ""]}, set(), {"a": "x"}),
        ({"a": ["", "x"]}, set(), {}),
        ({"a": ["", "x"]}, {"a"}, {"a": "x"}),
        ({"a": [""]}, {"a"}, {"a": ""}),
        ({"a": []}, {"a"}, {}),
        ({"a": [0, 1]}, set(), {"a": 0}),
        ({"a": [[1, 2]]}, set(), {"a": [1, 2]}),
        ({"a": [{"b": [1, 2], "c": ["", 3]}]}, set(), {"a": {"b": 1}}),
        ({"a": [[{"b": [1]}]]}, set(), {"a": [{"b": 1}]}),
        ({"a": 5}, set(), {"a": 5}),
    ],
)
def test_the_first_allowed_values_make_the_call(allowed: Any, required: set[str], expected: Any) -> None:
    assert first_allowed(allowed, frozenset(required)) == expected


def test_a_catalogue_stands_for_the_tools_of_every_row() -> None:
    task = make_task(CATALOGUE)
    row = {
        "id": "s1",
        "user_query": " play Can  from 1971",
        "route": [{"tool": "play", "arguments": [["artist", "Can"]]}],
    }
    example = accepted(task, row)
    assert example.target == '[{"tool":"play","arguments":{"artist":"Can"}}]'
    assert (example.label, example.groups) == ("play", ())
    assert example.messages[-1]["content"] == "play Can  from 1971"
    twice = [["artist", "Can"], ["artist", "Neu"]]
    example = accepted(task, {**row, "route": [{"tool": "play", "arguments": twice}]})
    assert example.target == '[{"tool":"play","arguments":{"artist":["Can","Neu"]}}]'
    both = [{"tool": "weather", "arguments": {"city": "Bonn"}}, {"tool": "play"}]
    assert accepted(task, {**row, "route": both}).label == "weather + play"
    assert rejected(task, {**row, "route": [{"tool": "weather"}]})[0] == "invalid_arguments"
    shown = make_task(CATALOGUE, prompt={"user": "{tools}\n{user_query}"})
    assert "Plays music." in accepted(shown, row).messages[-1]["content"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[{"tool":"play","arguments":{}}]', ""),
        ("[]", ""),
        ('Sure: [{"tool":"play","arguments":{}}]!', ""),
        ('see [1]: ```json\n[{"tool":"weather","arguments":{"city":"Bonn"}}]\n```', ""),
        ('{"tool":"play","arguments":{}}', "not_a_list"),
        ("[1]", "not_a_list"),
        ("play", "not_json"),
        ('[{"tool":"play"}]', "invalid_call"),
        ('[{"tool":"play","arguments":[]}]', "invalid_call"),
        ('[{"tool":["play"],"arguments":{}}]', "invalid_call"),
        ('[{"tool":"stop","arguments":{}}]', "unknown_tool"),
        ('[{"tool":"weather","arguments":{}}]', "invalid_arguments"),
    ],
)
def test_calls_are_read(text: str, problem: str) -> None:
    answer = make_task(CATALOGUE).parse(text)
    assert (answer.problem, answer.valid) == (problem, problem == "")


def test_without_a_catalogue_any_well_formed_call_is_an_answer() -> None:
    answer = make_task(OWN_TOOLS).parse('[{"tool":"x","arguments":{"a":1}},{"tool":"y","arguments":{}}]')
    assert (answer.valid, answer.label_path) == (True, ("several_calls",))
    assert answer.value["calls"][1] == {"tool": "y", "arguments": {}}


def test_lists_are_found_amid_prose() -> None:
    assert find_list('a [x] b [{"a":1}] c') == ([{"a": 1}], "")
    assert find_list("[" * 5000) == (None, "not_json")
    assert find_list('[{"a":1,"a":2}]') == (None, "not_json")


# --- route


def test_an_utterance_gets_one_route_of_the_catalogue() -> None:
    task = make_task(ROUTES, prompt={"system": "Pick.", "list_labels": True})
    assert task.label_levels == ("route",)
    assert task.choices() == ('{"route":"appeals"}', '{"route":"claims"}', '{"route":"no_route"}')
    row = {"id": "h1", "utterance": "Was my claim received?", "expected_route": "claims", "alternate_routes": "appeals"}
    example = accepted(task, row)
    assert example.target == '{"route":"claims"}'
    assert example.facts == {"alternate_routes": ["appeals"]}
    assert '{"route":"no_route"}' in example.messages[0]["content"]
    nowhere = accepted(task, {**row, "expected_route": "", "alternate_routes": ""})
    assert (nowhere.target, nowhere.label) == ('{"route":"no_route"}', "no_route")
    assert nowhere.target in task.choices()


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"expected_route": None}, "missing_field", "route"),
        ({"expected_route": "claim"}, "unknown_route", "route"),
        ({"expected_route": ["claims"]}, "wrong_type", "route"),
        ({"alternate_routes": "appeals|claim"}, "unknown_route", "alternate_routes"),
        ({"alternate_routes": [1]}, "wrong_type", "alternate_routes"),
        ({"utterance": None}, "missing_field", "user_query"),
    ],
)
def test_unusable_routes_are_rejected(changes: dict[str, Any], reason: str, field: str) -> None:
    row = {"id": "h1", "utterance": "Was my claim received?", "expected_route": "claims", **changes}
    task = make_task(ROUTES)
    assert rejected(task, {name: value for name, value in row.items() if value is not None}) == (reason, field)


def test_routes_are_read() -> None:
    task = make_task(ROUTES)
    assert task.parse('It is {"route": " claims "}.').label_path == ("claims",)
    assert task.parse('{"route":"claim"}').problem == "unknown_route"
    assert task.parse('{"route":3}').problem == "unknown_route"
    assert task.parse("claims").problem == "not_json"


# --- all of them


@pytest.mark.parametrize(
    ("section", "fields"),
    [
        (TRACES, SOUND[0]),
        (OWN_TOOLS, call_row()),
        (CATALOGUE, {"user_query": "play", "route": []}),
        (ROUTES, {"utterance": "hello", "expected_route": ""}),
    ],
    ids=["traces", "own tools", "catalogue", "route"],
)
def test_the_manifest_makes_the_same_task(section: dict[str, Any], fields: dict[str, Any]) -> None:
    task = make_task(section, aliases={"place": ["place", "city"]}, prompt={"defaults": {"place": "-"}})
    served = task_type_from_manifest(json.loads(json.dumps(task.manifest())))
    assert served.manifest() == task.manifest()
    assert served.choices() == task.choices()
    assert served.input_messages(fields) == task.input_messages(fields) == list(accepted(task, fields).messages)
    assert template_hash(served.prompt_manifest(), CHATML) == template_hash(task.prompt_manifest(), CHATML)
    other = make_task(section, prompt={"system": "Another."})
    assert template_hash(other.prompt_manifest(), CHATML) != template_hash(task.prompt_manifest(), CHATML)
    with pytest.raises(FinetuneError, match=r"field user_query.*user_query"):
        task.input_messages({"tools": fields.get("tools", [])})


def test_the_yaml_may_declare_further_fields_but_not_the_answer() -> None:
    task = make_task(ROUTES, aliases={"speaker": ["speaker"]}, prompt={"user": "{speaker}: {user_query}"})
    row = {"utterance": "hello", "expected_route": "", "speaker": "member"}
    assert accepted(task, row).messages[-1]["content"] == "member: hello"
    with pytest.raises(FinetuneError, match=r"routing\.prompt\.user"):
        make_task(ROUTES, aliases={"route": ["route"]}, prompt={"user": "{route}: {user_query}"})
    with pytest.raises(FinetuneError, match=r"routing\.prompt\.user"):
        make_task(TRACES, prompt={"user": "{user_query} {route_plan}"})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "records"),
        ({"records": "plans"}, "records"),
        ({"records": "traces"}, r"routing\.tools"),
        ({"records": "route"}, r"routing\.tools"),
        ({"records": "route", "tools": [{"name": "no_route"}]}, r"routing\.no_route"),
        ({"records": "calls", "tools": [{"name": "a"}, {"name": "a"}]}, "two tools"),
        ({"records": "calls", "tools": [{"name": "a", "parameters": {"required": 3}}]}, r"routing\.tools\.a"),
        ({"records": "calls", "prompt": {"user": "{user_query}"}}, r"routing\.prompt\.user"),
        ({**CATALOGUE, "prompt": {"list_labels": True}}, r"routing\.prompt\.list_labels"),
        ({**TRACES, "rules": "loose"}, "level"),
        ({**TRACES, "rules": {"waive": ["short_quarry"]}}, "short_quarry"),
        ({**TRACES, "prompt": {"user": "{user_query} {tools}"}}, r"routing\.prompt\.user"),
    ],
)
def test_mistakes_in_the_yaml_are_named(section: dict[str, Any], message: str) -> None:
    with pytest.raises(FinetuneError, match=message):
        make_task(section)


def test_manifests_of_other_versions_are_refused() -> None:
    with pytest.raises(FinetuneError, match="expected schema routing/1"):
        task_type_from_manifest({"task_type": "routing", "schema": "routing/0"})
    with pytest.raises(FinetuneError, match="manifest cannot be read"):
        task_type_from_manifest({"task_type": "routing", "schema": "routing/1", "config": {"records": "plans"}})


TASKS = [make_task(section) for section in (TRACES, OWN_TOOLS, CATALOGUE, ROUTES)]


@given(st.dictionaries(FIELDS, JSON, max_size=8))
def test_any_json_is_an_example_or_a_rejection(fields: dict[str, Any]) -> None:
    for task, good in zip(TASKS, (SOUND[0], call_row(), call_row(), {}), strict=True):
        for given_fields in (fields, {**good, **fields}):
            found = read(task, given_fields)
            if isinstance(found, Example):
                assert task.parse(found.target).label_path == found.label_path
            else:
                assert found.reason in REASONS


@given(st.text(max_size=40) | JSON.map(lambda value: json.dumps(value)))
def test_any_answer_can_be_read(text: str) -> None:
    for task in TASKS:
        answer = task.parse(text)
        assert answer.valid == (answer.problem == "")


@given(JSON)
def test_compact_json_is_json_or_nothing(value: Any) -> None:
    text = compact_json(value)
    if text is not None and "<" not in text and "[" not in text:
        json.loads(text)


# --- real data


def build(
    folder: Path, out: Path, source: str, section: dict[str, Any]
) -> tuple[SplitSummary, list[dict[str, Any]], RoutingTask]:
    task = make_task(section)
    config = DatasetConfig.model_validate(
        {"source": {"path": source}, "split": {"train": 0.85, "validation": 0.1, "test": 0.05}}
    )
    for name in ("raw", "out"):
        (out / name).mkdir()
    ingest(config.source, folder, task.aliases, out / "raw")
    summary = build_splits(out / "raw" / "records.jsonl", out / "out", task, config)
    assert summary.read == summary.accepted + summary.quarantined + summary.duplicates
    for check in (validate_examples, taxonomy_findings):
        found = check(out / "out", task)
        assert found.passed, found.failures[:3]
    assert leakage_findings(out / "out", config.split, task).passed
    rows = [json.loads(line) for line in (out / "out" / "examples.jsonl").read_text().splitlines()]
    return summary, rows, task


def test_real_function_calls(real_data: Path, tmp_path: Path) -> None:
    summary, rows, _ = build(real_data / "router", tmp_path, "bfcl_simple_multiple.jsonl", OWN_TOOLS)
    # Queries repeat, but never with the same tools: nothing is a duplicate, and none stands in two splits.
    assert (summary.read, summary.accepted, summary.quarantined, summary.duplicates) == (820, 820, 0, 0)
    queries = [row["messages"][-1]["content"].partition("\n\nTools: ")[0] for row in rows]
    assert len(queries) - len(set(queries)) == 102
    splits: dict[str, set[str]] = {}
    for query, row in zip(queries, rows, strict=True):
        splits.setdefault(query, set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert Counter(row["label"] for row in rows) == {"one_call": 600, "no_call": 120, "several_calls": 100}
    assert all("dict" in row["facts"]["mapped_types"] for row in rows)
    assert not any('"type":"dict"' in row["messages"][-1]["content"] for row in rows)


def test_real_slots(real_data: Path, tmp_path: Path) -> None:
    lines = (real_data / "router" / "snips_train.jsonl").read_text().splitlines()
    slots: dict[str, set[str]] = {}
    for row in map(json.loads, lines):
        for call in row["route"]:
            slots.setdefault(call["tool"], set()).update(name for name, _ in call["arguments"])
    tools = [{"name": name, "arguments": sorted(found)} for name, found in sorted(slots.items())]
    section = {"records": "calls", "tools": tools}
    summary, rows, _ = build(real_data / "router", tmp_path, "snips_train.jsonl", section)
    assert (summary.read, summary.duplicates, summary.quarantined) == (2_100, 13, 0)
    assert len(tools) == 7
    edged = [row for row in map(json.loads, lines) if row["user_query"] != row["user_query"].strip()]
    assert len(edged) == 21
    asked = [row["messages"][-1]["content"] for row in rows]
    assert all(text == text.strip() for text in asked)


def test_real_routes(real_data: Path, tmp_path: Path) -> None:
    names = ("claims", "eligibility", "prior_authorization", "benefits", "pharmacy", "infusion_therapy", "appeals")
    section = {"records": "route", "tools": [{"name": name} for name in names]}
    summary, rows, task = build(real_data / "router", tmp_path, "semantic_router_healthcare_train.jsonl", section)
    assert (summary.read, summary.accepted) == (55, 55)
    assert Counter(row["label"] for row in rows) == {**dict.fromkeys(names, 7), "no_route": 6}
    assert task.choices() is not None
    assert len(task.choices() or ()) == 8


def test_real_traces(real_data: Path, tmp_path: Path) -> None:
    section = {**TRACES, "rules": "completion"}
    summary, rows, _ = build(real_data / "router", tmp_path, "coursegpt_router_hard.jsonl", section)
    assert (summary.read, summary.accepted) == (314, 314)
    assert Counter(row["label"] for row in rows) == {"advanced": 234, "intermediate": 43, "introductory": 37}
    assert all(row["facts"]["filler_metrics"] == ["primary", "secondary"] for row in rows)
    assert sum(row["facts"]["handoff_order_differs"] for row in rows) == 18
    assert all(list(json.loads(row["target"])) == list(COMPLETION_KEYS) for row in rows)
