"""The section `feedback:` of a task: what of live traffic is kept, for how long, and what counts as one error."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Keeping = Literal["text", "digest"]


class NamedPattern(BaseModel):
    """What else is masked in every text that is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_-]*$", description="What the pattern finds; the mask is this name in square brackets."
    )
    pattern: str = Field(min_length=1, description="A regular expression of Python's `re`, searched in every text.")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if compiled.search(""):
            raise ValueError("the pattern matches the empty text, so it would mask every place")
        return pattern


class RedactionConfig(BaseModel):
    """What is taken out of an input, an answer, a correction and a comment before anything is stored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    personal_data: bool = Field(
        default=True, description="Mask e-mail addresses, dates and numbers of seven or more digits."
    )
    drop: tuple[str, ...] = Field(
        default=(), description="Fields of the input that are never kept; `a.b` names a field within a field."
    )
    pseudonymise: tuple[str, ...] = Field(
        default=(), description="Fields of which only a keyed hash is kept, so that equal values stay equal."
    )
    patterns: tuple[NamedPattern, ...] = Field(default=(), description="Further patterns to mask in every text.")


class CorrectedSuiteConfig(BaseModel):
    """The regression suite that is made of corrected cases by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["benchmark", "critical", "edge"] = Field(
        default="benchmark", description="What the rows are, as for the suites under `evaluation.suites`."
    )
    min_rows: int = Field(default=10, ge=1, description="Regression samples below which no suite is made of them.")


class FeedbackConfig(BaseModel):
    """What is kept of live traffic, and what counts as one error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: Keeping = Field(
        default="text", description="Keep inputs as redacted text, or only their keyed hash (`digest`)."
    )
    answers: Keeping = Field(
        default="text", description="Keep answers as redacted text, or only their keyed hash (`digest`)."
    )
    subject_field: str = Field(
        default="",
        description="The input's field that names the person it is about, for deletion on request; empty for none.",
    )
    group_fields: tuple[str, ...] = Field(
        default=(), description="Fields whose equal values tie cases into one leak group, such as the person's id."
    )
    retention_days: int = Field(default=90, ge=1, le=3650, description="Days that a prediction's record is kept.")
    min_error_score: float = Field(
        default=0.5, ge=0.0, le=1.0, description="Score of the error detector from which on an answer is an error case."
    )
    similarity: float = Field(
        default=0.8, gt=0.5, le=1.0, description="How alike two inputs must be for their errors to count as one."
    )
    redaction: RedactionConfig = Field(
        default_factory=RedactionConfig, description="What is masked, dropped or hashed before anything is stored."
    )
    learn: bool = Field(
        default=True,
        description="Whether the next dataset version takes corrected cases: as training rows, or by their leak group "
        "as regression samples.",
    )
    regression_share: float = Field(
        default=0.2, ge=0.0, le=1.0, description="Share of new leak groups of cases that become regression samples."
    )
    suite: CorrectedSuiteConfig = Field(
        default_factory=CorrectedSuiteConfig, description="The regression suite `corrected_cases`."
    )

    def served(self) -> FeedbackConfig:
        """Return what a gateway has to know of the section: what is made of corrected cases is none of its business."""
        return self.model_copy(
            update={name: type(self).model_fields[name].get_default(call_default_factory=True) for name in NOT_SERVED}
        )


NOT_SERVED = ("learn", "regression_share", "suite")
