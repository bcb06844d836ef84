"""The shapes of classification: which fields a record has, one shape for each kind of taxonomy.

Here belong the canonical field names, the names that they go by in sources, and the keys of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from finetune_assets.datasets.taxonomies.nodes import LABEL_LEVELS, PLAIN_LEVELS, PROGRESSION_LEVELS

PHOTO_FIELD = "photo_uris"
_PHOTO_NAMES = (PHOTO_FIELD, "photoUris", "photo_uri", "photoUri", "images")
_TEXT_NAMES = ("text", "notes", "utterance", "sentence", "narrative")


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of one shape.

    Attributes:
        levels: the taxonomy's levels, outermost first.
        id_field: the record's id.
        text_field: the text to classify.
        level_fields: one field for each level, in which a record names its label.
        target_keys: level → key in the answer.
        aliases: canonical field → the names it goes by, best first.
        description_field: the progression's description, "" where there is none.
        stated_fields: fields by which a record may name its label a second time → (level, what it must agree with:
            `key` or `name`).
        whole_number_fields: fields that count as absent unless they hold a whole number.
    """

    levels: tuple[str, ...]
    id_field: str
    text_field: str
    level_fields: tuple[str, ...]
    target_keys: Mapping[str, str]
    aliases: Mapping[str, tuple[str, ...]]
    description_field: str = ""
    stated_fields: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    whole_number_fields: frozenset[str] = frozenset()


OBSERVATIONS = Shape(
    levels=PROGRESSION_LEVELS,
    id_field="observation_id",
    text_field="notes",
    level_fields=("domain_id", "attribute_id", "progression_title"),
    target_keys={"domain": "domain_key", "attribute": "attribute_name", "progression": "progression_title"},
    aliases={
        "observation_id": ("observation_id", "id", "observationId"),
        "notes": ("notes", "observationNotes", "narrative", "text"),
        PHOTO_FIELD: _PHOTO_NAMES,
        "domain_id": ("domain_id", "domainId"),
        "domain_key": ("domain_key", "domainKey"),
        "domain_name": ("domain_name", "domainName"),
        "attribute_id": ("attribute_id", "attributeId"),
        "attribute_name": ("attribute_name", "attributeName"),
        "progression_title": ("progression_title", "progressionTitle", "progressionLevel"),
        "progression_description": ("progression_description", "progressionDescription"),
        "child_age_months": ("child_age_months", "childAgeMonths", "age_months"),
        "observation_date": ("observation_date", "observationDate", "date"),
        "educator_id": ("educator_id", "educatorId"),
        "child_id": ("child_id", "childId"),
    },
    description_field="progression_description",
    stated_fields={
        "domain_key": ("domain", "key"),
        "domain_name": ("domain", "name"),
        "attribute_name": ("attribute", "name"),
    },
    whole_number_fields=frozenset({"child_age_months"}),
)

DOMAIN_LABELS = Shape(
    levels=LABEL_LEVELS,
    id_field="record_id",
    text_field="text",
    level_fields=("domain", "label"),
    target_keys={"domain": "domain", "label": "label"},
    aliases={
        "record_id": ("record_id", "id"),
        "text": _TEXT_NAMES,
        PHOTO_FIELD: _PHOTO_NAMES,
        "domain": ("domain",),
        "label": ("label", "intent", "category"),
    },
)

PLAIN_LABELS = Shape(
    levels=PLAIN_LEVELS,
    id_field="record_id",
    text_field="text",
    level_fields=("label",),
    target_keys={"label": "label"},
    aliases={
        "record_id": ("record_id", "id"),
        "text": _TEXT_NAMES,
        PHOTO_FIELD: _PHOTO_NAMES,
        "label": ("label", "intent", "category"),
    },
)

SHAPES: Mapping[tuple[str, ...], Shape] = {shape.levels: shape for shape in (OBSERVATIONS, DOMAIN_LABELS, PLAIN_LABELS)}
