"""How answers of a classification are marked: the whole label path, and each level by itself.

`correct` is the whole path. An invalid answer is wrong at every level.
"""

from __future__ import annotations

from collections.abc import Sequence

from finetune_assets.evaluation.metrics.labels import levels_right, path_right
from finetune_assets.evaluation.metrics.references import reference_note
from finetune_assets.records.example import Example
from finetune_assets.records.measure import Marks, Measure, share
from finetune_assets.records.task_type import ParsedAnswer

EXACT = "exact"


def measures_of(levels: Sequence[str]) -> tuple[Measure, ...]:
    """Return `exact` and a measure for each level, by the level's name."""
    return (
        Measure(EXACT, "whole label right", "share"),
        *(Measure(level, f"{level.replace('_', ' ')} right", "share") for level in levels),
    )


def mark_labels(levels: Sequence[str], examples: Sequence[Example], answers: Sequence[ParsedAnswer]) -> list[Marks]:
    """Mark the answers of a classification, row by row.

    Args:
        levels: names of the label's parts, outermost first.
        examples: the questions.
        answers: one for each.
    """
    return [_marks(levels, *pair) for pair in zip(examples, answers, strict=True)]


def _marks(levels: Sequence[str], example: Example, answer: ParsedAnswer) -> Marks:
    predicted = answer.label_path if answer.valid else ()
    right = path_right(example.label_path, predicted)
    single = zip(levels, levels_right(example.label_path, predicted), strict=False)
    references = dict(zip(levels, example.label_path, strict=False))
    return Marks(
        correct=right,
        stats={EXACT: share(right)} | {level: share(hit) for level, hit in single},
        notes=reference_note(list(example.label_path), **references),
    )
