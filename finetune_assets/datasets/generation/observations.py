"""Observations from a template: notes that say, about an invented child, what the taxonomy says of a level.

Good for trying a pipeline and for levels that nobody has observed yet; the wording is the taxonomy's, so that a model
learns the descriptions from it, not how educators write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.datasets.synthetic.phrases import NAMES, SETTINGS
from finetune_assets.datasets.synthetic.texts import Draw

TEMPLATE = "template-observations/1"
_SHAPES = (
    "{name}, {setting}: {what}",
    "Seen {setting}. {what} ({name})",
    "{what} Noted about {name} {setting}.",
    "{Setting}, {name} showed this: {what}",
)
_DRAWS_FOR_ONE = 20

Described = tuple[Sequence[str], Sequence[str]]
"""A label's path, and the taxonomy's descriptions of it."""


def template_observations(
    labels: Sequence[Described], fields: Sequence[str], text_field: str, seed: int, count: int
) -> list[dict[str, Any]]:
    """Return up to `count` rows, the labels in turn, no two texts equal.

    Args:
        labels: the legal labels that have a description.
        fields: the fields that name a label, outermost first.
        text_field: the field of the note.
        seed: decides names, settings and shapes.
        count: rows wanted.
    """
    draw = Draw(f"observations:{seed}")
    turns = draw.shuffled(labels)
    rows: dict[str, dict[str, Any]] = {}
    for number in range(count if turns else 0):
        path, descriptions = turns[number % len(turns)]
        texts = (_text(draw, draw.one(descriptions)) for _ in range(_DRAWS_FOR_ONE))
        text = next((text for text in texts if text not in rows), None)
        if text is not None:
            label: Mapping[str, Any] = dict(zip(fields, path, strict=True))
            rows[text] = {"id": f"template_{seed}_{number:05d}", text_field: text, **label}
    return list(rows.values())


def _text(draw: Draw, description: str) -> str:
    setting = draw.one(SETTINGS)
    what = description.strip()
    return draw.one(_SHAPES).format(
        name=draw.one(NAMES),
        setting=setting,
        Setting=setting[0].upper() + setting[1:],
        what=what if what.endswith((".", "!", "?")) else f"{what}.",
    )
