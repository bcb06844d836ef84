"""Drift: whether answers or inputs of a window are distributed otherwise than the rows a release was judged on.

The tests are SciPy's (`chi2_contingency`, `ks_2samp`, `cramervonmises_2samp`, `wasserstein_distance`). Evidently 0.7.23
was tried beside the pins (2026-11-21): it moves none of them, but brings 16 packages of 141 MB, among them a web
framework and telemetry, takes 4.4 CPU-s to import against 0.8 s, computes these tests by the same SciPy functions and
corrects neither for small cells nor for the number of tests. frouros cannot be installed beside the pins; river tests
streams, not two samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from finetune_assets.evaluation.statistics.exact import holm
from finetune_assets.feedback.triggers.policy import Drift
from finetune_assets.feedback.window import Window

SMALL_CELL = 5.0
"""Expected count below which a label is counted with others (Cochran, Biometrics 10, 1954)."""
OTHERS = "(others)"
BINS = 20
"""Bars of a feature's histogram."""


@dataclass(frozen=True, slots=True)
class DriftTest:
    """One test of one distribution.

    Attributes:
        name: `labels`, or `input:<feature>`.
        state: drifted, steady, or unknown where there are too few rows.
        rows: rows of the window, and of the reference.
        p_value: of the test; None where it was not made.
        p_holm: the same, adjusted for the number of tests in this window.
        effect: total variation distance of labels, Kolmogorov and Smirnov's distance of features; 0 to 1.
        missing: what a test lacks, for a person.
        figures: what a plot needs: shares by label, or a histogram, quantiles and Wasserstein's distance.
    """

    name: str
    state: Literal["drifted", "steady", "unknown"]
    rows: tuple[int, int]
    p_value: float | None = None
    p_holm: float | None = None
    effect: float | None = None
    missing: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the test as JSON."""
        return {
            "name": self.name,
            "state": self.state,
            "rows": list(self.rows),
            "p_value": self.p_value,
            "p_holm": self.p_holm,
            "effect": self.effect,
            "missing": self.missing,
            "figures": dict(self.figures),
        }


@dataclass(frozen=True, slots=True)
class _Measured:
    name: str
    rows: tuple[int, int]
    p_value: float
    effect: float
    figures: Mapping[str, Any]


def drift_tests(window: Window, config: Drift, *, labels: bool = True, inputs: bool = True) -> tuple[DriftTest, ...]:
    """Test the labels and every numeric feature of a window against its reference.

    A distribution has drifted when its p-value, adjusted by Holm over all tests made here, is at most `config.alpha`
    and its effect is above `config.min_effect`. With fewer than `config.min_rows` rows on a side no test is made.

    Args:
        window: the evidence; values that are no finite number are left out.
        config: tests, level, rows and effect.
        labels: test the answered labels.
        inputs: test the features.

    Returns:
        The labels' test first, then the features' by name.
    """
    found: list[_Measured | DriftTest] = []
    if labels:
        found.append(_labels(window.labels, window.reference_labels, config))
    if inputs:
        names = sorted({*window.inputs, *window.reference_inputs})
        found += [
            _feature(name, window.inputs.get(name, ()), window.reference_inputs.get(name, ()), config) for name in names
        ]
    adjusted = iter(holm([item.p_value for item in found if isinstance(item, _Measured)]))
    return tuple(_judged(item, next(adjusted), config) if isinstance(item, _Measured) else item for item in found)


def _judged(item: _Measured, p_holm: float, config: Drift) -> DriftTest:
    drifted = p_holm <= config.alpha and item.effect > config.min_effect
    return DriftTest(
        item.name,
        "drifted" if drifted else "steady",
        item.rows,
        item.p_value,
        p_holm,
        item.effect,
        figures=item.figures,
    )


def _too_few(name: str, rows: tuple[int, int], config: Drift) -> DriftTest | None:
    """Return what is missing, or None when both sides have rows enough."""
    for have, kind in zip(rows, ("live row", "judged row"), strict=True):
        if have < config.min_rows:
            lacking = config.min_rows - have
            return DriftTest(
                name, "unknown", rows, missing=f"need {lacking:,} more {kind}{'' if lacking == 1 else 's'} for {name}"
            )
    return None


def _labels(live: Mapping[str, int], judged: Mapping[str, int], config: Drift) -> _Measured | DriftTest:
    rows = (sum(live.values()), sum(judged.values()))
    lacking = _too_few("labels", rows, config)
    if lacking:
        return lacking
    shares = {
        label: [live.get(label, 0) / rows[0], judged.get(label, 0) / rows[1]] for label in sorted({*live, *judged})
    }
    cells = pooled(live, judged)
    figures = {"shares": shares, "cells": {label: list(pair) for label, pair in cells}}
    effect = sum(abs(one - other) for one, other in shares.values()) / 2.0
    if len(cells) < 2:  # one answer only, on both sides
        return _Measured("labels", rows, 1.0, effect, figures)
    from scipy.stats import chi2_contingency

    table = [[pair[side] for _, pair in cells] for side in (0, 1)]
    tested = chi2_contingency(
        table, correction=False, lambda_="log-likelihood" if config.labels == "g_test" else "pearson"
    )
    return _Measured("labels", rows, float(tested.pvalue), effect, figures)


def pooled(live: Mapping[str, int], judged: Mapping[str, int]) -> list[tuple[str, tuple[int, int]]]:
    """Return (label, (live, judged)) with labels of small expected counts counted as one, `OTHERS`, at the end.

    Where the rare labels together are still too few, the next rarest joins them, so that every cell's expected count
    on both sides is at least `SMALL_CELL` or one cell is left.
    """
    totals = (sum(live.values()), sum(judged.values()))
    cells = [(label, (live.get(label, 0), judged.get(label, 0))) for label in {*live, *judged}]
    ordered = sorted((cell for cell in cells if sum(cell[1])), key=lambda cell: (-sum(cell[1]), cell[0]))
    smaller = min(totals) / max(1, sum(totals))
    others, count = [0, 0], 0
    while ordered and (sum(ordered[-1][1]) * smaller < SMALL_CELL or (count and sum(others) * smaller < SMALL_CELL)):
        _, pair = ordered.pop()
        others, count = [others[0] + pair[0], others[1] + pair[1]], count + 1
    return [*ordered, *([(OTHERS, (others[0], others[1]))] if count else [])]


def _feature(name: str, live: Sequence[float], judged: Sequence[float], config: Drift) -> _Measured | DriftTest:
    ours, theirs = ([float(value) for value in values if math.isfinite(value)] for values in (live, judged))
    rows, name = (len(ours), len(theirs)), f"input:{name}"
    lacking = _too_few(name, rows, config)
    if lacking:
        return lacking
    from scipy.stats import cramervonmises_2samp, ks_2samp, wasserstein_distance

    distance = ks_2samp(ours, theirs, method="asymp")
    p_value = distance.pvalue
    if config.inputs == "cramer_von_mises":
        p_value = cramervonmises_2samp(ours, theirs, method="asymptotic").pvalue
    figures = {**_shape(ours, theirs), "wasserstein": float(wasserstein_distance(ours, theirs))}
    # In exact arithmetic both lie in [0, 1].
    return _Measured(name, rows, min(1.0, max(0.0, float(p_value))), float(distance.statistic), figures)


def _shape(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Return quantiles of both sides and their histograms over common bars."""
    import numpy as np

    edges = np.histogram_bin_edges([*ours, *theirs], bins=BINS)
    sides = (("live", ours), ("judged", theirs))
    return {
        "edges": [float(edge) for edge in edges],
        "bars": {name: [int(bar) for bar in np.histogram(values, edges)[0]] for name, values in sides},
        "quantiles": {name: [float(q) for q in np.quantile(values, (0.05, 0.5, 0.95))] for name, values in sides},
    }
