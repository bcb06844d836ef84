"""The names of the trace rules. They are quarantine reasons, so they stand where the quarantine can read them."""

from __future__ import annotations

from collections.abc import Mapping

RULES: Mapping[str, str] = {
    "unknown_difficulty": "the difficulty is none of introductory, intermediate, advanced",
    "short_query": "the query is too short for its difficulty",
    "short_summary": "the summary is too short for its difficulty",
    "few_keywords": "query and summary name too little of the domain",
    "malformed_step": "a step of the route is not written as /tool(context)",
    "unknown_tool": "a tool is not in the catalogue",
    "short_context": "a step says too little for its difficulty",
    "step_lacks_word": "a step lacks what its tool needs, such as mode= for a search",
    "repeated_tool": "the route calls one tool twice in a row",
    "rationale_lacks_word": "the rationale lacks what a tool of the route asks for",
    "artifact_count": "too few or too many expected artifacts",
    "few_thinking_steps": "the thinking outline is too short for its difficulty",
    "unnumbered_thinking": "a step of the thinking outline has no number",
    "todo_count": "too few or too many todos for the difficulty",
    "todo_without_box": "a todo has no box [ ] to tick",
    "short_todo": "a todo says too little",
    "todo_lacks_tool": "no todo names a tool of the route",
    "few_verifications": "too few todos verify something",
    "todo_lacks_router_qa": "the last todo is not the router's own check",
    "short_handoff": "the handoff plan is too short",
    "handoff_without_arrow": "the handoff plan has no arrow",
    "handoff_without_check": "the handoff plan names no verification, fallback or loop",
    "quality_out_of_range": "the quality score is outside of 0 to 100",
}
"""Name of each rule and what its breach means, in the order in which they are looked at."""
