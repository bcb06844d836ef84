"""Recall of the near-duplicate search, measured: rows are reworded a little and planted; does the search find them?

The search is the one that the splits were made by, over the same rows. Each planted text is changed, edit by edit, as
far as the threshold allows, so that the pairs are the hardest ones that still must be found.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finetune_assets.datasets.normalise import normalise_text
from finetune_assets.datasets.splitting.near_duplicates import LOWER, NearSearch
from finetune_assets.datasets.splitting.near_duplicates_candidates import Meeting, candidate_pairs
from finetune_assets.datasets.splitting.near_duplicates_signatures import Signatures
from finetune_assets.datasets.splitting.near_duplicates_sketch import SEED, sketch_texts
from finetune_assets.datasets.splitting.near_duplicates_verify import pair_similarities
from finetune_assets.evaluation.statistics.exact import wilson_interval
from finetune_assets.records.similarity import jaccard, shingles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

_TRIES = 8
_MAX_EDITS = 40
# Rewording a very long text edit by edit takes long and tells no more.
_MAX_CHARACTERS = 4_000
# Pairs that are compared at a time.
_PORTION = 512


@dataclass(frozen=True, slots=True)
class Recall:
    """What the search found of the planted pairs.

    Attributes:
        planted: pairs planted.
        found: of them, pairs found.
        lowest: smallest similarity among the planted pairs.
        mean: mean similarity of the planted pairs.
    """

    planted: int
    found: int
    lowest: float
    mean: float

    def to_json(self) -> dict[str, Any]:
        """Return the figures with the 95 % Wilson interval; all but the count are absent where none was planted."""
        if not self.planted:
            return {"planted": 0}
        low, high = wilson_interval(self.found, self.planted)
        return {
            "planted": self.planted,
            "found": self.found,
            "recall": round(self.found / self.planted, 6),
            "interval_95": [round(low, 6), round(high, 6)],
            "lowest_similarity": round(self.lowest, 6),
            "mean_similarity": round(self.mean, 6),
        }


def measure_recall(search: NearSearch, group_of: Sequence[int], pairs: int) -> Recall:
    """Plant pairs among the rows of a search and count those that it finds.

    A planted text is found when the search brings it together with its origin, or with another row of its origin's
    leak group that it is a near-duplicate of: either way the two would be in one split.

    Args:
        search: over rows in the order of their content keys, which is a random order that is always the same.
        group_of: the leak group of each row of the search.
        pairs: how many to plant; fewer where fewer texts can be reworded without falling below the threshold.
    """
    config = search.sketches.config
    planted = plant(
        # Twice as many as are wanted: some are too short to be reworded.
        [(place, search.text(int(position))) for place, position in enumerate(search.positions[: 2 * pairs])],
        threshold=config.threshold,
        size=config.shingle,
        most=pairs,
    )
    if not planted:
        return Recall(0, 0, 0.0, 0.0)
    return Recall(
        planted=len(planted),
        found=_found(search, [group_of[position] for position in search.positions.tolist()], planted),
        lowest=min(pair.similarity for pair in planted),
        mean=sum(pair.similarity for pair in planted) / len(planted),
    )


@dataclass(frozen=True, slots=True)
class PlantedPair:
    """A reworded text: the place of its origin, the new text (normalised), and how alike the two are."""

    origin: int
    text: str
    similarity: float


def plant(
    texts: Sequence[tuple[int, str]], *, threshold: float, size: int, most: int, seed: int = SEED
) -> list[PlantedPair]:
    """Reword texts as far as the threshold allows.

    Args:
        texts: the place of each, and its normalised text.
        threshold: smallest similarity that a reworded text may have to its origin.
        size: characters of a shingle.
        most: how many pairs to make at most.
        seed: decides the edits.

    Returns:
        One pair for each text that can be reworded; very short ones cannot.
    """
    draw = random.Random(seed)  # noqa: S311 no secret
    words = sorted({word for _, text in texts for word in text[:_MAX_CHARACTERS].split()})
    found: list[PlantedPair] = []
    for origin, text in texts:
        if len(found) == most:
            break
        if len(text) > _MAX_CHARACTERS:
            continue
        reworded = _reworded(text, words, threshold, size, draw)
        if reworded is not None:
            found.append(PlantedPair(origin, *reworded))
    return found


def _reworded(
    text: str, words: Sequence[str], threshold: float, size: int, draw: random.Random
) -> tuple[str, float] | None:
    """Return the text after as many edits as the threshold allows, and its similarity; None where not one fits."""
    original = shingles(text, size)
    best: tuple[str, float] | None = None
    misses = 0
    for _ in range(_MAX_EDITS):
        edited = normalise_text(draw.choice(_EDITS)(best[0] if best else text, words, draw))
        similarity = jaccard(original, shingles(edited, size))
        if edited != text and threshold <= similarity < 1.0:
            best = edited, similarity
        else:
            misses += 1
            if misses == _TRIES:
                break
    return best


def _replace_word(text: str, words: Sequence[str], draw: random.Random) -> str:
    parts = text.split(" ")
    parts[draw.randrange(len(parts))] = draw.choice(words)
    return " ".join(parts)


def _insert_word(text: str, words: Sequence[str], draw: random.Random) -> str:
    parts = text.split(" ")
    parts.insert(draw.randrange(len(parts) + 1), draw.choice(words))
    return " ".join(parts)


def _drop_word(text: str, _words: Sequence[str], draw: random.Random) -> str:
    parts = text.split(" ")
    del parts[draw.randrange(len(parts))]
    return " ".join(parts)


def _mistype(text: str, _words: Sequence[str], draw: random.Random) -> str:
    place = draw.randrange(len(text))
    return text[:place] + draw.choice(text) + text[place + 1 :]


_EDITS: tuple[Callable[[str, Sequence[str], random.Random], str], ...] = (
    _replace_word,
    _insert_word,
    _drop_word,
    _mistype,
)


def _found(search: NearSearch, group_of: Sequence[int], planted: Sequence[PlantedPair]) -> int:
    """Count the planted texts that the search ties to the leak group of their origin."""
    import numpy as np

    config = search.sketches.config
    columns = search.columns.plus(sketch_texts([pair.text for pair in planted], config))
    count = len(search.columns)
    camps = (np.arange(len(columns)) >= count).astype(np.uint8)
    groups = np.asarray(group_of, np.int64)
    origins = np.array([pair.origin for pair in planted], np.int64)
    found = np.zeros(len(planted), np.bool_)
    meeting = Meeting(Signatures(columns, config.threshold - LOWER), lambda: camps)
    for place, other, _ in candidate_pairs(columns, meeting):
        number = other - count
        wanted = ~found[number] & (groups[place] == groups[origins[number]])
        place, number = place[wanted], number[wanted]
        own = place == origins[number]
        found[number[own]] = True
        for near, made in _portions(place[~own], number[~own]):
            # Some were found in the portion before.
            near, made = near[~found[made]], made[~found[made]]
            found[made[_alike(search, near, [planted[at].text for at in made.tolist()])]] = True
    return int(found.sum())


def _portions(place: Numbers, number: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
    for begin in range(0, len(place), _PORTION):
        yield place[begin : begin + _PORTION], number[begin : begin + _PORTION]


def _alike(search: NearSearch, places: Numbers, made: Sequence[str]) -> NDArray[np.bool_]:
    """Return which planted texts are near-duplicates of the rows at the same places."""
    import numpy as np

    config = search.sketches.config
    distinct, place = np.unique(places, return_inverse=True)
    texts = search.sketches.texts(search.rows[search.positions[distinct]])
    similar = pair_similarities([*texts, *made], place, np.arange(len(made)) + len(texts), config.shingle)
    kept: NDArray[np.bool_] = similar >= config.threshold
    return kept
