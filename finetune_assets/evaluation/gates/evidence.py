"""Evidence: all that the gates look at, computed once from two models' answers; and a gate's result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from finetune_assets.evaluation.answers import ScoredAnswer
from finetune_assets.evaluation.config import GateConfig
from finetune_assets.evaluation.scores import Scores, meaningless_measures, score
from finetune_assets.evaluation.statistics.comparison import (
    Comparison,
    Pair,
    SliceComparison,
    compare,
    compare_slices,
    pair_answers,
    slice_rows,
)
from finetune_assets.evaluation.statistics.exact import Interval
from finetune_assets.records.measure import Measure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's verdict.

    Attributes:
        name: the gate, for instance `beats_baseline` or `floor:exact`.
        verdict: PASS, FAIL or INCONCLUSIVE.
        observed: the figure judged, None where nothing was observed.
        threshold: what it was held against, None where there is no number.
        interval: interval of the figure, where there is one.
        p_value: of the test that decided, where there is one.
        reason: one sentence for a person.
        more_rows_needed: estimated further test rows that would decide, for INCONCLUSIVE where it can be said.
        more_by_slice: the same by slice, where the gate judges slices.
        records: record ids that the gate speaks of, sorted; never texts.
        advisory: the gate is shown but takes no part in the verdict.
    """

    name: str
    verdict: Outcome
    observed: float | None
    threshold: float | None
    reason: str
    interval: Interval | None = None
    p_value: float | None = None
    more_rows_needed: int | None = None
    more_by_slice: Mapping[str, int] = field(default_factory=dict)
    records: tuple[str, ...] = ()
    advisory: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the gate's result as JSON."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "observed": self.observed,
            "threshold": self.threshold,
            "interval": None if self.interval is None else list(self.interval),
            "p_value": self.p_value,
            "reason": self.reason,
            "more_rows_needed": self.more_rows_needed,
            "more_by_slice": dict(self.more_by_slice),
            "records": list(self.records),
            "advisory": self.advisory,
        }


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the gates look at.

    Attributes:
        measures: the task's measures.
        primary: the measure that comparisons go by.
        pairs: candidate and baseline, row by row.
        candidate: the candidate's scores.
        baseline: the baseline's scores.
        comparison: the two on all rows, by the primary measure.
        slice_rows: row numbers of each slice.
        slices: the two on each slice, by the primary measure.
        trivial: the candidate against each trivial baseline; None when none were measured.
        baseline_is_live: the baseline is a live release, not the untuned base.
        meaningless: measures that no gate may go by, with the reason.
        trivial_scores: the trivial baselines' scores.
    """

    measures: tuple[Measure, ...]
    primary: Measure
    pairs: tuple[Pair, ...]
    candidate: Scores
    baseline: Scores
    comparison: Comparison
    slice_rows: Mapping[str, NDArray[np.int64]]
    slices: tuple[SliceComparison, ...]
    trivial: dict[str, Comparison] | None
    baseline_is_live: bool = False
    meaningless: Mapping[str, str] = field(default_factory=dict)
    trivial_scores: Mapping[str, Scores] = field(default_factory=dict)

    def measure(self, name: str) -> Measure | None:
        """Return one of the task's measures by name, or None for a figure of another kind."""
        return next((measure for measure in self.measures if measure.name == name), None)


def gather(
    candidate: Sequence[ScoredAnswer],
    baseline: Sequence[ScoredAnswer],
    config: GateConfig,
    measures: Sequence[Measure],
    *,
    trivial: Mapping[str, Sequence[ScoredAnswer]] | None = None,
    baseline_is_live: bool = False,
) -> Evidence:
    """Score and compare, row by row.

    Args:
        candidate: the candidate's rows, one for each example of the test set (see `answers.score_answers`).
        baseline: the rows of what is live, or of the untuned base.
        config: the rules.
        measures: the task's measures, the default primary one first.
        trivial: rows of trivial baselines by name; None when none were measured.
        baseline_is_live: the baseline is a live release.

    Raises:
        FinetuneError: when the models did not answer the same examples, or `config.primary` is unknown.
    """
    primary, settings = config.primary_of(measures), config.settings
    pairs = pair_answers(candidate, baseline)
    ours, theirs = score(candidate, measures), score([other for _, other in pairs], measures)
    rows = slice_rows(candidate)

    rivals = {
        name: score([row for _, row in pair_answers(candidate, other)], measures)
        for name, other in (trivial or {}).items()
    }
    against = {name: compare(primary, ours.table, found.table, settings) for name, found in rivals.items()}
    return Evidence(
        measures=tuple(measures),
        primary=primary,
        pairs=tuple(pairs),
        candidate=ours,
        baseline=theirs,
        comparison=compare(primary, ours.table, theirs.table, settings),
        slice_rows=rows,
        slices=tuple(compare_slices(primary, ours.table, theirs.table, rows, settings)),
        trivial=None if trivial is None else against,
        baseline_is_live=baseline_is_live,
        meaningless=meaningless_measures(candidate, measures),
        trivial_scores=rivals,
    )
