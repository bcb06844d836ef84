"""A list of function calls against the right one: names, arguments, and the whole.

Arguments are compared as JSON values: numbers by value, true and false never equal a number, texts in the form
`lower_space/1`. Where a record says which values are allowed, any of them is right, and "" among them says that the
argument may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.evaluation.metrics.texts import exact_match


def call_marks(right: Sequence[Any], calls: Sequence[Any] | None, allowed: Sequence[Any] = ()) -> dict[str, float]:
    """Return the marks of a list of calls, each in [0, 1].

    Args:
        right: the right calls, each `{"tool": …, "arguments": {…}}`.
        calls: the answered ones, any JSON; None for an answer that cannot be read.
        allowed: for each right call its allowed values by argument, or None where only the right ones are.

    Returns:
        `calls_exact`: 1 when all calls are right, in order, and there are no others. `tool_name`: 1 when the tools are,
        in order. `arguments`: right calls over the calls of the longer list; absent where no call is right.
    """
    names = [_tool(call) for call in right]
    given = list(calls) if calls is not None else []
    hits = sum(
        _call_right(call, given[place], allowed[place] if place < len(allowed) else None)
        for place, call in enumerate(right[: len(given)])
    )
    readable = calls is not None
    marks = {
        "calls_exact": float(readable and len(given) == len(right) == hits),
        "tool_name": float(readable and [_tool(call) for call in given] == names),
    }
    if right:
        marks["arguments"] = hits / max(len(right), len(given))
    return marks


def _tool(call: Any) -> str | None:
    name = call.get("tool") if isinstance(call, Mapping) else None
    return name if isinstance(name, str) else None


def _call_right(right: Any, call: Any, allowed: Any) -> bool:
    if _tool(right) is None or _tool(call) != _tool(right):
        return False
    arguments = call.get("arguments")
    if not isinstance(arguments, Mapping):
        return False
    return (
        arguments_allowed(arguments, allowed) if isinstance(allowed, Mapping) else same(right["arguments"], arguments)
    )


def arguments_allowed(arguments: Mapping[str, Any], allowed: Mapping[str, Any]) -> bool:
    """True when every argument has an allowed value, none is missing that may not be left out, and none is unknown.

    Args:
        arguments: what was answered.
        allowed: argument → the values that are right, or one value. Values that are objects hold such lists themselves.
    """
    if not set(arguments) <= set(allowed):
        return False
    for name, values in allowed.items():
        options = values if isinstance(values, list) else [values]
        if name not in arguments:
            if options and "" not in options:
                return False
        elif not any(_option_right(option, arguments[name]) for option in options):
            return False
    return True


def _option_right(option: Any, value: Any) -> bool:
    if isinstance(option, Mapping):
        return isinstance(value, Mapping) and arguments_allowed(value, option)
    if isinstance(option, list):
        return isinstance(value, list) and len(value) == len(option) and all(map(_option_right, option, value))
    return same(option, value)


def same(right: Any, value: Any) -> bool:
    """True when two JSON values are equal by the rules of this module."""
    if isinstance(right, Mapping):
        keys = isinstance(value, Mapping) and set(value) == set(right)
        return keys and all(same(part, value[name]) for name, part in right.items())
    if isinstance(right, list):
        return isinstance(value, list) and len(value) == len(right) and all(map(same, right, value))
    if isinstance(right, str):
        return isinstance(value, str) and exact_match(right, value)
    if isinstance(right, bool) or isinstance(value, bool):
        return right is value
    return value is None if right is None else isinstance(value, int | float) and bool(value == right)
