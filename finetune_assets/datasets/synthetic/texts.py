"""Composes one observation text from the phrase bank.

Here belong seeded drawing and the making of sentences from drawn phrases. Which labels a sample needs belongs to
`childcare.py`, what is wrong with its rows to `dirt.py`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, TypeVar

from finetune_assets.datasets.synthetic.actions import ACTIONS
from finetune_assets.datasets.synthetic.phrases import DISTRACTORS, MANNERS, NAMES, SETTINGS, SHAPES

PhrasingSet = Literal["common", "unseen"]

_DISTRACTOR_SHARE = 0.25

T = TypeVar("T")


class Draw:
    """A seeded source of choices whose results are the same under every Python version.

    Python promises a stable sequence only for `Random.random()`, so every choice is made from that number alone.

    Args:
        key: names the stream; different keys give unrelated streams.
    """

    def __init__(self, key: str) -> None:
        self._random = random.Random(key)  # noqa: S311 -- sample data, nothing secret

    def chance(self, probability: float) -> bool:
        """Return True with `probability` (0 to 1)."""
        return self._random.random() < probability

    def between(self, low: int, high: int) -> int:
        """Return an integer from `low` to `high`, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def one(self, items: Sequence[T]) -> T:
        """Return one of `items`, each equally likely."""
        return items[self.between(0, len(items) - 1)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return `items` in a random order."""
        keyed = [(self._random.random(), index) for index in range(len(items))]
        return [items[index] for _, index in sorted(keyed)]


def compose(
    draw: Draw,
    attribute_id: int,
    level: str,
    *,
    name: str = "",
    phrasing_set: PhrasingSet = "common",
    plain: bool = False,
) -> str:
    """Return the text of one observation of an attribute at a level.

    Args:
        draw: where the choices come from.
        attribute_id: the attribute's id in the framework, 1 to 24.
        level: the level's title.
        name: the child's first name; "" draws one.
        phrasing_set: which phrasings of both action and manner are used.
        plain: True for the plainest sentence shape and no distractor.

    Returns:
        One to three sentences, without any level's title.
    """
    actions, manners = ACTIONS[attribute_id], MANNERS[level]
    common = phrasing_set == "common"
    setting = draw.one(SETTINGS)
    text = (SHAPES[0] if plain else draw.one(SHAPES)).format(
        name=name or draw.one(NAMES),
        action=draw.one(actions.common if common else actions.unseen),
        manner=draw.one(manners.common if common else manners.unseen),
        setting=setting,
        Setting=setting[0].upper() + setting[1:],
    )
    if plain or not draw.chance(_DISTRACTOR_SHARE):
        return text
    distractor = draw.one(DISTRACTORS)
    return f"{distractor} {text}" if draw.chance(0.5) else f"{text} {distractor}"
