"""Length outliers: inputs and targets far longer or shorter than the others."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from pathlib import Path

from finetune_assets.datasets.quality.config import LengthConfig
from finetune_assets.datasets.quality.finding import QualityFinding, unmeasured
from finetune_assets.datasets.quality.rows import Row, asked, written_rows

_MIN_ROWS = 20
# Texts of nearly one length would make every other length an outlier: the spread counts as at least a tenth of the
# median.
_LEAST_SPREAD = 0.1

_MEASURES: dict[str, Callable[[Row], int]] = {
    "input": lambda row: len(asked(row)),
    "target": lambda row: len(row["target"]),
}


def length_outliers(folder: Path, config: LengthConfig, *, free_text: bool) -> QualityFinding:
    """Find texts of unusual length by Tukey's fences (Exploratory Data Analysis, 1977).

    Long: beyond the third quartile by `fence` interquartile ranges, in characters. Short: below the first quartile by
    as much on the scale of logarithms, since lengths have no room below zero.

    Args:
        folder: the split dataset.
        config: the fence and the limit.
        free_text: False where targets are labels; their lengths say nothing.

    Returns:
        The share of rows with an outlier; each row in the table names the field and its length in characters.

    Raises:
        OSError: when the file cannot be read.
    """
    lengths = {name: array("q") for name in _MEASURES if free_text or name == "input"}
    for row in written_rows(folder):
        for name, found in lengths.items():
            found.append(_MEASURES[name](row))
    rows = len(lengths["input"])
    if rows < _MIN_ROWS:
        return unmeasured(f"{rows} rows, at least {_MIN_ROWS} have quartiles worth the name")
    fences = {name: _fences(sorted(found), config.fence) for name, found in lengths.items()}
    finding = QualityFinding()
    for row in written_rows(folder):
        problems = [problem for name, fence in fences.items() if (problem := _problem(_MEASURES[name](row), *fence))]
        if problems:
            names = [name for name, fence in fences.items() if _problem(_MEASURES[name](row), *fence)]
            finding.note(row, field=", ".join(names), problem=", ".join(problems))
    share = finding.flagged / rows
    finding.passed = share <= config.max_share
    finding.numbers = {
        "outliers": finding.flagged,
        "outlier_share": round(share, 6),
        **{f"longest_{name}": max(found) for name, found in lengths.items()},
    }
    finding.summary = (
        f"{finding.flagged} of {rows} rows are of unusual length ({share:.1%}; at most {config.max_share:.0%})"
    )
    return finding


def _fences(ordered: list[int], fence: float) -> tuple[float, float]:
    """Return the shortest and the longest usual length."""
    low, high = _quartile(ordered, 0.25), _quartile(ordered, 0.75)
    spread = max(high - low, _LEAST_SPREAD * _quartile(ordered, 0.5), 1.0)
    log_spread = max(math.log1p(high) - math.log1p(low), math.log1p(_LEAST_SPREAD))
    return math.expm1(max(0.0, math.log1p(low) - fence * log_spread)), high + fence * spread


def _quartile(ordered: list[int], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _problem(length: int, shortest: float, longest: float) -> str:
    if length > longest:
        return f"{length} characters, usual are at most {longest:.0f}"
    return f"{length} characters, usual are at least {shortest:.0f}" if length < shortest else ""
