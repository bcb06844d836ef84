"""What a defs.yaml may say about a dataset: its source, how it is cleaned, split and sliced."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from finetune_assets.records.example import SPLITS

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class SourceConfig(BaseModel):
    """Where the raw records come from and how they are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1, description="The source file, relative to the task's folder or absolute.")
    format: Literal["auto", "json", "jsonl"] = Field(
        default="auto", description="How the file is read; auto goes by its ending and, without one, by its content."
    )
    aliases: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Canonical field name to the names it may have in the source, best first; replaces the task type's "
        "list for that field.",
    )
    max_line_bytes: int = Field(
        default=1 << 20,
        ge=1 << 10,
        le=1 << 28,
        description="Longest record in bytes; a longer line goes to quarantine. Bounds the reader's memory.",
    )
    max_nesting: int = Field(
        default=64, ge=2, le=500, description="Deepest nesting of lists and objects within one record."
    )
    max_quarantine_share: Share = Field(
        default=0.2, description="Largest share (0 to 1) of rows that may be rejected before the dataset is refused."
    )
    synthetic: bool = Field(default=False, description="True when the records were made, not observed; shown as such.")
    provenance: str = Field(default="", description="Where the records come from and under which licence, for people.")


class SplitConfig(BaseModel):
    """How examples are divided. Earlier assignments are kept whatever these values become."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: Share = Field(default=0.7, description="Share of new examples for training.")
    validation: Share = Field(default=0.1, description="Share of new examples for validation during training.")
    test: Share = Field(default=0.2, description="Share of new examples that only the report sees.")
    seed: int = Field(default=0, ge=0, le=(1 << 63) - 1, description="Decides which examples go where; 0 is a seed.")
    stratify: bool = Field(default=True, description="Divide each label by these shares, not only the whole.")
    group_fields: list[str] = Field(
        default_factory=list,
        description="Fields whose equal values must stay in one split, for instance child_id; blank ties nothing.",
    )
    evaluation_only: list[Name] = Field(
        default_factory=list, description="Names of slices whose rows go to the test split only."
    )

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"train + validation + test must be 1, found {total:g}")
        if self.train <= 0:
            raise ValueError("train must be more than 0: without training rows there is nothing to tune")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """The three shares by split name."""
        return {name: float(getattr(self, name)) for name in SPLITS}


class SliceConfig(BaseModel):
    """One slice: the rows that have a value in a field."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str = Field(min_length=1, description="Canonical field name, or a source field that has no alias.")
    equals: str | int | float | bool = Field(description="The value; compared as text, so 3 and '3' are equal.")


class RenderConfig(BaseModel):
    """Which files are written for the tuning backends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    formats: list[Literal["chat", "gemini"]] = Field(
        default=["chat", "gemini"],
        min_length=1,
        description="Formats of the rendered splits, each in a folder of its name. Local tuning reads `chat`.",
    )


class DatasetConfig(BaseModel):
    """Source, cleaning rules, split and slices of one task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: SourceConfig = Field(description="Where the raw records come from.")
    split: SplitConfig = Field(default_factory=SplitConfig, description="How examples are divided.")
    min_train_rows: int = Field(default=50, ge=1, description="Fewest training rows worth a tuning run.")
    max_tokens: int = Field(
        default=512, ge=16, le=131_072, description="Longest example in tokens, answer included, that the model takes."
    )
    render: RenderConfig = Field(default_factory=RenderConfig, description="Which files the backends get.")
    slices: dict[Name, SliceConfig] = Field(
        default_factory=dict, description="Named parts of the data that the report scores by themselves."
    )
    conflicts: Literal["quarantine", "keep_first"] = Field(
        default="quarantine",
        description="Equal inputs with different answers: all go to quarantine, or the first in file order stays.",
    )

    @model_validator(mode="after")
    def _evaluation_only_slices_exist(self) -> Self:
        unknown = [name for name in self.split.evaluation_only if name not in self.slices]
        if unknown:
            raise ValueError(f"split.evaluation_only names {unknown}, but slices has only {sorted(self.slices)}")
        return self
