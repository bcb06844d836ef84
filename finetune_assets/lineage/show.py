"""Metadata that a person wants to look at: tables, pictures and counts in Dagster's forms.

Metadata holds counts, row ids and links. Texts of people stay in artifacts, which can be deleted.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from finetune_assets.datasets.quarantine import REASONS

MAX_TABLE_ROWS = 50


def table(rows: Sequence[Mapping[str, Any]]) -> dg.MetadataValue[Any]:
    """Return rows as a metadata table (the first 50), columns in the order of the first row."""
    if not rows:
        return dg.MetadataValue.text("none")
    columns = list(rows[0])
    records = [dg.TableRecord({name: _cell(row.get(name)) for name in columns}) for row in rows[:MAX_TABLE_ROWS]]
    schema = dg.TableSchema(columns=[dg.TableColumn(name=name, type=_type(rows[0].get(name))) for name in columns])
    return dg.MetadataValue.table(records=records, schema=schema)


def _cell(value: Any) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return {int: "int", float: "float"}.get(type(value), "string")


def counts(numbers: Mapping[str, int], *, name: str = "value") -> dg.MetadataValue[Any]:
    """Return a two-column table of names and counts, largest first."""
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return table([{name: key, "rows": count} for key, count in ordered])


def reasons(numbers: Mapping[str, int]) -> dg.MetadataValue[Any]:
    """Return quarantined rows by reason code, most first, each code with what it means."""
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return table([{"reason": code, "rows": count, "means": REASONS.get(code, "")} for code, count in ordered])


def picture(png: bytes, caption: str) -> dg.MetadataValue[Any]:
    """Return a PNG inlined in Markdown, which the UI shows in place."""
    return dg.MetadataValue.md(f"![{caption}](data:image/png;base64,{base64.b64encode(png).decode()})")


def markdown(text: str) -> dg.MetadataValue[Any]:
    """Return Markdown."""
    return dg.MetadataValue.md(text)
