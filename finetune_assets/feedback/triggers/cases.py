"""Error cases as replay counts them: copies once, open until they are consumed or dismissed."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from finetune_assets.feedback.triggers.events import Reported


@dataclass(slots=True)
class _Case:
    cluster: str
    predicted_at: datetime | None
    state: str = "new"


class Cases:
    """The error cases of one task, with the counts of their clusters kept up to date by each change."""

    def __init__(self) -> None:
        self._cases: dict[str, _Case] = {}
        self._open: Counter[str] = Counter()
        self._corrected: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter()
        self._expiring: list[tuple[datetime, str]] = []

    @property
    def open(self) -> int:
        """Clusters with a case that is new or corrected."""
        return len(self._open)

    @property
    def corrected(self) -> int:
        """Clusters with a case that is corrected and not yet consumed."""
        return len(self._corrected)

    def corrected_cases(self) -> list[str]:
        """Return the cases that are corrected and not yet consumed."""
        return [name for name, case in self._cases.items() if case.state == "corrected"]

    def report(self, event: Reported) -> None:
        """Open a case; a case that is known already stays as it is."""
        if event.case in self._cases:
            return
        self._cases[event.case] = _Case(event.cluster, event.predicted_at)
        self._open[event.cluster] += 1
        if event.predicted_at is not None:
            self._wrong[event.cluster] += 1
            heapq.heappush(self._expiring, (event.predicted_at, event.case))

    def correct(self, name: str) -> None:
        """Give an open case its correction; anything else stays as it is."""
        case = self._cases.get(name)
        if case is not None and case.state == "new":
            case.state = "corrected"
            self._corrected[case.cluster] += 1

    def consume(self, name: str) -> None:
        """Close a corrected case; anything else stays as it is."""
        case = self._cases.get(name)
        if case is not None and case.state == "corrected":
            self._close(case, "consumed")

    def dismiss(self, name: str, *, no_error: bool) -> None:
        """Close an open case; where it was no error it counts as one no longer."""
        case = self._cases.get(name)
        if case is None or case.state not in ("new", "corrected"):
            return
        self._close(case, "dismissed")
        if no_error and case.predicted_at is not None:
            _less(self._wrong, case.cluster)
            case.predicted_at = None  # so that its expiry takes nothing more off

    def _close(self, case: _Case, state: str) -> None:
        if case.state == "corrected":
            _less(self._corrected, case.cluster)
        _less(self._open, case.cluster)
        case.state = state

    def errors_since(self, since: datetime) -> int:
        """Return the clusters of errors in answers given from `since` on; `since` never goes back."""
        while self._expiring and self._expiring[0][0] < since:
            case = self._cases[heapq.heappop(self._expiring)[1]]
            if case.predicted_at is not None:
                _less(self._wrong, case.cluster)
                case.predicted_at = None
        return len(self._wrong)


def _less(counts: Counter[str], name: str) -> None:
    counts[name] -= 1
    if counts[name] <= 0:
        del counts[name]
