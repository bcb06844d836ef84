"""Routing traces: what is asked of a model, and the quality score of what it wrote."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune_assets.datasets.rule_fault import RuleFault
from finetune_assets.datasets.synthetic.router import ROUTES, valid_traces
from finetune_assets.datasets.synthetic.router_words import SUBJECTS
from finetune_assets.datasets.synthetic.texts import Draw
from finetune_assets.datasets.traces.config import TraceRulesConfig
from finetune_assets.datasets.traces.fields import DIFFICULTIES, TRACE_FIELDS, type_faults
from finetune_assets.datasets.traces.quality import trace_quality
from finetune_assets.records.example import Message

TEMPLATE = "template-traces/1"
_ASKED = tuple(name for name in TRACE_FIELDS if name not in ("id", "quality_score"))


@dataclass(frozen=True)
class TraceWriter:
    """Asks for one trace at a time: subject and difficulty by the seed, seven routes in turn.

    Attributes:
        rules: the limits and words that a trace must keep; they stand in the prompt.
        tools: names of the tools of the catalogue.
        seed: decides subjects and difficulties.
    """

    rules: TraceRulesConfig
    tools: Collection[str]
    seed: int

    def messages(self, number: int) -> list[Message]:
        """Return the prompt for one trace."""
        draw = Draw(f"trace:{self.seed}:{number}")
        subject, tier = draw.one(SUBJECTS).name, draw.between(0, 2)
        return [
            {"role": "system", "content": "You write training data for a router agent. Answer with one JSON object."},
            {"role": "user", "content": self._question(subject, tier, self._route(draw, number))},
        ]

    def _route(self, draw: Draw, number: int) -> str:
        # A catalogue of its own has no known routes; two or three tools of it in a random order are one.
        route: tuple[str, ...] = ROUTES[number % len(ROUTES)]
        if not set(route) <= set(self.tools):
            route = tuple(draw.shuffled(sorted(self.tools))[:3])
        return " -> ".join(f"/{tool}" for tool in route)

    def _question(self, subject: str, tier: int, route: str) -> str:
        rules = self.rules
        words = [f"each /{tool} step holds `{word}`" for tool, word in rules.step_words.items()]
        words += [
            f"the rationale holds the word `{word}` where /{tool} is used"
            for tool, word in rules.rationale_words.items()
        ]
        lines = [
            f"Write a new question about {subject} and the plan that routes it: {route}.",
            f"The object has exactly these keys: {', '.join(_ASKED)}.",
            f"difficulty is {DIFFICULTIES[tier]}; user_query has {rules.min_query[tier]} characters or more, "
            f"task_summary {rules.min_summary[tier]}; both name {rules.min_keywords[tier]} or more of: "
            f"{', '.join(rules.keywords[:20])}.",
            f"Each step of route_plan is /tool(context) with {rules.min_context[tier]} characters or more in brackets, "
            f"tools only of {', '.join(self.tools)}, never the same twice in a row; {'; '.join(words)}.",
            f"expected_artifacts has {rules.min_artifacts} to {rules.max_artifacts} texts; thinking_outline "
            f"{rules.min_thinking[tier]} or more, numbered `1.`; todo_list {rules.min_todos[tier]} to "
            f"{rules.max_todos[tier]}, each `- [ ] /tool: …` of {rules.min_todo_characters} characters or more, with "
            f"every tool, {rules.min_verifications[tier]} or more that verify, the last one `{rules.final_todo}`.",
            f"handoff_plan has {rules.min_handoff} characters or more, with -> between the tools and one of "
            f"{', '.join(rules.handoff_words)}.",
            "metrics has primary and secondary (lists of texts); compute_budget gpu_minutes, cpu_minutes, vram_gb; "
            "repro seed, deterministic, framework; io_schema artifacts, logs, outputs with artifacts and logs; "
            "requires_browse is true or false.",
        ]
        return "\n".join(lines)

    def row(self, number: int, answer: dict[str, Any]) -> dict[str, Any]:
        """Return the trace with its id and its score; a model's own id and score count for nothing."""
        trace = {name: answer[name] for name in _ASKED if name in answer}
        return self._scored(f"synthetic_{self.seed}_{number:05d}", trace)

    def _scored(self, record_id: str, trace: Mapping[str, Any]) -> dict[str, Any]:
        score = 0 if type_faults(trace, ()) else trace_quality(trace, self.rules)
        whole = {**trace, "id": record_id, "quality_score": score}
        return {name: whole[name] for name in TRACE_FIELDS if name in whole}


def template_traces(seed: int, count: int) -> list[dict[str, Any]]:
    """Return traces that a template wrote: three tools, each trace keeps every default rule."""
    return [{**trace, "id": f"template_{seed}_{number:05d}"} for number, trace in enumerate(valid_traces(seed, count))]


def as_words(faults: Sequence[RuleFault]) -> list[str]:
    """Return rule breaches as words for the model that wrote the trace."""
    return [f"{fault.reason}: {fault.field}: found {fault.found}; expected {fault.expected}" for fault in faults]
