"""The level of every comparison, by simulation: a model against itself, planted gains and losses, losses at the margin.

The normal run takes a seeded sample and allows for its chance; `make soak` takes 2,000 comparisons a case and holds the
bar of alpha and one point.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import gammaln

from finetune_assets.evaluation.statistics.comparison import Comparison, Settings, compare
from finetune_assets.evaluation.statistics.mark_table import MarkTable
from finetune_assets.evaluation.statistics.planning import rows_for_gain, rows_needed
from finetune_assets.evaluation.statistics.score_interval import score_difference
from finetune_assets.records.measure import Measure

ALPHA = 0.05
SHARE = Measure("exact", "exact", "share")
MEAN = Measure("token_f1", "token F1", "mean")
RATE = Measure("wer", "word error rate", "rate", higher_is_better=False)
Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, float], tuple[Array, Array]]
SOAK = "FINETUNE_SOAK" in os.environ
TRIALS = 2_000 if SOAK else 250


def _ones(values: Array) -> Array:
    return np.column_stack([values, np.ones(len(values))])


def shares(generator: np.random.Generator, rows: int, gain: float) -> tuple[Array, Array]:
    """80 % right, 10 % of the answers flipped in each model independently; a gain turns wrong ones right."""
    truth = generator.random(rows) < 0.8
    ours, theirs = truth ^ (generator.random(rows) < 0.1), truth ^ (generator.random(rows) < 0.1)
    wrong = 0.8 * 0.1 + 0.2 * 0.9
    if gain > 0:
        ours |= ~ours & (generator.random(rows) < gain / wrong)
    elif gain < 0:
        ours &= ~(generator.random(rows) < -gain / (1 - wrong))
    return _ones(ours.astype(float)), _ones(theirs.astype(float))


def means(generator: np.random.Generator, rows: int, gain: float) -> tuple[Array, Array]:
    """Half of the rows full marks, the others skewed towards 0; both models redraw a fifth of the rows."""
    base = np.where(generator.random(rows) < 0.5, 1.0, generator.beta(0.7, 1.5, rows))

    def noisy() -> Array:
        again = np.where(generator.random(rows) < 0.5, 1.0, generator.beta(0.7, 1.5, rows))
        return np.where(generator.random(rows) < 0.2, again, base)

    ours, theirs = noisy(), noisy()
    expected = 0.5 + 0.5 * 0.7 / 2.2
    if gain < 0:  # some rows lost outright
        ours = np.where(generator.random(rows) < -gain / expected, 0.0, ours)
    elif gain > 0:  # some rows won outright
        ours = np.where(generator.random(rows) < gain / (1 - expected), 1.0, ours)
    return _ones(ours), _ones(theirs)


def rates(generator: np.random.Generator, rows: int, gain: float) -> tuple[Array, Array]:
    """3 to 20 words, 8 % of them wrong in each model; a gain of the rate shifts ours."""
    words = generator.integers(3, 21, rows)
    ours, theirs = generator.binomial(words, 0.08 - gain), generator.binomial(words, 0.08)
    return tuple(np.column_stack([found, words]).astype(float) for found in (ours, theirs))  # type: ignore[return-value]


def lost_rows(generator: np.random.Generator, rows: int, gain: float) -> tuple[Array, Array]:
    """The hardest case for a lower bound: nothing differs but a few rows that are lost outright."""
    lost = generator.random(rows) < -gain
    return _ones((~lost).astype(float)), _ones(np.ones(rows))


def compared(measure: Measure, draw: Draw, rows: int, gain: float, trials: int, seed: int = 5) -> list[Comparison]:
    generator, found = np.random.default_rng(seed), []
    for number in range(trials):
        tables = [
            MarkTable({measure.name: stats}, {measure.name: np.ones(rows, bool)})
            for stats in draw(generator, rows, gain)
        ]
        found.append(compare(measure, tables[0], tables[1], Settings(ALPHA, 400, seed=number)))
    return found


def share_of(comparisons: list[Comparison], holds: Callable[[Comparison], bool]) -> float:
    return sum(map(holds, comparisons)) / len(comparisons)


def bar(level: float = ALPHA) -> float:
    """Alpha and one point; what chance adds to it at this many trials (99.9 % of the time)."""
    return level + 0.01 + 3.1 * math.sqrt(level * (1 - level) / TRIALS) * (0.35 if SOAK else 1.0)


CASES = [(SHARE, shares), (MEAN, means), (RATE, rates)]
NAMES = ["share", "mean", "rate"]


@pytest.mark.parametrize("rows", [60, 200, pytest.param(1000, marks=pytest.mark.soak)])
@pytest.mark.parametrize(("measure", "draw"), CASES, ids=NAMES)
def test_a_model_against_itself_under_noise_passes_and_fails_at_most_at_alpha(
    measure: Measure, draw: Draw, rows: int
) -> None:
    found = compared(measure, draw, rows, 0.0, TRIALS)
    better, worse = share_of(found, lambda one: one.better), share_of(found, lambda one: one.worse)
    missed = share_of(found, lambda one: not one.interval[0] <= 0.0 <= one.interval[1])
    print(f"A/A {measure.kind} {rows}: better {better:.4f}, worse {worse:.4f}, interval misses {missed:.4f}")
    assert better <= bar()
    assert worse <= bar()
    assert missed <= bar(2 * ALPHA)


@pytest.mark.parametrize("margin", [0.05, pytest.param(0.02, marks=pytest.mark.soak)])
@pytest.mark.parametrize("rows", [60, 200, pytest.param(1000, marks=pytest.mark.soak)])
@pytest.mark.parametrize(("measure", "draw"), [*CASES, (MEAN, lost_rows)], ids=[*NAMES, "lost"])
def test_a_loss_of_the_margin_passes_as_not_worse_at_most_at_alpha(
    measure: Measure, draw: Draw, rows: int, margin: float
) -> None:
    found = compared(measure, draw, rows, -margin, TRIALS)
    passed = share_of(found, lambda one: one.interval[0] > -margin)
    print(f"margin {margin} {draw.__name__} {rows}: {passed:.4f}")
    assert passed <= bar()


def test_the_score_interval_keeps_its_level_wherever_it_was_enumerated() -> None:
    """Exactly, over all counts: the chance that the bound clears a margin that the truth lies at."""
    worst = 0.0
    for rows in (20, 60, 120, 133):
        counts = [(wins, losses) for wins in range(40) for losses in range(60) if wins + losses <= rows]
        wins, losses = np.array(counts).T
        ties = rows - wins - losses
        lower = np.array([score_difference(*count, rows)[0] for count in counts])
        ways = gammaln(rows + 1) - gammaln(wins + 1) - gammaln(losses + 1) - gammaln(ties + 1)
        for margin in (0.02, 0.05):
            for won in (1e-12, 0.01, 0.05):
                lost = won + margin
                chance = np.exp(ways + wins * math.log(won) + losses * math.log(lost) + ties * math.log(1 - won - lost))
                worst = max(worst, float(chance[lower > -margin].sum()))
    assert 0.04 < worst <= 0.0505


@pytest.mark.parametrize(
    "gain", [0.05, *(pytest.param(gain, marks=pytest.mark.soak) for gain in (0.01, 0.02, 0.03, 0.04))]
)
@pytest.mark.parametrize(("measure", "draw"), CASES, ids=NAMES)
def test_planted_gains_and_losses_are_shown_with_the_power_planned(measure: Measure, draw: Draw, gain: float) -> None:
    pilot = compared(measure, draw, 20_000, gain, 1, seed=9)[0]
    if measure.kind == "share":
        differ = (pilot.wins + pilot.losses) / pilot.rows
        rows = rows_needed(discordant_share=differ, difference=gain)
    else:
        rows = rows_for_gain(pilot.spread, gain)
    trials = max(200, TRIALS // 4)
    gained, lost = (compared(measure, draw, rows, sign * gain, trials) for sign in (1, -1))
    shown = share_of(gained, lambda one: one.better)
    print(f"power {measure.kind} {gain}: {rows} rows, better {shown:.3f}")
    assert shown >= 0.8 - 0.04 - 3 * math.sqrt(0.16 / trials)
    assert share_of(gained, lambda one: one.worse) <= 0.01
    assert share_of(lost, lambda one: one.better) <= 0.01
    # Losses have another spread than gains, so they are held against the power that theirs comes to.
    assert share_of(lost, lambda one: one.worse) >= 0.5
