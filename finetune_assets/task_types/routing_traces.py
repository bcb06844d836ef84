"""The form `traces`: a query in, a whole plan out, as JSON of ten keys in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from finetune_assets.datasets.tools import Tool
from finetune_assets.datasets.traces.config import TraceRulesConfig
from finetune_assets.datasets.traces.fields import COMPLETION_KEYS, DIFFICULTIES, TRACE_FIELDS, type_faults
from finetune_assets.datasets.traces.rules import TraceRules, filler_metrics, handoff_tools, route_tools
from finetune_assets.records.task_type import ParsedAnswer
from finetune_assets.task_types.answers import find_object
from finetune_assets.task_types.prompts import FieldFault
from finetune_assets.task_types.routing_answers import compact_json
from finetune_assets.task_types.routing_forms import ID_NAMES, QUERY, Reading, Unusable, field_fault

COMPLETION_ONLY = "completion_rules_only"
"""A record that holds this field as true keeps the rules of a completion alone: it is a plan and nothing beside it."""

_LONG_ROUTE = 4
_ALIASES = {name: (name,) for name in TRACE_FIELDS} | {"id": ID_NAMES, QUERY: (QUERY, "userQuery", "query")}


@dataclass(frozen=True)
class Traces:
    """Traces of one task.

    Attributes:
        tools: the catalogue by name.
        config: the rules that traces must keep.
    """

    level: ClassVar[str] = "difficulty"
    aliases: ClassVar[Mapping[str, tuple[str, ...]]] = _ALIASES

    tools: Mapping[str, Tool]
    config: TraceRulesConfig = field(default_factory=TraceRulesConfig)

    @cached_property
    def rules(self) -> TraceRules:
        """The rules over the catalogue."""
        return TraceRules(self.config, tuple(self.tools))

    def asked(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the query alone: a plan must not be asked for by its own parts."""
        return {QUERY: fields.get(QUERY)}

    def read(self, fields: Mapping[str, Any], asked: Mapping[str, Any]) -> Reading | Unusable:  # noqa: ARG002
        """Hold a trace against the rules and make its completion. Never raises."""
        faults = self.rules.faults(fields)
        waived: list[str] = []
        if faults:
            binding = [fault for fault in faults if fault.reason not in self.config.waive]
            if binding:
                further = f"; {len(binding) - 1} further breaches" if len(binding) > 1 else ""
                first = field_fault(binding[0])
                fault = FieldFault(first.field, first.reason, first.found + further, first.expected)
                return Unusable(fault, "correct the trace, or name the rule in `routing.rules.waive`")
            waived = sorted({fault.reason for fault in faults})
        target = compact_json({key: fields[key] for key in COMPLETION_KEYS})
        if target is None:
            return Unusable(FieldFault("", "lone_surrogate", "half of a UTF-16 pair", "text that UTF-8 can hold"))
        tools = route_tools(fields["route_plan"])
        return Reading(
            target=target,
            label=fields["difficulty"],
            question={QUERY: fields[QUERY]},
            slices=_slices(fields, tools),
            facts={
                "tools": tools,
                "handoff_order_differs": handoff_tools(fields["handoff_plan"]) != tools,
                "filler_metrics": filler_metrics(fields["metrics"], self.config.filler),
                "rules": self.config.level,
                "waived": waived,
                "quality_score": fields.get("quality_score"),
            },
        )

    def choices(self) -> None:
        """Return None: a plan is free."""

    def parse(self, text: str) -> ParsedAnswer:
        """Read a plan: an object of the ten keys whose fields have their types and whose steps call known tools.

        Problems: `not_json`, `not_an_object`, `missing_key`, `wrong_type`, `unknown_difficulty`, `malformed_step`,
        `unknown_tool`.
        """
        plan, problem = find_object(text, COMPLETION_KEYS)
        if plan is None:
            return ParsedAnswer(False, problem=problem)
        plan = {key: plan[key] for key in COMPLETION_KEYS}
        if type_faults(plan, COMPLETION_KEYS):
            return ParsedAnswer(False, problem="wrong_type")
        if plan["difficulty"] not in DIFFICULTIES:
            return ParsedAnswer(False, problem="unknown_difficulty")
        tools = route_tools(plan["route_plan"])
        if len(tools) < len(plan["route_plan"]):
            return ParsedAnswer(False, problem="malformed_step")
        if not set(tools) <= set(self.tools):
            return ParsedAnswer(False, problem="unknown_tool")
        return ParsedAnswer(True, (plan["difficulty"],), plan)


def _slices(fields: Mapping[str, Any], tools: list[str]) -> tuple[str, ...]:
    """Return the parts of the data that the router's source scores by themselves."""
    metrics = fields["metrics"]
    belongs = {
        "advanced": fields["difficulty"] == DIFFICULTIES[-1],
        "four_step": len(tools) >= _LONG_ROUTE,
        "has_computation": any("computation" in name for name in metrics),
        "has_guidance": any("guidance" in name for name in metrics),
        "math_first": tools[:1] == ["math"],
    }
    return tuple(name for name, true in belongs.items() if true)
