"""The rules of routing traces: those that the source's generator holds its traces to, each under a name of its own.

A rule looks at fields that are present; which fields must be there is the configuration's say. The names are quarantine
reasons, and each breach tells the field, what was found and what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from finetune_assets.datasets.rule_fault import RuleFault
from finetune_assets.datasets.traces.config import TraceRulesConfig
from finetune_assets.datasets.traces.fields import COMPLETION_KEYS, DIFFICULTIES, TRACE_FIELDS, type_faults

_STEP = re.compile(r"/([A-Za-z][\w-]*)\((.*)\)\s*\Z", re.DOTALL)
_ARROW = re.compile(r"->|→")
_NUMBERED = re.compile(r"\s*\d+\s*[.):]")
_MENTION = re.compile(r"/([A-Za-z][\w-]*)")
_ROUTER = re.compile(r"\s*/?router\b", re.IGNORECASE)


@dataclass(frozen=True)
class TraceRules:
    """The rules of one task.

    Attributes:
        config: limits and words.
        tools: names of the tools that a route may call.
    """

    config: TraceRulesConfig
    tools: Collection[str]

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Fields that must be there."""
        return TRACE_FIELDS if self.config.level == "strict" else ("user_query", *COMPLETION_KEYS)

    def faults(self, trace: Mapping[str, Any]) -> list[RuleFault]:
        """Return every breach: fields that are missing or of a wrong type, else rules in the order of `names.RULES`.

        Args:
            trace: its fields by name; any JSON.
        """
        faults = type_faults(trace, self.required)
        if faults:
            return faults
        difficulty = trace.get("difficulty")
        if difficulty is not None and difficulty not in DIFFICULTIES:
            return [RuleFault("unknown_difficulty", "difficulty", difficulty[:80], ", ".join(DIFFICULTIES))]
        # Without a difficulty the mildest limits apply.
        tier = DIFFICULTIES.index(difficulty) if difficulty is not None else 0
        route = trace.get("route_plan")
        tools: list[str] = []
        faults = [*self._query_faults(trace, tier)]
        if route is not None:
            tools, found = self._route(route, tier)
            faults += found
        faults += self._prose_faults(trace, tools, tier)
        if (todos := trace.get("todo_list")) is not None:
            faults += self._todo_faults(todos, tools, tier)
        faults += self._handoff_faults(trace.get("handoff_plan"))
        score = trace.get("quality_score")
        if score is not None and not 0 <= score <= 100:
            faults.append(RuleFault("quality_out_of_range", "quality_score", f"{score!r}"[:40], "0 to 100"))
        return faults

    def _query_faults(self, trace: Mapping[str, Any], tier: int) -> Iterator[RuleFault]:
        config = self.config
        query, summary = trace.get("user_query"), trace.get("task_summary")
        yield from _too_short("short_query", "user_query", query, config.min_query[tier])
        yield from _too_short("short_summary", "task_summary", summary, config.min_summary[tier])
        if query is None or not config.keywords:
            return
        needed, count = config.min_keywords[tier], 0
        text = f"{query}\n{summary or ''}".lower()
        for keyword in config.keywords:
            if count >= needed:
                return
            count += keyword in text
        if count < needed:
            yield RuleFault("few_keywords", "user_query", f"{count} domain keywords", f"at least {needed}")

    def _route(self, steps: list[str], tier: int) -> tuple[list[str], list[RuleFault]]:
        """Return the tools of a route in order, and the faults of its steps."""
        tools: list[str] = []
        faults: list[RuleFault] = []
        least = self.config.min_context[tier]
        for place, step in enumerate(steps, start=1):
            match = _STEP.match(step)
            name = f"route_plan[{place}]"
            if match is None:
                faults.append(RuleFault("malformed_step", name, step[:80], "/tool(context)"))
                continue
            tool, context = match.groups()
            if tool not in self.tools:
                faults.append(RuleFault("unknown_tool", name, tool[:80], f"one of {', '.join(self.tools)}"))
                continue
            if tools and tools[-1] == tool:
                faults.append(RuleFault("repeated_tool", name, f"/{tool} again", "another tool than before"))
            tools.append(tool)
            if _is_short(context, least):
                faults.append(
                    RuleFault("short_context", name, f"{_said(context)} characters", f"at least {least} in brackets")
                )
            word = self.config.step_words.get(tool)
            if word is not None and word not in context:
                faults.append(RuleFault("step_lacks_word", name, f"/{tool} without it", f"{word} in the brackets"))
        return tools, faults

    def _prose_faults(self, trace: Mapping[str, Any], tools: list[str], tier: int) -> Iterator[RuleFault]:
        """Yield the faults of rationale, artifacts and thinking outline."""
        config = self.config
        rationale = trace.get("route_rationale")
        for tool, word in config.rationale_words.items():
            if rationale is not None and tool in tools and word not in rationale.lower():
                yield RuleFault("rationale_lacks_word", "route_rationale", f"/{tool} without it", f"the word {word}")
        artifacts = trace.get("expected_artifacts")
        if artifacts is not None and not config.min_artifacts <= len(artifacts) <= config.max_artifacts:
            expected = f"{config.min_artifacts} to {config.max_artifacts}"
            yield RuleFault("artifact_count", "expected_artifacts", str(len(artifacts)), expected)
        thinking = trace.get("thinking_outline")
        if thinking is None:
            return
        if len(thinking) < config.min_thinking[tier]:
            expected = f"at least {config.min_thinking[tier]}"
            yield RuleFault("few_thinking_steps", "thinking_outline", str(len(thinking)), expected)
        for place, step in enumerate(thinking, start=1):
            if _NUMBERED.match(step) is None:
                yield RuleFault("unnumbered_thinking", f"thinking_outline[{place}]", step[:20], "a number, as `1.`")

    def _todo_faults(self, todos: list[str], tools: list[str], tier: int) -> Iterator[RuleFault]:
        config = self.config
        low, high = config.min_todos[tier], config.max_todos[tier]
        if not low <= len(todos) <= high:
            yield RuleFault("todo_count", "todo_list", str(len(todos)), f"{low} to {high}")
        for place, todo in enumerate(todos, start=1):
            if "[ ]" not in todo:
                yield RuleFault("todo_without_box", f"todo_list[{place}]", todo[:20], "a box, as `- [ ] …`")
            yield from _too_short("short_todo", f"todo_list[{place}]", todo, config.min_todo_characters)
        mentioned = set(_MENTION.findall("\n".join(todos)))
        for tool in dict.fromkeys(tools):
            if tool not in mentioned:
                yield RuleFault("todo_lacks_tool", "todo_list", f"/{tool} in no todo", "every tool of the route")
        needed = config.min_verifications[tier]
        count = self._verifications(todos, needed)
        if count < needed:
            yield RuleFault("few_verifications", "todo_list", str(count), f"at least {needed} that verify")
        if config.final_todo not in todos[-1].lower():
            yield RuleFault("todo_lacks_router_qa", f"todo_list[{len(todos)}]", "another todo", config.final_todo)

    def _verifications(self, todos: list[str], needed: int) -> int:
        """Return how many todos verify something, counted up to `needed`."""
        count = 0
        for todo in reversed(todos):
            if count >= needed:
                break
            lowered = todo.lower()
            for word in self.config.verification_words:
                if word in lowered:
                    count += 1
                    break
        return count

    def _handoff_faults(self, handoff: str | None) -> Iterator[RuleFault]:
        if handoff is None:
            return
        yield from _too_short("short_handoff", "handoff_plan", handoff, self.config.min_handoff)
        if "->" not in handoff and "→" not in handoff:
            yield RuleFault("handoff_without_arrow", "handoff_plan", "no arrow", "-> or → between the tools")
        lowered = handoff.lower()
        if not any(word in lowered for word in self.config.handoff_words):
            expected = f"one of {', '.join(self.config.handoff_words)}"
            yield RuleFault("handoff_without_check", "handoff_plan", "none of the words", expected)


def _too_short(reason: str, name: str, text: str | None, least: int) -> Iterator[RuleFault]:
    if text is not None and _is_short(text, least):
        yield RuleFault(reason, name, f"{_said(text)} characters", f"at least {least}")


def _is_short(text: str, least: int) -> bool:
    """True for a text below the limit, its padding apart, which only few texts need to be searched for."""
    if len(text) < least:
        return True
    plain = text.isascii() and "  " not in text and "\n" not in text and "\t" not in text
    return not (plain and len(text) - 2 >= least) and _said(text) < least


def _said(text: str) -> int:
    """Return a text's length with its white space folded: padding says nothing."""
    return len(" ".join(text.split()))


def route_tools(steps: list[str]) -> list[str]:
    """Return the tools of a route plan in order; a step that is none is left out."""
    return [match[1] for step in steps if (match := _STEP.match(step)) is not None]


def handoff_tools(handoff: str) -> list[str]:
    """Return the tools that a handoff plan passes through, in order: the first that each link of its chain names.

    The chain ends where the router itself takes over; what stands behind it is verification and fallback.
    """
    tools = []
    for link in _ARROW.split(handoff):
        if _ROUTER.match(link):
            break
        if (mention := _MENTION.search(link)) is not None:
            tools.append(mention[1])
    return tools


def filler_metrics(metrics: Mapping[str, Any], filler: Collection[str]) -> list[str]:
    """Return the names of the metrics (`primary`, `secondary`) that hold nothing but filler sentences."""
    return [
        name
        for name in ("primary", "secondary")
        if isinstance(items := metrics.get(name), list) and items and all(item in filler for item in items)
    ]
