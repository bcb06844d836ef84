"""The section `triggers:` of a task: which evidence asks for a new run, how often, and what it may cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

RuleName = Literal[
    "error_cases", "corrected_cases", "correction_rate", "error_rate", "label_drift", "input_drift", "schedule"
]
RULE_NAMES: tuple[str, ...] = get_args(RuleName)
DRIFT_RULES = ("label_drift", "input_drift")
MAX_DEPTH = 8
"""Levels of `all` and `any` that an expression may have."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AllOf(_Section):
    """Holds when every one of its parts holds."""

    all: tuple[Expression, ...] = Field(min_length=1, description="Rules or further trees that must all hold.")


class AnyOf(_Section):
    """Holds when one of its parts holds."""

    any: tuple[Expression, ...] = Field(min_length=1, description="Rules or further trees of which one must hold.")


Expression = RuleName | AllOf | AnyOf
AllOf.model_rebuild()
AnyOf.model_rebuild()


class ErrorRate(_Section):
    """The rule `error_rate`: the share of answers that were said to be wrong, by its lower bound."""

    threshold: float = Field(
        default=0.15, gt=0.0, lt=1.0, description="Share of wrong answers that the lower bound must exceed, 0 to 1."
    )
    confidence: float = Field(
        default=0.95, ge=0.5, lt=1.0, description="One-sided confidence of that lower bound (Wilson), 0.5 to 1."
    )
    min_predictions: int = Field(
        default=200, ge=1, le=100_000_000, description="Answers in the window below which the rule says nothing."
    )


class CorrectionRate(_Section):
    """The rule `correction_rate`: how much of what went wrong has been corrected."""

    threshold: float = Field(
        default=0.5, gt=0.0, le=1.0, description="Share of the open error cases that must be corrected, 0 to 1."
    )
    min_cases: int = Field(
        default=50, ge=1, le=10_000_000, description="Open error cases below which the rule says nothing."
    )


class Drift(_Section):
    """The rules `label_drift` and `input_drift`: the window against the rows that the live release was judged on."""

    labels: Literal["g_test", "chi_square"] = Field(
        default="g_test", description="Test of the answered labels; rare labels are counted together."
    )
    inputs: Literal["ks", "cramer_von_mises"] = Field(
        default="ks", description="Two-sample test of each numeric feature of the inputs."
    )
    alpha: float = Field(
        default=0.01,
        gt=0.0,
        le=0.5,
        description="Chance of any false alarm in one window, over all labels and features together (Holm).",
    )
    min_rows: int = Field(
        default=200, ge=20, le=100_000_000, description="Rows on each side below which a test says nothing."
    )
    min_effect: float = Field(
        default=0.1,
        ge=0.0,
        le=1.0,
        description="Largest difference of shares, 0 to 1, that is too small to act on: many rows make every "
        "difference significant (labels: total variation; features: Kolmogorov and Smirnov's distance).",
    )


class Schedule(_Section):
    """The rule `schedule`: the time has come. Give one of the two."""

    cron: str = Field(default="", description="Five cron fields, in UTC, such as `0 3 * * 1`; empty for none.")
    every_days: float | None = Field(
        default=None,
        gt=0.0,
        le=3650.0,
        description="Days since the last run or the last change of release; null: none.",
    )

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        if not value:
            return value
        from croniter import croniter

        if len(value.split()) != 5 or not croniter.is_valid(value):
            raise ValueError(f"`{value}` is no cron expression of five fields, such as `0 3 * * 1`")
        return value

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.cron) == (self.every_days is not None):
            raise ValueError("give either cron or every_days")
        return self


class Adaptive(_Section):
    """A threshold of error cases that follows what earlier releases gained; the factors of source 001.

    Source: GAInTheHouse/Adaptive-Self-Learning-Agentic-AI-System, `src/agent/adaptive_scheduler.py` (read 2026-11-21).
    """

    enabled: bool = Field(default=False, description="Whether `min_error_cases` follows the gains of earlier releases.")
    lowest: int = Field(default=50, ge=1, le=1_000_000, description="Error cases below which the threshold never goes.")
    highest: int = Field(default=1000, ge=1, le=1_000_000, description="Error cases above which it never goes.")
    min_points: int = Field(default=5, ge=2, le=1000, description="Earlier releases that it takes before it moves.")
    small_gain: float = Field(
        default=0.005, ge=0.0, le=1.0, description="Gain of a release below which gains are said to diminish, 0 to 1."
    )
    good_gain: float = Field(default=0.01, ge=0.0, le=1.0, description="Gain above which it was worth it, 0 to 1.")
    efficient_gain_per_usd: float = Field(
        default=0.1, gt=0.0, le=1000.0, description="Gain per US dollar that counts as fully efficient (1.0)."
    )

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        if self.highest < self.lowest:
            raise ValueError("highest is below lowest")
        if self.good_gain < self.small_gain:
            raise ValueError("good_gain is below small_gain")
        return self


class ExpectedGain(_Section):
    """What a run must be expected to gain for its estimated cost: the median gain of the latest releases."""

    min_gain_per_usd: float = Field(
        gt=0.0, le=1000.0, description="Gain by the primary measure for each US dollar; 0.001 is a tenth of a point."
    )
    releases: int = Field(default=5, ge=1, le=100, description="Latest releases whose median gain is expected again.")
    min_releases: int = Field(default=3, ge=1, le=100, description="Earlier releases below which nothing is expected.")
    when_unknown: Literal["fire", "wait"] = Field(
        default="fire", description="What happens while the gain or the cost is unknown."
    )

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.releases < self.min_releases:
            raise ValueError("releases is below min_releases")
        return self


class TriggerBudget(_Section):
    """What runs may cost that triggers ask for; the task's monthly budget holds besides."""

    max_run_usd: float | None = Field(
        default=None, ge=0.0, description="US dollars that one run may cost by its estimate; null: no such limit."
    )
    monthly_share: float = Field(
        default=1.0,
        gt=0.0,
        le=1.0,
        description="Share of the task's monthly budget that must hold this run as well as what is spent, 0 to 1.",
    )


class TriggerPolicy(_Section):
    """When a task is tuned again. `fire_when` combines rules; cool-down, a run under way and the budget always veto."""

    enabled: bool = Field(
        default=False, description="Whether the task's sensor watches from the start; it may be switched in the UI."
    )
    window_h: float = Field(
        default=168.0, gt=0.0, le=87_600.0, description="Hours of predictions that a decision looks back on."
    )
    fire_when: Expression = Field(
        default=AnyOf(any=("error_cases", "corrected_cases", "error_rate")),
        description="A rule, or a tree of `all: [...]` and `any: [...]` over error_cases, corrected_cases, "
        "correction_rate, error_rate, label_drift, input_drift and schedule.",
    )
    min_error_cases: int = Field(
        default=100, ge=1, le=10_000_000, description="Open error cases for the rule `error_cases`; copies count once."
    )
    min_corrected_cases: int = Field(
        default=50,
        ge=1,
        le=10_000_000,
        description="Corrected ones for the rule `corrected_cases`; copies count once.",
    )
    correction_rate: CorrectionRate = Field(
        default_factory=CorrectionRate, description="What the rule `correction_rate` asks for."
    )
    error_rate: ErrorRate = Field(default_factory=ErrorRate, description="What the rule `error_rate` asks for.")
    drift: Drift = Field(default_factory=Drift, description="What `label_drift` and `input_drift` ask for.")
    schedule: Schedule | None = Field(default=None, description="What the rule `schedule` asks for; null: none.")
    min_eligible_cases: int = Field(
        default=1,
        ge=0,
        le=10_000_000,
        description="Corrected cases without which no run is asked for, whatever holds: it would learn nothing new. "
        "0 lets a schedule or drift tune on the source alone.",
    )
    cool_down_h: float = Field(
        default=24.0,
        gt=0.0,
        le=8760.0,
        description="Hours after a run was asked for or ended in which no other is; a manual trigger does not wait.",
    )
    max_in_flight: Literal[1] = Field(
        default=1, description="Runs that triggers may have under way at once; one, as they share the task's lease."
    )
    adaptive: Adaptive = Field(
        default_factory=Adaptive, description="Whether and how `min_error_cases` adapts; off by default."
    )
    expected_gain: ExpectedGain | None = Field(
        default=None, description="What a run must be expected to gain for its cost; null: nothing."
    )
    budget: TriggerBudget = Field(default_factory=TriggerBudget, description="What a run may cost.")

    @field_validator("fire_when", mode="before")
    @classmethod
    def _says_what_is_wrong(cls, value: Any) -> Any:
        fault = _fault(value, "fire_when", 1)
        if fault:
            raise ValueError(fault)
        return value

    @model_validator(mode="after")
    def _schedule_is_named(self) -> Self:
        named = "schedule" in rules_in(self.fire_when)
        if named and self.schedule is None:
            raise ValueError("fire_when names `schedule`, but there is no section `schedule:`")
        if self.schedule is not None and not named:
            raise ValueError("there is a section `schedule:`, but fire_when does not name `schedule`")
        return self


def rules_in(expression: Expression) -> tuple[RuleName, ...]:
    """Return the rules that an expression names, each once, in the order in which they stand there."""
    return tuple(dict.fromkeys(_leaves(expression)))


def parts_of(expression: AllOf | AnyOf) -> tuple[Expression, ...]:
    """Return the parts of a node."""
    return expression.all if isinstance(expression, AllOf) else expression.any


def _leaves(expression: Expression) -> Iterator[RuleName]:
    if isinstance(expression, AllOf | AnyOf):
        for part in parts_of(expression):
            yield from _leaves(part)
    else:
        yield expression


def _fault(value: Any, where: str, depth: int) -> str:
    """Return what is wrong with an expression as YAML gives it, in one sentence; empty when nothing is."""
    if isinstance(value, AllOf | AnyOf):
        return ""
    if isinstance(value, str):
        return "" if value in RULE_NAMES else f"{where}: there is no rule `{value}`; known: {', '.join(RULE_NAMES)}"
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in {"all", "any"}:
        return f"{where}: expected a rule, `all: [...]` or `any: [...]`"
    if depth > MAX_DEPTH:
        return f"{where}: more than {MAX_DEPTH} levels of `all` and `any`"
    ((word, parts),) = value.items()
    if not isinstance(parts, list | tuple) or not parts:
        return f"{where}.{word}: expected a list of at least one rule"
    faults = (_fault(part, f"{where}.{word}[{number}]", depth + 1) for number, part in enumerate(parts))
    return next((fault for fault in faults if fault), "")
