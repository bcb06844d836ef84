"""What a window of predictions holds, read from their file without visiting every row.

Answers are counted by the hour as they are written; only the two hours that a window cuts are counted anew. A sample of
a large window lies in an index of a few of its rows. Figures: a window of a million in some 30 ms (2026-11-21).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finetune_assets.feedback.prediction_rows import HOUR_MICROS, PLACES, SHARES
from finetune_assets.feedback.window import MAX_INPUTS

_WITHIN = "task = ? AND at >= ? AND at < ?"


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """What a window of predictions holds.

    Attributes:
        predictions: answers in it.
        labels: how often each label was answered; answers without one are not in it.
        inputs: numeric features, at most `MAX_INPUTS` values each, chosen by the digest of the request id.
    """

    predictions: int
    labels: Mapping[str, int]
    inputs: Mapping[str, Sequence[float]]


def window_facts(connection: sqlite3.Connection, task: str, since: int, until: int) -> WindowFacts:
    """Return what a window holds, in the caller's transaction.

    Args:
        connection: a reading transaction.
        task: the task.
        since: where it begins, included, in microseconds from 1970 (UTC).
        until: where it ends, not included.
    """
    labels = labels_in(connection, task, since, until)
    total = labels.total()
    sample = _sample(connection, (task, since, until), total)
    labels.pop("", None)
    features = {"characters": [row[0] for row in sample], "words": [row[1] for row in sample]} if sample else {}
    return WindowFacts(total, dict(sorted(labels.items())), features)


def labels_in(connection: sqlite3.Connection, task: str, since: int, until: int) -> Counter[str]:
    """Return how often each label was answered in a window, answers without one under ""; see `window_facts`."""
    first, end = -(-since // HOUR_MICROS), until // HOUR_MICROS
    found: Counter[str] = Counter()
    parts = [(since, until)]
    if first < end:
        parts = [(since, first * HOUR_MICROS), (end * HOUR_MICROS, until)]
        query = "SELECT label, SUM(predictions) FROM tally WHERE task = ? AND hour >= ? AND hour < ? GROUP BY label"
        found.update({label: count for label, count in connection.execute(query, (task, first, end)) if count})
    for begin, stop in parts:
        if begin < stop:
            query = f"SELECT label, COUNT(*) FROM predictions WHERE {_WITHIN} GROUP BY label"  # noqa: S608
            found.update(dict(connection.execute(query, (task, begin, stop)).fetchall()))
    return found


def _sample(connection: sqlite3.Connection, bounds: tuple[str, int, int], total: int) -> list[tuple[float, float]]:
    """Return the features of the rows that come first by the digest of their request id."""
    # Only so many rows can be among the first; the rest need not be sorted. 5 sigma of room on top.
    ceiling = PLACES if total <= MAX_INPUTS else int(PLACES * min(1.0, 1.1 * MAX_INPUTS / total))
    share = next((share for share in SHARES if ceiling <= PLACES // share), 0)
    # The planner takes an index of a part only where the part's own limit stands in the query.
    part = f"INDEXED BY predictions_share_{share} WHERE place < {PLACES // share} AND" if share else "WHERE"
    query = (
        f"SELECT characters, words FROM predictions {part} {_WITHIN} AND place < ? "  # noqa: S608 - our own words
        f"ORDER BY place, characters, words LIMIT {MAX_INPUTS}"
    )
    return connection.execute(query, (*bounds, ceiling)).fetchall()
