"""Gates that hold a figure against a limit: floors and ceilings, overall and by slice.

Like the rules of `rules.py` they are functions of evidence and configuration; what cannot be judged is INCONCLUSIVE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finetune_assets.evaluation.config import GateConfig
from finetune_assets.evaluation.gates.evidence import Evidence, GateResult
from finetune_assets.evaluation.gates.rules import finite, more_text
from finetune_assets.evaluation.scores import MACRO_F1, label_of
from finetune_assets.evaluation.statistics.exact import Interval, bootstrap_macro_f1, macro_f1, wilson_interval
from finetune_assets.evaluation.statistics.planning import rows_for_gain, rows_needed_for_floor
from finetune_assets.evaluation.statistics.resampling import bootstrap_value
from finetune_assets.evaluation.wording import figure, percent
from finetune_assets.records.measure import Measure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Level:
    """One figure of the candidate with its interval.

    Attributes:
        value: the figure, None where no row applies.
        interval: at the confidence 1 - 2 alpha.
        rows: rows that it rests on.
        successes: of a share, the rows that hit; None for another figure.
        as_percent: people read it in per cent.
        spread: standard deviation of one row, nan when unknown.
    """

    value: float | None
    interval: Interval
    rows: int
    successes: int | None = None
    as_percent: bool = True
    spread: float = math.nan


def level_of(metric: str, evidence: Evidence, config: GateConfig, rows: NDArray[np.int64] | None = None) -> Level:
    """Return one figure of the candidate over all rows or some, with its interval at the confidence 1 - 2 alpha.

    Args:
        metric: a measure of the task, macro_f1, correct, parse_rate or coverage.
        evidence: of both models.
        config: level and draws.
        rows: row numbers; None takes all.
    """
    import numpy as np

    measure = evidence.measure(metric)
    confidence = config.settings.confidence
    if measure is not None:
        table = evidence.candidate.table
        applies = table.applies[metric]
        chosen = np.flatnonzero(applies) if rows is None else rows[applies[rows]]
        stats = table.stats[metric][chosen]
        if measure.kind == "share":
            return _share_level(int((stats[:, 0] > 0).sum()), len(stats), confidence)
        value = table.value(measure, chosen)
        interval = bootstrap_value(measure, stats, confidence=confidence, resamples=config.resamples, seed=config.seed)
        return Level(value, interval, len(stats), None, measure.as_percent, _row_spread(measure, stats))
    answers = [ours for ours, _ in evidence.pairs]
    if rows is not None:
        answers = [answers[number] for number in rows]
    if metric == MACRO_F1:
        expected, given = [answer.expected for answer in answers], [label_of(answer) for answer in answers]
        interval = bootstrap_macro_f1(
            expected, given, confidence=confidence, resamples=config.resamples, seed=config.seed
        )
        return Level(macro_f1(expected, given) if answers else None, interval, len(answers), None, as_percent=False)
    flag = {"correct": "correct", "parse_rate": "valid", "coverage": "answered"}[metric]
    return _share_level(sum(getattr(answer, flag) for answer in answers), len(answers), confidence)


def _row_spread(measure: Measure, stats: NDArray[np.float64]) -> float:
    import numpy as np

    if measure.kind != "mean" or len(stats) < 2:
        return math.nan
    return float(np.std(stats[:, 0] / stats[:, 1], ddof=1))


def _share_level(successes: int, rows: int, confidence: float) -> Level:
    interval = wilson_interval(successes, rows, confidence=confidence)
    return Level(successes / rows if rows else None, interval, rows, successes)


def limit_gates(evidence: Evidence, config: GateConfig) -> list[GateResult]:
    """Every floor and ceiling, overall and by slice, in the order of their names."""
    results = [floor_gate(name, limit, evidence, config) for name, limit in sorted(config.floor.items())]
    results += [ceiling_gate(name, limit, evidence, config) for name, limit in sorted(config.ceiling.items())]
    for part, metrics in sorted(config.floor_by_slice.items()):
        results += [floor_gate(name, limit, evidence, config, part) for name, limit in sorted(metrics.items())]
    for part, metrics in sorted(config.ceiling_by_slice.items()):
        results += [ceiling_gate(name, limit, evidence, config, part) for name, limit in sorted(metrics.items())]
    return results


def floor_gate(metric: str, floor: float, evidence: Evidence, config: GateConfig, part: str = "") -> GateResult:
    """A score reaches its floor, with its lower confidence bound."""
    name = f"floor:{part}/{metric}" if part else f"floor:{metric}"
    if metric in evidence.meaningless:
        return _refused(name, floor, evidence.meaningless[metric])
    level = _level_in(part, metric, evidence, config)
    if level.value is None:
        return _without_rows(name, floor, part)
    said, limit = _said(metric, level, config), figure(floor, as_percent=level.as_percent)
    if level.value < floor:
        return GateResult(name, "FAIL", level.value, floor, f"{said}: below the floor {limit}.", finite(level.interval))
    if level.interval[0] >= floor:
        return GateResult(name, "PASS", level.value, floor, f"{said}: above the floor {limit}.", finite(level.interval))
    more = _more(level, floor, config)
    reason = f"{said}: above the floor {limit}, but the lower bound is not.{more_text(more)}"
    return GateResult(name, "INCONCLUSIVE", level.value, floor, reason, finite(level.interval), more_rows_needed=more)


def ceiling_gate(metric: str, ceiling: float, evidence: Evidence, config: GateConfig, part: str = "") -> GateResult:
    """An error stays at or below its ceiling, with its upper confidence bound."""
    name = f"ceiling:{part}/{metric}" if part else f"ceiling:{metric}"
    if metric in evidence.meaningless:
        return _refused(name, ceiling, evidence.meaningless[metric])
    level = _level_in(part, metric, evidence, config)
    if level.value is None:
        return _without_rows(name, ceiling, part)
    said, limit = _said(metric, level, config), figure(ceiling, as_percent=level.as_percent)
    if level.value > ceiling:
        return GateResult(
            name, "FAIL", level.value, ceiling, f"{said}: above the ceiling {limit}.", finite(level.interval)
        )
    if level.interval[1] <= ceiling:
        return GateResult(
            name, "PASS", level.value, ceiling, f"{said}: below the ceiling {limit}.", finite(level.interval)
        )
    more = _more(level, ceiling, config)
    reason = f"{said}: below the ceiling {limit}, but the upper bound is not.{more_text(more)}"
    return GateResult(name, "INCONCLUSIVE", level.value, ceiling, reason, finite(level.interval), more_rows_needed=more)


def _level_in(part: str, metric: str, evidence: Evidence, config: GateConfig) -> Level:
    import numpy as np

    if not part:
        return level_of(metric, evidence, config)
    return level_of(metric, evidence, config, evidence.slice_rows.get(part, np.zeros(0, np.int64)))


def _without_rows(name: str, limit: float, part: str) -> GateResult:
    place = f"of the slice {part} " if part else ""
    return GateResult(name, "INCONCLUSIVE", None, limit, f"There are no test rows {place}that this figure rests on.")


def _refused(name: str, limit: float, why: str) -> GateResult:
    return GateResult(name, "INCONCLUSIVE", None, limit, f"The figure means nothing: {why}. Remove the limit.")


def _said(metric: str, level: Level, config: GateConfig) -> str:
    low, high = (figure(bound, as_percent=level.as_percent) for bound in level.interval)
    return (
        f"{metric} is {figure(level.value, as_percent=level.as_percent)} on {level.rows} rows, {low} to {high} at "
        f"{percent(config.settings.confidence)} confidence"
    )


def _more(level: Level, limit: float, config: GateConfig) -> int | None:
    if level.successes is not None:
        share = level.successes if level.value is not None and level.value >= limit else level.rows - level.successes
        against = limit if level.value is not None and level.value >= limit else 1.0 - limit
        needed = rows_needed_for_floor(share, level.rows, against, alpha=config.alpha)
    elif level.value is not None and level.value != limit and math.isfinite(level.spread):
        needed = rows_for_gain(level.spread, abs(level.value - limit), alpha=config.alpha, power=config.power)
    else:
        needed = None
    return needed - level.rows if needed is not None and needed > level.rows else None
