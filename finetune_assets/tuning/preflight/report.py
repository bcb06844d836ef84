"""What preflight says: findings, facts about the files, and both as text for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from finetune_assets.tuning.cloud.cost import Volume
from finetune_assets.tuning.findings import Finding, errors_of, table_rows

SHOWN_PER_RULE = 10


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one file holds.

    Attributes:
        name: `train` or `validation`.
        rows: rows that were read.
        bytes: size of the file.
        volume: its text.
        longest_tokens: tokens of its longest row, counted or estimated.
        tokens_counted: whether a tokenizer counted them.
        form: the form of its rows, "" where none was read.
    """

    name: str
    rows: int
    bytes: int
    volume: Volume
    longest_tokens: int
    tokens_counted: bool
    form: str


@dataclass(frozen=True, slots=True)
class PreflightReport:
    """The outcome of a check of files.

    Attributes:
        model: the model's id.
        files: facts of each file, training first.
        findings: what is wrong, errors first, in the order of rows.
    """

    model: str
    files: tuple[FileFacts, ...]
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing stops the submission."""
        return not errors_of(self.findings)

    @property
    def train(self) -> FileFacts:
        """Facts of the training file."""
        return self.files[0]

    def lines(self) -> list[str]:
        """Return the report as lines for people."""
        told = [f"preflight for {self.model}: {'passed' if self.passed else 'failed'}"]
        for facts in self.files:
            how = "counted" if facts.tokens_counted else "estimated"
            told.append(
                f"{facts.name}: {facts.rows:,} rows ({facts.form or 'no form'}), {facts.bytes:,} bytes, "
                f"{facts.volume.characters:,} characters, longest row {facts.longest_tokens:,} tokens ({how})"
            )
        return told + [finding.line for finding in self.findings]

    def table(self) -> list[dict[str, str]]:
        """Return the findings as rows of a table."""
        return table_rows(self.findings)

    def summary(self) -> dict[str, Any]:
        """Return counts for metadata: rows, characters and findings by severity."""
        errors = len(errors_of(self.findings))
        counts: dict[str, Any] = {"errors": errors, "warnings": len(self.findings) - errors}
        for facts in self.files:
            counts[f"{facts.name}_rows"] = facts.rows
            counts[f"{facts.name}_bytes"] = facts.bytes
            counts[f"{facts.name}_characters"] = facts.volume.characters
            counts[f"{facts.name}_longest_tokens"] = facts.longest_tokens
        return counts


@dataclass(slots=True)
class Collector:
    """Collects findings: the first rows of each rule one by one, the rest of them as one finding with a count."""

    findings: list[Finding] = field(default_factory=list)
    _counts: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _first_more: dict[tuple[str, str, str], Finding] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Take one finding."""
        key = (finding.rule, finding.severity, finding.where)
        count = self._counts[key] = self._counts.get(key, 0) + 1
        if count <= SHOWN_PER_RULE:
            self.findings.append(finding)
        elif key not in self._first_more:
            self._first_more[key] = finding

    def result(self) -> tuple[Finding, ...]:
        """Return what was collected, errors first."""
        more = [
            Finding(
                finding.rule,
                finding.severity,
                finding.where,
                "the same in further rows",
                finding.limit,
                finding.mend,
                finding.row,
                as_of=finding.as_of,
                count=self._counts[key] - SHOWN_PER_RULE,
            )
            for key, finding in self._first_more.items()
        ]
        return tuple(sorted([*self.findings, *more], key=lambda finding: finding.severity))
