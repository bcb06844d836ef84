"""Two models on the same rows: pairing, the difference with its interval, and what it would take to decide.

Nothing here knows thresholds of a release; `gates.py` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from finetune_assets.evaluation.answers import ScoredAnswer
from finetune_assets.evaluation.planning import rows_needed
from finetune_assets.evaluation.scores import slice_names
from finetune_assets.evaluation.statistics import (
    Interval,
    bootstrap_difference,
    holm,
    mcnemar_exact,
)
from finetune_assets.records.errors import FinetuneError

Pair = tuple[ScoredAnswer, ScoredAnswer]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The candidate against another model, by exact label path, on the same rows.

    Attributes:
        rows: pairs compared.
        wins: rows that only the candidate has right.
        losses: rows that only the other model has right.
        difference: (wins - losses) / rows, the gain in accuracy; 0 when there are no rows.
        interval: paired bootstrap interval of the difference; its two tails are alpha each, as in the tests.
        confidence: the interval's confidence, 1 - 2 alpha.
        p_better: exact one-sided p-value for "better".
        p_worse: exact one-sided p-value for "worse".
        alpha: level at which "better" and "worse" count as shown.
    """

    rows: int
    wins: int
    losses: int
    difference: float
    interval: Interval
    confidence: float
    p_better: float
    p_worse: float
    alpha: float

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
        return {
            "rows": self.rows,
            "wins": self.wins,
            "losses": self.losses,
            "difference": self.difference,
            "interval": list(self.interval),
            "confidence": self.confidence,
            "p_better": self.p_better,
            "p_worse": self.p_worse,
            "shown": "better" if self.better else "worse" if self.worse else "neither",
        }


@dataclass(frozen=True, slots=True)
class SliceComparison:
    """One slice of the test set.

    Attributes:
        name: the slice.
        candidate_right: rows of the slice that the candidate has right.
        baseline_right: rows of the slice that the baseline has right.
        comparison: the two on the slice's rows.
        p_worse_holm: `comparison.p_worse`, adjusted by Holm over all slices.
    """

    name: str
    candidate_right: int
    baseline_right: int
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


def compare(pairs: Sequence[Pair], *, alpha: float = 0.05, resamples: int = 2000, seed: int = 0) -> Comparison:
    """Compare the two models of `pairs` by exact label path.

    Args:
        pairs: rows of both models, as `pair_answers` gives them.
        alpha: level of each one-sided test, in (0, 0.5).
        resamples: bootstrap draws.
        seed: of the bootstrap.
    """
    wins = sum(ours.correct and not theirs.correct for ours, theirs in pairs)
    losses = sum(theirs.correct and not ours.correct for ours, theirs in pairs)
    test = mcnemar_exact(wins, losses)
    rows = len(pairs)
    confidence = 1.0 - 2.0 * alpha
    return Comparison(
        rows=rows,
        wins=wins,
        losses=losses,
        difference=(wins - losses) / rows if rows else 0.0,
        interval=bootstrap_difference(wins, losses, rows, confidence=confidence, resamples=resamples, seed=seed),
        confidence=confidence,
        p_better=test.p_better,
        p_worse=test.p_worse,
        alpha=alpha,
    )


def compare_slices(
    pairs: Sequence[Pair], *, alpha: float = 0.05, resamples: int = 2000, seed: int = 0
) -> list[SliceComparison]:
    """Compare the two models on every slice that occurs, sorted by name, with Holm's correction over the slices."""
    names = slice_names([ours for ours, _ in pairs])
    parts = [[pair for pair in pairs if name in pair[0].slices] for name in names]
    compared = [compare(part, alpha=alpha, resamples=resamples, seed=seed) for part in parts]
    adjusted = holm([comparison.p_worse for comparison in compared])
    return [
        SliceComparison(
            name=name,
            candidate_right=sum(ours.correct for ours, _ in part),
            baseline_right=sum(theirs.correct for _, theirs in part),
            comparison=comparison,
            p_worse_holm=p_value,
        )
        for name, part, comparison, p_value in zip(names, parts, compared, adjusted, strict=True)
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


def more_rows_to_decide(
    comparison: Comparison, *, smallest_difference: float, power: float = 0.8
) -> tuple[int | None, float]:
    """Say how many more rows would decide a comparison that showed neither better nor worse.

    Planned for the observed difference, or for the smallest one that matters when the observed is smaller still,
    with the observed share of discordant rows. An estimate: both figures are themselves uncertain.

    Args:
        comparison: an undecided comparison.
        smallest_difference: the smallest difference in accuracy worth deciding, in (0, 1].
        power: wanted chance of a decision.

    Returns:
        (further rows, the difference planned for); the rows are None when the test set is already large enough to
        show that difference, that is when a real one is probably smaller.
    """
    effect = max(abs(comparison.difference), smallest_difference)
    observed = (comparison.wins + comparison.losses) / comparison.rows if comparison.rows else 0.0
    needed = rows_needed(
        discordant_share=min(1.0, max(observed, effect)), difference=effect, alpha=comparison.alpha, power=power
    )
    return (needed - comparison.rows if needed > comparison.rows else None), effect
