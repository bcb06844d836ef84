"""The form `route`: an utterance in, the name of one route out of a catalogue, or of none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from finetune_assets.datasets.tools import Tool
from finetune_assets.records.task_type import ParsedAnswer
from finetune_assets.task_types.answers import find_object
from finetune_assets.task_types.prompts import FieldFault, text_of
from finetune_assets.task_types.routing_answers import compact_json
from finetune_assets.task_types.routing_forms import ID_NAMES, QUERY, QUERY_NAMES, Reading, Unusable, single_question

KEY = "route"


@dataclass(frozen=True)
class OneRoute:
    """Routes of one task.

    Attributes:
        tools: the catalogue by name.
        no_route: the name that stands for no route at all.
    """

    level: ClassVar[str] = "route"
    aliases: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "id": ID_NAMES,
        QUERY: QUERY_NAMES,
        "messages": ("messages",),
        "route": ("expected_route", "expectedRoute", "route", "intent", "label"),
        "alternate_routes": ("alternate_routes", "alternateRoutes"),
    }

    tools: Mapping[str, Tool]
    no_route: str

    @cached_property
    def _targets(self) -> dict[str, str]:
        """Route → the answer that teaches it."""
        answers = {name: compact_json({KEY: name}) for name in (*self.tools, self.no_route)}
        return {name: answer for name, answer in answers.items() if answer is not None}

    def asked(self, fields: Mapping[str, Any]) -> dict[str, Any] | FieldFault:
        """Return the utterance."""
        query = single_question(fields)
        return query if isinstance(query, FieldFault) else {QUERY: query}

    def read(self, fields: Mapping[str, Any], asked: Mapping[str, Any]) -> Reading | Unusable:
        """Read the record's route; blank means none. Never raises."""
        if "route" not in fields:
            return Unusable(FieldFault(KEY, "missing_field", "nothing", "a route, blank for none"))
        route = text_of(KEY, fields["route"])
        query = text_of(QUERY, asked[QUERY])
        alternatives = self._alternatives(fields.get("alternate_routes"))
        for part in (route, query, alternatives):
            if isinstance(part, FieldFault):
                return Unusable(part)
        name = route or self.no_route
        if name not in self._targets:
            fault = FieldFault(KEY, "unknown_route", str(name)[:200], f"one of {', '.join(self._targets)}"[:300])
            return Unusable(fault, "correct the record, or add the route to `routing.tools`")
        facts = {"alternate_routes": alternatives}
        return Reading(self._targets[str(name)], str(name), {QUERY: query}, facts=facts)

    def _alternatives(self, value: Any) -> list[str] | FieldFault:
        """Return other routes that would be right, written as a list or with | between them."""
        if value is None:
            return []
        names = value.split("|") if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return FieldFault("alternate_routes", "wrong_type", type(value).__name__, "names with | between them")
        stripped = [name.strip() for name in names if name.strip()]
        unknown = next((name for name in stripped if name not in self._targets), None)
        if unknown is not None:
            return FieldFault("alternate_routes", "unknown_route", unknown[:200], "routes of the catalogue")
        return stripped

    def choices(self) -> tuple[str, ...]:
        """Return every legal answer, sorted."""
        return tuple(sorted(self._targets.values()))

    def parse(self, text: str) -> ParsedAnswer:
        """Read a route. Problems: `not_json`, `not_an_object`, `missing_key`, `unknown_route`."""
        answer, problem = find_object(text, [KEY])
        if answer is None:
            return ParsedAnswer(False, problem=problem)
        route = answer[KEY]
        if not isinstance(route, str) or route.strip() not in self._targets:
            return ParsedAnswer(False, problem="unknown_route")
        return ParsedAnswer(True, (route.strip(),), {KEY: route.strip()})
