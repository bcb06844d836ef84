"""Dataset scores: completeness, consistency, validity, uniqueness, accuracy and their mean, each from 0 to 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetune_assets.datasets.quality.config import ScoresConfig
from finetune_assets.datasets.quality.finding import QualityFinding, unmeasured
from finetune_assets.datasets.quarantine import UNCOUNTED_REASONS

SCORES = ("completeness", "consistency", "validity", "uniqueness", "accuracy")

DEFINITIONS: Mapping[str, str] = {
    "completeness": "records in which nothing required is missing or blank, of all records",
    "consistency": "records that contradict neither themselves (parts of a label that do not belong together) nor "
    "another record (equal inputs with other answers, one id for two contents), of all records",
    "validity": "records that can be read and whose every value is legal, of all records",
    "uniqueness": "rows that repeat no earlier one, of all accepted and repeated rows",
    "accuracy": "labels that are not suspect by cross-validation and neighbours, of those judged: an estimate; absent "
    "where labels were not judged",
}
"""What each score is a share of."""

# Which score a quarantine reason lowers; every other reason lowers validity, so that no rejection is free.
_INCOMPLETE = frozenset({"missing_field", "missing_photo", "blank_turn", "unanswered", "empty_transcript"})
_INCONSISTENT = frozenset({"label_conflict", "duplicate_id", "invalid_label", "wrong_description", "turn_order"})
# Where a row stands among the splits says nothing about its quality.
_OF_THE_SPLIT = frozenset(
    {"would_tie_splits", "tied_across_splits", "synthetic_tied_to_evaluation", "feedback_tied_to_evaluation"}
)


def measure_scores(
    read: int, accepted: int, duplicates: int, reasons: Mapping[str, int], suspects: QualityFinding | None
) -> dict[str, float]:
    """Return the scores that could be measured, as `DEFINITIONS` says.

    Args:
        read: records read, and further examples of the same records.
        accepted: rows in the splits.
        duplicates: rows that repeat an earlier one.
        reasons: quarantined records by reason, of reading and of the build.
        suspects: what the suspect labels' detector found; None or not measured leaves accuracy out.
    """
    left_out = sum(count for reason, count in reasons.items() if reason in UNCOUNTED_REASONS | _OF_THE_SPLIT)
    counted = read - left_out
    if counted <= 0:
        return {}
    lost = {"completeness": 0, "consistency": 0, "validity": 0}
    for reason, count in reasons.items():
        if (score := _score_of(reason)) is not None:
            lost[score] += count
    scores = {name: max(0.0, 1 - count / counted) for name, count in lost.items()}
    if accepted + duplicates:
        scores["uniqueness"] = accepted / (accepted + duplicates)
    if suspects is not None and suspects.measured:
        scores["accuracy"] = 1 - suspects.numbers["suspect_share"]
    return {name: scores[name] for name in SCORES if name in scores}


def _score_of(reason: str) -> str | None:
    if reason in UNCOUNTED_REASONS or reason in _OF_THE_SPLIT:
        return None
    if reason in _INCOMPLETE:
        return "completeness"
    return "consistency" if reason in _INCONSISTENT else "validity"


def dataset_scores(scores: Mapping[str, float], config: ScoresConfig) -> QualityFinding:
    """Hold the scores, and the mean of those measured, against their limits.

    Args:
        scores: what `measure_scores` returned.
        config: the limits.

    Returns:
        One row for each score, with its definition; a score that was not measured says so and is in no mean.
    """
    if not scores:
        return unmeasured("there are no records")
    overall = sum(scores.values()) / len(scores)
    found = {**scores, "overall": overall}
    finding = QualityFinding(numbers={name: round(value, 6) for name, value in found.items()})
    definitions = {**DEFINITIONS, "overall": "the mean of the scores that were measured"}
    failed = []
    for name, definition in definitions.items():
        least: float = getattr(config, name)
        value = found.get(name)
        if value is not None and value < least:
            failed.append(name)
        finding.rows.append(_row(name, value, least, definition))
    finding.flagged = len(failed)
    finding.passed = not failed
    spoken = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    finding.summary = spoken + (f"; below the limit: {', '.join(failed)}" if failed else "")
    return finding


def _row(name: str, value: float | None, least: float, definition: str) -> dict[str, Any]:
    shown = "not measured" if value is None else f"{value:.4f}"
    return {"score": name, "value": shown, "at_least": least, "share_of": definition}
