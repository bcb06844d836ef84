"""The report's table of scores: one model's figures with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from finetune_assets.evaluation.config import GateConfig
from finetune_assets.evaluation.gates.evidence import Evidence
from finetune_assets.evaluation.gates.row_rules import row_losses
from finetune_assets.evaluation.scores import Scores
from finetune_assets.evaluation.statistics.exact import wilson_interval
from finetune_assets.evaluation.statistics.resampling import bootstrap_value
from finetune_assets.records.measure import Measure

_CONFIDENCE = 0.95
REPORT_DRAWS = 500
"""Draws at most of intervals that a report shows and no gate goes by."""


def scores_json(scores: Scores, measures: Sequence[Measure], config: GateConfig, *, intervals: bool) -> dict[str, Any]:
    """Return one model's figures as JSON.

    Args:
        scores: of the model.
        measures: the task's measures.
        config: draws and seed of the intervals.
        intervals: give each figure its 95 % interval: Wilson's for shares, the bootstrap's for others.
    """
    figures: dict[str, Any] = {}
    for measure in measures:
        stats = scores.table.stats[measure.name][scores.table.applies[measure.name]]
        interval = None
        if intervals and len(stats):
            if measure.kind == "share":
                interval = wilson_interval(int((stats[:, 0] > 0).sum()), len(stats), confidence=_CONFIDENCE)
            else:
                draws = min(config.resamples, REPORT_DRAWS)
                interval = bootstrap_value(measure, stats, confidence=_CONFIDENCE, resamples=draws, seed=config.seed)
        figures[measure.name] = {
            "value": scores.measures[measure.name],
            "rows": len(stats),
            "interval_95": list(interval) if interval and all(map(math.isfinite, interval)) else None,
        }
    return {
        "rows": scores.rows,
        "right": scores.right,
        "correct": scores.correct,
        "correct_interval_95": list(wilson_interval(scores.right, scores.rows, confidence=_CONFIDENCE)),
        "measures": figures,
        "macro_f1": scores.macro_f1,
        "micro_f1": scores.micro_f1,
        "parse_rate": scores.parse_rate,
        "coverage": scores.coverage,
        "problems": scores.problems,
    }


def t_test_json(evidence: Evidence) -> dict[str, Any]:
    """Return the paired t-test over rows that source 001 names, as an extra that decides nothing.

    Error rates by rows are skewed and full of zeros, and their mean is not the corpus' rate.
    """
    if evidence.primary.kind == "corpus":
        return {"t_test_p_two_sided": None}
    losses = [loss for _, loss in row_losses(evidence)]
    if len(losses) < 2 or max(losses) - min(losses) == 0:
        return {"t_test_p_two_sided": None}
    from scipy.stats import ttest_1samp

    return {"t_test_p_two_sided": float(ttest_1samp(losses, 0.0).pvalue)}
