"""What a defs.yaml may say about the split: shares, leak groups, near-duplicates, official splits."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from finetune_assets.records.example import SPLITS

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class NearDuplicateConfig(BaseModel):
    """Which texts are so alike that one split must hold them both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="False searches none: only equal content and declared groups tie.")
    threshold: float = Field(
        default=0.8,
        ge=0.5,
        le=1.0,
        description="Similarity (Jaccard of shingles) from which two rows are near-duplicates. Lower values tie more.",
    )
    shingle: int = Field(
        default=4,
        ge=2,
        le=8,
        description="Characters of the normalised text in one shingle; more makes a changed word count for more.",
    )
    max_component_share: Share = Field(
        default=0.1,
        description="Largest share (0 to 1) of the rows that one leak group may hold before a check warns: chains of "
        "near-duplicates can grow until hardly anything is left to split.",
    )
    planted_pairs: int = Field(
        default=500,
        ge=0,
        le=10_000,
        description="Near-duplicates that are made of the rows themselves to measure how many the search finds.",
    )


class OfficialSplitConfig(BaseModel):
    """A split that the source itself states."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str = Field(min_length=1, description="Field that names a row's official split.")
    use: Literal["honour", "overrule"] = Field(
        description="honour puts new rows where the source says, unless that leaks: then training keeps its row and "
        "the evaluation's is set aside; overrule only counts what leaks between the official splits."
    )
    names: dict[str, Literal["train", "validation", "test"]] = Field(
        default={
            "train": "train",
            "training": "train",
            "validation": "validation",
            "valid": "validation",
            "val": "validation",
            "dev": "validation",
            "test": "test",
            "testing": "test",
        },
        description="What the field may say, in any case, and which split it means; other values mean none.",
    )


class SplitConfig(BaseModel):
    """How examples are divided. Earlier assignments are kept whatever these values become."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: Share = Field(default=0.8, description="Share of new examples for training.")
    validation: Share = Field(default=0.1, description="Share of new examples for validation during training.")
    test: Share = Field(default=0.1, description="Share of new examples that only the report sees.")
    seed: int = Field(default=0, ge=0, le=(1 << 63) - 1, description="Decides which examples go where; 0 is a seed.")
    stratify: bool = Field(default=True, description="Divide each label by these shares, not only the whole.")
    group_fields: list[str] = Field(
        default_factory=list,
        description="Fields whose equal values must stay in one split, for instance child_id; blank ties nothing.",
    )
    evaluation_only: list[Name] = Field(
        default_factory=list, description="Names of slices whose rows go to the test split only."
    )
    near_duplicates: NearDuplicateConfig = Field(
        default_factory=NearDuplicateConfig, description="Rows so alike that one split must hold them both."
    )
    official: OfficialSplitConfig | None = Field(
        default=None, description="A split that the source states; without it rows are divided by the shares."
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
