"""MarkTable: the marks of one model's answers as arrays, one row for each example of the test set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from finetune_assets.evaluation.answers import ScoredAnswer
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.measure import Measure, Stats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class MarkTable:
    """One model's statistics.

    Attributes:
        stats: by measure name, shape [rows, width]; zeros where a measure does not apply to a row.
        applies: by measure name, shape [rows]: which rows the measure applies to.
    """

    stats: dict[str, NDArray[np.float64]]
    applies: dict[str, NDArray[np.bool_]]

    def value(self, measure: Measure, rows: NDArray[np.int64] | None = None) -> float | None:
        """Return a figure over all rows or some.

        Args:
            measure: one of the table's.
            rows: row numbers; None takes all.

        Returns:
            The figure; None where no row applies.
        """
        stats = self.stats[measure.name] if rows is None else self.stats[measure.name][rows]
        found = float(measure.value(stats.sum(axis=0))) if len(stats) else math.nan
        return found if math.isfinite(found) else None


def mark_table(answers: Sequence[ScoredAnswer], measures: Sequence[Measure]) -> MarkTable:
    """Return the marks of answers as arrays.

    Raises:
        FinetuneError: when a row's statistics have not the width that their measure says, or are no finite numbers.
    """
    import numpy as np

    stats: dict[str, NDArray[np.float64]] = {}
    applies: dict[str, NDArray[np.bool_]] = {}
    marked = [answer.stats for answer in answers]
    for measure in measures:
        nothing = (0.0,) * measure.width
        rows = [row.get(measure.name, nothing) for row in marked]
        whole = set(map(len, rows)) <= {measure.width}
        table = np.fromiter(chain.from_iterable(rows if whole else ()), np.float64).reshape(-1, measure.width)
        if not whole or not np.isfinite(table).all():
            place = next(place for place, row in enumerate(rows) if not _is_mark(row, measure.width))
            raise FinetuneError(
                "an answer is marked with what is no mark",
                where=f"record {answers[place].record_id}, measure {measure.name}",
                found=str(rows[place]),
                expected=f"{measure.width} finite numbers",
                mend="repair the task type's mark()",
            )
        stats[measure.name] = table
        applies[measure.name] = table[:, 1] > 0 if measure.kind in ("share", "mean") else (table != 0).any(axis=1)
    return MarkTable(stats, applies)


def _is_mark(row: Stats, width: int) -> bool:
    return len(row) == width and all(map(math.isfinite, row))
