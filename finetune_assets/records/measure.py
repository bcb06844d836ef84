"""Measure and Marks: what an answer is scored by, as sums over rows, so that every figure can be resampled.

A measure is a function of the *sums* of per-row statistics: an accuracy of (hits, rows), a word error rate of
(edits, words), BLEU of its n-gram counts. Judging sums them over all rows, over a slice, or over a resample, and never
averages averages. Formulas of single metrics live in `evaluation/metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Finish = Callable[[NDArray[np.float64]], NDArray[np.float64]]

MeasureKind = Literal["share", "mean", "rate", "corpus"]
Stats = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure that answers of a task are scored by.

    Attributes:
        name: its name in YAML and reports, snake_case, for instance `exact` or `wer`.
        title: a few words for a person, for instance `word error rate`.
        kind: `share`: each row is (0 or 1, 1); `mean`: each row is (a value in [0, 1], 1); `rate`: each row is
            (events, units), such as word edits and reference words; `corpus`: each row is a vector of counts that
            `finish` makes a figure of. A row that a measure does not apply to gives zeros throughout.
        higher_is_better: False for error rates.
        width: statistics a row, 2 but for `corpus`.
        finish: for `corpus`: sums of shape [..., width] to figures of shape [...]; None divides the first by the
            second, 0/0 being nan.
    """

    name: str
    title: str
    kind: MeasureKind = "mean"
    higher_is_better: bool = True
    width: int = 2
    finish: Finish | None = field(default=None, compare=False)

    def value(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the figure of summed statistics.

        Args:
            sums: shape [..., width].

        Returns:
            Shape [...]; nan where no row applies.
        """
        import numpy as np

        if self.finish is not None:
            return self.finish(sums)
        parts, wholes = sums[..., 0], sums[..., 1]
        figures: NDArray[np.float64] = np.divide(parts, wholes, out=np.full(np.shape(parts), np.nan), where=wholes > 0)
        return figures

    @property
    def sign(self) -> int:
        """1 when more is better, -1 when less is."""
        return 1 if self.higher_is_better else -1

    @property
    def as_percent(self) -> bool:
        """True when people read it in per cent: shares and rates; other figures are read with three decimals."""
        return self.kind in ("share", "rate")

    def row_goodness(self, stats: Stats) -> float | None:
        """Return how good one row is, in a scale where more is better; None where the measure does not apply.

        A `corpus` measure has none by rows.
        """
        if self.kind == "corpus" or len(stats) < 2 or stats[1] <= 0:
            return None
        return self.sign * stats[0] / stats[1]


@dataclass(frozen=True, slots=True)
class Marks:
    """How one answer was marked.

    Attributes:
        correct: the answer as a whole counts as right; what exact tests and critical rows go by.
        stats: statistics by measure name, as `Measure.kind` says. A measure that is absent does not apply to the row.
        notes: what a reader of the report wants to know of the row, as JSON: buckets, hits, missing keys. No texts.
    """

    correct: bool
    stats: Mapping[str, Stats]
    notes: Mapping[str, Any] = field(default_factory=dict)


def share(hit: bool) -> Stats:
    """Return the statistics of a row that hits or does not."""
    return (1.0, 1.0) if hit else (0.0, 1.0)


def mean(value: float) -> Stats:
    """Return the statistics of a row with a value in [0, 1]."""
    return (float(value), 1.0)
