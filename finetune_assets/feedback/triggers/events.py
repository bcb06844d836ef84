"""What happened to a task, moment by moment: the events from which replay builds the windows of the past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import get_args


@dataclass(frozen=True, slots=True)
class Predicted:
    """Answers were given.

    Attributes:
        at: when; aware.
        label: what was answered; empty where a task has no labels.
        count: how many such answers, 1 or more.
        inputs: numeric features of the input.
        sample: what the sample of inputs is drawn by, such as a digest of the request id.
    """

    at: datetime
    label: str = ""
    count: int = 1
    inputs: Mapping[str, float] = field(default_factory=dict)
    sample: str = ""


@dataclass(frozen=True, slots=True)
class Reported:
    """An answer was said to be wrong.

    Attributes:
        at: when it was said; aware.
        case: the error case.
        cluster: what it has in common with its copies; they count once.
        predicted_at: when the answer was given; None for a case that is no live prediction's, or that only shows a
            better answer.
    """

    at: datetime
    case: str
    cluster: str
    predicted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Corrected:
    """A case got its correction."""

    at: datetime
    case: str


@dataclass(frozen=True, slots=True)
class Dismissed:
    """A case was set aside.

    Attributes:
        at: when; aware.
        case: the error case.
        no_error: the answer was right after all, so that it counts as an error no longer.
    """

    at: datetime
    case: str
    no_error: bool = True


@dataclass(frozen=True, slots=True)
class Consumed:
    """Cases went into a dataset version."""

    at: datetime
    cases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WentLive:
    """A release went live.

    Attributes:
        at: when; aware.
        reference_labels: how often each label was answered on the rows that it was judged on.
        reference_inputs: numeric features of those rows.
        figures: its gain, cost_usd and accuracy, where they are known.
    """

    at: datetime
    reference_labels: Mapping[str, int] = field(default_factory=dict)
    reference_inputs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunAsked:
    """A trigger asked for a run."""

    at: datetime


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run that a trigger asked for ended."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Spent:
    """Money was spent or reserved, in US dollars."""

    at: datetime
    usd: float


@dataclass(frozen=True, slots=True)
class Costed:
    """The next run's cost or the monthly budget became known or changed, in US dollars."""

    at: datetime
    estimated_usd: float | None
    budget_usd: float | None = None


Event = Predicted | Reported | Corrected | Dismissed | Consumed | WentLive | RunAsked | RunEnded | Spent | Costed
ORDER: tuple[type, ...] = get_args(Event)
"""The order of events of one moment: a case is reported before it is corrected."""
