"""Transcription: a recogniser's transcript in, the corrected transcript out.

Here belongs the task type; its section of a defs.yaml is in `task_types/transcription_config.py`. Records are error
cases of a recogniser: what it wrote, what a person corrected it to, which errors they named. Records are read in
`task_types/transcription_cases.py`, answers marked in `task_types/transcription_marks.py`; the error detector is in
`datasets/transcripts/`, error rates in `records/word_errors.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ValidationError

from finetune_assets.datasets.normalise import content_key, normalise_text
from finetune_assets.datasets.render import neutralise
from finetune_assets.datasets.transcripts.error_detector import detect_errors
from finetune_assets.records.digests import digest_of_text
from finetune_assets.records.doubts import Signal, doubts_of_reading
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Attachment, Example, Message, RawRecord, Rejection, SourceRef
from finetune_assets.records.measure import Marks, Measure
from finetune_assets.records.task_type import ParsedAnswer
from finetune_assets.records.transcript_text import white_space
from finetune_assets.records.word_errors import character_edits, word_edits
from finetune_assets.task_types.fields import ask_fault, canonical_fields
from finetune_assets.task_types.prompts import FieldFault, Prompt, build_prompt
from finetune_assets.task_types.rejections import Rejecter
from finetune_assets.task_types.transcription_audio import read_audio
from finetune_assets.task_types.transcription_cases import CASE, ErrorCase, read_case
from finetune_assets.task_types.transcription_config import TranscriptionConfig as TranscriptionConfig
from finetune_assets.task_types.transcription_marks import MEASURES, mark_transcripts

NAME = "transcription"
SCHEMA = "transcription/1"
ERROR_TYPE = "error_type"
_LIVE = SourceRef("live")


@dataclass(frozen=True)
class TranscriptionTask:
    """The task type `transcription`.

    Attributes:
        config: the section of the YAML, or of a manifest.
        audio_folder: where local recordings are; None in serving, where only remote ones can be used.
    """

    Config: ClassVar[type[BaseModel]] = TranscriptionConfig

    config: TranscriptionConfig
    audio_folder: Path | None = None

    @classmethod
    def from_config(cls, config: TranscriptionConfig, folder: Path) -> TranscriptionTask:
        """Build the task type from its section of a defs.yaml.

        Raises:
            FinetuneError: when the prompt cannot be used.
        """
        return cls(config, folder / config.audio_folder)._checked()

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> TranscriptionTask:
        """Build the task type from what `manifest` returned.

        Raises:
            FinetuneError: when another version wrote the manifest.
        """
        try:
            if manifest.get("schema") != SCHEMA:
                raise ValueError(f"schema {manifest.get('schema')!r}")
            config = TranscriptionConfig.model_validate(manifest["config"])
        except (KeyError, ValueError, ValidationError) as error:
            raise FinetuneError(
                "task type manifest cannot be read",
                where="task type manifest",
                found=str(error),
                expected=f"schema {SCHEMA}",
                mend="serve this release with the version that made it",
            ) from error
        return cls(config)._checked()

    def _checked(self) -> TranscriptionTask:
        """Compute what can fail now, so that a mistake in the YAML shows before any record is read."""
        _ = self.prompt
        return self

    @property
    def name(self) -> str:
        """The task type's name."""
        return NAME

    @property
    def label_levels(self) -> tuple[str, ...]:
        """One level: the primary error type, by which the split is stratified."""
        return (ERROR_TYPE,)

    @property
    def text_field(self) -> str:
        """The canonical field that holds the transcript to correct."""
        return CASE.text_field

    @cached_property
    def aliases(self) -> dict[str, list[str]]:
        """Canonical field → the names it may have, best first: the defaults, overlaid by the YAML's."""
        return {name: list(names) for name, names in {**CASE.aliases, **self.config.aliases}.items()}

    @cached_property
    def prompt(self) -> Prompt:
        """The question."""
        return build_prompt(
            self.config.prompt,
            text_field=self.text_field,
            known=tuple(self.aliases),
            whole_numbers=(),
            labels=(),
            section=NAME,
        )

    def choices(self) -> None:
        """Return None: the answer is free text."""

    def input_messages(self, fields: Mapping[str, Any]) -> list[Message]:
        """Ask for the correction of one live transcript; the very code that `example` uses.

        Raises:
            FinetuneError: when a field that the question needs is missing, blank or no text.
        """
        messages = self.prompt.messages(canonical_fields(fields, self.aliases))
        if isinstance(messages, FieldFault):
            raise ask_fault(messages, self.aliases)
        return messages

    def examples(self, record: RawRecord) -> list[Example | Rejection]:
        """Turn an error case into its one example, or say why not. Never raises for bad input."""
        return [self.example(record)]

    def example(self, record: RawRecord) -> Example | Rejection:
        """Turn an error case into an example, or say why not. Never raises for bad input."""
        fields = canonical_fields(record.fields, self.aliases)
        reject = Rejecter(record, fields, CASE)
        case = read_case(fields, record.source, self.config.max_characters)
        if isinstance(case, FieldFault):
            return reject.for_field(case)
        if (left_out := self._left_out(case)) is not None:
            return reject.for_field(*left_out)
        messages = self.prompt.messages(fields)
        if isinstance(messages, FieldFault):
            if messages.field == CASE.text_field and messages.reason == "missing_field":
                messages = FieldFault(messages.field, "empty_transcript", "nothing", "a transcript to correct")
                return reject.for_field(messages, "give `prompt.defaults` words for it where empty ones are to be kept")
            return reject.for_field(messages)
        audio = read_audio(case.audio, self.audio_folder) if self.config.attach_audio else None
        if isinstance(audio, FieldFault):
            return reject.for_field(audio)
        return self._example(record, case, messages, audio)

    def _left_out(self, case: ErrorCase) -> tuple[FieldFault, str] | None:
        """Return why the configuration leaves this case out, and the mend; None when it takes part."""
        legal = self.config.error_types
        unknown = next((name for name in case.error_types if legal and name not in legal), None)
        if unknown is not None:
            fault = FieldFault("error_types", "unknown_error_type", unknown, f"one of {', '.join(legal)}")
            return fault, "correct it, or add it to `transcription.error_types`"
        if case.error_score is not None and case.error_score < self.config.min_error_score:
            expected = f"at least {self.config.min_error_score:g}"
            fault = FieldFault("error_score", "low_error_score", f"{case.error_score:g}", expected)
            return fault, "nothing, unless `transcription.min_error_score` should be lower"
        if not case.corrected and not (self.config.include_uncorrected and self._looks_right(case)):
            fault = FieldFault("corrected_transcript", "uncorrected", "nothing", "what was really said")
            return fault, "correct the case; its transcript is never taken for the truth"
        return None

    def _looks_right(self, case: ErrorCase) -> bool:
        return bool(case.original) and not case.error_types and not self._detect(case).signals

    def _detect(self, case: ErrorCase) -> Any:
        return detect_errors(
            case.original, self.config.detector, seconds=case.seconds, confidence=case.model_confidence
        )

    def _example(
        self, record: RawRecord, case: ErrorCase, messages: list[Message], audio: Attachment | None
    ) -> Example:
        target = case.corrected or case.original
        facts = self._facts(case, target)
        label = case.error_types[0] if case.error_types else facts["main_edit"]
        return Example(
            record_id=case.case_id,
            # Case and punctuation are what is corrected here: they count, and only white space is folded.
            content_key=content_key(
                {CASE.text_field: digest_of_text(white_space(case.original))}, [audio.uri] if audio else []
            ),
            messages=tuple(messages),
            target=neutralise(target),
            label=label,
            label_path=(label,),
            source=record.source,
            groups=self._groups(case),
            attachments=(audio,) if audio else (),
            facts=facts,
        )

    def _groups(self, case: ErrorCase) -> tuple[str, ...]:
        """Return the leak groups: one recording, one wording as heard, one wording as said."""
        groups = [f"audio={case.audio}"] if case.audio else []
        if case.original:
            groups.append(f"transcript={_wording(case.original)}")
        if case.corrected and self.config.tie_corrections:
            groups.append(f"correction={_wording(case.corrected)}")
        return tuple(sorted(groups))

    def _facts(self, case: ErrorCase, target: str) -> dict[str, Any]:
        """Return what the judge and other formats need: the untuned transcript, its audio, its errors."""
        words = word_edits(target, case.original, normaliser=self.config.normaliser)
        characters = character_edits(target, case.original, normaliser=self.config.normaliser)
        detection = self._detect(case)
        return {
            "original_transcript": case.original,
            "audio_path": case.audio,
            "error_types": case.error_types,
            "error_score": case.error_score,
            "signals": [signal.to_json() for signal in detection.signals],
            "detector_score": detection.score,
            "normaliser": self.config.normaliser,
            "wer": words.rate,
            "cer": characters.rate,
            "word_edits": words.edits,
            "reference_words": words.reference,
            "character_edits": characters.edits,
            "reference_characters": characters.reference,
            "wer_above_one": words.edits > words.reference,
            "main_edit": _main_edit(words.main_kind, case.original, target),
            "corrected": bool(case.corrected),
        }

    def parse(self, text: str) -> ParsedAnswer:
        """Read a model's answer: its text, trimmed; anything but a blank is one. Never raises."""
        transcript = text.strip()
        if not transcript:
            return ParsedAnswer(False, problem="empty_answer")
        return ParsedAnswer(True, value={"corrected_transcript": transcript})

    def doubts(self, fields: Mapping[str, Any], text: str, answer: ParsedAnswer) -> tuple[Signal, ...]:
        """Return what the error detector says of a corrected transcript; the audio's length is taken from the input."""
        unread = doubts_of_reading(text, valid=answer.valid)
        if unread:
            return unread
        case = read_case(canonical_fields(fields, self.aliases), _LIVE, self.config.max_characters)
        seconds = None if isinstance(case, FieldFault) else case.seconds
        # The recogniser's confidence speaks of what it wrote, not of what the model made of it.
        found = detect_errors(text, self.config.detector, seconds=seconds).signals
        return tuple(Signal(signal.type, signal.confidence) for signal in found)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What answers are scored by; the first is the primary one."""
        return MEASURES

    def parse_for(self, example: Example, text: str) -> ParsedAnswer:  # noqa: ARG002 -- no example changes the rule
        """Read the answer to one example, as `parse` does."""
        return self.parse(text)

    def mark(self, examples: Sequence[Example], answers: Sequence[ParsedAnswer]) -> list[Marks]:
        """Mark answers, row by row, by the task's normaliser; see `task_types/transcription_marks.py`."""
        return mark_transcripts(examples, answers, normaliser=self.config.normaliser)

    def prompt_manifest(self) -> dict[str, Any]:
        """Return the task's half of what `datasets.render.template_hash` covers: the wording."""
        return {"task_type": NAME, **self.prompt.manifest()}

    def manifest(self) -> dict[str, Any]:
        """Return all that serving needs, as JSON."""
        config = self.config.model_dump(mode="json", exclude={"audio_folder"})
        return {"task_type": NAME, "schema": SCHEMA, "config": config}


def _wording(text: str) -> str:
    return digest_of_text(normalise_text(text))[:32]


def _main_edit(kind: str, original: str, target: str) -> str:
    """Return the kind of edit that prevails; `formatting` where only case, punctuation or white space differ."""
    return "formatting" if kind == "none" and original.strip() != target.strip() else kind
