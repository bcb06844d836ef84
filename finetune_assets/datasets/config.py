"""What a defs.yaml may say about a dataset: its source, how it is cleaned, split and sliced."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from finetune_assets.datasets.generation.config import GenerationConfig as GenerationConfig
from finetune_assets.datasets.quality.config import QualityConfig as QualityConfig
from finetune_assets.datasets.reading.config import CsvConfig as CsvConfig
from finetune_assets.datasets.reading.config import SourceConfig as SourceConfig
from finetune_assets.datasets.selection_config import AugmentConfig as AugmentConfig
from finetune_assets.datasets.selection_config import BalanceConfig as BalanceConfig
from finetune_assets.datasets.selection_config import FilterConfig as FilterConfig
from finetune_assets.datasets.splitting.config import Name as Name
from finetune_assets.datasets.splitting.config import NearDuplicateConfig as NearDuplicateConfig
from finetune_assets.datasets.splitting.config import OfficialSplitConfig as OfficialSplitConfig
from finetune_assets.datasets.splitting.config import Share as Share
from finetune_assets.datasets.splitting.config import SplitConfig as SplitConfig


class SliceConfig(BaseModel):
    """One slice: the rows that have a value in a field."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str = Field(min_length=1, description="Canonical field name, or a source field that has no alias.")
    equals: str | int | float | bool = Field(description="The value; compared as text, so 3 and '3' are equal.")


class RenderConfig(BaseModel):
    """Which files are written for the tuning backends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    formats: list[
        Literal[
            "chat",
            "gemini",
            "vertex_open",
            "vertex_open_messages",
            "alpaca",
            "preference",
            "preference_trl",
            "stt",
            "hf",
        ]
    ] = Field(
        default=["chat", "gemini"],
        min_length=1,
        description="Formats of the rendered splits, each in a folder of its name. Local tuning reads `chat`.",
    )
    hf_files: list[Literal["json", "csv", "parquet"]] = Field(
        default=["parquet"], min_length=1, description="Kinds of file that the format `hf` is exported to."
    )
    template: Literal["model", "chatml", "alpaca", "llama2", "phi"] = Field(
        default="model",
        description="Template of the text preview and of token counts: that of the base model's tokenizer, or one of "
        "the shipped ones. Where the model has none, or is not at hand, ChatML stands in.",
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name, given in (("formats", self.formats), ("hf_files", self.hf_files)):
            if len(set(given)) < len(given):
                raise ValueError(f"{name} names one of its values twice")
        return self


class DatasetConfig(BaseModel):
    """Source, cleaning rules, split and slices of one task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: SourceConfig = Field(description="Where the raw records come from.")
    engine: Literal["local", "ray"] = Field(
        default="local",
        description="Where the rows are prepared: local is this machine, ray a Ray cluster (optional extra `ray`). It "
        "changes no byte of the result.",
    )
    workers: int = Field(
        default=1, ge=1, le=1024, description="Processes, or Ray tasks, that prepare rows at one time."
    )
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
    generation: GenerationConfig = Field(
        default_factory=GenerationConfig,
        description="Who writes synthetic rows for `finetune data synthesize`; decides nothing of a run.",
    )
    filters: FilterConfig = Field(default_factory=FilterConfig, description="Which sound rows are left out.")
    balance: BalanceConfig = Field(
        default_factory=BalanceConfig, description="How many training rows a label may have."
    )
    augment: AugmentConfig = Field(default_factory=AugmentConfig, description="Reworded copies of training rows.")
    quality: QualityConfig = Field(
        default_factory=QualityConfig, description="The quality checks, each with its limits and its mode."
    )

    @model_validator(mode="after")
    def _evaluation_only_slices_exist(self) -> Self:
        unknown = [name for name in self.split.evaluation_only if name not in self.slices]
        if unknown:
            raise ValueError(f"split.evaluation_only names {unknown}, but slices has only {sorted(self.slices)}")
        return self
