"""The past: builds, from events in order of time, the windows that a sensor would have seen. One pass, bounded work."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from finetune_assets.feedback.triggers import events
from finetune_assets.feedback.triggers.cases import Cases
from finetune_assets.feedback.window import MAX_INPUTS, Window
from finetune_assets.records.errors import FinetuneError


class Past:
    """Builds one window after the other, each later than the one before.

    Args:
        task: the task.
        happened: its events, in any order.
        window_h: hours that a window looks back.
        recorded: runs are those that the events tell of; otherwise those that `fire` tells of.
        with_inputs: keep features of inputs; only drift looks at them.

    Raises:
        FinetuneError: when an event's time is naive.
    """

    def __init__(
        self, task: str, happened: Iterable[events.Event], window_h: float, *, recorded: bool, with_inputs: bool
    ) -> None:
        self._task = task
        self._length = timedelta(hours=window_h)
        self._recorded = recorded
        self._with_inputs = with_inputs
        self._coming = deque(sorted(happened, key=_place))
        self._seen: deque[events.Predicted] = deque()
        self._predictions = 0
        self._labels: Counter[str] = Counter()
        self._cases = Cases()
        self._live: events.WentLive | None = None
        self._history: list[Mapping[str, float]] = []
        self._spent: dict[tuple[int, int], float] = {}
        self._costed: events.Costed | None = None
        self._asked: list[datetime] = []
        self._ended: list[datetime] = []
        self._until: datetime | None = None
        self._takers: dict[type, Callable[[Any], None]] = {
            events.Predicted: self._take_prediction,
            events.Reported: self._cases.report,
            events.Corrected: lambda event: self._cases.correct(event.case),
            events.Dismissed: lambda event: self._cases.dismiss(event.case, no_error=event.no_error),
            events.Consumed: self._take_consumption,
            events.WentLive: self._take_release,
            events.RunAsked: lambda event: self._asked.append(event.at) if recorded else None,
            events.RunEnded: lambda event: self._ended.append(event.at) if recorded else None,
            events.Spent: lambda event: self._spend(event.at, event.usd) if recorded else None,
            events.Costed: self._take_cost,
        }

    def window(self, until: datetime) -> Window:
        """Return the window that ends at `until`; what happened at that very moment is not in it.

        Raises:
            FinetuneError: when `until` is before an earlier window's.
        """
        if self._until is not None and until < self._until:
            raise FinetuneError("windows of the past are built forwards only", found=until.isoformat())
        self._until = until
        since = until - self._length
        while self._coming and self._coming[0].at < until:
            event = self._coming.popleft()
            self._takers[type(event)](event)
        self._forget_before(since)
        predictions = self._predictions
        asked = [at for at in self._asked if at < until]
        ended = [at for at in self._ended if at < until]
        live = self._live
        month = until.astimezone(UTC)
        return Window(
            task=self._task,
            since=since,
            until=until,
            predictions=predictions,
            errors=min(predictions, self._cases.errors_since(since)),
            open_cases=self._cases.open,
            corrected_cases=self._cases.corrected,
            labels={label: self._labels[label] for label in sorted(self._labels) if label},
            reference_labels=live.reference_labels if live else {},
            inputs=self._inputs(),
            reference_inputs=live.reference_inputs if live and self._with_inputs else {},
            last_fired=max(asked, default=None),
            last_finished=max(ended, default=None),
            in_flight=len(asked) > len(ended),
            live_since=live.at if live else None,
            spent_usd=self._spent.get((month.year, month.month), 0.0),
            budget_usd=self._costed.budget_usd if self._costed else None,
            estimated_cost_usd=self._costed.estimated_usd if self._costed else None,
            history=tuple(self._history),
        )

    def fire(self, at: datetime, *, run_h: float, cost_usd: float | None) -> None:
        """Suppose that a run was asked for: it takes `run_h` hours, costs its estimate and learns all corrected cases.

        Raises:
            FinetuneError: when this past keeps to the runs that were recorded.
        """
        if self._recorded:
            raise FinetuneError("a recorded past takes no further runs", where=self._task)
        self._asked.append(at)
        self._ended.append(at + timedelta(hours=run_h))
        self._spend(at, cost_usd or 0.0)
        for case in self._cases.corrected_cases():
            self._cases.consume(case)

    def _take_prediction(self, event: events.Predicted) -> None:
        self._seen.append(event)
        self._predictions += event.count
        self._labels[event.label] += event.count

    def _forget_before(self, since: datetime) -> None:
        while self._seen and self._seen[0].at < since:
            event = self._seen.popleft()
            self._predictions -= event.count
            self._labels[event.label] -= event.count
            if not self._labels[event.label]:
                del self._labels[event.label]

    def _inputs(self) -> dict[str, list[float]]:
        """Return the features of at most `MAX_INPUTS` predictions, those that come first by their sample key."""
        if not self._with_inputs:
            return {}
        drawn = heapq.nsmallest(MAX_INPUTS, self._seen, key=lambda event: event.sample)
        names = sorted({name for event in drawn for name in event.inputs})
        return {name: [event.inputs[name] for event in drawn if name in event.inputs] for name in names}

    def _take_consumption(self, event: events.Consumed) -> None:
        if self._recorded:
            for case in event.cases:
                self._cases.consume(case)

    def _take_release(self, event: events.WentLive) -> None:
        self._live = event
        if event.figures:
            self._history.append(event.figures)

    def _take_cost(self, event: events.Costed) -> None:
        self._costed = event

    def _spend(self, at: datetime, usd: float) -> None:
        month = at.astimezone(UTC)
        self._spent[(month.year, month.month)] = self._spent.get((month.year, month.month), 0.0) + usd


def _place(event: events.Event) -> tuple[datetime, int]:
    if event.at.tzinfo is None:
        raise FinetuneError("an event takes aware times only", found=event.at.isoformat())
    return event.at, events.ORDER.index(type(event))
