"""A finding: what one rule or one veto says about a window, in figures and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

State = Literal["holds", "fails", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says.

    Attributes:
        rule: the rule or the veto.
        state: whether it holds, does not hold, or cannot be told from what the window has.
        text: one sentence with the figures.
        missing: what it lacks to hold, for a person; empty where it holds or nothing can be said.
        figures: the numbers it rests on, as JSON holds them.
    """

    rule: str
    state: State
    text: str
    missing: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lacks(self) -> str:
        """What is missing, or else the sentence."""
        return self.missing or self.text

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON."""
        return {
            "rule": self.rule,
            "state": self.state,
            "text": self.text,
            "missing": self.missing,
            "figures": dict(self.figures),
        }


def counted(number: int, thing: str) -> str:
    """Return a number with its noun: 1 case, 37 cases."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def more(number: int, thing: str) -> str:
    """Return what is still needed: need 37 more corrected cases."""
    return f"need {number:,} more {thing}{'' if number == 1 else 's'}"


def share(value: float) -> str:
    """Return a share with three decimals at the most: 0.12."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def percent(value: float) -> str:
    """Return a confidence as percent: 95 %."""
    return f"{100 * value:.4g} %"


def dollars(value: float) -> str:
    """Return an amount in US dollars: $12.50."""
    return f"${value:,.2f}"


def moment(value: datetime) -> str:
    """Return a moment in UTC to the minute: 2026-11-21 18:00 UTC."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
