"""A few texts are held against many: the pairs found are those whose similarity reaches the threshold."""

from __future__ import annotations

import random

from finetune_assets.datasets.normalise import normalise_texts
from finetune_assets.datasets.splitting.config import NearDuplicateConfig
from finetune_assets.datasets.splitting.near_known import NearKnown
from finetune_assets.records.similarity import jaccard, shingles

CONFIG = NearDuplicateConfig()


def texts(count: int, seed: int) -> list[str]:
    draw = random.Random(f"near known {seed}")
    return [" ".join(draw.choice(("oven", "hose", "lamp", "tap")) + str(draw.randrange(900)) for _ in range(9))] * 2 + [
        " ".join(str(draw.randrange(10**6)) for _ in range(9)) for _ in range(count - 2)
    ]


def test_pairs_are_those_that_are_as_alike_as_asked() -> None:
    own = [*texts(40, 1), "", "hi"]
    others = [*(f"{text}!" for text in own), *(text.upper() for text in own[:9]), *texts(200, 2), "", "hi"]

    def sets(of: list[str]) -> list[frozenset[str]]:
        return [shingles(text, CONFIG.shingle) for text in normalise_texts(of)]

    expected = [
        (number, place)
        for number, one in enumerate(sets(own))
        for place, other in enumerate(sets(others))
        if jaccard(one, other) >= CONFIG.threshold
    ]
    assert len(expected) > len(own)
    assert NearKnown(own, CONFIG).alike(others) == expected


def test_nothing_is_like_nothing() -> None:
    assert NearKnown([], CONFIG).alike(["a text"]) == []
    assert NearKnown(["a text"], CONFIG).alike([]) == []
