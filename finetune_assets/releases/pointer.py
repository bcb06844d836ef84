"""The live pointer's history as plain values, and what it says about which releases are good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

PointerAction = Literal["deploy", "rollback"]


@dataclass(frozen=True, slots=True)
class PointerMove:
    """One move of a task's live pointer.

    Attributes:
        seq: 1, 2, … within the task, without gaps.
        release_id: what became live.
        previous_release_id: what was live before; None for the first move.
        action: `deploy`, or `rollback`, which says that the previous release was bad.
        at: when.
        by: who or what moved it.
        run_id: the run that did it, "" outside of runs.
    """

    seq: int
    release_id: int
    previous_release_id: int | None
    action: str
    at: datetime
    by: str
    run_id: str


def departures(moves: Sequence[PointerMove]) -> dict[int, PointerMove]:
    """Return, for each release that was live and is not, the move that last took it away.

    Args:
        moves: a task's history, oldest first.

    Returns:
        {release id: move}. A release left by a `deploy` was replaced by a better one; one left by a `rollback` was
        withdrawn because it was bad.
    """
    left: dict[int, PointerMove] = {}
    for move in moves:
        if move.previous_release_id is not None:
            left[move.previous_release_id] = move
        left.pop(move.release_id, None)
    return left


def good_releases(moves: Sequence[PointerMove]) -> Iterator[int]:
    """Yield the releases to which one may roll back, the one that was live last first.

    Good is what was live and was left by a deploy. A release that a rollback withdrew is never offered again, so
    two bad neighbours cannot take turns, and each rollback leaves fewer to choose from.
    """
    left = departures(moves)
    good = [(move.seq, release_id) for release_id, move in left.items() if move.action == "deploy"]
    for _, release_id in sorted(good, reverse=True):
        yield release_id


def withdrawal(moves: Sequence[PointerMove], release_id: int) -> PointerMove | None:
    """Return the rollback that withdrew a release, None when it was not withdrawn or has been live since."""
    move = departures(moves).get(release_id)
    return move if move is not None and move.action == "rollback" else None
