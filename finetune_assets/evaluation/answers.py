"""Asking the test questions, and marking what was answered: one scored row for every example.

Here belongs what turns an engine's completions into `GivenAnswer` rows and those, held against the test set, into
`ScoredAnswer` rows. A question without a usable answer stays in the list as a wrong one: nothing ever leaves a
denominator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from finetune_assets.evaluation.answer_store import append_completions, open_store
from finetune_assets.evaluation.engine import Completion, Engine
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example
from finetune_assets.records.measure import Marks, Measure, Stats
from finetune_assets.records.task_type import ParsedAnswer

MISSING = "missing"
TRUNCATED = "truncated"
_NO_ANSWER = ParsedAnswer(valid=False, problem=MISSING)

Progress = Callable[[int, int], None]


class Reader(Protocol):
    """What judging asks of a task type: how answers are read and marked (see `records.task_type.TaskType`)."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What answers are scored by, the primary measure first."""

    def choices(self) -> tuple[str, ...] | None:
        """Return every legal answer, or None when answers are free text and the label is a stratum only."""

    def parse_for(self, example: Example, text: str) -> ParsedAnswer:
        """Read the answer to one example."""

    def mark(self, examples: Sequence[Example], answers: Sequence[ParsedAnswer]) -> list[Marks]:
        """Mark answers, row by row."""


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """What one model gave to one question, read but not yet held against the right answer.

    Attributes:
        example_id: the example's content hash.
        record_id: the id that a person knows the record by.
        parsed: the answer as it was read; not valid when there is none.
        answered: True when the model gave any answer, valid or not.
        latency_s: seconds that it took.
        text: what the model wrote.
        prompt_tokens: tokens of the question, 0 when unknown.
        completion_tokens: tokens of the answer, 0 when unknown.
    """

    example_id: str
    record_id: str
    parsed: ParsedAnswer
    answered: bool = True
    latency_s: float = 0.0
    text: str = field(default="", repr=False)
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """One test question with its answer, marked.

    Attributes:
        example_id: the example's content hash; the key by which two models are paired.
        record_id: the id that a person knows the record by.
        expected: the right label path, outermost part first; () where the answer is free text.
        predicted: the label path that was answered, () when there is no valid answer or it is free text.
        answered: True when the engine gave any answer, valid or not.
        valid: True when the answer could be read as a legal one.
        problem: why it is not valid: an engine's code (`timeout`, …), a parse code (`not_json`, …), `missing`, or "".
        correct: True when the answer as a whole counts as right.
        slices: the slices that the example belongs to.
        latency_s: seconds that the answer took; never part of a report.
        text: what the model wrote; never part of a report.
        stats: statistics by measure name; see `records.measure`.
        notes: what the task type noted beside the marks, as JSON without texts.
    """

    example_id: str
    record_id: str
    expected: tuple[str, ...]
    predicted: tuple[str, ...]
    answered: bool
    valid: bool
    problem: str
    correct: bool
    slices: tuple[str, ...] = ()
    latency_s: float = 0.0
    text: str = field(default="", repr=False)
    stats: Mapping[str, Stats] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def same_answer(self, other: ScoredAnswer) -> bool:
        """Tell whether two models answered the same: the same label, or the same words where there is no label."""
        if self.valid != other.valid:
            return False
        if self.expected or self.predicted or other.predicted:
            return self.predicted == other.predicted
        return self.text.split() == other.text.split()


Answers = Sequence[GivenAnswer] | Sequence[ScoredAnswer]
"""One model's answers, as they were given or marked already."""


def given_texts(examples: Sequence[Example], texts: Sequence[str], reader: Reader) -> list[GivenAnswer]:
    """Return texts that did not come from an engine, such as a trivial baseline's, as answers.

    Args:
        examples: the questions.
        texts: the answer to each; "" is no answer.
        reader: how answers are read.
    """
    return [
        GivenAnswer(item.example_id, item.record_id, reader.parse_for(item, text), answered=bool(text), text=text)
        for item, text in zip(examples, texts, strict=True)
    ]


def collect_answers(
    engine: Engine,
    examples: Sequence[Example],
    reader: Reader,
    *,
    batch_size: int | None = 32,
    store: Path | None = None,
    on_progress: Progress | None = None,
) -> list[GivenAnswer]:
    """Ask every example and read the answers; continue where an interrupted run stopped.

    An answer in the store is final, a failed one too: a run that was killed and started again gives what an
    undisturbed run gives, and a restart is no second chance for a model that timed out.

    Args:
        engine: the model that answers.
        examples: the questions; their ids must differ.
        reader: the task's reader of answers.
        batch_size: questions asked at once, 1 or more; None for all in one go, as batch prediction wants them.
        store: where completions are kept as they come, and resumed from. It belongs to one engine identity.
        on_progress: called with (answered so far, total) after each batch, and once at the start when resuming.

    Returns:
        One answer for each example, in the order of the examples.

    Raises:
        FinetuneError: when two examples are equal, the store belongs to another engine or cannot be written, or the
            engine breaks its contract.
    """
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, not {batch_size}")
    by_id = _unique(examples)
    done: dict[str, Completion] = {}
    if store is not None:
        done = {key: value for key, value in open_store(store, engine).items() if key in by_id}
    waiting = [(key, example) for key, example in by_id.items() if key not in done]
    total = len(by_id)
    if on_progress and done:
        on_progress(len(done), total)
    step = batch_size or max(1, len(waiting))
    for start in range(0, len(waiting), step):
        chunk = waiting[start : start + step]
        completions = _ask(engine, chunk)
        if store is not None:
            append_completions(store, completions)
        done.update(completions)
        if on_progress:
            on_progress(len(done), total)
    return [_read(key, example, done[key], reader) for key, example in by_id.items()]


def score_answers(examples: Sequence[Example], answers: Sequence[GivenAnswer], reader: Reader) -> list[ScoredAnswer]:
    """Hold answers against the test set that they claim to answer, and mark them.

    The right answer and the slices are taken from the examples, so that a stale or edited answer cannot bring its own.

    Args:
        examples: the test set.
        answers: answers in any order, at most one for each example.
        reader: how answers are marked.

    Returns:
        One row for each example, in the order of the examples; an example without an answer gets a wrong one with
        the problem `missing`.

    Raises:
        FinetuneError: when an answer belongs to no example, or two answers to one.
    """
    by_id = _unique(examples)
    given: dict[str, GivenAnswer] = {}
    for answer in answers:
        if answer.example_id not in by_id:
            raise FinetuneError(
                "an answer belongs to no example of the test set",
                where=f"record {answer.record_id}",
                found=f"example id {answer.example_id}",
                mend="collect the answers again on this dataset version",
            )
        if answer.example_id in given:
            raise FinetuneError(
                "two answers for one example",
                where=f"record {answer.record_id}",
                mend="collect the answers again into an empty store",
            )
        given[answer.example_id] = answer
    rows = [
        (example, given.get(key) or GivenAnswer(key, example.record_id, _NO_ANSWER, answered=False))
        for key, example in by_id.items()
    ]
    # What was not answered cannot be right, whatever was read into it.
    parsed = [answer.parsed if answer.answered else replace(answer.parsed, valid=False) for _, answer in rows]
    marks = reader.mark([example for example, _ in rows], parsed)
    if len(marks) != len(rows):
        raise ValueError(f"{len(marks)} marks for {len(rows)} answers")
    labelled = reader.choices() is not None
    return [
        _scored(key, example, answer, marked, labelled=labelled)
        for key, (example, answer), marked in zip(by_id, rows, marks, strict=True)
    ]


def marked_answers(examples: Sequence[Example], answers: Answers, reader: Reader) -> list[ScoredAnswer]:
    """Return answers marked: marked ones as they are, others after `score_answers`, whose arguments these are.

    Raises:
        FinetuneError: as there, and when marked rows are not those of the examples, in their order and slices.
    """
    marked = [answer for answer in answers if isinstance(answer, ScoredAnswer)]
    if not marked:
        return score_answers(examples, [answer for answer in answers if isinstance(answer, GivenAnswer)], reader)
    labelled = reader.choices() is not None
    wanted = [(item.example_id, item.slices, item.label_path if labelled else ()) for item in examples]
    if len(marked) != len(answers) or wanted != [(row.example_id, row.slices, row.expected) for row in marked]:
        raise FinetuneError(
            "marked rows are not those of the test set",
            found=f"{len(marked)} marked rows, {len(examples)} examples",
            expected="one row for each example, in order, with its slices and its right label",
            mend="mark the answers again on this dataset version",
        )
    return marked


def _scored(example_id: str, example: Example, answer: GivenAnswer, marks: Marks, *, labelled: bool) -> ScoredAnswer:
    parsed = answer.parsed
    valid = parsed.valid and answer.answered
    return ScoredAnswer(
        example_id=example_id,
        record_id=example.record_id,
        expected=example.label_path if labelled else (),
        predicted=parsed.label_path if valid and labelled else (),
        answered=answer.answered,
        valid=valid,
        problem="" if valid else (parsed.problem or "unusable"),
        correct=valid and marks.correct,
        slices=example.slices,
        latency_s=answer.latency_s,
        text=answer.text,
        stats=marks.stats,
        notes=marks.notes,
    )


def _unique(examples: Sequence[Example]) -> dict[str, Example]:
    by_id: dict[str, Example] = {}
    for example in examples:
        key = example.example_id
        if key in by_id:
            raise FinetuneError(
                "the test set holds one example twice",
                where=f"records {by_id[key].record_id} and {example.record_id}",
                mend="build the dataset again; deduplication removes copies",
            )
        by_id[key] = example
    return by_id


def _ask(engine: Engine, chunk: Sequence[tuple[str, Example]]) -> dict[str, Completion]:
    completions = engine.complete([list(example.messages) for _, example in chunk])
    if len(completions) != len(chunk):
        raise FinetuneError(
            "the engine broke its contract",
            found=f"{len(completions)} answers to {len(chunk)} questions",
            expected="one answer for each question, in order",
            mend="repair the engine; its answers cannot be told apart",
        )
    return {key: completion for (key, _), completion in zip(chunk, completions, strict=True)}


def _read(example_id: str, example: Example, completion: Completion, reader: Reader) -> GivenAnswer:
    if completion.ok:
        parsed = reader.parse_for(example, completion.text)
        if completion.finish == "length" and not parsed.valid:
            # What broke it is the limit, whatever the rest looks like.
            parsed = replace(parsed, problem=TRUNCATED)
    else:
        parsed = ParsedAnswer(valid=False, problem=completion.problem)
    return GivenAnswer(
        example_id,
        example.record_id,
        parsed,
        answered=completion.ok,
        latency_s=completion.latency_s,
        text=completion.text,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
    )
