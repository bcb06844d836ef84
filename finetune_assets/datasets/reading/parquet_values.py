"""Parquet values as JSON values; what JSON has not becomes a Fault in the place of the value."""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from collections.abc import Iterable
from typing import Any

from finetune_assets.datasets.reading.json_rows import Fault, too_long

_COPIED_BYTES = 1 << 24
_NUL = Fault("nul_character", "U+0000 in a text", "text without it", "remove the character")
_BAD_UTF8 = Fault("bad_encoding", "bytes that are not UTF-8", "UTF-8", "write the column again as texts")
_NOT_FINITE = Fault("not_finite", "NaN or Infinity", "a number or null", "write null where there is no number")


def is_text(kind: Any) -> bool:
    """Tell whether an Arrow type is text."""
    import pyarrow.types as t

    return bool(t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind))


def type_depth(kind: Any) -> int:
    """Return how deep lists and structs of an Arrow type are nested; 1 for a plain value."""
    depth, level = 0, [kind]
    while level:
        depth += 1
        level = [inner.field(number).type for inner in level for number in range(inner.num_fields)]
    return depth


class ColumnReader:
    """One column of a batch, a slice of rows at a time.

    Args:
        column: an Arrow array.
        max_bytes: longest text.
    """

    def __init__(self, column: Any, max_bytes: int) -> None:
        import pyarrow as pa

        self._column = column.storage if isinstance(column, pa.ExtensionArray) else column
        self._max_bytes = max_bytes
        self._texts: list[Any] | None = None
        self._longest = -1

    def values(self, start: int, rows: int) -> Iterable[Any]:
        """Return the values of some rows as JSON values, or faults in the place of those that JSON has not.

        Raises:
            pyarrow.ArrowException: when the array is broken.
        """
        import pyarrow.types as t

        part = self._column.slice(start, rows)
        if t.is_dictionary(part.type):
            return self._looked_up(part)
        if is_text(part.type):
            return _decoded(part, self._max_bytes)
        if t.is_nested(part.type):
            if _weight(part) <= _COPIED_BYTES:
                return [_nested(value) for value in part]
            # Lazily: a short dictionary may stand behind many long texts.
            return (self._bounded(part, number) for number in range(len(part)))
        return _plain_values(part)

    def _bounded(self, part: Any, number: int) -> Any:
        heavy = _weight(part.slice(number, 1)) > self._max_bytes
        return too_long(self._max_bytes) if heavy else _nested(part[number])

    def _looked_up(self, part: Any) -> list[Any]:
        kind = part.type.value_type
        if not is_text(kind):
            fault = _no_json(str(kind))
            return [fault if valid else None for valid in part.is_valid().to_pylist()]
        if self._longest < 0:
            self._longest = _longest(self._column.dictionary)
        if self._longest * len(part) <= _COPIED_BYTES:
            return _decoded(part.dictionary_decode(), self._max_bytes)
        if self._texts is None:
            self._texts = _decoded(part.dictionary, self._max_bytes)
        texts = self._texts
        return [None if index is None else texts[index] for index in part.indices.to_pylist()]


def _weight(array: Any) -> int:
    """Return about how many bytes an Arrow array's values have once each stands for itself."""
    import pyarrow.compute as pc
    import pyarrow.types as t

    kind = array.type
    if t.is_dictionary(kind):
        if t.is_primitive(kind.value_type):
            return 8 * len(array)
        return int(pc.sum(pc.take(pc.binary_length(array.dictionary), array.indices)).as_py() or 0)
    if t.is_struct(kind):
        return sum(_weight(inner) for inner in array.flatten())
    if t.is_map(kind):
        begin, end = array.offsets[0].as_py(), array.offsets[-1].as_py()
        return sum(_weight(inner.slice(begin, end - begin)) for inner in (array.keys, array.items))
    if t.is_nested(kind):
        return _weight(array.flatten())
    return int(array.nbytes)


def _longest(array: Any) -> int:
    import pyarrow.compute as pc

    return int(pc.max(pc.binary_length(array)).as_py() or 0)


def _decoded(array: Any, max_bytes: int) -> list[Any]:
    """Return the texts of an Arrow array, faults in the place of those that cannot be used."""
    if _longest(array) > max_bytes:
        return [_text(value, max_bytes) for value in array]
    try:
        values = array.to_pylist()
    except UnicodeDecodeError:
        return [_text(value, max_bytes) for value in array]
    return [_NUL if value is not None and "\0" in value else value for value in values]


def _text(scalar: Any, max_bytes: int) -> str | Fault | None:
    if not scalar.is_valid:
        return None
    if scalar.as_buffer().size > max_bytes:
        return too_long(max_bytes)
    try:
        text: str = scalar.as_py()
    except UnicodeDecodeError:
        return _BAD_UTF8
    return _NUL if "\0" in text else text


def _plain_values(column: Any) -> list[Any]:
    """Return the values of a column that is neither text nor nested."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    kind = column.type
    if t.is_null(kind) or t.is_boolean(kind) or t.is_integer(kind):
        return list(column.to_pylist())
    if t.is_floating(kind):
        values = column.to_pylist()
        return values if pc.all(pc.is_finite(column)).as_py() is not False else [_finite(value) for value in values]
    if t.is_timestamp(kind):
        column = column if kind.tz is None else column.cast(pa.timestamp(kind.unit, "UTC"))
        return [None if text is None else text.replace(" ", "T", 1) for text in column.cast(pa.string()).to_pylist()]
    if t.is_date(kind) or t.is_time(kind) or t.is_decimal(kind):
        return list(column.cast(pa.string()).to_pylist())
    fault = _no_json(str(kind))
    return [fault if valid else None for valid in column.is_valid().to_pylist()]


def _finite(value: float | None) -> float | Fault | None:
    return value if value is None or math.isfinite(value) else _NOT_FINITE


def _no_json(kind: str) -> Fault:
    return Fault("not_json_value", f"a value of type {kind}", "text, number, list or struct", "write it as text")


class _NoJsonError(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


def _nested(scalar: Any) -> Any:
    """Return a list, struct or map as JSON, or the fault of the first value within it that JSON has not."""
    try:
        return _as_json(scalar.as_py())
    except _NoJsonError as error:
        return error.fault
    except UnicodeDecodeError:
        return _BAD_UTF8
    except ValueError:
        # Python's own times stop at microseconds and at the year 9999.
        return _no_json(str(scalar.type))


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {_as_json(name): _as_json(item) for name, item in value.items()}
    if isinstance(value, list):
        # A map comes as a list of pairs.
        pairs = value and all(isinstance(item, tuple) for item in value)
        if pairs and all(isinstance(item[0], str) for item in value) and len({item[0] for item in value}) == len(value):
            return {_as_json(name): _as_json(item) for name, item in value}
        return [_as_json(item) for item in value]
    if isinstance(value, tuple):
        return [_as_json(item) for item in value]
    return _leaf(value)


def _leaf(value: Any) -> Any:
    if isinstance(value, str):
        if "\0" in value:
            raise _NoJsonError(_NUL)
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _NoJsonError(_NOT_FINITE)
        return value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, datetime.datetime):
        wide = value if value.tzinfo is None else value.astimezone(datetime.UTC)
        return wide.isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return str(value)
    raise _NoJsonError(_no_json(type(value).__name__))
