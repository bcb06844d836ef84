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
from finetune_assets.datasets.splitting.near_duplicates_candidates import Meeting, candidate_pairs
from finetune_assets.datasets.splitting.near_duplicates_columns import SketchColumns
from finetune_assets.datasets.splitting.near_duplicates_joined import Joined
from finetune_assets.datasets.splitting.near_duplicates_signatures import Signatures
from finetune_assets.datasets.splitting.near_duplicates_sketch import SketchBlock, banding_for
from finetune_assets.datasets.splitting.near_duplicates_verify import pair_similarities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from finetune_assets.datasets.splitting.near_duplicates_candidates import Camps

    Positions = NDArray[np.int64]
    Columns = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]

# How far below the threshold pairs are still compared. The estimate from about 90 values has a standard deviation of
# at most 0.05, so that a pair at the threshold falls below this floor once in 10,000 times.
LOWER = 0.2
_PORTION_BYTES = 1 << 20
# Reading so many bytes takes no longer than asking for another place of the file.
_GAP_BYTES = 1 << 11


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

    def columns(self) -> Columns:
        """Return the pairs without those of equal texts: both positions and the similarity."""
        import numpy as np

        return np.array(self.one, np.int64), np.array(self.other, np.int64), np.array(self.similarity, np.float64)

    def all_columns(self) -> Columns:
        """Return all pairs, those of equal texts last."""
        import numpy as np

        one, other, similarity = self.columns()
        first = np.repeat([members[0] for members in self.equal], [len(members) - 1 for members in self.equal])
        others = np.array([member for members in self.equal for member in members[1:]], np.int64)
        return (
            np.concatenate([one, first.astype(np.int64)]),
            np.concatenate([other, others]),
            np.concatenate([similarity, np.ones(len(others))]),
        )

    def without_repetitions(self) -> NearPairs:
        """Return each pair once, where it came first."""
        import numpy as np

        one, other, similarity = self.columns()
        _, first = np.unique(one << np.int64(32) | other, return_index=True)
        if len(first) == len(one):
            return self
        first.sort()
        return NearPairs(
            array("q", one[first].tobytes()),
            array("q", other[first].tobytes()),
            array("d", similarity[first].tobytes()),
            self.equal,
        )


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

    def texts(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the normalised texts of several rows; those that stand near each other are read at once."""
        import numpy as np

        ends = np.frombuffer(self._offsets, np.int64)
        order = np.argsort(rows, kind="stable")
        begin, end = ends[rows[order]], ends[rows[order] + 1]
        far = begin[1:] > end[:-1] + _GAP_BYTES
        far |= begin[1:] // _PORTION_BYTES != begin[:-1] // _PORTION_BYTES
        found = [""] * len(rows)
        for places in np.split(np.arange(len(rows)), np.flatnonzero(far) + 1) if len(rows) else ():
            first, last = int(begin[places[0]]), int(end[places[-1]])
            block = os.pread(self._texts.fileno(), last - first, first)
            edges = (begin[places] - first).tolist(), (end[places] - first).tolist()
            for place, here, there in zip(order[places].tolist(), *edges, strict=True):
                found[place] = block[here:there].decode("utf-8", "surrogatepass")
        return found

    def sizes(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the bytes of the normalised texts of some rows."""
        import numpy as np

        ends = np.frombuffer(self._offsets, np.int64)
        found: NDArray[np.int64] = ends[rows + 1] - ends[rows]
        return found

    def search(self, rows: Sequence[int] | NDArray[np.int64]) -> NearSearch:
        """Return a search over some rows.

        Args:
            rows: row numbers in an order that does not depend on the file, such as that of their content keys.
        """
        import numpy as np

        if self._columns is None:
            self._texts.flush()
            # Band by band, as they are searched.
            bands = np.frombuffer(self._bands, "<u4").reshape(-1, self.banding.bands).T.copy()
            marks = np.frombuffer(self._marks, np.uint8).reshape(-1, self.banding.hashes)
            self._columns = bands, marks, np.frombuffer(self._names, "<u8")
            self._bands, self._marks, self._names = bytearray(), bytearray(), bytearray()
        return NearSearch(self, np.asarray(rows, np.int64), *self._columns)


class NearSearch:
    """A search for near-duplicates among some rows; positions are places in the rows that were given.

    Args:
        sketches: of all rows.
        rows: row numbers.
        bands: band keys of all rows, one row for each band.
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
        self.columns = SketchColumns(bands, marks, rows[self.positions])

    def __len__(self) -> int:
        return len(self.rows)

    def near_pairs(self) -> NearPairs:
        """Return the pairs at or above the threshold.

        Of rows that are connected already in a group of more than 64, no further pairs are listed: such groups come
        from boilerplate, and their pairs would grow with the square of the rows.
        """
        pairs = NearPairs(equal=self.equal)
        joined = Joined(len(self.rows), self.positions)
        for one, other, similarity in self.compared(self.sketches.config.threshold, joined.camps, joined.apart):
            for here, there, alike in zip(one.tolist(), other.tolist(), similarity.tolist(), strict=True):
                if joined.join(here, there):
                    pairs.add(here, there, alike)
        # A pair of crowded runs may come again with another band.
        return pairs.without_repetitions()

    def compared(
        self,
        floor: float,
        camps: Callable[[], Camps | None],
        apart: Callable[[Positions, Positions], NDArray[np.bool_]] | None = None,
    ) -> Iterator[tuple[Positions, Positions, NDArray[np.float64]]]:
        """Compare candidates and yield those at or above the floor.

        Args:
            floor: similarity, at most `LOWER` below the threshold to mean something.
            camps: a number for each of `positions`, as `near_duplicates_candidates.Meeting` describes them.
            apart: asked once more which pairs of positions are wanted, before some thousands are compared.

        Yields:
            Two columns of positions and their true similarity; a pair may come again.
        """
        meeting = Meeting(Signatures(self.columns, self.sketches.config.threshold - LOWER), camps)
        for found in candidate_pairs(self.columns, meeting):
            one, other = self.positions[found.one], self.positions[found.other]
            for here, there in self._portions(one, other):
                if apart:
                    wanted = apart(here, there)
                    here, there = here[wanted], there[wanted]
                similarity = self.similarities(here, there)
                kept = similarity >= floor
                if kept.any():
                    yield here[kept], there[kept], similarity[kept]

    def _portions(self, one: Positions, other: Positions) -> Iterator[tuple[Positions, Positions]]:
        """Yield the pairs in portions whose texts have about a megabyte together."""
        import numpy as np

        sizes = self.sketches.sizes(self.rows[one]) + self.sketches.sizes(self.rows[other])
        number = np.cumsum(sizes) // _PORTION_BYTES
        cuts = np.flatnonzero(number[1:] != number[:-1]) + 1
        yield from zip(np.split(one, cuts), np.split(other, cuts), strict=True)

    def similarities(self, one: Positions, other: Positions) -> NDArray[np.float64]:
        """Return the true similarity of pairs of positions."""
        import numpy as np

        distinct, place = np.unique(np.concatenate([one, other]), return_inverse=True)
        texts = self.sketches.texts(self.rows[distinct])
        return pair_similarities(texts, place[: len(one)], place[len(one) :], self.sketches.config.shingle)

    def text(self, position: int) -> str:
        """Return the normalised text at a position."""
        return self.sketches.text(int(self.rows[position]))


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
