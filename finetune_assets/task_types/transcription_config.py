"""What a defs.yaml says about a transcription task."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from finetune_assets.datasets.transcripts.error_detector import DetectorConfig
from finetune_assets.records.transcript_text import DEFAULT_NORMALISER, NORMALISERS
from finetune_assets.task_types.prompts import PromptConfig


class TranscriptionPromptConfig(PromptConfig):
    """The wording of the question."""

    system: str = Field(
        default="Correct the transcript.",
        description="System prompt, taken literally; empty for models whose chat template takes no system turn.",
    )

    @field_validator("list_labels")
    @classmethod
    def _no_labels(cls, value: bool) -> bool:
        if value:
            raise ValueError("a transcript has no list of legal answers")
        return value


class TranscriptionConfig(BaseModel):
    """What a defs.yaml says about a transcription task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    aliases: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Canonical field name to the names it may have in records and live requests, best first; replaces "
        "the default list of that field, and may declare further fields.",
    )
    prompt: TranscriptionPromptConfig = Field(
        default_factory=TranscriptionPromptConfig, description="The wording of the question."
    )
    normaliser: str = Field(
        default=DEFAULT_NORMALISER,
        description="Spelling rule, with its version, by which word and character errors are counted: basic_english/1 "
        "folds case and drops punctuation, white_space/1 changes nothing but white space.",
    )
    min_error_score: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="Records that state a lower error_score are set aside as `low_error_score`; records that state "
        "none are kept.",
    )
    include_uncorrected: bool = Field(
        default=False,
        description="Keep records without a correction as examples of nothing to correct, where neither the record "
        "nor the detector names an error. All others without one are set aside as `uncorrected`: a transcript that may "
        "be wrong is never a target.",
    )
    error_types: list[str] = Field(
        default_factory=list,
        description="Legal error types; a record that names another one is rejected. Empty allows any.",
    )
    max_characters: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Longest transcript or correction in characters; bounds the time of the alignment.",
    )
    tie_corrections: bool = Field(
        default=True,
        description="Keep records with equal corrections in one split, as when several speakers read one sentence.",
    )
    attach_audio: bool = Field(
        default=False,
        description="Send the recording with the question, for models that listen: each recording is then an example "
        "of its own. Without it, equal transcripts are one question, whatever their recordings.",
    )
    audio_folder: str = Field(
        default=".",
        description="Folder of local recordings, relative to the task's folder; none outside it is attached.",
    )
    detector: DetectorConfig = Field(
        default_factory=DetectorConfig, description="Limits and confidences of the error detector."
    )

    @field_validator("normaliser")
    @classmethod
    def _known_normaliser(cls, value: str) -> str:
        if value not in NORMALISERS:
            raise ValueError(f"expected one of {', '.join(NORMALISERS)}")
        return value
