"""Two models on the same rows: pairing, and the gain with its interval.

Nothing here knows thresholds of a release; `gates/` does. What it would take to decide is in `more_rows.py`. A gain
is always positive when the candidate is better, also where less is better, as for error rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finetune_assets.evaluation.answers import ScoredAnswer
from finetune_assets.evaluation.statistics.exact import Interval, holm, mcnemar_exact
from finetune_assets.evaluation.statistics.mark_table import MarkTable
from finetune_assets.evaluation.statistics.resampling import bootstrap_gain, row_spread, sign_flip
from finetune_assets.evaluation.statistics.score_interval import score_difference
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.measure import Measure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]

Pair = tuple[ScoredAnswer, ScoredAnswer]
MCNEMAR = "one-sided exact McNemar"
SIGN_FLIP = "one-sided sign-flip permutation"


@dataclass(frozen=True, slots=True)
class Settings:
    """How comparisons are made.

    Attributes:
        alpha: level of each one-sided test, in (0, 0.5); intervals have the confidence 1 - 2 alpha.
        resamples: draws of the bootstrap and of the permutation test.
        seed: of both.
    """

    alpha: float = 0.05
    resamples: int = 2000
    seed: int = 0

    @property
    def confidence(self) -> float:
        """Two-sided confidence of the intervals."""
        return 1.0 - 2.0 * self.alpha


@dataclass(frozen=True, slots=True)
class Comparison:
    """The candidate against another model by one measure, on the same rows.

    Attributes:
        measure: the measure.
        rows: pairs that the measure applies to.
        wins: rows on which the candidate is the better one.
        losses: rows on which the other model is.
        ours: the candidate's figure, None without rows.
        theirs: the other's figure.
        difference: the gain, positive when the candidate is better; 0 when there are no rows.
        interval: of the gain, a score interval for shares, else a paired bootstrap; its two tails are alpha each.
        confidence: the interval's confidence, 1 - 2 alpha.
        p_better: one-sided p-value against "not better".
        p_worse: one-sided p-value against "not worse".
        alpha: level at which "better" and "worse" count as shown.
        test: which test gave the p-values.
        spread: standard deviation of one row's part in the gain; nan when unknown.
    """

    measure: Measure
    rows: int
    wins: int
    losses: int
    ours: float | None
    theirs: float | None
    difference: float
    interval: Interval
    confidence: float
    p_better: float
    p_worse: float
    alpha: float
    test: str
    spread: float

    @property
    def better(self) -> bool:
        """True when the candidate is shown to be better."""
        return self.p_better <= self.alpha

    @property
    def worse(self) -> bool:
        """True when the candidate is shown to be worse."""
        return self.p_worse <= self.alpha

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON."""
        low, high = self.interval
        return {
            "measure": self.measure.name,
            "rows": self.rows,
            "wins": self.wins,
            "losses": self.losses,
            "candidate": self.ours,
            "baseline": self.theirs,
            "difference": self.difference,
            "interval": [low, high] if math.isfinite(low) and math.isfinite(high) else None,
            "confidence": self.confidence,
            "p_better": self.p_better,
            "p_worse": self.p_worse,
            "test": self.test,
            "shown": "better" if self.better else "worse" if self.worse else "neither",
        }


@dataclass(frozen=True, slots=True)
class SliceComparison:
    """One slice of the test set.

    Attributes:
        name: the slice.
        comparison: the two on the slice's rows.
        p_worse_holm: `comparison.p_worse`, adjusted by Holm over all slices.
    """

    name: str
    comparison: Comparison
    p_worse_holm: float

    @property
    def worse(self) -> bool:
        """True when the candidate is shown to be worse on this slice, the number of slices allowed for."""
        return self.p_worse_holm <= self.comparison.alpha


def pair_answers(candidate: Sequence[ScoredAnswer], baseline: Sequence[ScoredAnswer]) -> list[Pair]:
    """Pair two models' answers by example id.

    Args:
        candidate: the candidate's rows.
        baseline: the other model's rows, in any order.

    Returns:
        (candidate's row, other's row) in the candidate's order.

    Raises:
        FinetuneError: when the two did not answer the same examples with the same right labels.
    """
    by_id = {answer.example_id: answer for answer in baseline}
    ours = {answer.example_id for answer in candidate}
    only_ours, only_theirs = ours - by_id.keys(), by_id.keys() - ours
    if only_ours or only_theirs or len(candidate) != len(ours) or len(baseline) != len(by_id):
        raise FinetuneError(
            "candidate and baseline did not answer the same examples",
            found=f"{len(only_ours)} only in the candidate's {len(candidate)} rows, "
            f"{len(only_theirs)} only in the baseline's {len(baseline)}",
            expected="one row for each example id, the same ids in both",
            mend="collect both models' answers on one dataset version",
        )
    pairs = [(answer, by_id[answer.example_id]) for answer in candidate]
    for ours_row, theirs_row in pairs:
        if ours_row.expected != theirs_row.expected:
            raise FinetuneError(
                "candidate and baseline were judged by different labels",
                where=f"record {ours_row.record_id}",
                mend="collect both models' answers on one dataset version",
            )
    return pairs


def compare(
    measure: Measure, ours: MarkTable, theirs: MarkTable, settings: Settings, *, rows: Rows | None = None
) -> Comparison:
    """Compare two models by one measure.

    A share of rows is tested by the exact McNemar test, every other measure by a sign-flip permutation.

    Args:
        measure: the figure.
        ours: the candidate's marks.
        theirs: the other model's marks, row by row the same examples.
        settings: level, draws, seed.
        rows: row numbers to compare on; None takes all.

    Raises:
        FinetuneError: when the two were marked over different units, such as other reference words.
    """
    import numpy as np

    applies = ours.applies[measure.name] | theirs.applies[measure.name]
    chosen = np.flatnonzero(applies) if rows is None else rows[applies[rows]]
    one, other = ours.stats[measure.name][chosen], theirs.stats[measure.name][chosen]
    if measure.kind != "corpus" and not np.array_equal(one[:, 1], other[:, 1]):
        raise FinetuneError(
            "two models were marked over different units",
            where=f"measure {measure.name}",
            found=f"{one[:, 1].sum():g} and {other[:, 1].sum():g} units",
            mend="mark both models' answers with one version of the task type",
        )
    if measure.kind == "share":
        return _by_counts(measure, one[:, 0] > 0, other[:, 0] > 0, settings)
    return _by_resampling(measure, one, other, settings)


def _by_counts(measure: Measure, ours: NDArray[np.bool_], theirs: NDArray[np.bool_], settings: Settings) -> Comparison:
    first, second = (ours, theirs) if measure.higher_is_better else (~ours, ~theirs)
    wins, losses, rows = int((first & ~second).sum()), int((second & ~first).sum()), len(ours)
    test = mcnemar_exact(wins, losses)
    discordant = (wins + losses) / rows if rows else math.nan
    difference = (wins - losses) / rows if rows else 0.0
    return Comparison(
        measure=measure,
        rows=rows,
        wins=wins,
        losses=losses,
        ours=float(ours.mean()) if rows else None,
        theirs=float(theirs.mean()) if rows else None,
        difference=difference,
        interval=score_difference(wins, losses, rows, confidence=settings.confidence),
        confidence=settings.confidence,
        p_better=test.p_better,
        p_worse=test.p_worse,
        alpha=settings.alpha,
        test=MCNEMAR,
        spread=math.sqrt(max(0.0, discordant - difference**2)) if rows else math.nan,
    )


def _by_resampling(
    measure: Measure, ours: NDArray[np.float64], theirs: NDArray[np.float64], settings: Settings
) -> Comparison:
    rows = len(ours)
    figures = [float(measure.value(stats.sum(axis=0))) for stats in (ours, theirs)] if rows else [math.nan, math.nan]
    known = all(math.isfinite(figure) for figure in figures)
    test = sign_flip(measure, ours, theirs, resamples=settings.resamples, seed=settings.seed)
    wins, losses = _row_wins(measure, ours, theirs)
    return Comparison(
        measure=measure,
        rows=rows,
        wins=wins,
        losses=losses,
        ours=figures[0] if known else None,
        theirs=figures[1] if known else None,
        difference=measure.sign * (figures[0] - figures[1]) if known else 0.0,
        interval=bootstrap_gain(
            measure, ours, theirs, confidence=settings.confidence, resamples=settings.resamples, seed=settings.seed
        ),
        confidence=settings.confidence,
        p_better=test.p_better if known else 1.0,
        p_worse=test.p_worse if known else 1.0,
        alpha=settings.alpha,
        test=SIGN_FLIP,
        spread=row_spread(measure, ours, theirs),
    )


def _row_wins(measure: Measure, ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> tuple[int, int]:
    """Return rows won and lost; a measure of the corpus has no figure by rows, and says 0 and 0."""
    if measure.kind == "corpus":
        return 0, 0
    ahead = measure.sign * (ours[:, 0] - theirs[:, 0])  # over the same units
    return int((ahead > 0).sum()), int((ahead < 0).sum())


def slice_rows(answers: Sequence[ScoredAnswer]) -> dict[str, Rows]:
    """Return the row numbers of each slice, slices sorted by name."""
    import numpy as np

    found: dict[str, list[int]] = {}
    for number, answer in enumerate(answers):
        for name in answer.slices:
            found.setdefault(name, []).append(number)
    return {name: np.asarray(found[name], np.int64) for name in sorted(found)}


def compare_slices(
    measure: Measure, ours: MarkTable, theirs: MarkTable, slices: dict[str, Rows], settings: Settings
) -> list[SliceComparison]:
    """Compare the two models on every slice, with Holm's correction over the slices."""
    compared = {name: compare(measure, ours, theirs, settings, rows=rows) for name, rows in slices.items()}
    compared = {name: comparison for name, comparison in compared.items() if comparison.rows}
    adjusted = holm([comparison.p_worse for comparison in compared.values()])
    return [
        SliceComparison(name, comparison, p_value)
        for (name, comparison), p_value in zip(compared.items(), adjusted, strict=True)
    ]


def new_failures(pairs: Sequence[Pair]) -> list[str]:
    """Return the record ids, sorted, of rows that the baseline has right and the candidate wrong."""
    return sorted(ours.record_id for ours, theirs in pairs if theirs.correct and not ours.correct)


def fixed_rows(pairs: Sequence[Pair]) -> list[str]:
    """Return the record ids, sorted, of rows that the candidate has right and the baseline wrong."""
    return sorted(ours.record_id for ours, theirs in pairs if ours.correct and not theirs.correct)


def both_wrong(pairs: Sequence[Pair]) -> list[str]:
    """Return the record ids, sorted, of rows that both models have wrong."""
    return sorted(ours.record_id for ours, theirs in pairs if not ours.correct and not theirs.correct)
