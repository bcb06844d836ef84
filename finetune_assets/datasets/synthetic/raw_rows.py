"""One raw observation: its fields, whose it is, and how an exporting app spells it.

Here belong children, the optional fields, and the spellings of field names that are mixed in a real export. Which rows
a sample needs belongs to `childcare.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from finetune_assets.datasets.synthetic.early_years import Attribute, visible_points
from finetune_assets.datasets.synthetic.phrases import NAMES
from finetune_assets.datasets.synthetic.texts import Draw

_FIRST_DAY = date(2024, 9, 2)
_SCHOOL_YEAR_DAYS = 319
_PHOTO_BUCKET = "gs://nursery-sample-photos"

_SHARED_SPELLING = {
    "domain_id": "domainId",
    "attribute_id": "attributeId",
    "progression_description": "progressionDescription",
    "educator_id": "educatorId",
    "child_id": "childId",
    "phrasing_set": "phrasingSet",
    "critical": "critical",
}

SPELLINGS: tuple[dict[str, str], ...] = tuple(
    dict(
        zip(
            ("observation_id", "notes", "photo_uris", "progression_title", "child_age_months", "observation_date"),
            names,
            strict=True,
        )
    )
    | _SHARED_SPELLING
    for names in (
        ("observationId", "observationNotes", "photoUris", "progressionTitle", "childAgeMonths", "observationDate"),
        ("id", "notes", "photoUri", "progressionLevel", "age_months", "date"),
        ("observationId", "narrative", "photoUri", "progressionTitle", "age_months", "observationDate"),
        ("id", "text", "photoUris", "progressionLevel", "childAgeMonths", "date"),
    )
)
"""Four exporting apps' names of the canonical fields."""

Fields = dict[str, Any]


@dataclass(slots=True)
class Row:
    """A row in the making.

    Attributes:
        kind: what the row is for: clean, noisy, critical, unseen, conflict, or a flaw of `dirt.FLAWS`.
        fields: values under canonical names.
        spelling: index into `SPELLINGS`.
    """

    kind: str
    fields: Fields
    spelling: int


@dataclass(frozen=True, slots=True)
class Child:
    """A made-up child: id, first name and birthday."""

    id: str
    name: str
    born: date


def children(draw: Draw, rows: int, numbers: Iterator[int]) -> list[Child]:
    """Return the child of each of `rows` rows, in a random order; a child has two to five of them, the last maybe one.

    Args:
        draw: where the choices come from.
        rows: how many rows.
        numbers: numbers for new children.
    """
    owners: list[Child] = []
    while len(owners) < rows:
        born = _FIRST_DAY - timedelta(days=draw.between(24 * 31, 52 * 31))
        child = Child(f"child-{next(numbers):04d}", draw.one(NAMES), born)
        owners += [child] * min(draw.between(2, 5), rows - len(owners))
    return draw.shuffled(owners)


def new_fields(
    draw: Draw, child: Child, text: str, attribute: Attribute, level: str, *, described: bool, plain: bool
) -> Fields:
    """Return the canonical fields of one observation; its id comes later.

    Args:
        draw: where the choices come from.
        child: whose observation it is.
        text: the notes.
        attribute: the labelled attribute.
        level: the labelled level's title.
        described: True when some rows may carry the level's description, as it stands in the framework.
        plain: True for a row without photos.
    """
    seen_on = _FIRST_DAY + timedelta(days=draw.between(0, _SCHOOL_YEAR_DAYS))
    fields: Fields = {
        "observation_id": "",
        "notes": text,
        "domain_id": attribute.domain_id,
        "attribute_id": attribute.id,
        "progression_title": level,
    }
    if draw.chance(0.12) and not plain:
        fields["photo_uris"] = _photos(draw, seen_on)
    if draw.chance(0.08) and described:
        fields["progression_description"] = draw.one(visible_points(attribute, level))
    if draw.chance(0.9):
        fields["child_age_months"] = _age_in_months(child, seen_on)
    if draw.chance(0.92):
        fields["observation_date"] = seen_on.isoformat()
    if draw.chance(0.88):
        fields["educator_id"] = f"edu-{draw.between(1, 24):02d}"
    fields["child_id"] = child.id
    return fields


def line_of(row: Row) -> str:
    """Return the row as one line of JSON in its app's spelling."""
    return json.dumps(spelled(row), ensure_ascii=False)


def spelled(row: Row) -> Fields:
    """Return the row's fields under its app's names; an app with one photo field gives a lone photo as a string."""
    names = SPELLINGS[row.spelling]
    fields = {names[name]: value for name, value in row.fields.items()}
    photos = fields.get("photoUri")
    if isinstance(photos, list) and len(photos) == 1:
        fields["photoUri"] = photos[0]
    return fields


def _photos(draw: Draw, seen_on: date) -> list[str]:
    folder = f"{_PHOTO_BUCKET}/{seen_on:%Y/%m}"
    many = 2 if draw.chance(0.2) else 1
    return [f"{folder}/p{draw.between(10_000, 99_999)}.{draw.one(('jpg', 'jpg', 'png', 'webp'))}" for _ in range(many)]


def _age_in_months(child: Child, on: date) -> int:
    whole = (on.year - child.born.year) * 12 + on.month - child.born.month
    return whole - int(on.day < child.born.day)
