"""What the page shows beside the report: rows with their texts, and what the answers cost. Outside of the digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PageRow:
    """One test row with both models' answers; texts come redacted and shortened.

    Attributes:
        record: the id that a person knows the record by.
        example: the example's content hash.
        question: what was asked.
        right: the right answer.
        candidate: the candidate's answer, "" when there is none.
        baseline: the baseline's answer.
        candidate_right: the candidate's answer counts as right.
        baseline_right: the baseline's does.
        candidate_problem: why the candidate's answer is not valid, "" when it is.
        baseline_problem: the same for the baseline.
        candidate_score: the candidate's figure on this row by the primary measure; None where it has none by rows.
        baseline_score: the baseline's.
        loss: what the candidate lost against the baseline by the primary measure, negative for a gain; None likewise.
        changed: the two models answered differently.
        slices: the slices that the row belongs to.
    """

    record: str
    example: str
    question: str
    right: str
    candidate: str
    baseline: str
    candidate_right: bool
    baseline_right: bool
    candidate_problem: str = ""
    baseline_problem: str = ""
    candidate_score: float | None = None
    baseline_score: float | None = None
    loss: float | None = None
    changed: bool = False
    slices: tuple[str, ...] = ()

    @property
    def fate(self) -> str:
        """What became of the row: `fixed`, `broken`, `right` in both or `wrong` in both."""
        if self.candidate_right != self.baseline_right:
            return "fixed" if self.candidate_right else "broken"
        return "right" if self.candidate_right else "wrong"

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON, its fate with it."""
        return {**asdict(self), "slices": list(self.slices), "fate": self.fate}


@dataclass(frozen=True, slots=True)
class Timing:
    """What one model's answers took and cost.

    Attributes:
        answers: answers that were timed.
        median_s: seconds that half of them took at most; None without any.
        p95_s: seconds that 95 % of them took at most.
        tokens_per_s: tokens written a second while an answer is made, in the median; None when tokens are not counted.
        read_tokens: tokens of all questions, None when unknown.
        written_tokens: tokens of all answers, None when unknown.
        price: what the tokens cost, None when unknown.
        currency: of the price.
    """

    answers: int = 0
    median_s: float | None = None
    p95_s: float | None = None
    tokens_per_s: float | None = None
    read_tokens: int | None = None
    written_tokens: int | None = None
    price: float | None = None
    currency: str = ""


def timing_of(seconds: Sequence[float], read: Sequence[int], written: Sequence[int]) -> Timing:
    """Sum up answers that were given.

    Args:
        seconds: time of each answer.
        read: tokens of its question, 0 when unknown.
        written: tokens of the answer, 0 when unknown.
    """
    if not seconds:
        return Timing()
    import numpy as np

    speeds = [tokens / took for tokens, took in zip(written, seconds, strict=True) if took > 0 and tokens > 0]
    return Timing(
        answers=len(seconds),
        median_s=float(np.quantile(seconds, 0.5)),
        p95_s=float(np.quantile(seconds, 0.95)),
        tokens_per_s=float(np.quantile(speeds, 0.5)) if speeds else None,
        # One answer without a count makes the sum unknown: a sum of the others would look like all of it.
        read_tokens=sum(read) if all(read) else None,
        written_tokens=sum(written) if all(written) else None,
    )
