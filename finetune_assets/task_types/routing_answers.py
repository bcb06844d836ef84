"""What a router answers, read: a list of calls or one route out of a model's text. Nothing here raises."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson

from finetune_assets.datasets.render import neutralise
from finetune_assets.datasets.tools import Tool
from finetune_assets.task_types.answers import find_list

CALL_KEYS = ("tool", "arguments")

# JSON's own brackets stand before quotes, digits, brackets or one of true, false and null; tokens stand within texts.
_SQUARE_OPENING = re.compile(r"\[[A-Za-z/]")


def compact_json(value: Any) -> str | None:
    """Return a value as compact JSON in its own key order, harmless to chat templates.

    Returns:
        The text; None where UTF-8 cannot hold it (half of a UTF-16 pair).
    """
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        # A whole number beyond 64 bits, or deep nesting, which only the slow way takes.
        try:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            text.encode()
        except (ValueError, RecursionError):
            return None
    # Every control token that JSON can hold begins so; these searches cost a tenth of the whole pattern.
    if "<" in text or "＜" in text or _SQUARE_OPENING.search(text):
        return neutralise(text)
    return text


def parse_calls(text: str, tools: Mapping[str, Tool]) -> tuple[list[dict[str, Any]] | None, str]:
    """Read a list of calls.

    Args:
        text: what the model wrote; fences and prose around the list are left out.
        tools: the catalogue to hold the calls against; empty where each record has tools of its own.

    Returns:
        The calls and "", or None and the problem: `not_json`, `not_a_list`, `invalid_call`, `unknown_tool` or
        `invalid_arguments`.
    """
    found, problem = find_list(text)
    if found is None:
        return None, problem
    for call in found:
        if problem := _call_problem(call, tools):
            return None, problem
    return found, ""


def _call_problem(call: Any, tools: Mapping[str, Tool]) -> str:
    if not isinstance(call, dict) or set(call) != set(CALL_KEYS):
        return "invalid_call"
    name, arguments = call["tool"], call["arguments"]
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return "invalid_call"
    if not tools:
        return ""
    if name not in tools:
        return "unknown_tool"
    return "invalid_arguments" if tools[name].argument_fault(arguments) else ""
