"""Finding: one thing that a check found wrong, with its place, its limit and its mend; and how findings are shown.

A finding never quotes a row: it holds names, types, lengths and numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        rule: the rule's name, such as `last_turn`.
        severity: `error` stops the submission, `warning` is only shown.
        where: the file or the setting (`tuning.managed.mode`).
        found: what is there: names, types, lengths, numbers; never a row's text.
        limit: what would be right, "" where that is obvious.
        mend: what to do.
        row: row of the file, counted from 1; None where it is not about one row.
        pointer: JSON pointer into the row, "" for the row as a whole.
        as_of: date of the limit (YYYY-MM-DD), "" for a rule without one.
        count: rows that have it; above 1 the row is the first of them.
    """

    rule: str
    severity: Severity
    where: str
    found: str
    limit: str = ""
    mend: str = ""
    row: int | None = None
    pointer: str = ""
    as_of: str = ""
    count: int = 1

    @property
    def place(self) -> str:
        """File or setting, row and pointer in one text."""
        row = "" if self.row is None else f" row {self.row:,}"
        more = f" and {self.count - 1:,} more" if self.count > 1 else ""
        return f"{self.where}{row}{self.pointer and ' ' + self.pointer}{more}"

    @property
    def line(self) -> str:
        """The finding as one line for people."""
        parts = [f"{self.severity}: {self.rule} at {self.place}; found {self.found}"]
        if self.limit:
            dated = f" (as of {self.as_of})" if self.as_of else ""
            parts.append(f"; limit {self.limit}{dated}")
        if self.mend:
            parts.append(f". Mend: {self.mend}")
        return "".join(parts)


def errors_of(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that stop a submission."""
    return [finding for finding in findings if finding.severity == "error"]


def table_rows(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """Return findings as rows of a table with equal columns, for asset metadata and the CLI."""
    return [
        {
            "severity": finding.severity,
            "rule": finding.rule,
            "where": finding.place,
            "found": finding.found,
            "limit": f"{finding.limit} ({finding.as_of})" if finding.limit and finding.as_of else finding.limit,
            "mend": finding.mend,
        }
        for finding in findings
    ]
