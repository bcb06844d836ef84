"""SketchColumns: the sketches of the rows of one search, read from those of the whole dataset without a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from finetune_assets.datasets.splitting.near_duplicates_sketch import SketchBlock


class SketchColumns:
    """Band keys and marks of some rows, by their place among these.

    Args:
        bands: band keys of the whole dataset, one row for each band.
        marks: low bits of the MinHash values of the whole dataset, one row for each text.
        rows: which rows of the dataset.
        more: texts that are no rows of the dataset, after the others.
    """

    def __init__(
        self,
        bands: NDArray[np.uint32],
        marks: NDArray[np.uint8],
        rows: NDArray[np.int64],
        more: SketchBlock | None = None,
    ) -> None:
        import numpy as np

        self._bands, self._marks, self._rows = bands, marks, rows
        self.width, self.hashes = len(bands), marks.shape[1]
        self._more_bands = np.frombuffer(b"" if more is None else more.bands, "<u4").reshape(-1, self.width).T
        self._more_marks = np.frombuffer(b"" if more is None else more.marks, np.uint8).reshape(-1, self.hashes)

    def __len__(self) -> int:
        return len(self._rows) + len(self._more_marks)

    def plus(self, more: SketchBlock) -> SketchColumns:
        """Return the same columns with some more texts at their end."""
        return SketchColumns(self._bands, self._marks, self._rows, more)

    def band(self, number: int) -> NDArray[np.uint32]:
        """Return the keys of one band."""
        import numpy as np

        return np.concatenate([self._bands[number].take(self._rows), self._more_bands[number]])

    def bands_at(self, places: NDArray[np.int64], count: int) -> NDArray[np.uint32]:
        """Return the keys of the first bands at some places, one row for each band."""
        inside, more = self._parted(places)
        found: NDArray[np.uint32] = self._bands[:count].take(inside, axis=1)
        if more is not None:
            found[:, more] = self._more_bands[:count].take(places[more] - len(self._rows), axis=1)
        return found

    def marks_at(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the marks at some places, one row for each place."""
        inside, more = self._parted(places)
        found: NDArray[np.uint8] = self._marks.take(inside, axis=0)
        if more is not None:
            found[more] = self._more_marks.take(places[more] - len(self._rows), axis=0)
        return found

    def _parted(self, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
        """Return a row of the dataset for each place, and which places are none of it; None where all are."""
        if not len(self._more_marks):
            return self._rows.take(places), None
        outside = places >= len(self._rows)
        return self._rows.take(places, mode="clip"), outside
