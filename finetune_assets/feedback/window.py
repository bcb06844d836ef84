"""A window: all that a trigger decision looks at, as one value.

Here belongs its shape and its digest. `feedback/windows.py` reads one from the databases, `feedback/triggers` decides
by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from finetune_assets.records.digests import digest_of
from finetune_assets.records.errors import FinetuneError

MAX_INPUTS = 5_000
"""Most values of one numeric feature that a window holds."""


@dataclass(frozen=True)
class Window:
    """What happened to a task's live release between two moments, and what a decision about it needs besides.

    Attributes:
        task: the task.
        since: where the window begins, included; aware.
        until: where it ends, not included; aware.
        predictions: answers that were witnessed in it.
        errors: those of them that a person, a rule or a check said are wrong; copies of one error count once.
        open_cases: error cases, of any time, that are new or corrected; copies of one error count once.
        corrected_cases: those of them with a correction.
        labels: how often each label was answered in the window.
        reference_labels: how often each label was answered on the rows that the live release was judged on.
        inputs: numeric features of inputs in the window (length, …), at most `MAX_INPUTS` values each.
        reference_inputs: the same features of the rows that the live release was judged on.
        last_fired: when a trigger last asked for a run; None for never.
        last_finished: when a run that a trigger asked for last ended; None for never.
        in_flight: whether a run that a trigger asked for has not ended.
        live_since: since when the live release is live; None when nothing is.
        spent_usd: US dollars reserved or spent in this calendar month (UTC).
        budget_usd: US dollars that may be spent in a month; None for no limit.
        estimated_cost_usd: what the next run would cost; None when it is unknown.
        history: figures of earlier releases, oldest first, such as their gain.
    """

    task: str
    since: datetime
    until: datetime
    predictions: int
    errors: int
    open_cases: int
    corrected_cases: int
    labels: Mapping[str, int]
    reference_labels: Mapping[str, int]
    inputs: Mapping[str, Sequence[float]]
    reference_inputs: Mapping[str, Sequence[float]]
    last_fired: datetime | None
    last_finished: datetime | None
    in_flight: bool
    live_since: datetime | None
    spent_usd: float
    budget_usd: float | None
    estimated_cost_usd: float | None
    history: tuple[Mapping[str, float], ...]

    def __post_init__(self) -> None:
        """Refuse what no window can be.

        Raises:
            FinetuneError: for a naive time, an end before the beginning, a negative count or more errors than
                predictions.
        """
        self._check_times()
        self._check_counts()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that decides; the window's own ends, which move by themselves, are left out."""
        return digest_of(self.describe())

    def describe(self) -> dict[str, Any]:
        """Return what the digest is made of, as JSON holds it: times in UTC, values of features in order of size."""
        return {
            "task": self.task,
            "predictions": self.predictions,
            "errors": self.errors,
            "open_cases": self.open_cases,
            "corrected_cases": self.corrected_cases,
            "labels": dict(self.labels),
            "reference_labels": dict(self.reference_labels),
            "inputs": _by_size(self.inputs),
            "reference_inputs": _by_size(self.reference_inputs),
            "last_fired": _moment(self.last_fired),
            "last_finished": _moment(self.last_finished),
            "in_flight": self.in_flight,
            "live_since": _moment(self.live_since),
            "spent_usd": float(self.spent_usd),
            "budget_usd": _number(self.budget_usd),
            "estimated_cost_usd": _number(self.estimated_cost_usd),
            "history": [{name: float(value) for name, value in row.items()} for row in self.history],
        }

    def _check_times(self) -> None:
        for name in ("since", "until", "last_fired", "last_finished", "live_since"):
            moment: datetime | None = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise FinetuneError(
                    "a window takes aware times only", where=f"{self.task}.{name}", found=moment.isoformat()
                )
        if self.until < self.since:
            raise FinetuneError(
                "a window ends before it begins",
                where=self.task,
                found=f"{self.since.isoformat()} to {self.until.isoformat()}",
            )

    def _check_counts(self) -> None:
        counts = (self.predictions, self.errors, self.open_cases, self.corrected_cases)
        if min(counts) < 0 or self.errors > self.predictions or self.corrected_cases > self.open_cases:
            raise FinetuneError(
                "a window's counts do not fit together",
                where=self.task,
                found=f"{self.errors} errors in {self.predictions} predictions, "
                f"{self.corrected_cases} of {self.open_cases} cases corrected",
                expected="errors among the predictions, corrected cases among the open ones",
            )


def _by_size(features: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return the values in an order of their own: a distribution is the same in whatever order it was read."""
    return {name: sorted(float(value) for value in values) for name, values in features.items()}


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat()


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
