"""What an estimate is made of: volumes, ranges of dollars, learned ratios, and how they are shown and reserved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from finetune_assets.storage.intents import Intent
from finetune_assets.storage.ledger import Reservation, to_micros
from finetune_assets.tuning.cloud.config import Budget
from finetune_assets.tuning.cloud.errors import BudgetError

_LEARNED_SPREAD = 0.10
_LEARNED_SPREAD_OF_SEVERAL = 0.05


@dataclass(frozen=True, slots=True)
class Volume:
    """How much text a file has.

    A character beyond ASCII counts as its UTF-8 bytes: ratios are measured on English, and a Japanese letter has three
    bytes and about as many tokens as three English letters.

    Attributes:
        rows: its rows.
        prompt_characters: characters of questions and instructions.
        completion_characters: characters of answers; for preferences of both.
        attachments: files that rows name; their tokens are not in the characters.
        tokens: counted exactly by the model's own tokenizer, None where they were not.
    """

    rows: int
    prompt_characters: int
    completion_characters: int
    attachments: int = 0
    tokens: int | None = None

    @property
    def characters(self) -> int:
        """All characters."""
        return self.prompt_characters + self.completion_characters


@dataclass(frozen=True, slots=True)
class Range:
    """A low, a middle and a high figure."""

    low: float
    mid: float
    high: float

    def times(self, factor: float) -> Range:
        """Return all three multiplied."""
        return Range(self.low * factor, self.mid * factor, self.high * factor)

    def plus(self, other: Range) -> Range:
        """Return the sums."""
        return Range(self.low + other.low, self.mid + other.mid, self.high + other.high)

    @property
    def dollars(self) -> str:
        """The range as people read it: cents, and four digits below a cent."""
        digits = 4 if 0.0 < self.mid < 0.01 else 2
        return f"≈ ${self.mid:,.{digits}f} ({self.low:,.{digits}f}–{self.high:,.{digits}f})"


@dataclass(frozen=True, slots=True)
class CostPart:
    """One part of a cost: `usd` is None where its price is not known, and `how` then says why."""

    name: str
    usd: Range | None
    how: str


@dataclass(frozen=True, slots=True)
class LearnedRatio:
    """Billed tokens for each character, as earlier jobs of the same model and mode were billed.

    Attributes:
        ratio: lowest, mean and highest with a margin.
        jobs: how many jobs it is from.
    """

    ratio: Range
    jobs: int


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What a job may cost, in US dollars.

    Attributes:
        parts: what the job itself costs; their sum is reserved.
        apart: what comes after it and is paid for separately: evaluation, serving a day, storage a month.
        assumptions: what was assumed, for people.
        as_of: date of the oldest price in `parts`.
        currency: always USD.
        model: the model's id.
        mode: `peft`, `full` or the machine.
        characters: characters that are billed: those of the file times epochs, questions twice for preferences.
    """

    parts: tuple[CostPart, ...]
    apart: tuple[CostPart, ...]
    assumptions: tuple[str, ...]
    as_of: date
    currency: str = "USD"
    model: str = ""
    mode: str = ""
    characters: int = 0

    @property
    def total(self) -> Range:
        """The sum of the parts."""
        total = Range(0.0, 0.0, 0.0)
        for part in self.parts:
            total = total.plus(part.usd) if part.usd else total
        return total

    @property
    def low(self) -> float:
        """The low figure in dollars."""
        return self.total.low

    @property
    def mid(self) -> float:
        """The middle figure in dollars."""
        return self.total.mid

    @property
    def high(self) -> float:
        """The high figure in dollars; this is what is reserved."""
        return self.total.high

    @property
    def line(self) -> str:
        """The estimate in one line for people."""
        return f"{self.total.dollars}, list prices of {self.as_of}, without tax"

    def lines(self) -> list[str]:
        """Return the estimate with its parts, what comes after, and what was assumed."""
        told = [f"tuning: {self.line}"]
        told += [f"  {part.name}: {part.usd.dollars if part.usd else 'not known'} ({part.how})" for part in self.parts]
        told += [
            f"then {part.name}: {part.usd.dollars if part.usd else 'not known'} ({part.how})" for part in self.apart
        ]
        return told + [f"assumed: {text}" for text in self.assumptions]

    def record(self) -> dict[str, Any]:
        """Return what an intent keeps of it under `request["estimate"]`, so that later jobs learn from this one."""
        return {"model": self.model, "mode": self.mode, "characters": self.characters, "as_of": str(self.as_of)}


def reservation_of(estimate: CostEstimate, budget: Budget) -> Reservation:
    """Return what is to be reserved for a job.

    Args:
        estimate: what it may cost.
        budget: the limits.

    Raises:
        BudgetError: when the job's high estimate is above the limit for one job.
    """
    if budget.per_job_usd is not None and estimate.high > budget.per_job_usd:
        raise BudgetError(
            "the job may cost more than one job is allowed to",
            where="cloud.budget.per_job_usd",
            found=estimate.line,
            expected=f"at most ${budget.per_job_usd:,.2f} by the high figure",
            mend="tune on fewer rows or epochs, take a smaller model, or raise the limit",
        )
    total = estimate.total
    return Reservation(
        low=to_micros(total.low),
        mid=to_micros(total.mid),
        high=to_micros(total.high),
        limit=None if budget.monthly_usd is None else to_micros(budget.monthly_usd),
        prices_as_of=str(estimate.as_of),
        currency=estimate.currency,
    )


def learned_ratio(intents: Iterable[Intent], model: str, mode: str) -> LearnedRatio | None:
    """Return what earlier jobs of a model and mode were billed for each character, None where there were none.

    Args:
        intents: jobs whose `request["estimate"]` is a `CostEstimate.record` and whose billed tokens are known.
        model: the model's id.
        mode: `peft` or `full`.
    """
    ratios: list[float] = []
    for intent in intents:
        record = intent.request.get("estimate")
        if not isinstance(record, dict) or (record.get("model"), record.get("mode")) != (model, mode):
            continue
        characters = record.get("characters")
        if intent.billable_tokens and isinstance(characters, int) and characters > 0:
            ratios.append(intent.billable_tokens / characters)
    return _learned(ratios)


def _learned(ratios: Sequence[float]) -> LearnedRatio | None:
    if not ratios:
        return None
    spread = _LEARNED_SPREAD if len(ratios) == 1 else _LEARNED_SPREAD_OF_SEVERAL
    mean = sum(ratios) / len(ratios)
    return LearnedRatio(Range(min(ratios) * (1 - spread), mean, max(ratios) * (1 + spread)), len(ratios))
