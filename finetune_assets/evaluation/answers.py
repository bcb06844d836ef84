"""Asking the test questions: one scored answer for every example, kept on disk as they come.

Here belongs what turns an engine's completions into `ScoredAnswer` rows. A question without a usable answer stays
in the list as a wrong one: nothing ever leaves a denominator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from finetune_assets.evaluation.answer_store import append_completions, open_store
from finetune_assets.evaluation.engine import Completion, Engine
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example
from finetune_assets.records.task_type import ParsedAnswer

MISSING = "missing"

Parse = Callable[[str], ParsedAnswer]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """One test question with its answer.

    Attributes:
        example_id: the example's content hash; the key by which two models are paired.
        record_id: the id that a person knows the record by.
        expected: the right label path, outermost part first.
        predicted: the label path that was answered, () when there is no valid answer.
        answered: True when the engine gave any answer, valid or not.
        valid: True when the answer could be read as a legal one.
        problem: why it is not valid: an engine's code (`timeout`, …), a parse code (`not_json`, …), `missing`, or "".
        correct: True when the whole label path is right.
        slices: the slices that the example belongs to.
        latency_s: seconds that the answer took; never part of a report.
        text: what the model wrote; never part of a report.
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


def scored(
    example: Example, predicted: tuple[str, ...], *, example_id: str | None = None, text: str = ""
) -> ScoredAnswer:
    """Return the scored row of a valid answer that did not come from an engine, such as a baseline's.

    Args:
        example: the question.
        predicted: the label path answered, not empty.
        example_id: the example's id where the caller has it already (it costs a hash).
        text: what was written, if anything.
    """
    return ScoredAnswer(
        example_id=example_id or example.example_id,
        record_id=example.record_id,
        expected=example.label_path,
        predicted=predicted,
        answered=True,
        valid=True,
        problem="",
        correct=predicted == example.label_path,
        slices=example.slices,
        text=text,
    )


def collect_answers(
    engine: Engine,
    examples: Sequence[Example],
    parse: Parse,
    *,
    batch_size: int = 32,
    store: Path | None = None,
    on_progress: Progress | None = None,
) -> list[ScoredAnswer]:
    """Ask every example and score the answers; continue where an interrupted run stopped.

    An answer in the store is final, a failed one too: a run that was killed and started again gives what an
    undisturbed run gives, and a restart is no second chance for a model that timed out.

    Args:
        engine: the model that answers.
        examples: the questions; their ids must differ.
        parse: the task's reader of answers.
        batch_size: questions asked at once, 1 or more.
        store: a JSON-lines file to append completions to and to resume from. It belongs to one engine identity.
        on_progress: called with (answered so far, total) after each batch, and once at the start when resuming.

    Returns:
        One row for each example, in the order of the examples.

    Raises:
        FinetuneError: when two examples are equal, the store belongs to another engine or cannot be written, or the
            engine breaks its contract.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, not {batch_size}")
    by_id = _unique(examples)
    done: dict[str, Completion] = {}
    if store is not None:
        done = {key: value for key, value in open_store(store, engine).items() if key in by_id}
    waiting = [(key, example) for key, example in by_id.items() if key not in done]
    total = len(by_id)
    if on_progress and done:
        on_progress(len(done), total)
    for start in range(0, len(waiting), batch_size):
        chunk = waiting[start : start + batch_size]
        completions = _ask(engine, chunk)
        if store is not None:
            append_completions(store, completions)
        done.update(completions)
        if on_progress:
            on_progress(len(done), total)
    return [_score(key, example, done[key], parse) for key, example in by_id.items()]


def align(examples: Sequence[Example], answers: Sequence[ScoredAnswer]) -> list[ScoredAnswer]:
    """Hold answers against the test set they claim to answer.

    The right label and the slices are taken from the examples, so that a stale or edited answer cannot bring its own.

    Args:
        examples: the test set.
        answers: answers in any order, at most one for each example.

    Returns:
        One row for each example, in the order of the examples; an example without an answer gets a wrong one with
        the problem `missing`.

    Raises:
        FinetuneError: when an answer belongs to no example, or two answers to one.
    """
    by_id = _unique(examples)
    given: dict[str, ScoredAnswer] = {}
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
    return [_aligned(key, example, given.get(key)) for key, example in by_id.items()]


def _aligned(example_id: str, example: Example, answer: ScoredAnswer | None) -> ScoredAnswer:
    usable = answer is not None and answer.valid and answer.answered
    predicted = answer.predicted if answer is not None and usable else ()
    return ScoredAnswer(
        example_id=example_id,
        record_id=example.record_id,
        expected=example.label_path,
        predicted=predicted,
        answered=answer is not None and answer.answered,
        valid=usable,
        problem=MISSING if answer is None else answer.problem,
        correct=usable and predicted == example.label_path,
        slices=example.slices,
        latency_s=0.0 if answer is None else answer.latency_s,
        text="" if answer is None else answer.text,
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


def _score(example_id: str, example: Example, completion: Completion, parse: Parse) -> ScoredAnswer:
    answer = parse(completion.text) if completion.ok else ParsedAnswer(valid=False, problem=completion.problem)
    # An empty path is no label: it must not be taken for a right answer of an example without one.
    valid = answer.valid and bool(answer.label_path)
    return ScoredAnswer(
        example_id=example_id,
        record_id=example.record_id,
        expected=example.label_path,
        predicted=answer.label_path if valid else (),
        answered=completion.ok,
        valid=valid,
        problem="" if valid else (answer.problem or "unusable"),
        correct=valid and answer.label_path == example.label_path,
        slices=example.slices,
        latency_s=completion.latency_s,
        text=completion.text,
    )
