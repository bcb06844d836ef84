"""Synthetic rows for one task: which writer its task type has, which rules its rows must keep, and the progress."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from finetune_assets.datasets.generation.code import LANGUAGE, template_files
from finetune_assets.datasets.generation.code import TEMPLATE as FILES
from finetune_assets.datasets.generation.config import GenerationConfig
from finetune_assets.datasets.generation.endpoint import ChatEndpoint
from finetune_assets.datasets.generation.generate import GENERATOR, GenerationReport, Writer, generate
from finetune_assets.datasets.generation.observations import TEMPLATE as OBSERVATIONS
from finetune_assets.datasets.generation.observations import template_observations
from finetune_assets.datasets.generation.questions import TEMPLATE as QUESTIONS
from finetune_assets.datasets.generation.questions import QuestionWriter, read_passages, template_questions
from finetune_assets.datasets.generation.rows_file import RowsFile
from finetune_assets.datasets.generation.traces import TEMPLATE as TRACES
from finetune_assets.datasets.generation.traces import TraceWriter, as_words, template_traces
from finetune_assets.datasets.generation.transcripts import TEMPLATE as TRANSCRIPTS
from finetune_assets.datasets.generation.transcripts import template_transcripts
from finetune_assets.datasets.quarantine import UNCOUNTED_REASONS
from finetune_assets.datasets.reading.canonical_names import alias_lookup, canonical_fields
from finetune_assets.datasets.traces.rules import TraceRules
from finetune_assets.lineage.settings import resolve
from finetune_assets.lineage.task_config import TaskConfig, TaskSpec
from finetune_assets.records.digests import digest_of_text
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import RawRecord, Rejection, SourceRef
from finetune_assets.records.task_type import TaskType
from finetune_assets.task_types import build_task_type
from finetune_assets.task_types.classification import ClassificationTask
from finetune_assets.task_types.question_answering import QuestionAnsweringTask
from finetune_assets.task_types.routing import RoutingTask
from finetune_assets.task_types.source_code import SourceCodeTask
from finetune_assets.task_types.transcription import TranscriptionTask

Rows = list[dict[str, Any]]
_SAY_EVERY = 10


class Synthesis:
    """Writes synthetic rows of one task into one file.

    Args:
        spec: the task.
        changes: values that come over the task's `dataset.generation`; empty ones count for nothing.
        passages: the passages that questions are asked about, for `question_answering`.
    """

    def __init__(self, spec: TaskSpec, changes: Mapping[str, Any], passages: Path | None) -> None:
        self._task = spec.name
        config: TaskConfig = resolve(spec, {}, os.environ).config
        given = {name: value for name, value in changes.items() if value not in (None, "")}
        merged = {**config.dataset.generation.model_dump(), **given}
        self.config = GenerationConfig.model_validate(merged)
        section = config.type_section().model_dump(mode="json")
        self.kind = build_task_type(config.task_type, section, Path(spec.folder))
        self._passages = passages
        self._names = alias_lookup({**self.kind.aliases, **config.dataset.source.aliases})

    def from_template(self, path: Path, count: int) -> GenerationReport:
        """Write rows of the task type's template.

        Raises:
            FinetuneError: when the task has none, or its rows break the task's own rules.
        """
        name, rows = self._template_rows(count)
        with RowsFile(path, generator=name, model="", seed=self.config.seed, durable=False) as file:
            report = GenerationReport(count, found=len(file.numbers & set(range(count))))
            for number, row in enumerate(rows):
                if number in file.numbers:
                    continue
                report.answers += 1
                reasons = self.check(row)
                if reasons:
                    report.given_up.append(number)
                    report.reasons.update(reason.partition(":")[0] for reason in reasons)
                    continue
                file.add(row, number=number, prompt=digest_of_text(name))
                report.made += 1
            file.finish()
        return report

    def _template_rows(self, count: int) -> tuple[str, Rows]:
        if self._has_traces():
            return TRACES, template_traces(self.config.seed, count)
        kind, seed = self.kind, self.config.seed
        if isinstance(kind, QuestionAnsweringTask):
            return QUESTIONS, template_questions(self._read_passages(), seed, count)
        if isinstance(kind, TranscriptionTask):
            passages = read_passages(self._passages) if self._passages else []
            return TRANSCRIPTS, template_transcripts(passages, kind.config.error_types, seed, count)
        if isinstance(kind, SourceCodeTask) and LANGUAGE in kind.config.languages:
            return FILES, template_files(seed, count)
        if isinstance(kind, ClassificationTask) and (labels := _described(kind)):
            shape = kind.shape
            return OBSERVATIONS, template_observations(labels, shape.level_fields, shape.text_field, seed, count)
        raise self._no_writer(
            "a template for routing with traces, question_answering, transcription, source_code with java, or "
            "classification by a taxonomy that describes its levels"
        )

    def from_endpoint(
        self, path: Path, count: int, api_key: str, on_progress: Callable[[GenerationReport], None]
    ) -> GenerationReport:
        """Ask the endpoint for rows until the file holds `count`.

        Raises:
            FinetuneError: when the task has no writer, or the endpoint refuses or still fails.
        """
        writer = self.writer()
        with (
            ChatEndpoint(self.config, api_key) as endpoint,
            RowsFile(path, generator=GENERATOR, model=self.config.model, seed=self.config.seed) as file,
        ):
            report = generate(writer, endpoint.complete, self.check, file, count, self.config, on_progress=on_progress)
            file.finish()
        return report

    def writer(self) -> Writer:
        """Return who asks for rows of this task."""
        kind = self.kind
        if isinstance(kind, RoutingTask) and self._has_traces():
            return TraceWriter(kind.config.rules, tuple(kind.tools), self.config.seed)
        if isinstance(kind, QuestionAnsweringTask):
            return QuestionWriter(self._read_passages(), self.config.seed)
        raise self._no_writer("an endpoint for routing with traces, or question_answering")

    def check(self, row: Mapping[str, Any]) -> list[str]:
        """Return why the task would reject a row, in words; empty when it would take it."""
        kind = self.kind
        if isinstance(kind, RoutingTask) and self._has_traces():
            waived = kind.config.rules.waive
            faults = TraceRules(kind.config.rules, tuple(kind.tools)).faults(row)
            if named := as_words([fault for fault in faults if fault.reason not in waived]):
                return named
        return _rejections(kind, canonical_fields(row, self._names))

    def _has_traces(self) -> bool:
        return isinstance(self.kind, RoutingTask) and self.kind.config.records == "traces"

    def _read_passages(self) -> list[str]:
        if self._passages is None:
            raise FinetuneError(
                "questions need passages", where=self._task, mend="name a text or JSON Lines file with --passages"
            )
        return read_passages(self._passages)

    def _no_writer(self, expected: str) -> FinetuneError:
        return FinetuneError(
            "synthetic rows of this task type cannot be made",
            where=self._task,
            found=self.kind.name,
            expected=expected,
            mend="write the rows yourself, with `synthetic: true` in each",
        )


def _described(kind: ClassificationTask) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the labels that take part and that the taxonomy describes, with the descriptions."""
    described = [(path, kind.taxonomy.descriptions(path)) for path in kind.rules.paths]
    return [(path, texts) for path, texts in described if texts]


def _rejections(kind: TaskType, fields: dict[str, Any]) -> list[str]:
    found = kind.examples(RawRecord(fields, SourceRef("synthetic", line=1)))
    if any(not isinstance(item, Rejection) for item in found):
        # Of a file that gives examples, pieces that the configuration leaves out are no fault.
        found = [item for item in found if not isinstance(item, Rejection) or item.reason not in UNCOUNTED_REASONS]
    return [
        f"{item.reason}: {item.field}: found {item.found}; expected {item.expected}"
        for item in found
        if isinstance(item, Rejection)
    ]


class SynthesisProgress:
    """Says how far the asking is: a status line on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, task: str) -> None:
        self._console = console
        self._task = task
        self._said = 0

    def __call__(self, report: GenerationReport) -> None:
        """Take in the counts after one more row."""
        done = report.found + report.made + len(report.given_up)
        if done - self._said >= (1 if self._console.is_terminal else _SAY_EVERY) or done == report.wanted:
            self._said = done
            self._console.print(
                f"[dim]{escape(self._task)}: {report.found + report.made} of {report.wanted} rows, "
                f"{report.answers} answers, {len(report.given_up)} given up[/]"
            )
