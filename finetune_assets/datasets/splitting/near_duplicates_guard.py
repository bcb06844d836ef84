"""A guard for rows that are made after the split: is a text a near-duplicate of an evaluation row?"""

from __future__ import annotations

from collections import defaultdict

from finetune_assets.datasets.splitting.near_duplicates import NearSearch
from finetune_assets.datasets.splitting.near_duplicates_sketch import sketch_texts
from finetune_assets.records.similarity import jaccard, shingles


class EvaluationGuard:
    """Knows the texts of the evaluation rows; they are held in memory.

    Args:
        search: over the evaluation rows; not needed any more afterwards.
    """

    def __init__(self, search: NearSearch) -> None:
        self._config = search.sketches.config
        self._texts = [search.text(position) for position in search.positions.tolist()]
        self._holders: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number in range(search.columns.width):
            for place, key in enumerate(search.columns.band(number).tolist()):
                self._holders[number, key].append(place)

    def is_alike(self, text: str) -> bool:
        """Return True when the text is a near-duplicate of an evaluation row.

        Args:
            text: what is compared, as `records.similarity.similarity_text` gives it.
        """
        import numpy as np

        block = sketch_texts([text], self._config)
        own = shingles(block.texts.decode("utf-8", "surrogatepass"), self._config.shingle)
        places = {
            place
            for band in enumerate(np.frombuffer(block.bands, "<u4").tolist())
            for place in self._holders.get(band, ())
        }
        return any(
            jaccard(own, shingles(self._texts[place], self._config.shingle)) >= self._config.threshold
            for place in places
        )
