"""Small makers of examples, answers and engines for the tests of judging."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from finetune_assets.evaluation.answers import GivenAnswer, ScoredAnswer
from finetune_assets.evaluation.config import GateConfig
from finetune_assets.evaluation.engine import Completion
from finetune_assets.evaluation.gates.evidence import gather
from finetune_assets.evaluation.gates.verdict import Extras, Verdict, verdict_of
from finetune_assets.evaluation.statistics.comparison import Comparison, Pair, Settings, compare
from finetune_assets.evaluation.statistics.mark_table import mark_table
from finetune_assets.records.example import Example, Message, SourceRef
from finetune_assets.records.measure import Marks, Measure, Stats, share
from finetune_assets.records.task_type import ParsedAnswer

LEVELS = ("domain", "attribute")
EXACT = Measure("exact", "exact label", "share")
MEASURES = (EXACT, *(Measure(level, level, "share") for level in LEVELS))


def label_stats(expected: tuple[str, ...], predicted: tuple[str, ...]) -> dict[str, Stats]:
    """The statistics of a label answer; () is no answer."""
    levels = {
        name: share(expected[index : index + 1] == predicted[index : index + 1] != ())
        for index, name in enumerate(LEVELS)
    }
    return {"exact": share(bool(predicted) and predicted == expected), **levels}


class LabelReader:
    """Reads JSON lists as label paths and marks them by part."""

    measures = MEASURES

    def choices(self) -> tuple[str, ...]:
        return ("any label",)

    def parse_for(self, example: Example, text: str) -> ParsedAnswer:
        return parse(text)

    def mark(self, examples: Sequence[Example], answers: Sequence[ParsedAnswer]) -> list[Marks]:
        found = []
        for item, parsed in zip(examples, answers, strict=True):
            predicted = parsed.label_path if parsed.valid else ()
            found.append(
                Marks(bool(predicted) and predicted == item.label_path, label_stats(item.label_path, predicted))
            )
        return found


READER = LabelReader()


def given(item: Example, predicted: tuple[str, ...] | None, *, answered: bool = True) -> GivenAnswer:
    """An answer to an example; None is one that cannot be read."""
    parsed = ParsedAnswer(predicted is not None, predicted or (), problem="" if predicted is not None else "not_json")
    return GivenAnswer(item.example_id, item.record_id, parsed, answered=answered, text=json.dumps(predicted))


def judge(
    candidate: Sequence[ScoredAnswer],
    baseline: Sequence[ScoredAnswer],
    config: GateConfig,
    *,
    trivial: dict[str, list[ScoredAnswer]] | None = None,
    extras: Extras | None = None,
    baseline_is_live: bool = False,
) -> Verdict:
    """Judge marked rows; without trivial answers none need be beaten."""
    if trivial is None:
        config = config.model_copy(update={"beat": ()})
    config.check_metrics(MEASURES, labelled=True)
    evidence = gather(candidate, baseline, config, MEASURES, trivial=trivial, baseline_is_live=baseline_is_live)
    return verdict_of(evidence, config, extras)


def compare_pairs(pairs: Sequence[Pair], settings: Settings | None = None) -> Comparison:
    """Compare pairs by the exact label."""
    ours, theirs = (mark_table([pair[side] for pair in pairs], MEASURES) for side in (0, 1))
    return compare(EXACT, ours, theirs, settings or Settings())


def example(
    number: int, label: tuple[str, ...] = ("a", "x"), *, text: str = "", slices: tuple[str, ...] = ()
) -> Example:
    """An example whose record id is `r0007` for the number 7."""
    words = text or f"observation number {number}"
    return Example(
        record_id=f"r{number:04d}",
        content_key=f"key{number}",
        messages=({"role": "system", "content": "Classify."}, {"role": "user", "content": words}),
        target=json.dumps(label),
        label=" / ".join(label),
        label_path=label,
        source=SourceRef("test.jsonl", line=number),
        slices=slices,
    )


def answer(
    number: int,
    predicted: tuple[str, ...] | None,
    *,
    expected: tuple[str, ...] = ("a", "x"),
    slices: tuple[str, ...] = (),
    problem: str = "not_json",
    answered: bool = True,
) -> ScoredAnswer:
    """An answer to `example(number)`; None as `predicted` is an invalid one."""
    valid = predicted is not None
    return ScoredAnswer(
        example_id=f"id{number:06d}",
        record_id=f"r{number:04d}",
        expected=expected,
        predicted=predicted or (),
        answered=answered,
        valid=valid,
        problem="" if valid else problem,
        correct=predicted == expected,
        slices=slices,
        stats=label_stats(expected, predicted or ()),
    )


def answers_of(pattern: Sequence[bool], *, slices: Sequence[tuple[str, ...]] = ()) -> list[ScoredAnswer]:
    """One valid answer for each item, right where it is True."""
    return [
        answer(index, ("a", "x") if right else ("b", "y"), slices=slices[index] if slices else ())
        for index, right in enumerate(pattern)
    ]


def two_models(
    wins: int, losses: int, both: int = 0, neither: int = 0
) -> tuple[list[ScoredAnswer], list[ScoredAnswer]]:
    """Candidate and baseline with the given numbers of pairs."""
    ours = [True] * wins + [False] * losses + [True] * both + [False] * neither
    theirs = [False] * wins + [True] * losses + [True] * both + [False] * neither
    return answers_of(ours), answers_of(theirs)


def parse(text: str) -> ParsedAnswer:
    """Read an answer that is a JSON list of strings."""
    try:
        path = json.loads(text)
    except ValueError:
        return ParsedAnswer(valid=False, problem="not_json")
    if not isinstance(path, list):
        return ParsedAnswer(valid=False, problem="not_an_object")
    return ParsedAnswer(valid=bool(path), label_path=tuple(path), problem="" if path else "unusable")


class ScriptedEngine:
    """Answers by the user's text; counts what it was asked; may die after some batches."""

    def __init__(self, replies: dict[str, Completion], *, die_after: int | None = None, name: str = "scripted") -> None:
        self.replies = replies
        self.die_after = die_after
        self.asked: list[str] = []
        self.batches = 0
        self.name = name

    @property
    def identity(self) -> dict[str, Any]:
        return {"engine": self.name}

    def complete(self, batch: Sequence[Sequence[Message]]) -> list[Completion]:
        if self.die_after is not None and self.batches >= self.die_after:
            raise KeyboardInterrupt
        self.batches += 1
        texts = [conversation[-1]["content"] for conversation in batch]
        self.asked.extend(texts)
        return [self.replies[text] for text in texts]
