"""JSON documents: an array of records, or an object that holds one, as a stream of rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.json_rows import FoundRow, found_row
from finetune_assets.datasets.reading.json_stream import JsonText
from finetune_assets.datasets.reading.packed_files import open_bytes
from finetune_assets.records.errors import FinetuneError

WRAPPERS = ("observations", "data", "records", "rows", "items", "examples", "results", "intents")
_EXPECTED = f"an array of records, or an object with one list named {', '.join(WRAPPERS)}"


def json_document(path: Path, config: SourceConfig) -> Iterator[FoundRow]:
    """Yield the records of a JSON file.

    Raises:
        FinetuneError: when it is broken, or no list of records.
    """
    stream, _ = open_bytes(path, config)
    with stream:
        text = JsonText(stream, path, config)
        first = text.peek()
        if first == "[":
            yield from _elements(text)
        elif first == "{":
            yield from _wrapped(text)
        else:
            raise text.broken("an array of records")
        if text.peek():
            raise text.trailing()


def _elements(text: JsonText) -> Iterator[FoundRow]:
    """Yield the elements of the array that begins here."""
    text.take("[")
    number = 0
    while text.peek() != "]":
        number += 1
        value, fault, source, offset = text.value()
        yield found_row(None, number, offset, source, value, fault)
        if not text.separator("]"):
            break
    text.take("]")


def _wrapped(text: JsonText) -> Iterator[FoundRow]:
    """Yield the records of an object that holds one list of them; refuse any other object."""
    text.take("{")
    list_name = ""
    others: dict[str, Any] = {}
    while text.peek() != "}":
        name, *_ = text.value()
        if not isinstance(name, str):
            raise text.broken("a key in double quotes")
        text.take(":")
        if text.peek() != "[":
            others[name] = _shape(text.value()[0])
        elif name in WRAPPERS and not list_name:
            list_name = name
            yield from _elements(text)
        else:
            raise _unknown_list(text, name, list_name)
        if not text.separator("}"):
            break
    text.take("}")
    if not list_name:
        raise _no_list(text, others)


def _shape(value: Any) -> str:
    """Say what an object's value is, without keeping it."""
    if not isinstance(value, dict):
        return "value"
    return "column" if value and all(name.isdecimal() for name in value) else "object"


def _unknown_list(text: JsonText, name: str, list_name: str) -> FinetuneError:
    if list_name:
        return FinetuneError(
            "JSON file holds two lists",
            where=text.where,
            found=f"{list_name!r} and {name!r}",
            expected=_EXPECTED,
            mend="keep one list; pandas writes records with orient='records'",
        )
    text.take("[")
    if text.peek() == "{":
        return FinetuneError(
            "JSON file holds its list under an unknown name",
            where=text.where,
            found=repr(name),
            expected=_EXPECTED,
            mend=f"rename {name!r} to 'records'",
        )
    return FinetuneError(
        "JSON file is column-oriented, or a single record",
        where=text.where,
        found=f"a list of values under {name!r}",
        expected=_EXPECTED,
        mend="write one object a record; pandas does so with orient='records'",
    )


def _no_list(text: JsonText, others: dict[str, Any]) -> FinetuneError:
    if text.peek() == "{":
        return FinetuneError(
            "source file is JSON Lines, not one JSON document",
            where=text.where,
            found="another object after the first",
            expected=_EXPECTED,
            mend="set dataset.source.format: jsonl, or give the file the ending .jsonl",
        )
    shapes = set(others.values())
    if shapes == {"column"}:
        what, found = "JSON file is column-oriented", f"columns {sorted(others)[:5]} with row numbers as keys"
    elif shapes == {"object"}:
        what, found = "JSON file is an object of objects", f"keys {sorted(others)[:5]}"
    else:
        what, found = "JSON file holds no list of records", f"keys {sorted(others)[:5]}"
    mend = "write one object a record, with its key as a field; pandas does so with orient='records'"
    return FinetuneError(what, where=text.where, found=found, expected=_EXPECTED, mend=mend)
