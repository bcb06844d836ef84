"""A label path against the right one: as a whole and level by level.

Macro-F1 over label paths is in `evaluation/statistics/exact.py`, for it is a figure of the whole test set.
"""

from __future__ import annotations

from collections.abc import Sequence


def path_right(expected: Sequence[str], predicted: Sequence[str]) -> bool:
    """True when a label path was predicted and every part of it is right."""
    return bool(predicted) and tuple(predicted) == tuple(expected)


def levels_right(expected: Sequence[str], predicted: Sequence[str]) -> tuple[bool, ...]:
    """Return for each expected part whether it is right, whatever the other parts are; () predicts nothing."""
    return tuple(place < len(predicted) and predicted[place] == part for place, part in enumerate(expected))
