"""The sample's early-years framework and its JSON form, in the schema that nursery observation apps export.

Here belong the framework's shape: domains, attributes, levels and points. Its words are in `strands.py`. Reading and
checking any taxonomy belongs to `datasets/taxonomies/taxonomy.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from finetune_assets.datasets.synthetic import strands

LEVELS = ("Emerging", "Developing", "Progressing", "Advancing", "Refining")
"""Titles of the levels, lowest first."""

_HIDDEN_POINTS = frozenset({(20, "Advancing", 1)})
"""Points that the apps do not show: attribute id, level, index within the level."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One strand of development.

    Attributes:
        id: the id, unique in the framework.
        domain_id: the id of the domain that it belongs to.
        name: one to three words.
        information: what the strand is about.
        points: the descriptions of each level that the strand has, lowest level first.
    """

    id: int
    domain_id: int
    name: str
    information: str
    points: dict[str, tuple[str, ...]]

    @property
    def levels(self) -> tuple[str, ...]:
        """Titles of the levels that the strand has, lowest first."""
        return tuple(self.points)


@dataclass(frozen=True, slots=True)
class Domain:
    """One area of development: its id, full name, short category words and attributes."""

    id: int
    name: str
    category_name: str
    category_title: str
    attributes: tuple[Attribute, ...]


def _domain(
    domain_id: int, name: str, category_name: str, category_title: str, words: tuple[strands.Strand, ...]
) -> Domain:
    attributes = tuple(
        Attribute(strand.id, domain_id, strand.name, strand.information, dict(_levels(strand.points)))
        for strand in words
    )
    return Domain(domain_id, name, category_name, category_title, attributes)


def _levels(points: str) -> list[tuple[str, tuple[str, ...]]]:
    pairs = [line.strip().split(": ", maxsplit=1) for line in points.strip().splitlines()]
    grouped = [(level, tuple(text for title, text in pairs if title == level)) for level in LEVELS]
    return [(level, texts) for level, texts in grouped if texts]


DOMAINS = (
    _domain(1, "Physical Development", "Physical", "Moving and looking after myself", strands.PHYSICAL),
    _domain(2, "Social-Emotional Development", "Social-Emotional", "Feelings and friends", strands.SOCIAL),
    _domain(3, "Language and Literacy", "Language", "Talking, books and writing", strands.LANGUAGE),
    _domain(4, "Cognitive Development", "Cognitive", "Numbers, shapes and the world", strands.COGNITIVE),
    _domain(5, "Approaches to Learning", "Approaches", "How I learn and play", strands.APPROACHES),
)

ATTRIBUTES = {attribute.id: attribute for domain in DOMAINS for attribute in domain.attributes}
"""Every attribute by its id."""

LEGAL_PAIRS = tuple((attribute.id, level) for attribute in ATTRIBUTES.values() for level in attribute.levels)
"""Every (attribute id, level) that the framework has."""

ABSENT_PAIRS = tuple(
    (attribute.id, level) for attribute in ATTRIBUTES.values() for level in LEVELS if level not in attribute.levels
)
"""Every (attribute id, level) that it lacks."""


def visible_points(attribute: Attribute, level: str) -> list[str]:
    """Return the descriptions of a level that the apps show, in order."""
    return [
        description
        for index, description in enumerate(attribute.points[level])
        if (attribute.id, level, index) not in _HIDDEN_POINTS
    ]


def taxonomy() -> dict[str, Any]:
    """Return the framework in the observation apps' JSON schema; point ids run through the whole framework."""
    point_ids = iter(range(1, 1000))
    return {
        "domains": [
            {
                "id": domain.id,
                "name": domain.name,
                "categoryName": domain.category_name,
                "categoryTitle": domain.category_title,
                "sortOrder": domain.id,
                "attributes": [
                    {
                        "id": attribute.id,
                        "number": number,
                        "name": attribute.name,
                        "categoryInformation": attribute.information,
                        "sortOrder": number,
                        "progressionPoints": [
                            {"id": next(point_ids), **point, "sortOrder": order}
                            for order, point in enumerate(_points(attribute), start=1)
                        ],
                    }
                    for number, attribute in enumerate(domain.attributes, start=1)
                ],
            }
            for domain in DOMAINS
        ]
    }


def _points(attribute: Attribute) -> list[dict[str, Any]]:
    return [
        {
            "progressionPointsId": LEVELS.index(level) + 1,
            "progressionPointsTitle": level,
            "description": description,
            "descriptionOrder": "abc"[index],
            "isProgressionHidden": int((attribute.id, level, index) in _HIDDEN_POINTS),
        }
        for level, descriptions in attribute.points.items()
        for index, description in enumerate(descriptions)
    ]
