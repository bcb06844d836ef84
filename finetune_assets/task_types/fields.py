"""Reading a record's fields: aliases, ids and the few types that records may hold. Pure; nothing here raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import SourceRef
from finetune_assets.task_types.prompts import FieldFault, text_of


def canonical_fields(fields: Mapping[str, Any], aliases: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the fields by canonical name; of several names the first that holds something counts.

    Args:
        fields: a record's or a live request's fields, by any of their names.
        aliases: canonical name → the names it may have, best first; the canonical name is always one.
    """
    values: dict[str, Any] = {}
    for canonical, names in aliases.items():
        for name in names:
            if (value := fields.get(name)) is not None:
                values[canonical] = value
                break
        else:
            if (value := fields.get(canonical)) is not None:
                values[canonical] = value
    return values


def record_id_of(name: str, value: Any, source: SourceRef) -> str | FieldFault:
    """Return a record's id, the record's place where it has none, or why the id cannot be used."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return str(source)
    return text_of(name, value)


def ask_fault(fault: FieldFault, aliases: Mapping[str, Sequence[str]]) -> FinetuneError:
    """Return the error for a live input that cannot be asked about, with the names that the field goes by."""
    names = ", ".join(dict.fromkeys([fault.field, *aliases.get(fault.field, ())]))
    return FinetuneError(
        "input cannot be asked about",
        where=f"field {fault.field}",
        found=fault.found,
        expected=fault.expected,
        mend=f"send it under one of the names {names}",
    )


def flat_texts(name: str, value: Any) -> list[str] | FieldFault:
    """Return the texts in nested lists as one list, trimmed, in order, each once; blank ones and None are left out.

    Args:
        name: the field's canonical name.
        value: a text, a list of texts at any depth, or None.

    Returns:
        The texts, or the fault of the first item that is no text.
    """
    found: dict[str, None] = {}
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        elif item is not None:
            text = text_of(name, item) if isinstance(item, str) else FieldFault(name, "wrong_type", _kind(item), "text")
            if isinstance(text, FieldFault):
                return text
            if text:
                found[text] = None
    return list(found)


def number_of(name: str, value: Any, low: float, high: float) -> float | FieldFault | None:
    """Return a number within [low, high], None where there is none, or the fault."""
    if value is None or value == "":
        return None
    expected = f"a number from {low:g} to {high:g}"
    if isinstance(value, str):
        # Tables hold numbers as texts.
        value = _parsed(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return FieldFault(name, "wrong_type", _kind(value), expected)
    if not low <= value <= high:
        return FieldFault(name, "out_of_range", f"{value:.6g}" if abs(value) < 1e300 else "a huge number", expected)
    return float(value)


def _parsed(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _kind(value: Any) -> str:
    return type(value).__name__
