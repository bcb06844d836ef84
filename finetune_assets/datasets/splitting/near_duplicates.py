"""Near-duplicates: which rows are so alike that one split must hold them both.

MinHash brings alike texts together (`near_duplicates_sketch`, `near_duplicates_candidates`); their true Jaccard
similarity, on the same shingles, decides. Sketches stand in memory, about 240 bytes a row, the normalised texts in a
temporary file.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from finetune_assets.datasets.splitting.config import NearDuplicateConfig
from finetune_assets.datasets.splitting.leak_groups import UnionFind
from finetune_assets.datasets.splitting.near_duplicates_candidates import candidate_pairs
from finetune_assets.datasets.splitting.near_duplicates_sketch import Banding, SketchBlock, banding_for
from finetune_assets.records.similarity import jaccard, shingles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Relevant = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]

# How far below the threshold pairs are still compared. The estimate from about 90 values has a standard deviation of
# at most 0.05, so that a pair at the threshold falls below this floor once in 10,000 times.
LOWER = 0.2
_CACHED_SHINGLES = 500_000
_LARGE_GROUP = 64


@dataclass(slots=True)
class NearPairs:
    """Pairs of near-duplicates, as columns.

    Attributes:
        one: positions in the rows that were searched.
        other: positions in the rows that were searched.
        similarity: true Jaccard similarity, from the threshold to 1.
        equal: positions of equal texts, in groups of at least two; their first member stands for them in the pairs.
    """

    one: array[int] = field(default_factory=lambda: array("q"))
    other: array[int] = field(default_factory=lambda: array("q"))
    similarity: array[float] = field(default_factory=lambda: array("d"))
    equal: list[list[int]] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[int, int, float]]:
        yield from zip(self.one, self.other, self.similarity, strict=True)
        for first, *others in self.equal:
            for member in others:
                yield first, member, 1.0

    def __len__(self) -> int:
        return len(self.one) + sum(len(members) - 1 for members in self.equal)

    def add(self, one: int, other: int, similarity: float) -> None:
        """Add a pair."""
        self.one.append(one)
        self.other.append(other)
        self.similarity.append(similarity)


class Sketches:
    """The sketches of all rows of a dataset, in file order, and their texts on disk.

    Args:
        config: threshold and shingles, the same as the blocks were made with.
        folder: where the texts may stand for the time being; by default the system's place for temporary files.
    """

    def __init__(self, config: NearDuplicateConfig, folder: Path | None = None) -> None:
        self.config = config
        self.banding = banding_for(config.threshold)
        self._bands = bytearray()
        self._marks = bytearray()
        self._names = bytearray()
        self._columns: tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint64]] | None = None
        self._offsets = array("q", [0])
        self._texts = tempfile.TemporaryFile(dir=folder, prefix=".texts-", buffering=1 << 20)  # noqa: SIM115 closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._texts.close()
        self._columns = None

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def take(self, block: SketchBlock) -> None:
        """Take in the next rows, before the first search."""
        self._bands += block.bands
        self._marks += block.marks
        self._names += block.names
        self._offsets.extend(accumulate(block.sizes, initial=self._offsets.pop()))
        self._texts.write(block.texts)

    def text(self, row: int) -> str:
        """Return a row's normalised text."""
        begin, end = self._offsets[row : row + 2]
        return os.pread(self._texts.fileno(), end - begin, begin).decode("utf-8", "surrogatepass")

    def search(self, rows: Sequence[int] | NDArray[np.int64]) -> NearSearch:
        """Return a search over some rows.

        Args:
            rows: row numbers in an order that does not depend on the file, such as that of their content keys.
        """
        import numpy as np

        if self._columns is None:
            self._texts.flush()
            bands = np.frombuffer(self._bands, "<u4").reshape(-1, self.banding.bands)
            marks = np.frombuffer(self._marks, np.uint8).reshape(-1, self.banding.hashes)
            self._columns = bands, marks, np.frombuffer(self._names, "<u8")
            self._bands, self._marks, self._names = bytearray(), bytearray(), bytearray()
        return NearSearch(self, np.asarray(rows, np.int64), *self._columns)


class NearSearch:
    """A search for near-duplicates among some rows; positions are places in the rows that were given.

    Args:
        sketches: of all rows.
        rows: row numbers.
        bands: band keys of all rows.
        marks: low bits of their MinHash values.
        names: hashes of their texts, 0 for an empty one.
    """

    def __init__(
        self,
        sketches: Sketches,
        rows: NDArray[np.int64],
        bands: NDArray[np.uint32],
        marks: NDArray[np.uint8],
        names: NDArray[np.uint64],
    ) -> None:
        import numpy as np

        self.sketches = sketches
        self.rows = rows
        distinct, first, group = np.unique(names[rows], return_index=True, return_inverse=True)
        self.equal = _groups(group, len(distinct), skip=int(distinct[0]) == 0 if len(distinct) else False)
        # The first of equal texts stands for all; an empty text is like no other.
        self.positions = np.sort(first[distinct != 0])
        self.bands = bands[rows[self.positions]]
        self.marks = marks[rows[self.positions]]
        self._cache: dict[int, frozenset[str]] = {}
        self._cached = 0

    def __len__(self) -> int:
        return len(self.rows)

    def near_pairs(self) -> NearPairs:
        """Return the pairs at or above the threshold.

        Of rows that are connected already in a group of more than 64, no further pairs are listed: such groups come
        from boilerplate, and their pairs would grow with the square of the rows.
        """
        pairs = NearPairs(equal=self.equal)
        known: set[tuple[int, int]] = set()
        joined = UnionFind(len(self.rows))
        for one, other, similarity, crowded in self.compared(self.sketches.config.threshold, joined=joined):
            if (one, other) in known:
                continue
            if crowded:
                known.add((one, other))
            joined.union(one, other)
            pairs.add(one, other, similarity)
        return pairs

    def compared(
        self, floor: float, *, relevant: Relevant | None = None, joined: UnionFind | None = None
    ) -> Iterator[tuple[int, int, float, bool]]:
        """Compare candidates and yield those at or above the floor.

        Args:
            floor: similarity, at most `LOWER` below the threshold to mean something.
            relevant: which pairs of positions to compare; None compares all.
            joined: pairs that stand in one large set of it are left out.

        Yields:
            Two positions, their true similarity, and whether their run was crowded, so that they may come again.
        """
        config, banding = self.sketches.config, self.sketches.banding
        for one, other, crowded in candidate_pairs(self.bands):
            keep = worth_comparing(self.marks, one, other, config, banding)
            left, right, dense = self.positions[one[keep]], self.positions[other[keep]], crowded[keep]
            keep = relevant(left, right) if relevant else ~_in_large(joined, left, right) if joined else dense | True
            for here, there, again in zip(left[keep].tolist(), right[keep].tolist(), dense[keep].tolist(), strict=True):
                if joined and joined.size(here) > _LARGE_GROUP and joined.find(here) == joined.find(there):
                    continue
                similarity = jaccard(self.shingles(here), self.shingles(there))
                if similarity >= floor:
                    yield here, there, similarity, again

    def shingles(self, position: int) -> frozenset[str]:
        """Return the shingles of the text at a position."""
        found = self._cache.get(position)
        if found is None:
            if self._cached > _CACHED_SHINGLES:
                self._cache.clear()
                self._cached = 0
            found = shingles(self.text(position), self.sketches.config.shingle)
            self._cache[position] = found
            self._cached += len(found)
        return found

    def text(self, position: int) -> str:
        """Return the normalised text at a position."""
        return self.sketches.text(int(self.rows[position]))


def _in_large(joined: UnionFind, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which pairs stand in one large set already; each position is looked up once."""
    import numpy as np

    distinct, place = np.unique(np.concatenate([one, other]), return_inverse=True)
    roots = np.fromiter(map(joined.find, distinct.tolist()), np.int64, len(distinct))
    large = np.fromiter((joined.size(root) > _LARGE_GROUP for root in roots.tolist()), np.bool_, len(roots))
    left, right = place[: len(one)], place[len(one) :]
    same: NDArray[np.bool_] = (roots[left] == roots[right]) & large[left]
    return same


def worth_comparing(
    marks: NDArray[np.uint8],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    config: NearDuplicateConfig,
    banding: Banding,
) -> NDArray[np.bool_]:
    """Return which pairs their signatures estimate to be at most `LOWER` below the threshold, or above it."""
    kept: NDArray[np.bool_] = (marks[one] == marks[other]).sum(axis=1) >= (config.threshold - LOWER) * banding.hashes
    return kept


def _groups(group: NDArray[np.int64], count: int, *, skip: bool) -> list[list[int]]:
    """Return the positions of each group of at least two, in the order of their first; the first may be skipped."""
    import numpy as np

    sizes = np.bincount(group, minlength=count)
    if skip and count:
        sizes[0] = 0
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=count))
    found = [order[ends[number] - sizes[number] : ends[number]].tolist() for number in np.flatnonzero(sizes > 1)]
    return sorted(found)
