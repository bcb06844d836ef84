"""The section of a report on scores by people: means, shares, and how far people agree with each other and with us.

Counts and figures alone; comments and names of raters stay in the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from finetune_assets.evaluation.markdown_table import cell, table
from finetune_assets.evaluation.statistics.agreement import measure_agreement
from finetune_assets.evaluation.statistics.exact import wilson_interval
from finetune_assets.evaluation.statistics.resampling import bootstrap_value
from finetune_assets.evaluation.witnesses.manual_scores import ManualScore, ManualScores, ManualScoresConfig
from finetune_assets.evaluation.wording import percent
from finetune_assets.records.measure import Measure

_SHOWN = 20
_MOST_PAIRS = 50


def manual_section(
    read: ManualScores, correct: Mapping[str, Mapping[str, bool]], config: ManualScoresConfig, *, seed: int = 0
) -> dict[str, Any]:
    """Return the section of the report.

    A row that several people rated counts once, with the mean of their ratings; it is right when more than half of
    them say so.

    Args:
        read: the ratings.
        correct: whether the answer was marked as right, by contender and example id.
        config: the scale.
        seed: of the bootstrap.

    Returns:
        JSON of counts and figures, by contender and criterion; raters are numbered in the order of their names.
    """
    groups: dict[tuple[str, str], list[ManualScore]] = {}
    for score in read.scores:
        groups.setdefault((score.model, score.criterion), []).append(score)
    codes = Counter(finding.code for finding in read.findings)
    return {
        "rows": read.rows,
        "taken": len(read.scores),
        "unnamed": read.unnamed,
        "comments": read.comments,
        "scale": [config.lowest, config.highest],
        "parts": [
            _part(model, criterion, groups[model, criterion], correct.get(model, {}), seed)
            for model, criterion in sorted(groups)
        ],
        "raters": _rater_pairs(read.scores),
        "findings": [finding.to_json() for finding in read.findings[:_SHOWN]],
        "findings_by_code": dict(sorted(codes.items())),
    }


def _part(
    model: str, criterion: str, scores: Sequence[ManualScore], correct: Mapping[str, bool], seed: int
) -> dict[str, Any]:
    ratings: dict[str, list[float]] = {}
    rights: dict[str, list[bool]] = {}
    for score in scores:
        if score.rating is not None:
            ratings.setdefault(score.example_id, []).append(score.rating)
        if score.right is not None:
            rights.setdefault(score.example_id, []).append(score.right)
    said = {key: 2 * sum(values) > len(values) for key, values in rights.items()}
    both = sorted(key for key in said if key in correct)
    # A criterion is a part of an answer; only the answer as a whole can be held against the mark of the whole.
    automatic = None if criterion else measure_agreement([said[key] for key in both], [correct[key] for key in both])
    return {
        "model": model,
        "criterion": criterion,
        "rated": len({score.example_id for score in scores}),
        "raters": len({score.rater for score in scores}),
        "rating": _mean([sum(ratings[key]) / len(ratings[key]) for key in sorted(ratings)], seed),
        "right": _share(sum(said.values()), len(said)),
        "agreement_with_marks": None if automatic is None or not both else automatic.to_json(),
        "right_but_marked_wrong": 0 if criterion else sum(said[key] and not correct[key] for key in both),
        "wrong_but_marked_right": 0 if criterion else sum(correct[key] and not said[key] for key in both),
    }


def _mean(values: Sequence[float], seed: int) -> dict[str, Any] | None:
    if not values:
        return None
    import numpy as np

    stats = np.array([[value, 1.0] for value in values])
    low, high = bootstrap_value(Measure("rating", "rating", "mean"), stats, confidence=0.95, seed=seed)
    return {"rows": len(values), "mean": float(stats[:, 0].mean()), "interval_95": [low, high]}


def _share(right: int, rows: int) -> dict[str, Any] | None:
    if not rows:
        return None
    return {"rows": rows, "right": right, "share": right / rows, "interval_95": list(wilson_interval(right, rows))}


def _rater_pairs(scores: Sequence[ManualScore]) -> list[dict[str, Any]]:
    """Hold each two named raters against each other on what both rated; pairs with most in common first."""
    given: dict[str, dict[tuple[str, str, str], ManualScore]] = {}
    for score in scores:
        if score.rater:
            given.setdefault(score.rater, {})[score.example_id, score.model, score.criterion] = score
    numbers = {rater: number for number, rater in enumerate(sorted(given), start=1)}
    pairs = []
    for one, other in combinations(sorted(given), 2):
        shared = sorted(given[one].keys() & given[other].keys())
        for kind in ("rating", "right"):
            pair = _pair_agreement(kind, [(given[one][key], given[other][key]) for key in shared])
            if pair:
                pairs.append({"raters": [numbers[one], numbers[other]], "on": kind, **pair})
    return sorted(pairs, key=lambda pair: (-pair["rows"], pair["raters"], pair["on"]))[:_MOST_PAIRS]


def _pair_agreement(kind: str, pairs: Sequence[tuple[ManualScore, ManualScore]]) -> dict[str, Any] | None:
    values = [(getattr(one, kind), getattr(other, kind)) for one, other in pairs]
    values = [pair for pair in values if None not in pair]
    if not values:
        return None
    if kind == "right":
        return measure_agreement([one for one, _ in values], [other for _, other in values]).to_json()
    scale = sorted({value for pair in values for value in pair})
    # Kappa takes whole numbers: ratings become their places among all that occur, by which its weights go too.
    one, other = ([scale.index(pair[side]) for pair in values] for side in (0, 1))
    return measure_agreement(one, other, scale=range(len(scale)), weights="quadratic").to_json()


def manual_markdown(section: Mapping[str, Any]) -> str:
    """Return the section as Markdown, without a line end at its end.

    Args:
        section: what `manual_section` returned, or the same read back from JSON.
    """
    low, high = section["scale"]
    parts = [
        "### Scores by people",
        f"{section['taken']} of {section['rows']} rows of the file were taken; the scale is {low:g} to {high:g}.",
    ]
    if section["unnamed"]:
        parts.append(
            f"> {section['unnamed']} ratings name no model and were taken for this candidate's. Ratings of an earlier "
            "candidate would be among them: name the candidate in the file."
        )
    if section["parts"]:
        header = ("model", "criterion", "rows", "raters", "mean", "right", "agrees with our marks")
        parts.append(table(header, [_part_cells(part) for part in section["parts"]]))
    if section["raters"]:
        rows = [
            (
                f"{pair['raters'][0]} and {pair['raters'][1]}",
                pair["on"],
                str(pair["rows"]),
                percent(pair["share"]),
                "not defined" if pair["kappa"] is None else f"{pair['kappa']:.2f}",
            )
            for pair in section["raters"]
        ]
        parts.append(table(("raters", "on", "rated by both", "equal", "Cohen's kappa"), rows))
    if section["findings"]:
        told = ", ".join(f"{count} {cell(code)}" for code, count in section["findings_by_code"].items())
        told_rows = [
            (str(item["row"]), cell(item["code"]), cell(item["field"]), cell(item["mend"]))
            for item in section["findings"]
        ]
        parts += [f"Findings: {told}.", table(("row", "what", "column", "mend"), told_rows)]
    return "\n\n".join(parts)


def _part_cells(part: Mapping[str, Any]) -> tuple[str, ...]:
    rating, right, marks = part["rating"], part["right"], part["agreement_with_marks"]
    mean = share = agrees = "–"
    if rating:
        mean = f"{rating['mean']:.2f} ({rating['interval_95'][0]:.2f}–{rating['interval_95'][1]:.2f})"
    if right:
        low, high = right["interval_95"]
        share = f"{percent(right['share'])} ({100 * low:.1f}–{100 * high:.1f})"
    if marks:
        agrees = (
            f"{marks['agreed']} of {marks['rows']} ({part['right_but_marked_wrong']} right but marked wrong, "
            f"{part['wrong_but_marked_right']} wrong but marked right)"
        )
    names = (cell(part["model"]), cell(part["criterion"]) or "whole answer")
    return (*names, str(part["rated"]), str(part["raters"]), mean, share, agrees)
