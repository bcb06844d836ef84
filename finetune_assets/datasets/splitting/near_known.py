"""Which of a few texts are near-duplicates of many others, read once and not held: corrected cases against a dataset.

The few are sketched and indexed; the many pass by in batches. Alikeness is that of `near_duplicates`: MinHash brings
texts together, their true Jaccard similarity decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from finetune_assets.datasets.splitting.config import NearDuplicateConfig
from finetune_assets.datasets.splitting.near_duplicates_sketch import SketchBlock, sketch_texts
from finetune_assets.records.similarity import jaccard, shingles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class NearKnown:
    """An index of a few texts.

    Args:
        texts: what is compared, as `records.similarity.similarity_text` gives it.
        config: threshold and shingles, those of the split.
    """

    def __init__(self, texts: Sequence[str], config: NearDuplicateConfig) -> None:
        self._config = config
        block = sketch_texts(texts, config)
        self._shingles = [shingles(text, config.shingle) for text in _texts(block)]
        self._columns = _bands(block)
        self._holders: list[dict[int, list[int]]] = []
        for column in self._columns:
            holders: dict[int, list[int]] = defaultdict(list)
            for number, key in enumerate(column.tolist()):
                holders[key].append(number)
            self._holders.append(holders)

    def alike(self, others: Sequence[str]) -> list[tuple[int, int]]:
        """Return the pairs (number of an own text, number of the other) that are near-duplicates, sorted."""
        import numpy as np

        if not others or not self._shingles:
            return []
        block = sketch_texts(others, self._config)
        met: dict[int, set[int]] = defaultdict(set)
        for column, known, holders in zip(_bands(block), self._columns, self._holders, strict=True):
            for place in np.flatnonzero(np.isin(column, known)).tolist():
                met[place].update(holders[int(column[place])])
        if not met:
            return []
        texts = _texts(block)
        found = []
        for place, own in sorted(met.items()):
            there = shingles(texts[place], self._config.shingle)
            found += [
                (number, place)
                for number in sorted(own)
                if jaccard(self._shingles[number], there) >= self._config.threshold
            ]
        return sorted(found)


def _bands(block: SketchBlock) -> list[NDArray[np.uint32]]:
    """Return the band keys, one column for each band."""
    import numpy as np

    return list(np.frombuffer(block.bands, "<u4").reshape(len(block), -1).T.copy()) if len(block) else []


def _texts(block: SketchBlock) -> list[str]:
    found, begin = [], 0
    for size in block.sizes:
        found.append(block.texts[begin : begin + size].decode("utf-8", "surrogatepass"))
        begin += size
    return found
