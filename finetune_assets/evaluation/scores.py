"""Scores of one model on one test set: plain shares with their denominators, per level, per slice, per label.

Every row of the test set is in every denominator; a row without a valid answer is a wrong one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from finetune_assets.evaluation.answers import ScoredAnswer
from finetune_assets.evaluation.metrics.references import constant_references
from finetune_assets.evaluation.statistics.exact import macro_f1, micro_f1
from finetune_assets.evaluation.statistics.mark_table import MarkTable, mark_table
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.measure import Marks, Measure

NO_ANSWER = "(no valid answer)"
MACRO_F1 = "macro_f1"
# What every task has beside its measures; macro_f1 only tasks with labels.
BASE_METRICS = ("correct", "parse_rate", "coverage")


@dataclass(frozen=True, slots=True)
class Scores:
    """What one model scored.

    Attributes:
        rows: rows of the test set.
        right: rows whose answer as a whole is right.
        correct: right / rows, in [0, 1]; 0 when there are no rows.
        measures: the task's figures by name; None where no row applies.
        applies: how many rows each figure rests on.
        macro_f1: mean F1 over the whole label paths that occur in the test set; None where answers are free text.
        micro_f1: F1 over all label decisions, invalid answers being misses without a false hit; None likewise.
        parse_rate: share of rows with a valid answer.
        coverage: share of rows that the engine answered at all.
        problems: how often each problem occurred.
        table: the marks behind the figures.
    """

    rows: int
    right: int
    correct: float
    measures: dict[str, float | None]
    applies: dict[str, int]
    macro_f1: float | None
    micro_f1: float | None
    parse_rate: float
    coverage: float
    problems: dict[str, int]
    table: MarkTable

    def metric(self, name: str) -> float | None:
        """Return a metric by its name: a measure of the task, `macro_f1` or one of `BASE_METRICS`.

        Raises:
            FinetuneError: when there is no such metric.
        """
        if name in self.measures:
            return self.measures[name]
        if name in BASE_METRICS or (name == MACRO_F1 and self.macro_f1 is not None):
            return float(getattr(self, name))
        raise FinetuneError(
            "unknown metric",
            found=name,
            expected=f"one of {', '.join((*self.measures, *BASE_METRICS, MACRO_F1))}",
            mend="correct the metric's name under evaluation.floor",
        )


def score(answers: Sequence[ScoredAnswer], measures: Sequence[Measure]) -> Scores:
    """Score one model's answers.

    Args:
        answers: one row for each example of the test set.
        measures: the task's measures.

    Returns:
        The scores; all shares are 0 when there are no rows, so that an empty test set never looks good.
    """
    rows = len(answers)
    right = sum(answer.correct for answer in answers)
    table = mark_table(answers, measures)
    labelled = any(answer.expected for answer in answers)
    expected, answered = [answer.expected for answer in answers], [label_of(answer) for answer in answers]
    return Scores(
        rows=rows,
        right=right,
        correct=_share(right, rows),
        measures={measure.name: table.value(measure) for measure in measures},
        applies={name: int(applies.sum()) for name, applies in table.applies.items()},
        macro_f1=macro_f1(expected, answered) if labelled else None,
        micro_f1=micro_f1(expected, answered) if labelled else None,
        parse_rate=_share(sum(answer.valid for answer in answers), rows),
        coverage=_share(sum(answer.answered for answer in answers), rows),
        problems=dict(sorted(Counter(answer.problem for answer in answers if answer.problem).items())),
        table=table,
    )


def meaningless_measures(answers: Sequence[ScoredAnswer], measures: Sequence[Measure]) -> dict[str, str]:
    """Return measures whose reference is one and the same in every row that they apply to, with the reason.

    A figure against a constant says whether a model learned one sentence. Task types say under `notes["references"]`
    what each row was marked against; a measure without a reference, such as the validity of JSON, is not judged so.
    """
    marks = [Marks(answer.correct, answer.stats, answer.notes) for answer in answers]
    return {
        measure.name: "the right answer is the same in all rows"
        for measure in measures
        if constant_references(measure.name, marks)
    }


def label_of(answer: ScoredAnswer) -> tuple[str, ...] | None:
    """Return the answered label path, or None when there is no valid answer."""
    return answer.predicted if answer.valid else None


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


def label_text(path: Sequence[str]) -> str:
    """Return a label path as a person reads it, parts joined by ` / `."""
    return " / ".join(path)


def _part(path: Sequence[str], index: int) -> str:
    return path[index] if index < len(path) else ""


def _predicted_part(answer: ScoredAnswer, index: int) -> str:
    return _part(answer.predicted, index) if answer.valid else NO_ANSWER


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
