"""Scores of one model on one test set: plain shares with their denominators, per level, per slice, per label.

Every row of the test set is in every denominator; a row without a valid answer is a wrong one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from finetune_assets.evaluation.answers import ScoredAnswer
from finetune_assets.evaluation.statistics import macro_f1
from finetune_assets.records.errors import FinetuneError

NO_ANSWER = "(no valid answer)"
BASE_METRICS = ("exact", "macro_f1", "parse_rate", "coverage")


@dataclass(frozen=True, slots=True)
class Scores:
    """What one model scored.

    Attributes:
        rows: rows of the test set.
        right: rows whose whole label path is right.
        exact: right / rows, in [0, 1]; 0 when there are no rows.
        levels: for each level, the share of rows whose part at that level is right whatever the other parts are.
        macro_f1: mean F1 over the whole label paths that occur in the test set.
        parse_rate: share of rows with a valid answer.
        coverage: share of rows that the engine answered at all.
        problems: how often each problem occurred.
    """

    rows: int
    right: int
    exact: float
    levels: dict[str, float]
    macro_f1: float
    parse_rate: float
    coverage: float
    problems: dict[str, int]

    def metric(self, name: str) -> float:
        """Return a metric by its name: one of `BASE_METRICS` or a level.

        Raises:
            FinetuneError: when there is no such metric.
        """
        if name in BASE_METRICS:
            return float(getattr(self, name))
        if name in self.levels:
            return self.levels[name]
        raise FinetuneError(
            "unknown metric",
            found=name,
            expected=f"one of {', '.join((*BASE_METRICS, *self.levels))}",
            mend="correct the metric's name under evaluation.floor",
        )


def score(answers: Sequence[ScoredAnswer], levels: Sequence[str] = ()) -> Scores:
    """Score one model's answers.

    Args:
        answers: one row for each example of the test set.
        levels: names of the label's parts, outermost first; parts beyond the names are in `exact` only.

    Returns:
        The scores; all shares are 0 when there are no rows, so that an empty test set never looks good.
    """
    rows = len(answers)
    right = sum(answer.correct for answer in answers)
    return Scores(
        rows=rows,
        right=right,
        exact=_share(right, rows),
        levels={
            name: _share(sum(level_right(answer, index) for answer in answers), rows)
            for index, name in enumerate(levels)
        },
        macro_f1=macro_f1([answer.expected for answer in answers], [label_of(answer) for answer in answers]),
        parse_rate=_share(sum(answer.valid for answer in answers), rows),
        coverage=_share(sum(answer.answered for answer in answers), rows),
        problems=dict(sorted(Counter(answer.problem for answer in answers if answer.problem).items())),
    )


def label_of(answer: ScoredAnswer) -> tuple[str, ...] | None:
    """Return the answered label path, or None when there is no valid answer."""
    return answer.predicted if answer.valid else None


def level_right(answer: ScoredAnswer, index: int) -> bool:
    """Tell whether the part at one level is right, whatever the other parts are."""
    return (
        answer.valid
        and index < len(answer.expected)
        and index < len(answer.predicted)
        and answer.expected[index] == answer.predicted[index]
    )


def confusion(answers: Sequence[ScoredAnswer], levels: Sequence[str], level: str) -> dict[str, Any]:
    """Count expected against predicted parts at one level.

    Args:
        answers: one row for each example.
        levels: names of the label's parts.
        level: the level to look at.

    Returns:
        `{"level", "labels": [...], "columns": [...], "counts": [[...]]}`: a row for each expected part and a column
        for each expected or predicted one, both sorted; the last column is `NO_ANSWER` when any answer is invalid.

    Raises:
        FinetuneError: when there is no such level.
    """
    if level not in levels:
        raise FinetuneError("unknown label level", found=level, expected=f"one of {', '.join(levels)}")
    index = list(levels).index(level)
    cells = Counter((_part(answer.expected, index), _predicted_part(answer, index)) for answer in answers)
    rows = sorted({truth for truth, _ in cells})
    guessed = {guess for _, guess in cells}
    columns = sorted((set(rows) | guessed) - {NO_ANSWER}) + ([NO_ANSWER] if NO_ANSWER in guessed else [])
    return {
        "level": level,
        "labels": rows,
        "columns": columns,
        "counts": [[cells[truth, guess] for guess in columns] for truth in rows],
    }


def label_table(answers: Sequence[ScoredAnswer]) -> list[dict[str, Any]]:
    """Return each label path of the test set with its figures, those that cost most rows first.

    Returns:
        Rows `{"label", "rows", "right", "recall", "precision", "f1", "confused_with", "confused_rows"}`;
        `precision` is None when the label was never answered, `confused_with` "" when no row went wrong.
    """
    support = Counter(answer.expected for answer in answers)
    guesses = Counter(answer.predicted for answer in answers if answer.valid)
    hits = Counter(answer.expected for answer in answers if answer.correct)
    wrong: dict[tuple[str, ...], Counter[str]] = {}
    for answer in answers:
        if not answer.correct:
            guess = label_text(answer.predicted) if answer.valid else NO_ANSWER
            wrong.setdefault(answer.expected, Counter())[guess] += 1
    table = []
    for label, rows in support.items():
        mistaken = min(wrong.get(label, Counter()).items(), key=lambda item: (-item[1], item[0]), default=("", 0))
        table.append(
            {
                "label": label_text(label),
                "rows": rows,
                "right": hits[label],
                "recall": hits[label] / rows,
                "precision": hits[label] / guesses[label] if guesses[label] else None,
                "f1": 2 * hits[label] / (rows + guesses[label]),
                "confused_with": mistaken[0],
                "confused_rows": mistaken[1],
            }
        )
    return sorted(table, key=lambda row: (row["right"] - row["rows"], row["recall"], row["label"]))


def slice_names(answers: Sequence[ScoredAnswer]) -> list[str]:
    """Return the names of all slices that occur, sorted."""
    return sorted({name for answer in answers for name in answer.slices})


def label_text(path: Sequence[str]) -> str:
    """Return a label path as a person reads it, parts joined by ` / `."""
    return " / ".join(path)


def _part(path: Sequence[str], index: int) -> str:
    return path[index] if index < len(path) else ""


def _predicted_part(answer: ScoredAnswer, index: int) -> str:
    return _part(answer.predicted, index) if answer.valid else NO_ANSWER


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
