"""What a check of a written dataset found: counts, and the failing rows by id, never by text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_MAX_FAILURES = 100


@dataclass(slots=True)
class SchemaFindings:
    """What a check found.

    Attributes:
        rows: rows that were looked at.
        failures: the first 100 failing rows, as `split`, `record_id`, `example_id`, `field` and `problem`.
        failure_count: all failing rows.
        facts: figures for the person who reads the check.
    """

    rows: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    failure_count: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """True when rows were looked at and none failed: an empty dataset passes nothing."""
        return self.rows > 0 and self.failure_count == 0

    def fail(self, row: Mapping[str, Any], name: str, problem: str) -> None:
        """Note a failing row; `problem` must not quote its text."""
        self.failure_count += 1
        if len(self.failures) < _MAX_FAILURES:
            place = {key: row.get(key) for key in ("split", "record_id", "example_id")}
            self.failures.append({**place, "field": name, "problem": problem})
