"""What a defs.yaml may say about which rows are used and how often: filters, balance, augmentation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["casing", "punctuation", "question_prefix", "typo"]


class FilterConfig(BaseModel):
    """Which sound rows are left out; null and false let every row pass."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_length: int | None = Field(
        default=None, ge=1, description="Fewest characters of the last question, the template's own words included."
    )
    min_target_length: int | None = Field(default=None, ge=1, description="Fewest characters of the answer.")
    max_prompt_length: int | None = Field(
        default=None, ge=1, description="Most characters of all turns before the answer, system instruction included."
    )
    min_error_score: float | None = Field(
        default=None, ge=0, le=1, description="Smallest error score, of task types that give one (transcription)."
    )
    min_code_length: int | None = Field(
        default=None, ge=1, description="Fewest characters of the code, of task types that give them (source_code)."
    )
    max_code_length: int | None = Field(
        default=None, ge=1, description="Most characters of the code, of task types that give them (source_code)."
    )
    require_docstring: bool = Field(
        default=False, description="Leave out code without a docstring or Javadoc (source_code)."
    )

    @property
    def in_force(self) -> dict[str, Any]:
        """The filters that leave something out, by name, in the order of the fields."""
        return {name: limit for name, limit in self if limit is not None and limit is not False}


class BalanceConfig(BaseModel):
    """How many training rows a label may have. Off by default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_per_class: int | None = Field(
        default=None, ge=1, description="Most training rows of one label; null keeps all. Validation and test stay."
    )
    seed: int = Field(default=0, ge=0, le=(1 << 63) - 1, description="Decides which rows stay; 0 is a seed.")


class AugmentConfig(BaseModel):
    """How many reworded copies training rows get, and how they are reworded. Off by default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    factor: int = Field(default=0, ge=0, le=10, description="Copies of each training row at most; 0 makes none.")
    methods: list[Method] = Field(
        default=["casing", "punctuation", "question_prefix"],
        min_length=1,
        description="Ways to reword, taken in turn from a place that the row decides: casing (all small, or a capital "
        "first letter), punctuation (the last mark goes, or a full stop comes), question_prefix (words before a "
        "question), typo (two neighbouring letters of a long word change places).",
    )
    prefixes: list[Annotated[str, Field(min_length=1)]] = Field(
        default=["I would like to know: ", "Please answer: ", "A question: "],
        min_length=1,
        description="What question_prefix sets before a text that ends with a question mark.",
    )
    seed: int = Field(default=0, ge=0, le=(1 << 63) - 1, description="Decides which words and ways; 0 is a seed.")
