"""QualityFinding: what a detector found, in the form that a check shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

MAX_SHOWN = 100


@dataclass(slots=True)
class QualityFinding:
    """What a detector found.

    Attributes:
        measured: False when there was too little to judge; `summary` then says why.
        applies: False when there is nothing to measure in a task of this kind; not measured then.
        passed: True when every limit holds; meaningless when not measured.
        summary: one line for a person.
        numbers: figures that are plotted over time.
        rows: the first 100 rows behind it: ids, fields and reasons, never texts of people.
        flagged: rows that were found, shown or not.
    """

    measured: bool = True
    applies: bool = True
    passed: bool = True
    summary: str = ""
    numbers: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    flagged: int = 0

    def note(self, row: Mapping[str, Any] | None, **facts: Any) -> None:
        """Add a row to the table; `facts` must not quote its text."""
        self.flagged += 1
        if len(self.rows) < MAX_SHOWN:
            place = {name: row.get(name) for name in ("split", "record_id")} if row else {}
            self.rows.append({**place, **facts})

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that the constructor takes."""
        return asdict(self)


def unmeasured(why: str) -> QualityFinding:
    """Return the finding of a detector that had too little to judge."""
    return QualityFinding(measured=False, summary=f"not measured: {why}")


def not_applicable(why: str) -> QualityFinding:
    """Return the finding of a check that has nothing to look at in this task."""
    return QualityFinding(measured=False, applies=False, summary=f"does not apply: {why}")
