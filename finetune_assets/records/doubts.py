"""Doubts: what in an answer looks wrong before anybody has checked it, as signals with a confidence each.

Here belong the signals' form, their score, and what can be told of any answer. What a task type can tell besides is
its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BLANK_CONFIDENCE = 0.9
UNREADABLE_CONFIDENCE = 0.9


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that the error detector noticed.

    Attributes:
        kind: its name, such as `empty_answer`.
        score: how sure it is that the answer is wrong, from 0 to 1.
    """

    kind: str
    score: float


def doubts_of_reading(text: str, *, valid: bool) -> tuple[Signal, ...]:
    """Return what reading an answer tells: it is blank, or no legal answer of its task.

    Args:
        text: what the model wrote.
        valid: whether it is a legal answer.
    """
    if not text.strip():
        return (Signal("empty_answer", BLANK_CONFIDENCE),)
    return () if valid else (Signal("invalid_answer", UNREADABLE_CONFIDENCE),)


def doubt_score(signals: Sequence[Signal]) -> float:
    """Return the mean of the signals' scores, from 0 to 1, as the speech source's detector counts; 0 without any."""
    return round(sum(signal.score for signal in signals) / len(signals), 6) if signals else 0.0
