"""What is wrong with the sample on purpose: wrong labels, copies, contradictions and rows that a reader must refuse.

Here belong the flaws and how often each occurs. Sound rows belong to `childcare.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from finetune_assets.datasets.synthetic.early_years import ATTRIBUTES, DOMAINS, LEVELS
from finetune_assets.datasets.synthetic.raw_rows import Fields, Row, line_of, spelled
from finetune_assets.datasets.synthetic.texts import Draw

CONFLICTS = "conflict"
"""Kind of the rows that come a second time with another label."""

ABSENT_LEVEL = "absent_level"
"""Kind of the rows with a level that their attribute lacks."""

CONFLICTING_COPIES = 3
"""Rows that come again under a new id with a wrong label."""

VERBATIM_COPIES = 12
"""Lines that stand in the file twice, id and all."""

WHITESPACE_COPIES = 14
"""Rows that come again under a new id with other white space."""

CASE_COPIES = 12
"""Rows that come again under a new id in other letter case."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """A flaw of single rows.

    Attributes:
        rows: how many rows have it.
        spoil: breaks the fields in place; None when the label or the line itself is the flaw.
    """

    rows: int
    spoil: Callable[[Draw, Fields], object] | None = None


def _drop(name: str) -> Callable[[Draw, Fields], object]:
    return lambda _draw, fields: fields.pop(name)


def _set(name: str, *values: Any) -> Callable[[Draw, Fields], object]:
    return lambda draw, fields: fields.update({name: draw.one(values)})


def _move_to_other_domain(draw: Draw, fields: Fields) -> None:
    others = [domain.id for domain in DOMAINS if domain.id != fields["domain_id"]]
    fields["domain_id"] = draw.one(others)


def _describe_wrongly(draw: Draw, fields: Fields) -> None:
    points = ATTRIBUTES[fields["attribute_id"]].points
    wrong = draw.one([level for level in points if level != fields["progression_title"]])
    fields["progression_description"] = points[wrong][0]


def _nest_notes(_draw: Draw, fields: Fields) -> None:
    fields["notes"] = {"text": fields["notes"]}


REJECTED: dict[str, Flaw] = {
    "blank_notes": Flaw(5, _set("notes", "", "   ", "\n\t ")),
    "missing_notes": Flaw(4, _drop("notes")),
    "missing_id": Flaw(3, _drop("observation_id")),
    "missing_domain": Flaw(3, _drop("domain_id")),
    "missing_attribute": Flaw(3, _drop("attribute_id")),
    "missing_level": Flaw(4, _drop("progression_title")),
    "unknown_domain": Flaw(3, _set("domain_id", 0, 9, 17)),
    "unknown_attribute": Flaw(4, _set("attribute_id", 0, 77, 99)),
    "other_domain": Flaw(4, _move_to_other_domain),
    "unknown_level": Flaw(4, _set("progression_title", "Mastered", "Secure", "Expected")),
    ABSENT_LEVEL: Flaw(4),
    "wrong_description": Flaw(4, _describe_wrongly),
    "wrong_type": Flaw(1, _nest_notes),
    "malformed_json": Flaw(1),
}
"""Every flaw that a reader must refuse, with its number of rows."""


TOLERATED: dict[str, Flaw] = {
    "no_child": Flaw(10, _drop("child_id")),
    "loose_age": Flaw(6, _set("child_age_months", "three and a half years", "about 40", 38.5)),
    "null_alias": Flaw(3),
}
"""Flaws that a reader lives with: no child, an age that is no whole number, a null beside the filled alias."""

FLAWS = REJECTED | TOLERATED


def flawed_line(draw: Draw, row: Row) -> str:
    """Return the line of a row whose kind is one of `FLAWS`, with that flaw."""
    flaw = FLAWS[row.kind]
    if flaw.spoil is not None:
        flaw.spoil(draw, row.fields)
    if row.kind == "null_alias":
        raw = spelled(row)
        unused = next(name for name in ("notes", "narrative") if name not in raw)
        return json.dumps({unused: None, **raw}, ensure_ascii=False)
    line = line_of(row)
    return line[: len(line) // 2] if row.kind == "malformed_json" else line


def mislabelled(draw: Draw, pair: tuple[int, str]) -> tuple[int, str]:
    """Return a wrong label that the framework has: the level next to it, or a sister attribute at the same level."""
    attribute, level = ATTRIBUTES[pair[0]], pair[1]
    if draw.chance(0.5):
        place = LEVELS.index(level)
        near = [title for title in attribute.levels if abs(LEVELS.index(title) - place) == 1]
        return attribute.id, draw.one(near)
    sisters = [
        other.id
        for other in ATTRIBUTES.values()
        if other.domain_id == attribute.domain_id and other.id != attribute.id and level in other.levels
    ]
    return draw.one(sisters), level


def duplicate_lines(draw: Draw, rows: list[Row], fresh_ids: Iterator[str]) -> list[str]:
    """Return copies of some `rows`, no two of one child: verbatim lines, other white space, other case."""
    one_of_each_child = {row.fields["child_id"]: row for row in rows}
    wanted = VERBATIM_COPIES + WHITESPACE_COPIES + CASE_COPIES
    sources = draw.shuffled(list(one_of_each_child.values()))[:wanted]
    lines = [line_of(row) for row in sources[:VERBATIM_COPIES]]
    for row in sources[VERBATIM_COPIES : VERBATIM_COPIES + WHITESPACE_COPIES]:
        words = row.fields["notes"].split(" ")
        notes = draw.one(
            ("  ".join(words), " " + " ".join(words) + " \n", "\t".join(words[:2]) + " " + " ".join(words[2:]))
        )
        lines.append(_copy(row, observation_id=next(fresh_ids), notes=notes))
    for row in sources[VERBATIM_COPIES + WHITESPACE_COPIES :]:
        text = row.fields["notes"]
        lines.append(_copy(row, observation_id=next(fresh_ids), notes=draw.one((text.upper(), text.lower()))))
    return lines


def conflicting_copies(draw: Draw, rows: list[Row], fresh_ids: Iterator[str]) -> list[str]:
    """Return each row again under a new id and with a wrong label."""
    lines = []
    for row in rows:
        attribute_id, level = mislabelled(draw, (row.fields["attribute_id"], row.fields["progression_title"]))
        label = {"attribute_id": attribute_id, "progression_title": level}
        lines.append(_copy(row, observation_id=next(fresh_ids), **label))
    return lines


def _copy(row: Row, **changes: Any) -> str:
    return json.dumps(spelled(Row(row.kind, row.fields | changes, row.spelling)), ensure_ascii=False)
