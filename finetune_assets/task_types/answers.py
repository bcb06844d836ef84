"""Reading a JSON answer out of what a model wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from typing import Any, TypeVar

_FENCE = re.compile(r"```[\w-]*\s*(.*?)```", re.DOTALL)
_MAX_CHARACTERS = 100_000
_MAX_STARTS = 200


def find_object(text: str, keys: Collection[str]) -> tuple[dict[str, Any] | None, str]:
    """Find the answer in a model's text: the text itself, what stands in a code fence, or an object amid prose.

    Of several objects the first that has all `keys` is the answer. Duplicate keys, NaN and Infinity are no JSON.

    Args:
        text: what the model wrote; only the first 100,000 characters are read.
        keys: the keys that an answer has.

    Returns:
        The object and "", or None and the problem: `not_json`, `not_an_object` or `missing_key`.
    """
    return _find(text, "{", lambda value: _judge_object(value, keys))


def find_list(text: str) -> tuple[list[dict[str, Any]] | None, str]:
    """Find a list of objects in a model's text, by the rules of `find_object`. An empty list is one.

    Args:
        text: what the model wrote; only the first 100,000 characters are read.

    Returns:
        The list and "", or None and the problem: `not_json` or `not_a_list`.
    """
    return _find(text, "[", _judge_list)


_NO_JSON = object()

T = TypeVar("T")
Judge = Callable[[Any], tuple[T | None, str]]


def _judge_object(value: Any, keys: Collection[str]) -> tuple[dict[str, Any] | None, str]:
    if not isinstance(value, dict):
        return None, "not_an_object"
    return (value, "") if all(key in value for key in keys) else (None, "missing_key")


def _judge_list(value: Any) -> tuple[list[dict[str, Any]] | None, str]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return None, "not_a_list"
    return value, ""


def _find(text: str, opening: str, judge: Judge[T]) -> tuple[T | None, str]:
    """Find the first value that the judge accepts: the whole text, a code fence, or what begins with `opening`."""
    text = text[:_MAX_CHARACTERS]
    whole = _parse(text.strip())
    if whole is not _NO_JSON:
        return judge(whole)
    for fence in _FENCE.finditer(text):
        value, _ = judge(_parse(fence[1].strip()))
        if value is not None:
            return value, ""
    return _amid_prose(text, opening, judge)


def _amid_prose(text: str, opening: str, judge: Judge[T]) -> tuple[T | None, str]:
    start, problem = text.find(opening), "not_json"
    for _ in range(_MAX_STARTS):
        if start < 0:
            break
        try:
            found, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            value, problem = judge(found)
            if value is not None:
                return value, ""
        start = text.find(opening, end)
    return None, problem


def _parse(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return _NO_JSON


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key occurs twice")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_members, parse_constant=_refuse_constant)
