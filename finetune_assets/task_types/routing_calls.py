"""The form `calls`: a query and tools in, the list of calls out, as compact JSON of {tool, arguments}.

Tools come from the catalogue in YAML or with each record. Here belongs how a record's calls are read: arguments as an
object, as JSON text, as pairs, or as lists of the values that are allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson

from finetune_assets.datasets.normalise import normalise_text
from finetune_assets.datasets.tools import Tool, read_tools
from finetune_assets.records.digests import digest_of_text
from finetune_assets.records.example import Example
from finetune_assets.records.task_type import ParsedAnswer
from finetune_assets.task_types.answers import find_list
from finetune_assets.task_types.prompts import FieldFault, text_of
from finetune_assets.task_types.routing_answers import compact_json, parse_calls
from finetune_assets.task_types.routing_forms import (
    ID_NAMES,
    QUERY,
    QUERY_NAMES,
    TOOLS,
    Reading,
    Unusable,
    field_fault,
    single_question,
)

NO_CALL = "no_call"
_MAX_LISTS = 20
# A call whose arguments stood under a name that nobody reads would teach to call without any.
_ARGUMENT_NAMES = ("arguments", "parameters", "args", "input")


@dataclass(frozen=True)
class Calls:
    """Calls of one task.

    Attributes:
        tools: the catalogue by name; empty where each record brings its own tools.
    """

    level: ClassVar[str] = "call"
    aliases: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "id": ID_NAMES,
        QUERY: QUERY_NAMES,
        "messages": ("messages",),
        TOOLS: (TOOLS, "functions"),
        "route": ("route", "calls", "tool_calls", "expected_calls"),
    }

    tools: Mapping[str, Tool] = field(default_factory=dict)

    def _offered(self, fields: Mapping[str, Any]) -> list[Tool] | FieldFault:
        if self.tools:
            return list(self.tools.values())
        if fields.get(TOOLS) is None:
            return FieldFault(TOOLS, "missing_field", "nothing", "a list of tools, since the YAML names none")
        tools = read_tools(fields[TOOLS])
        return tools if isinstance(tools, list) else field_fault(tools)

    def asked(self, fields: Mapping[str, Any]) -> dict[str, Any] | FieldFault:
        """Return the query, and the tools as compact JSON."""
        query = single_question(fields)
        if isinstance(query, FieldFault):
            return query
        offered = self._offered(fields)
        if isinstance(offered, FieldFault):
            return offered
        tools = compact_json([tool.to_json() for tool in offered])
        if tools is None:
            return FieldFault(TOOLS, "lone_surrogate", "half of a UTF-16 pair", "text that UTF-8 can hold")
        return {QUERY: query, TOOLS: tools}

    def read(self, fields: Mapping[str, Any], asked: Mapping[str, Any]) -> Reading | Unusable:
        """Read the record's calls and hold their arguments against the tools. Never raises."""
        offered = self._offered(fields)
        if isinstance(offered, FieldFault):
            return Unusable(offered)
        by_name = {tool.name: tool for tool in offered}
        calls = _calls(fields.get("route"), by_name)
        if isinstance(calls, FieldFault):
            return Unusable(calls)
        target = compact_json(calls)
        query = text_of(QUERY, asked[QUERY])
        if target is None or isinstance(query, FieldFault):
            return Unusable(FieldFault("route", "lone_surrogate", "half of a UTF-16 pair", "text that UTF-8 can hold"))
        named = [call["tool"] for call in calls]
        facts: dict[str, Any] = {"tools": named}
        if allowed := _allowed(fields["route"]):
            facts["arguments_allowed"] = allowed
        if self.tools:
            return Reading(target, " + ".join(named) or NO_CALL, {QUERY: query}, facts=facts)
        facts["mapped_types"] = sorted({name for tool in offered for name in tool.mapped})
        tools = sorted((tool.to_json() for tool in offered), key=lambda tool: str(tool["name"]))
        # The same query with other tools is another question, but it must not stand in another split.
        group = f"query={digest_of_text(normalise_text(query))[:32]}"
        return Reading(target, _by_count(calls), {QUERY: query, TOOLS: tools}, (group,), facts=facts)

    def choices(self) -> None:
        """Return None: arguments are free."""

    def parse(self, text: str) -> ParsedAnswer:
        """Read a list of calls; against the catalogue where there is one.

        Problems: `not_json`, `not_a_list`, `invalid_call`, `unknown_tool`, `invalid_arguments`.
        """
        return self._parsed(text, self.tools)

    def parse_for(self, example: Example, text: str) -> ParsedAnswer:
        """Read the answer to one example, against the catalogue or else the tools that its question offers."""
        return self._parsed(text, self.tools or _tools_in(example))

    def _parsed(self, text: str, tools: Mapping[str, Tool]) -> ParsedAnswer:
        calls, problem = parse_calls(text, tools)
        if calls is None:
            return ParsedAnswer(False, problem=problem)
        label = (" + ".join(call["tool"] for call in calls) or NO_CALL) if self.tools else _by_count(calls)
        return ParsedAnswer(True, (label,), {"calls": calls})


def _tools_in(example: Example) -> dict[str, Tool]:
    """Return the tools that stand in an example's question, by name.

    Returns:
        Empty where no list of tools with all the right calls' tools can be found: then no call can be held against it.
    """
    asked = next((turn["content"] for turn in reversed(example.messages) if turn["role"] == "user"), "")
    wanted = example.facts.get("tools")
    names = {name for name in wanted if isinstance(name, str)} if isinstance(wanted, list) else set()
    place = asked.find("[")
    for _ in range(_MAX_LISTS):
        # The query before the tools may hold a list of objects of its own; the right one offers what is called.
        found, _problem = find_list(asked[place:]) if place >= 0 else (None, "")
        if found is None:
            break
        tools = read_tools(found)
        if isinstance(tools, list) and names <= {tool.name for tool in tools}:
            return {tool.name: tool for tool in tools}
        place = asked.find("[", place + 1)
    return {}


def _by_count(calls: Sequence[Any]) -> str:
    """Return the stratum where tools differ from record to record, so that their names would divide nothing."""
    return (NO_CALL, "one_call")[len(calls)] if len(calls) < 2 else "several_calls"


def _calls(route: Any, tools: Mapping[str, Tool]) -> list[dict[str, Any]] | FieldFault:
    if not isinstance(route, list):
        reason = "missing_field" if route is None else "wrong_type"
        return FieldFault("route", reason, type(route).__name__, "a list of calls, empty for none")
    calls = []
    for place, item in enumerate(route, start=1):
        call = _call(item, tools, f"route[{place}]")
        if isinstance(call, FieldFault):
            return call
        calls.append(call)
    return calls


def _call(item: Any, tools: Mapping[str, Tool], place: str) -> dict[str, Any] | FieldFault:
    """Read one call: {tool | name, arguments | arguments_allowed}, also wrapped as {"function": …}."""
    inner = item.get("function", item) if isinstance(item, Mapping) else None
    name = (inner.get("tool") or inner.get("name")) if isinstance(inner, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(name, str):
        return FieldFault(place, "invalid_call", type(item).__name__, "an object with tool and arguments")
    tool = tools.get(name.strip())
    if tool is None:
        return FieldFault(place, "unknown_tool", name[:200], f"one of {', '.join(tools)}"[:300] or "no call at all")
    if isinstance(allowed := inner.get("arguments_allowed"), Mapping):
        arguments: Any = first_allowed(allowed, tool.required)
    else:
        arguments = _arguments(next((inner[name] for name in _ARGUMENT_NAMES if inner.get(name) is not None), None))
    if not isinstance(arguments, Mapping):
        return FieldFault(place, "invalid_call", "other arguments", "an object, its JSON text, or pairs")
    if (fault := tool.argument_fault(arguments)) is not None:
        return field_fault(fault)
    return {"tool": tool.name, "arguments": dict(arguments)}


def _arguments(value: Any) -> Any:
    """Return arguments as an object, None where they are none. A name that pairs hold twice holds a list."""
    if value is None:
        return {}
    if isinstance(value, str):
        try:
            return orjson.loads(value)
        except ValueError:
            return None
    if not isinstance(value, list):
        return value
    if not all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in value):
        return None
    found: dict[str, list[Any]] = {}
    for name, item in value:
        found.setdefault(name, []).append(item)
    return {name: items[0] if len(items) == 1 else items for name, items in found.items()}


def first_allowed(allowed: Mapping[str, Any], required: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the arguments that the first allowed values make.

    Args:
        allowed: argument → the values that are right; "" among them says that it may be left out. Values that are
            objects hold lists of allowed values themselves.
        required: arguments that cannot be left out.

    Returns:
        One value for each argument: the first; an argument whose first value is "" is left out, unless it is required
        and has another value.
    """
    chosen: dict[str, Any] = {}
    for name, values in allowed.items():
        if not isinstance(values, list):
            chosen[name] = _first_within(values)
            continue
        others = [value for value in values if value != ""]
        if others and (values[0] != "" or name in required):
            chosen[name] = _first_within(others[0])
        elif values and name in required:
            chosen[name] = ""
    return chosen


def _first_within(value: Any) -> Any:
    if isinstance(value, Mapping):
        return first_allowed(value)
    return [_first_within(item) for item in value] if isinstance(value, list) else value


def _allowed(route: Sequence[Any]) -> list[Any]:
    """Return what else would be right, call by call, for the judge; empty where the record does not say."""
    found = [item.get("arguments_allowed") for item in route if isinstance(item, Mapping)]
    return found if any(isinstance(allowed, Mapping) for allowed in found) else []
