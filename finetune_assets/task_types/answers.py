"""Reading a JSON answer out of what a model wrote.

The work is bounded whatever the text. Nothing is repaired: smart quotes, trailing
commas and single quotes are no JSON. A part of a larger value is never taken for the answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple, TypeVar

_FENCE = "```"
_FENCE_INFO = re.compile(r"[\w-]*")
_MAX_CHARACTERS = 100_000
# Each failure costs the decoder a count of the lines before it.
_MAX_STARTS = 5_000
_BYTE_ORDER_MARK = "\ufeff"
# What a value may look like at the moment when the text ends in the midst of it.
_BEGUN = ("true", "false", "null", "-", ".", "e+", "e-", "E+", "E-")


def find_object(text: str, keys: Collection[str]) -> tuple[dict[str, Any] | None, str]:
    """Find the answer in a model's text: the text itself, what stands in a code fence, or an object amid prose.

    Of several objects the first that has all `keys` is the answer. Duplicate keys, NaN and Infinity are no JSON. A
    byte order mark before the text is passed over.

    Args:
        text: what the model wrote; only the first 100,000 characters are read.
        keys: the keys that an answer has.

    Returns:
        The object and "", or None and the problem: `not_json`, `not_an_object`, `missing_key`, `truncated` when the
        text ends within an object, or `too_long` when it is only the reading that ended there.
    """
    return _find(text, "{", lambda value: _judge_object(value, keys))


def find_list(text: str) -> tuple[list[dict[str, Any]] | None, str]:
    """Find a list of objects in a model's text, by the rules of `find_object`. An empty list is one.

    Args:
        text: what the model wrote; only the first 100,000 characters are read.

    Returns:
        The list and "", or None and the problem: `not_json`, `not_a_list`, `truncated` or `too_long`.
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
    cut = len(text) > _MAX_CHARACTERS
    text = text[:_MAX_CHARACTERS].removeprefix(_BYTE_ORDER_MARK).strip()
    whole = _NO_JSON if cut else _parse(text)
    if whole is not _NO_JSON:
        return judge(whole)
    if not text.startswith(opening):  # a fence in a text of JSON is part of one of its strings
        for fence in _fences(text):
            value, _ = judge(_parse(fence))
            if value is not None:
                return value, ""
    value, problem = _amid_prose(text, opening, judge)
    return value, "too_long" if cut and problem == "truncated" else problem


def _fences(text: str) -> Iterator[str]:
    """Yield what stands in each closed code fence, without its language."""
    start = text.find(_FENCE)
    while start >= 0:
        inside = start + len(_FENCE)
        end = text.find(_FENCE, inside)
        if end < 0:
            return
        # By index, as a pattern over blanks of unknown number would go over them again and again.
        info = _FENCE_INFO.match(text, inside, end)
        yield text[info.end() if info else inside : end].strip()
        start = text.find(_FENCE, end + len(_FENCE))


def _amid_prose(text: str, opening: str, judge: Judge[T]) -> tuple[T | None, str]:
    start, problem = text.find(opening), "not_json"
    for _ in range(_MAX_STARTS):
        if start < 0:
            break
        read = _read(text, start)
        if read.truncated:
            return None, "truncated"
        if read.value is not _NO_JSON:
            value, problem = judge(read.value)
            if value is not None:
                return value, ""
        start = text.find(opening, read.end)
    return None, problem


class _Read(NamedTuple):
    """What begins at an opening bracket: a value or none, and where to look on.

    What lies before `end` was read as part of something larger and is not looked at again, so that no part is taken
    for an answer.
    """

    value: Any
    end: int
    truncated: bool = False


def _read(text: str, start: int) -> _Read:
    try:
        return _Read(*_DECODER.raw_decode(text, start))
    except json.JSONDecodeError as error:
        return _Read(_NO_JSON, max(error.pos, start + 1), _ran_out(text, error))
    except ValueError:
        pass  # well-formed but for a rule of ours
    except RecursionError:
        return _Read(_NO_JSON, len(text))
    try:
        return _Read(_NO_JSON, _LENIENT.raw_decode(text, start)[1])
    except json.JSONDecodeError as error:
        return _Read(_NO_JSON, max(error.pos, start + 1), _ran_out(text, error))
    except (ValueError, RecursionError):  # a number of thousands of digits, or nested too deeply
        return _Read(_NO_JSON, len(text))


def _ran_out(text: str, error: json.JSONDecodeError) -> bool:
    """Tell whether it is the end of the text alone that keeps it from being JSON."""
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        return True
    if len(text) - error.pos > 6:
        return False
    rest = text[error.pos :]
    return any(begun.startswith(rest) for begun in _BEGUN) or error.msg.startswith("Invalid \\uXXXX")


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
_LENIENT = json.JSONDecoder()
