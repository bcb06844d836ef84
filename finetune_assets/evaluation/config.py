"""Configuration of judging: what a task's YAML says under `evaluation`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.evaluation.scores import BASE_METRICS, MACRO_F1
from finetune_assets.evaluation.statistics.comparison import Settings
from finetune_assets.evaluation.witnesses.llm_judge.config import LlmJudgeConfig
from finetune_assets.evaluation.witnesses.manual_scores import ManualScoresConfig
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.measure import Measure

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Limit = Annotated[float, Field(ge=0.0)]
ContenderName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
RESERVED_NAMES = frozenset({"base", "live", "candidate"})
Trivial = Literal["majority", "tfidf_logreg", "nearest", "unchanged"]


class CriticalConfig(BaseModel):
    """Rows that must not break."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slice: str = Field("critical", min_length=1, description="Name of the slice that holds the critical rows.")
    max_new_failures: int = Field(
        0, ge=0, description="Critical rows that the baseline has right and the candidate may have wrong."
    )


class PerSampleConfig(BaseModel):
    """How much single rows may lose by the primary measure; the defaults are those of source 001."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    worse_by: Limit = Field(0.01, description="Loss on one row above which the row counts as worse.")
    max_share: Share = Field(0.10, description="Share of the rows that may be worse.")
    never_worse_by: Limit = Field(0.5, description="Loss that no single row may exceed.")


class LatencyConfig(BaseModel):
    """How long answers may take, measured while judging; only one of the two limits need be given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    p95_s: float | None = Field(
        None, gt=0.0, description="Seconds that 95 % of the answers must not exceed; null sets no limit."
    )
    max_ratio: float | None = Field(
        None,
        gt=0.0,
        description="How many times the baseline's 95th percentile the candidate's may be; null sets no limit.",
    )

    @model_validator(mode="after")
    def _sets_a_limit(self) -> LatencyConfig:
        if self.p95_s is None and self.max_ratio is None:
            raise ValueError("latency sets no limit: give p95_s or max_ratio, or leave latency out")
        return self


class ForgettingConfig(BaseModel):
    """General questions that the candidate must not have unlearned."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    probes: str = Field(
        "", description="JSON Lines of general question and answer rows; empty takes the shipped set of 240 rows."
    )
    max_rise: Limit = Field(
        0.10,
        description="Share by which the bits a byte of the right answers may rise over the baseline's; the upper bound "
        "of its interval must stay below.",
    )
    blocking: bool = Field(
        False, description="Whether a FAIL stops the release; otherwise the report shows it as advice."
    )


class SuiteConfig(BaseModel):
    """A regression suite: rows beside the test set that every release is held against."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, pattern=r"^[a-z][a-z0-9_]*$", description="Name of the suite.")
    kind: Literal["benchmark", "critical", "edge"] = Field(
        "benchmark", description="What the rows are; decides the default of `max_degradation`: .05, .10 and .20."
    )
    path: str = Field(
        min_length=1, description="Records in the task's own format (JSONL, JSON or CSV), relative to the defs.yaml."
    )
    max_degradation: Limit | None = Field(
        None, description="Loss by the primary measure over the whole suite that is tolerated; null takes the kind's."
    )
    max_sample_degradation: Limit = Field(0.20, description="Loss on one row above which the row has failed.")
    max_failed_share: Share = Field(0.05, description="Share of the rows that may fail.")
    max_new_failures: int | None = Field(
        None,
        ge=0,
        description="Rows that the baseline has right and the candidate may have wrong; null: none for `critical`, "
        "no limit for the others.",
    )

    @property
    def tolerated(self) -> float:
        """Loss over the whole suite that is tolerated."""
        if self.max_degradation is not None:
            return self.max_degradation
        return {"benchmark": 0.05, "critical": 0.10, "edge": 0.20}[self.kind]

    @property
    def new_failures_allowed(self) -> int | None:
        """New failures that are allowed, None for any number."""
        return 0 if self.max_new_failures is None and self.kind == "critical" else self.max_new_failures


class GateConfig(BaseModel):
    """When a candidate may become a release."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    primary: str = Field(
        "", description="Measure that the comparisons go by; empty takes the task type's first, such as exact or wer."
    )
    min_rows: int = Field(30, ge=1, description="Test rows below which nothing passes.")
    min_coverage: Share = Field(
        1.0, description="Share of the test rows that the model must have answered at all, right or wrong."
    )
    min_parse_rate: Share = Field(0.995, description="Share of the test rows with a well-formed, legal answer.")
    against_baseline: Literal["better", "not_worse"] = Field(
        "better",
        description="What the candidate must show: to be better than the live release (or the untuned base), or not "
        "to be worse than a live release by more than `margin`. The untuned base must always be beaten.",
    )
    margin: Share = Field(0.02, description="Loss by the primary measure that `not_worse` tolerates.")
    min_improvement: Share = Field(
        0.0, description="Gain by the primary measure over the baseline that the candidate must at least have."
    )
    alpha: float = Field(
        0.05, gt=0.0, lt=0.5, description="Level of each one-sided test; intervals have the confidence 1 - 2 alpha."
    )
    power: float = Field(
        0.8, gt=0.5, lt=1.0, description="Chance of a decision that the number of further rows is planned for."
    )
    smallest_difference: float = Field(
        0.02, gt=0.0, le=1.0, description="Smallest gain worth deciding; further rows plan for it."
    )
    floor: dict[str, Share] = Field(
        default_factory=dict,
        description="Lowest score by metric: a measure of the task, macro_f1, correct, parse_rate or coverage. The "
        "lower confidence bound must reach it.",
    )
    ceiling: dict[str, Limit] = Field(
        default_factory=dict,
        description="Highest error by measure, for measures where less is better such as wer. The upper confidence "
        "bound must stay at or below it.",
    )
    floor_by_slice: dict[str, dict[str, Share]] = Field(
        default_factory=dict, description="Slice to metric to lowest score, as `floor`, on the slice's rows."
    )
    ceiling_by_slice: dict[str, dict[str, Limit]] = Field(
        default_factory=dict, description="Slice to measure to highest error, as `ceiling`, on the slice's rows."
    )
    beat: tuple[Trivial, ...] = Field(
        ("majority",),
        description="Trivial baselines that the candidate must be shown to beat: majority (commonest answer), nearest "
        "(answer of the most alike training question), tfidf_logreg (labels only), unchanged (transcripts only).",
    )
    slice_rule: Literal["non_inferior", "not_shown_worse"] = Field(
        "non_inferior",
        description="What each slice must show against the baseline: that it loses no more than `slice_margin`, or "
        "merely that no loss is shown (Holm over the slices).",
    )
    slice_margin: Share = Field(0.05, description="Loss by the primary measure on one slice that is tolerated.")
    slice_min_rows: int = Field(
        60, ge=1, description="Rows below which a slice is only asked not to be shown worse: it cannot show more."
    )
    critical: CriticalConfig | None = Field(
        None, description="The rule on critical rows; null when the task has no critical slice."
    )
    per_sample: PerSampleConfig | None = Field(None, description="Limits on the loss of single rows; null sets none.")
    latency: LatencyConfig | None = Field(None, description="Limits on the time of an answer; null sets none.")
    forgetting: ForgettingConfig | None = Field(
        default_factory=lambda: ForgettingConfig.model_validate({}),
        description="The probe set of general questions; null asks none.",
    )
    suites: tuple[SuiteConfig, ...] = Field((), description="Regression suites.")
    manual_scores: ManualScoresConfig | None = Field(
        None, description="Ratings by people that join the report; null when there are none."
    )
    llm_judge: LlmJudgeConfig | None = Field(
        None, description="A model that compares or rates answers; it advises unless its agreement was measured."
    )
    contenders: dict[ContenderName, EndpointConfig] = Field(
        default_factory=dict,
        description="Other models behind endpoints, by name, for `finetune compare`; they take no part in a verdict.",
    )
    resamples: int = Field(2000, ge=200, le=100_000, description="Draws of the bootstrap and of permutation tests.")
    seed: int = Field(0, ge=0, description="Seed of the draws.")

    @model_validator(mode="after")
    def _suites_have_names_of_their_own(self) -> GateConfig:
        names = [suite.name for suite in self.suites]
        if len(set(names)) < len(names):
            raise ValueError(f"two suites share a name: {', '.join(sorted(names))}")
        return self

    @model_validator(mode="after")
    def _contenders_have_names_of_their_own(self) -> GateConfig:
        if taken := sorted(set(self.contenders) & RESERVED_NAMES):
            raise ValueError(f"contenders cannot be called {', '.join(taken)}: these are the task's own models")
        return self

    @property
    def settings(self) -> Settings:
        """How comparisons are made."""
        return Settings(self.alpha, self.resamples, self.seed)

    def primary_of(self, measures: Sequence[Measure]) -> Measure:
        """Return the measure that comparisons go by.

        Args:
            measures: the task's measures, the default first.

        Raises:
            FinetuneError: when `primary` names none of them.
        """
        if not self.primary:
            return measures[0]
        found = next((measure for measure in measures if measure.name == self.primary), None)
        if found is None:
            raise _unknown("evaluation.primary", self.primary, [measure.name for measure in measures])
        return found

    def check_metrics(self, measures: Sequence[Measure], *, labelled: bool) -> None:
        """Refuse floors and ceilings on metrics that the task does not have, or that run the other way.

        Args:
            measures: the task's measures.
            labelled: True when answers are labels, so that macro_f1 exists.

        Raises:
            FinetuneError: naming the metric and those that exist.
        """
        self.primary_of(measures)
        errors = {measure.name for measure in measures if not measure.higher_is_better}
        known = {measure.name for measure in measures} | set(BASE_METRICS) | ({MACRO_F1} if labelled else set())
        for place, metrics in _limits("floor", self.floor, self.floor_by_slice):
            _check(place, metrics, known - errors, "less is better here: put it under `ceiling`", errors)
        for place, metrics in _limits("ceiling", self.ceiling, self.ceiling_by_slice):
            _check(place, metrics, errors, "more is better here: put it under `floor`", known - errors)


def _limits(
    name: str, limits: Mapping[str, float], by_slice: Mapping[str, Mapping[str, float]]
) -> list[tuple[str, Mapping[str, float]]]:
    return [(name, limits), *((f"{name}_by_slice.{part}", metrics) for part, metrics in by_slice.items())]


def _check(place: str, metrics: Mapping[str, float], legal: set[str], mend: str, other: set[str]) -> None:
    for name in metrics:
        if name in other:
            raise FinetuneError("metric runs the other way", where=f"evaluation.{place}.{name}", mend=mend)
        if name not in legal:
            raise _unknown(f"evaluation.{place}.{name}", name, sorted(legal))


def _unknown(where: str, name: str, known: Sequence[str]) -> FinetuneError:
    return FinetuneError(
        "unknown metric",
        where=where,
        found=name,
        expected=f"one of {', '.join(known)}" if known else "no metric: the task has none of that kind",
        mend="correct the name, or remove the line",
    )
