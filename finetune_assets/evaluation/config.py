"""Configuration of judging: what a task's YAML says under `evaluation`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from finetune_assets.evaluation.scores import BASE_METRICS
from finetune_assets.records.errors import FinetuneError

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class CriticalConfig(BaseModel):
    """Rows that must not break."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slice: str = Field("critical", min_length=1, description="Name of the slice that holds the critical rows.")
    max_new_failures: int = Field(
        0, ge=0, description="Critical rows that the baseline has right and the candidate may have wrong."
    )


class GateConfig(BaseModel):
    """When a candidate may become a release."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_rows: int = Field(30, ge=1, description="Test rows below which nothing passes.")
    min_coverage: Share = Field(
        1.0, description="Share of the test rows that the model must have answered at all, right or wrong."
    )
    min_parse_rate: Share = Field(0.995, description="Share of the test rows with a well-formed, legal answer.")
    min_improvement: Share = Field(
        0.0, description="Gain in exact accuracy over the baseline that the candidate must at least have."
    )
    alpha: float = Field(
        0.05, gt=0.0, lt=0.5, description="Level of each one-sided test; intervals have the confidence 1 - 2 alpha."
    )
    power: float = Field(
        0.8, gt=0.5, lt=1.0, description="Chance of a decision that the number of further rows is planned for."
    )
    smallest_difference: float = Field(
        0.02, gt=0.0, le=1.0, description="Smallest difference in accuracy worth deciding; further rows plan for it."
    )
    floor: dict[str, Share] = Field(
        default_factory=dict,
        description="Lowest score by metric: exact, macro_f1, parse_rate, coverage or a label level such as domain. "
        "The lower confidence bound must reach it.",
    )
    beat: tuple[Literal["majority", "tfidf_logreg"], ...] = Field(
        ("majority",), description="Trivial baselines that the candidate must be shown to beat: majority, tfidf_logreg."
    )
    slice_margin: Share = Field(
        0.0, description="Loss of accuracy on a slice that is tolerated even when it is shown (Holm over the slices)."
    )
    critical: CriticalConfig | None = Field(
        None, description="The rule on critical rows; null when the task has no critical slice."
    )
    resamples: int = Field(2000, ge=200, le=100_000, description="Draws of the paired bootstrap.")
    seed: int = Field(0, ge=0, description="Seed of the bootstrap.")

    def check_metrics(self, levels: Sequence[str]) -> None:
        """Refuse a floor on a metric that the task does not have.

        Args:
            levels: names of the task's label parts.

        Raises:
            FinetuneError: naming the metric and those that exist.
        """
        known = (*BASE_METRICS, *levels)
        for name in self.floor:
            if name not in known:
                raise FinetuneError(
                    "unknown metric",
                    where=f"evaluation.floor.{name}",
                    expected=f"one of {', '.join(known)}",
                    mend="correct the name, or remove the floor",
                )
