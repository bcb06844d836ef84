"""The mends of one record. Each is the only one possible; where there are two, the record is left alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from finetune_assets.datasets.taxonomies.nodes import tidy
from finetune_assets.datasets.taxonomies.taxonomy import Taxonomy

_WHOLE = re.compile(r"[+-]?\d{1,18}(?:\.0+)?")
# JSON Schema's names of what Python calls otherwise, as published function-calling sets have them.
_SCHEMA_TYPES = {
    "dict": "object",
    "float": "number",
    "int": "integer",
    "str": "string",
    "bool": "boolean",
    "tuple": "array",
    "list": "array",
}


@dataclass(frozen=True)
class MendRules:
    """What a task type says of its records.

    Attributes:
        names: name in a source → (canonical name, rank), as `alias_lookup` gives it.
        whole_numbers: canonical fields that hold a whole number.
        label_fields: canonical fields that name the label's levels, outermost first.
        taxonomy: the labels, None for a task without.
        tool_fields: canonical fields that hold tool schemas.
        kept_texts: canonical fields whose text is never changed nor shown.
    """

    names: Mapping[str, tuple[str, int]]
    whole_numbers: frozenset[str] = frozenset()
    label_fields: tuple[str, ...] = ()
    taxonomy: Taxonomy | None = None
    tool_fields: frozenset[str] = frozenset()
    kept_texts: frozenset[str] = frozenset()

    def canonical(self, name: str) -> str:
        """Return a source name's canonical name; an unknown one is its own."""
        known = self.names.get(name) or self.names.get(name.strip())
        return known[0] if known else name


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one record.

    Attributes:
        mend: `rename`, `whole_number`, `trim`, `letter_case`, `schema_type`, `new_id`.
        field: the field, as it is called afterwards.
        before: the value before; of a rename the name.
        after: the value after; of a rename the name.
    """

    mend: str
    field: str
    before: Any = dataclass_field(repr=False)
    after: Any = dataclass_field(repr=False)


def mend_schema(
    row: Mapping[str, Any], rules: MendRules, *, rename: bool = True
) -> tuple[dict[str, Any], list[Change]]:
    """Return the record with every schema mend done, and what was done; mending it again changes nothing.

    Args:
        row: the record.
        rules: what the task type says of it.
        rename: False for the rows of a table, whose names are those of its columns.
    """
    renamed, changes = _renamed(row, rules) if rename else (dict(row), [])
    mended: dict[str, Any] = {}
    for name, value in renamed.items():
        mended[name], mend = _mend_value(name, value, rules)
        if mend:
            changes.append(Change(mend, name, value, mended[name]))
    return _mend_labels(mended, changes, rules), changes


def new_names(names: Iterable[str], rules: MendRules) -> list[str]:
    """Return the canonical name of each field of a record, or its own where two fields have one canonical name."""
    held = list(names)
    canonical = [rules.canonical(name) for name in held]
    found = Counter(canonical)
    return [new if found[new] == 1 else name for name, new in zip(held, canonical, strict=True)]


def _renamed(row: Mapping[str, Any], rules: MendRules) -> tuple[dict[str, Any], list[Change]]:
    """Give each field its canonical name, where it stands under one name only."""
    mended: dict[str, Any] = {}
    changes = []
    for (name, value), new in zip(row.items(), new_names(row, rules), strict=True):
        if new != name:
            changes.append(Change("rename", new, name, new))
        mended[new] = value
    return mended, changes


def _mend_value(name: str, value: Any, rules: MendRules) -> tuple[Any, str]:
    if isinstance(value, str) and name in rules.whole_numbers and _WHOLE.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0]), "whole_number"
    if isinstance(value, str) and name in rules.label_fields and tidy(value) and tidy(value) != value:
        return tidy(value), "trim"
    if name in rules.tool_fields and isinstance(value, list | dict):
        mended = _schema_types(value)
        return mended, "schema_type" if mended != value else ""
    return value, ""


def _schema_types(node: Any) -> Any:
    """Return a tool schema with JSON Schema's own type names; a property that is called `type` holds no text."""
    if isinstance(node, list):
        return [_schema_types(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        name: _SCHEMA_TYPES.get(value, value) if name == "type" and isinstance(value, str) else _schema_types(value)
        for name, value in node.items()
    }


def _mend_labels(row: dict[str, Any], changes: list[Change], rules: MendRules) -> dict[str, Any]:
    """Spell each level as the taxonomy does, where only the letter case differs."""
    if rules.taxonomy is None:
        return row
    known = rules.taxonomy.paths
    for depth, name in enumerate(rules.label_fields):
        value = row.get(name)
        if not isinstance(value, str):
            return row
        spellings = {path[depth] for path in known}
        # Ids and display names are legal too; what the taxonomy knows in any form is no matter of letter case.
        if value not in spellings and not _is_reference(rules.taxonomy, depth, value):
            alike = {spelling for spelling in spellings if spelling.casefold() == value.casefold()}
            if len(alike) != 1:
                return row
            row[name] = alike.pop()
            changes.append(Change("letter_case", name, value, row[name]))
        known = tuple(path for path in known if path[depth] == row[name]) or known
    return row


def _is_reference(taxonomy: Taxonomy, depth: int, value: str) -> bool:
    if depth == 0:
        return taxonomy.domain(value) is not None
    return depth == 1 and any(taxonomy.attribute(domain, value) is not None for domain in taxonomy.domains)
