"""Asking for rows until enough keep the rules: each answer is checked; a refused one is asked again with reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Protocol

from finetune_assets.datasets.generation.answers import object_in
from finetune_assets.datasets.generation.config import GenerationConfig
from finetune_assets.datasets.generation.rows_file import RowsFile
from finetune_assets.records.digests import digest_of
from finetune_assets.records.example import Message

GENERATOR = "endpoint/1"

Check = Callable[[dict[str, Any]], Sequence[str]]
"""Returns why a row cannot be used, in words for the model; empty when it can."""


class Writer(Protocol):
    """Asks for the rows of one kind of task."""

    def messages(self, number: int) -> list[Message]:
        """Return the first prompt for a row."""

    def row(self, number: int, answer: dict[str, Any]) -> dict[str, Any]:
        """Return the row made of an answer's JSON."""


class Complete(Protocol):
    """Answers a conversation, as `ChatEndpoint.complete` does."""

    def __call__(self, messages: Sequence[Message], *, seed: int) -> str:
        """Return the answer's text."""


@dataclass
class GenerationReport:
    """What came of asking.

    Attributes:
        wanted: rows that the file should hold.
        found: rows that it held before.
        made: rows that were added.
        given_up: numbers of rows that broke a rule in every attempt.
        answers: answers that were asked for.
        reasons: why answers were refused, by the first words of the reason.
    """

    wanted: int
    found: int = 0
    made: int = 0
    given_up: list[int] = field(default_factory=list)
    answers: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        names = ("wanted", "found", "made", "given_up", "answers")
        return {name: getattr(self, name) for name in names} | {"reasons": dict(sorted(self.reasons.items()))}


@dataclass(frozen=True, slots=True)
class _Outcome:
    number: int
    row: dict[str, Any] | None
    prompt: str
    answers: int
    reasons: tuple[str, ...]


def generate(
    writer: Writer,
    complete: Complete,
    check: Check,
    rows: RowsFile,
    count: int,
    config: GenerationConfig,
    *,
    on_progress: Callable[[GenerationReport], None] | None = None,
) -> GenerationReport:
    """Ask for the rows 0 to `count` - 1 that the file does not hold yet.

    Args:
        writer: what is asked.
        complete: who is asked.
        check: which rules a row must keep.
        rows: the file.
        count: rows wanted.
        config: seed, concurrency and attempts.
        on_progress: called after each row.

    Returns:
        The counts. Rows that were given up are tried again by the next call.

    Raises:
        FinetuneError: when the endpoint refuses or still fails; rows that came before are in the file.
    """
    report = GenerationReport(count, found=len(rows.numbers & set(range(count))))
    waiting = [number for number in range(count) if number not in rows.numbers]
    pool = ThreadPoolExecutor(max_workers=config.concurrency, thread_name_prefix="synthesize")
    running: set[Future[_Outcome]] = set()
    try:
        while waiting or running:
            while waiting and len(running) < config.concurrency:
                running.add(pool.submit(_one_row, writer, complete, check, waiting.pop(0), config))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for outcome in sorted((future.result() for future in done), key=lambda item: item.number):
                _note(report, rows, outcome)
                if on_progress:
                    on_progress(report)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    report.given_up.sort()
    return report


def _note(report: GenerationReport, rows: RowsFile, outcome: _Outcome) -> None:
    report.answers += outcome.answers
    report.reasons.update(outcome.reasons)
    if outcome.row is None:
        report.given_up.append(outcome.number)
        return
    rows.add(outcome.row, number=outcome.number, prompt=outcome.prompt, attempts=outcome.answers)
    report.made += 1


def _one_row(writer: Writer, complete: Complete, check: Check, number: int, config: GenerationConfig) -> _Outcome:
    messages = writer.messages(number)
    prompt = digest_of(list(messages))
    refused: list[str] = []
    for attempt in range(config.attempts):
        text = complete(messages, seed=config.seed + number * config.attempts + attempt)
        row, reasons = _read(writer, number, text, check)
        if row is not None:
            return _Outcome(number, row, prompt, attempt + 1, tuple(refused))
        refused += [reason.partition(":")[0] for reason in reasons]
        messages = [*writer.messages(number), {"role": "assistant", "content": text}, _again(reasons)]
    return _Outcome(number, None, prompt, config.attempts, tuple(refused))


def _read(writer: Writer, number: int, text: str, check: Check) -> tuple[dict[str, Any] | None, Sequence[str]]:
    answer = object_in(text)
    if answer is None:
        return None, ["not_json: the answer holds no JSON object"]
    row = writer.row(number, answer)
    reasons = check(row)
    return (None, reasons) if reasons else (row, ())


def _again(reasons: Sequence[str]) -> Message:
    listed = "\n".join(f"- {reason}" for reason in reasons)
    return {"role": "user", "content": f"This cannot be used:\n{listed}\nAnswer with the whole corrected JSON object."}
