"""Error cases of a recogniser: which fields a record has, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from finetune_assets.records.example import SourceRef
from finetune_assets.task_types.fields import flat_texts, number_of, record_id_of
from finetune_assets.task_types.prompts import FieldFault, text_of
from finetune_assets.task_types.shapes import Shape

_SECONDS = ("duration_seconds", "audio_seconds", "duration_s", "duration", "audio_duration")
_CONFIDENCE = ("model_confidence", "confidence")

CASE = Shape(
    levels=("error_type",),
    id_field="case_id",
    text_field="original_transcript",
    level_fields=(),
    target_keys={},
    aliases={
        "case_id": ("case_id", "caseId", "id", "record_id"),
        "audio_path": ("audio_path", "audioPath", "audio", "audio_uri", "audioUri"),
        "original_transcript": (
            "original_transcript",
            "originalTranscript",
            "hypothesis",
            "input_text",
            "original_text",
            "prediction",
        ),
        "corrected_transcript": (
            "corrected_transcript",
            "correctedTranscript",
            "reference",
            "target_text",
            "correction",
            "text",
        ),
        "error_types": ("error_types", "errorTypes", "error_type"),
        "error_score": ("error_score", "errorScore"),
        "metadata": ("metadata",),
        "timestamp": ("timestamp", "created_at", "createdAt"),
        "speaker_id": ("speaker_id", "speakerId", "speaker"),
        "duration_seconds": _SECONDS,
        "model_confidence": _CONFIDENCE,
    },
)
"""The fields of an error case. There is no label to read: it follows from the error types or from the alignment."""

_LONGEST_SECONDS = 1e7


@dataclass(frozen=True, slots=True)
class ErrorCase:
    """One case, read.

    Attributes:
        case_id: the id, or the record's place.
        original: what the recogniser wrote, trimmed; "" for nothing.
        corrected: what was said, trimmed; "" where nobody corrected it.
        audio: path or URI of the recording, "" where unknown.
        error_types: the errors that the record names, in order, each once; the first is the primary one.
        error_score: the score that the record states, 0 to 1.
        seconds: length of the recording.
        model_confidence: the recogniser's own confidence, 0 to 1.
    """

    case_id: str
    original: str
    corrected: str
    audio: str
    error_types: list[str]
    error_score: float | None
    seconds: float | None
    model_confidence: float | None


def read_case(fields: Mapping[str, Any], source: SourceRef, max_characters: int) -> ErrorCase | FieldFault:
    """Read an error case.

    Args:
        fields: its values by canonical name.
        source: where the record stands; its id where it has none.
        max_characters: the longest transcript.

    Returns:
        The case, or the first field that cannot be used.
    """
    metadata = fields.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        return FieldFault("metadata", "wrong_type", type(metadata).__name__, "an object")
    if isinstance(timestamp := fields.get("timestamp"), list | dict | bool):
        return FieldFault("timestamp", "wrong_type", type(timestamp).__name__, "a time as text or number")
    parts: dict[str, Any] = {
        "case_id": record_id_of("case_id", fields.get("case_id"), source),
        "original": _transcript(fields, "original_transcript", max_characters),
        "corrected": _transcript(fields, "corrected_transcript", max_characters),
        "audio": _audio(fields.get("audio_path")),
        "error_types": flat_texts("error_types", fields.get("error_types")),
        "error_score": number_of("error_score", fields.get("error_score"), 0, 1),
        "seconds": _number(fields, "duration_seconds", metadata, _SECONDS, _LONGEST_SECONDS),
        "model_confidence": _number(fields, "model_confidence", metadata, _CONFIDENCE, 1),
    }
    fault = next((part for part in parts.values() if isinstance(part, FieldFault)), None)
    return fault or ErrorCase(**parts)


def _transcript(fields: Mapping[str, Any], name: str, max_characters: int) -> str | FieldFault:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        return FieldFault(name, "wrong_type", type(value).__name__, "text")
    if len(value) > max_characters:
        return FieldFault(name, "text_too_long", f"{len(value)} characters", f"at most {max_characters}")
    return text_of(name, value)


def _audio(value: Any) -> str | FieldFault:
    """Return a recording's path; data sets of the Hugging Face kind hold it as {"path": …}."""
    path = value.get("path") if isinstance(value, Mapping) else value
    if path is None:
        return ""
    if not isinstance(path, str):
        return FieldFault("audio_path", "wrong_type", type(path).__name__, "a path or URI")
    return text_of("audio_path", path)


def _number(
    fields: Mapping[str, Any], own: str, metadata: Mapping[str, Any], names: tuple[str, ...], high: float
) -> float | FieldFault | None:
    """Return a number of the record itself, else of its metadata."""
    if fields.get(own) is not None:
        return number_of(own, fields[own], 0, high)
    found = next((metadata[name] for name in names if metadata.get(name) is not None), None)
    return number_of("metadata", found, 0, high)
