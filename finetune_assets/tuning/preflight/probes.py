"""ProbeResult: what one look at the project said, and the turning of a client's error into a finding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from finetune_assets.tuning.cloud.errors import CloudError
from finetune_assets.tuning.cloud.faults import Action, Explained
from finetune_assets.tuning.findings import Finding, Severity, errors_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe found.

    Attributes:
        name: what was looked at.
        told: what was found, for people.
        findings: what is wrong; empty when all is well, or when it was not checked.
        checked: False where the probe could not look.
    """

    name: str
    told: str
    findings: tuple[Finding, ...] = ()
    checked: bool = True

    @property
    def state(self) -> str:
        """`ok`, `warning`, `failed` or `not checked`; what was not checked is never ok."""
        if errors_of(self.findings):
            return "failed"
        if not self.checked:
            return "not checked"
        return "warning" if self.findings else "ok"

    @property
    def line(self) -> str:
        """The result in one line."""
        return f"{self.name}: {self.state}" + (f" ({self.told})" if self.told else "")


def asked(action: Action, call: Callable[[], T]) -> T:
    """Return what a client's call gives; what the client raises comes out as a CloudError."""
    with Explained(action):
        return call()


def failed(name: str, problem: CloudError, rule: str = "") -> ProbeResult:
    """Return the result of a probe that a service refused."""
    return ProbeResult(name, problem.what, (finding_of(problem, rule or name.replace(" ", "_")),))


def finding_of(problem: CloudError, rule: str, severity: Severity = "error") -> Finding:
    """Return a service's refusal as a finding."""
    return Finding(rule, severity, problem.where, f"{problem.what}: {problem.found}", problem.expected, problem.mend)


def skipped(name: str, why: str) -> ProbeResult:
    """Return the result of a probe that could not look."""
    return ProbeResult(name, why, checked=False)
