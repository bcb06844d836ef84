"""Strict JSON for one record: what RFC 8259 and every later consumer accept, and a reason for each refusal.

Python's own reader is kinder than the rest of the world: it takes NaN, keeps the last of two equal keys, and passes
half characters on until something tries to write them. Here each of these is a named fault of the row.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from finetune_assets.datasets.reading.json_quick import is_faithful, text_quotes

# Python refuses to convert longer ones since 3.11: the time is quadratic.
_MAX_DIGITS = 4_300
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)

_encode_row = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Fault(NamedTuple):
    """Why a row cannot be read: a reason code of `quarantine.REASONS`, words for whoever mends it, and the field."""

    reason: str
    found: str = ""
    expected: str = ""
    mend: str = ""
    field: str = ""


class FoundRow(NamedTuple):
    """One row as it stands in a file.

    Attributes:
        line: 1-based line in a file of lines, else None.
        row: 1-based element of a JSON array or row of a Parquet file, else None.
        offset: byte offset of the row's first byte, in the unpacked file; None where the format has none.
        text: the row's text as it stands; of an unreadable row at least the beginning.
        fields: the row's object; empty when there is a fault.
        fault: why the row cannot be read, or None.
    """

    line: int | None
    row: int | None
    offset: int | None
    text: str
    fields: dict[str, Any]
    fault: Fault | None


class StrictJson:
    """A JSON decoder that notes what Python would let pass, so that one bad row does not hide the next.

    Faults are collected, not raised: within an array, reading goes on at the next element.
    """

    def __init__(self, max_nesting: int) -> None:
        self._max_nesting = max_nesting
        self._quick = json.JSONDecoder(parse_constant=_refuse_constant)
        self._faults: list[Fault] = []
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=self._constant,
            parse_float=self._number,
            parse_int=self._whole_number,
        )

    def decode_at(self, text: str, start: int) -> tuple[Any, int, Fault | None]:
        """Read the value that begins at `text[start]`.

        Returns:
            The value, the index after it, and its first fault or None.

        Raises:
            json.JSONDecodeError: when it is no JSON.
            RecursionError: when it is nested about a thousand deep.
        """
        try:
            value, end = self._quick.raw_decode(text, start)
        except json.JSONDecodeError:
            raise
        except ValueError:
            # A constant or an endless number, which the strict decoder names.
            pass
        else:
            # The quick decoder keeps the last of two equal keys; then texts are missing from what it made.
            quotes = text_quotes(text[start:end])
            if type(value) is dict and is_faithful(value, quotes, self._max_nesting) and "\\u" not in text[start:end]:
                return value, end, None
        self._faults.clear()
        value, end = self._decoder.raw_decode(text, start)
        return value, end, self._faults[0] if self._faults else self._hidden_fault(value, text, start, end)

    def decode_row(self, text: str) -> tuple[Any, Fault | None]:
        """Read a text that must be one JSON value and nothing else.

        Returns:
            The value and None, or None and the fault.
        """
        if _openers(text, 0, len(text)) > self._max_nesting and (fault := self._nesting(text)):
            return None, fault
        try:
            value, end, fault = self.decode_at(text, _first_sign(text))
        except json.JSONDecodeError as error:
            return None, Fault("invalid_json", f"{error.msg} at column {error.colno}", "one JSON object", _hint(text))
        except RecursionError:
            return None, self._too_deep()
        if fault:
            return None, fault
        if text[end:].strip(" \t\r\n"):
            found = f"more text after the value, at column {end + 1}"
            return None, Fault("invalid_json", found, "one JSON object a line", "write one record a line")
        return value, None

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            self._faults.append(
                Fault(
                    "duplicate_key", f"key {twice!r} twice in one object", "each key once", "keep the one that is meant"
                )
            )
        return found

    def _constant(self, name: str) -> None:
        self._faults.append(Fault("not_finite", name, "a JSON number or null", "write null where there is no number"))

    def _number(self, digits: str) -> float | None:
        number = float(digits)
        if number in (float("inf"), float("-inf")):
            self._faults.append(
                Fault("not_finite", digits[:40], "a number that a double can hold", "write it as a string")
            )
            return None
        return number

    def _whole_number(self, digits: str) -> int | None:
        if len(digits) > _MAX_DIGITS:
            found = f"a whole number of {len(digits)} digits"
            expected = f"at most {_MAX_DIGITS} digits"
            self._faults.append(Fault("number_too_large", found, expected, "write it as a string"))
            return None
        return int(digits)

    def _hidden_fault(self, value: Any, text: str, start: int, end: int) -> Fault | None:
        """Find what the decoder's hooks cannot see, looking only where the text gives cause."""
        if _openers(text, start, end) > self._max_nesting and _depth(value, self._max_nesting) > self._max_nesting:
            return self._too_deep()
        if text.find("\\u", start, end) < 0:
            return None
        for item in _texts(value):
            if "\0" in item:
                return Fault("nul_character", "U+0000 in a text", "text without it", "remove the character")
            if not item.isascii() and any("\ud800" <= sign <= "\udfff" for sign in item):
                return Fault("lone_surrogate", "half of a UTF-16 pair", "whole characters", "export the text again")
        return None

    def _nesting(self, text: str) -> Fault | None:
        """Judge the depth without building the value, which would exhaust the stack first."""
        depth = 0
        for match in _BRACKETS.finditer(text):
            sign = match.group()[0]
            depth += (sign in "[{") - (sign in "]}")
            if depth > self._max_nesting:
                return self._too_deep()
        return None

    def _too_deep(self) -> Fault:
        expected = f"at most {self._max_nesting} levels"
        return Fault("nested_too_deep", "deeper lists or objects", expected, "flatten it, or raise source.max_nesting")


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def too_long(max_bytes: int) -> Fault:
    """Return the fault of a record that is longer than `max_bytes`."""
    mend = "split the record, or raise source.max_line_bytes"
    return Fault("line_too_long", f"more than {max_bytes} bytes", f"at most {max_bytes} bytes", mend)


def encode_row(value: Any) -> str:
    """Return `value` as one line of JSON in UTF-8 text, keys in their order; NaN is refused (ValueError)."""
    return _encode_row(value)


def found_row(
    line: int | None, row: int | None, offset: int | None, text: str, value: Any, fault: Fault | None
) -> FoundRow:
    """Return the row for a decoded value; one that is no object is a fault."""
    if fault is None and not isinstance(value, dict):
        kind = {list: "an array", str: "a text", type(None): "null", bool: "true or false"}.get(type(value), "a number")
        fault = Fault("not_an_object", kind, "an object with named fields", "write the record as {…}")
    return FoundRow(line, row, offset, text, {} if fault else value, fault)


def _first_sign(text: str) -> int:
    return len(text) - len(text.lstrip(" \t\r\n"))


def _openers(text: str, start: int, end: int) -> int:
    return text.count("{", start, end) + text.count("[", start, end)


def _depth(value: Any, enough: int) -> int:
    """Return the nesting depth of `value`, or `enough + 1` as soon as it is deeper than `enough`."""
    level, depth = [value], 0
    while level and depth <= enough:
        inner = [item for item in level if isinstance(item, (dict, list))]
        if not inner:
            return depth
        depth += 1
        level = [child for item in inner for child in (item.values() if isinstance(item, dict) else item)]
    return depth


def _texts(value: Any) -> list[str]:
    """Return all texts within `value`, keys included."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return found


def _hint(text: str) -> str:
    """Say what the row looks like, where that is plain."""
    head = text.lstrip()[:2]
    if head.startswith(("#", "//", "/*")):
        return "JSON has no comments; remove the line"
    if head.startswith("{'"):
        return "write double quotes; this looks like a printed Python dict (json.dumps writes JSON)"
    if head.startswith("<"):
        return "this is markup, not JSON; export the data again"
    return "escape quotes and line breaks within texts, or export the row again with a JSON library"
