"""Reading a report: its measures, figures and scores as people call them, for every form that it is shown in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetune_assets.evaluation.wording import figure, gain_interval_text, gain_text

TRIVIAL_NAMES = {
    "majority": "commonest answer",
    "tfidf_logreg": "TF-IDF + logistic regression",
    "nearest": "nearest training question",
    "unchanged": "transcript left as it is",
}


def measure_of(report: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return what a report says of one of its measures; a figure beside them, such as macro_f1, is a mean."""
    plain = {"name": name, "title": name, "kind": "mean", "higher_is_better": True, "as_percent": False}
    return next((measure for measure in report["measures"] if measure["name"] == name), plain)


def figure_of(measure: Mapping[str, Any], value: float | None) -> str:
    """Return a figure as its measure is read."""
    return figure(value, as_percent=measure["as_percent"])


def gain_of(measure: Mapping[str, Any], comparison: Mapping[str, Any]) -> str:
    """Return a comparison's gain with its interval."""
    percents = measure["as_percent"]
    interval = comparison["interval"]
    told = "unknown" if interval is None else gain_interval_text(interval, as_percent=percents)
    return f"{gain_text(comparison['difference'], as_percent=percents)} ({told})"


def ordered_scores(scores: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Candidate and baseline first, then the trivial ones by name: JSON read back may come in another order."""
    first = [key for key in ("candidate", "baseline") if key in scores]
    return [(key, scores[key]) for key in [*first, *sorted(set(scores) - set(first))]]


def score_name(report: Mapping[str, Any], key: str) -> str:
    """Return what a person calls a row of the scores."""
    if key in ("candidate", "baseline"):
        return f"{key}: {report[key]['name']}"
    return TRIVIAL_NAMES.get(key, key)
