from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from finetune_assets.datasets.rule_fault import RuleFault
from finetune_assets.datasets.tools import Tool, ToolConfig, catalogue, read_tool, read_tools

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "description", "parameters", "type", "properties", "items", "required", "function"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def tool(parameters: Any, **more: Any) -> Tool:
    found = read_tool({"name": "t", "parameters": parameters, **more})
    assert isinstance(found, Tool), found
    return found


def problem(value: Any) -> str:
    found = read_tool(value)
    assert isinstance(found, RuleFault)
    return found.reason


def test_foreign_type_names_become_json_schema() -> None:
    found = tool(
        {
            "type": "dict",
            "properties": {
                "type": {"type": "float"},
                "spot": {"type": "tuple", "items": {"type": "float"}},
                "any": {"type": "any", "description": "x"},
                "rows": {"type": "array", "items": {"type": "dict", "properties": {"dict": {"type": "string"}}}},
            },
            "required": ["type"],
        }
    )
    assert found.parameters == {
        "type": "object",
        "properties": {
            "type": {"type": "number"},
            "spot": {"type": "array", "items": {"type": "number"}},
            "any": {"description": "x"},
            "rows": {"type": "array", "items": {"type": "object", "properties": {"dict": {"type": "string"}}}},
        },
        "required": ["type"],
    }
    assert found.mapped == ("any", "dict", "float", "tuple")
    assert found.required == {"type"}
    assert tool({"type": "object"}).mapped == ()


def test_foreign_names_within_a_list_of_types_are_mapped_too() -> None:
    found = tool({"type": "dict", "properties": {"a": {"type": ["float", "null"]}, "b": {"type": ["any", "null"]}}})
    assert found.parameters["properties"] == {"a": {"type": ["number", "null"]}, "b": {}}
    assert found.mapped == ("any", "dict", "float")
    assert found.argument_fault({"a": 1.5, "b": [1]}) is None
    assert found.argument_fault({"a": "x"}) is not None


@pytest.mark.parametrize(
    "value",
    [
        None,
        "t",
        {},
        {"name": " "},
        {"name": "t", "description": 3},
        {"name": "t", "parameters": [1]},
        {"name": "t", "parameters": {"type": "array"}},
        {"name": "t", "parameters": {"type": "object", "required": True}},
        {"name": "t", "parameters": {"properties": {"a": {"type": "colour"}}}},
        {"name": "t", "parameters": {"properties": {"a": {"$ref": "https://example.org/schema"}}}},
        {"name": "t", "parameters": {"properties": {"a": {"enum": [float("nan")]}}}},
        {"function": 3},
    ],
)
def test_unusable_tools(value: Any) -> None:
    assert problem(value) == "invalid_tool"


def test_schemas_that_nest_without_end_are_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(200):
        schema = {"properties": {"a": schema}}
    assert problem({"name": "t", "parameters": schema}) == "invalid_tool"


def test_wrapped_tools_are_read() -> None:
    found = read_tool({"type": "function", "function": {"name": " t ", "description": "Does. "}})
    assert found == Tool("t", "Does.", {"type": "object"})


def test_tools_have_names_of_their_own() -> None:
    found = read_tools([{"name": "t"}, {"name": "t "}])
    assert isinstance(found, RuleFault)
    assert found.reason == "invalid_tool"
    assert isinstance(read_tools({"name": "t"}), RuleFault)
    assert read_tools([]) == []


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"n": 1}, None),
        ({"n": 1, "s": "a"}, None),
        ({"n": 1.0}, None),
        ({}, "t"),
        ({"n": "1"}, "t.n"),
        ({"n": True}, "t.n"),
        ({"n": 1, "s": "b"}, "t.s"),
        ({"n": 1, "m": 2}, "t.m"),
        ({"n": 1, "l": [1, "x"]}, "t.l.1"),
    ],
)
def test_arguments_are_held_against_the_parameters(arguments: dict[str, Any], place: str | None) -> None:
    found = tool(
        {
            "type": "dict",
            "properties": {
                "n": {"type": "integer"},
                "s": {"type": "string", "enum": ["a", "c"]},
                "l": {"type": "list", "items": {"type": "integer"}},
            },
            "required": ["n"],
        }
    ).argument_fault(arguments)
    assert (found.field if found else None) == place
    if found:
        assert found.reason == "invalid_arguments"


def test_patterns_are_shown_but_not_enforced() -> None:
    slow = tool({"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}, "pattern": {"type": "string"}}})
    assert slow.argument_fault({"a": "a" * 40 + "!", "pattern": "x"}) is None
    assert slow.parameters["properties"]["a"]["pattern"] == "^(a+)+$"
    assert slow.argument_fault({"pattern": 3}) is not None


def test_a_catalogue_names_arguments_or_parameters() -> None:
    tools = catalogue([ToolConfig(name="play", arguments=["artist"]), ToolConfig(name="stop", parameters={})])
    assert isinstance(tools, dict)
    assert list(tools) == ["play", "stop"]
    assert tools["play"].argument_fault({"artist": ["a", "b"]}) is None
    assert tools["play"].argument_fault({"artist": 3}) is not None
    assert tools["play"].argument_fault({"year": "1999"}) is not None
    with pytest.raises(ValidationError, match="not both"):
        ToolConfig(name="t", arguments=[], parameters={})


@given(JSON, st.dictionaries(st.text(max_size=4), JSON, max_size=3))
def test_any_json_is_a_tool_or_a_fault(value: Any, arguments: dict[str, Any]) -> None:
    found = read_tool(value)
    if isinstance(found, Tool):
        fault = found.argument_fault(arguments)
        assert fault is None or fault.reason == "invalid_arguments"
    else:
        assert found.reason == "invalid_tool"
