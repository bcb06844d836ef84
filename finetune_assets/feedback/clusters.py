"""Clusters: equal and near-equal errors count once.

Two inputs are as alike as their runs of five characters (`records/similarity`); that share is estimated by a keyed
one-permutation MinHash of 64 values (Li, Owen, Zhang 2012; rotation of Shrivastava, Li 2014), whose standard error is
at most 0.06. Bands of four values each find the clusters worth comparing: two inputs that are 0.8 alike share one with
a chance above 0.999. A sketch tells nothing of the text to whoever has not the key.
"""

from __future__ import annotations

import hashlib
import unicodedata
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from finetune_assets.records.similarity import shingles
from finetune_assets.storage.feedback_models import ClusterBandRow, ErrorClusterRow

_BUCKETS = 64
_BAND = 4
_RUN = 5
_LONGEST = 20_000
_VALUE_BYTES = 4
_STEP = 0x9E3779B1
_MASK = (1 << 32) - 1

Sketch = tuple[int, ...]


class Sketcher:
    """Makes sketches under one key.

    Args:
        key: 8 secret bytes; `Pseudonyms.derived("sketch")`.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sketch(self, text: str) -> Sketch:
        """Return the sketch of a text's first 20,000 characters; an empty one for a text without letters.

        Case, compatibility forms of Unicode and white space make no difference.
        """
        plain = " ".join(unicodedata.normalize("NFKC", text[:_LONGEST]).casefold().split())
        least: list[int | None] = [None] * _BUCKETS
        for run in shingles(plain, _RUN):
            digest = hashlib.blake2b(run.encode("utf-8", "replace"), digest_size=8, key=self._key).digest()
            bucket = digest[0] % _BUCKETS
            value = int.from_bytes(digest[_VALUE_BYTES:], "big")
            found = least[bucket]
            if found is None or value < found:
                least[bucket] = value
        return _filled(least)


def likeness(one: Sketch, other: Sketch) -> float:
    """Return how alike two inputs are by their sketches, from 0 to 1; 0 where one has no letters."""
    if not one or not other:
        return 0.0
    return sum(left == right for left, right in zip(one, other, strict=True)) / _BUCKETS


def cluster_of(
    session: Session, *, task: str, input_digest: str, sketch: Sketch, similarity: float, at: datetime
) -> ErrorClusterRow:
    """Return the cluster of an error, making it when no earlier input is as alike as asked.

    Args:
        session: a writing transaction.
        task: the task.
        input_digest: pseudonym of the input; an equal one is in the same cluster for certain.
        sketch: of the redacted input; empty where its text is not at hand.
        similarity: how alike two inputs must be.
        at: now.
    """
    same = select(ErrorClusterRow).where(ErrorClusterRow.task == task, ErrorClusterRow.cluster_key == input_digest)
    found = session.scalars(same).one_or_none() or _nearest(session, task, sketch, similarity)
    if found is not None:
        return found
    made = ErrorClusterRow(task=task, cluster_key=input_digest, sketch=_written(sketch), created_at=at)
    session.add(made)
    session.flush()
    session.add_all(ClusterBandRow(task=task, band=band, cluster_id=made.id) for band in _bands(sketch))
    return made


def _nearest(session: Session, task: str, sketch: Sketch, similarity: float) -> ErrorClusterRow | None:
    """Return the most alike cluster, the oldest of equals; None when none is as alike as asked."""
    if not sketch:
        return None
    banded = select(ClusterBandRow.cluster_id).where(
        ClusterBandRow.task == task, ClusterBandRow.band.in_(_bands(sketch))
    )
    rows = session.scalars(select(ErrorClusterRow).where(ErrorClusterRow.id.in_(banded)).order_by(ErrorClusterRow.id))
    best: ErrorClusterRow | None = None
    best_likeness = similarity
    for row in rows:
        alike = likeness(sketch, _read(row.sketch))
        if alike > best_likeness or (best is None and alike >= best_likeness):
            best, best_likeness = row, alike
    return best


def _filled(least: list[int | None]) -> Sketch:
    """Give every bucket without a value that of the next one that has one, marked by the distance."""
    if all(value is None for value in least):
        return ()
    filled = []
    for bucket in range(_BUCKETS):
        distance = 0
        while (value := least[(bucket + distance) % _BUCKETS]) is None:
            distance += 1
        filled.append((value + distance * _STEP) & _MASK)
    return tuple(filled)


def _bands(sketch: Sketch) -> list[str]:
    return [f"{start // _BAND}:{_written(sketch[start : start + _BAND])}" for start in range(0, len(sketch), _BAND)]


def _written(sketch: Sketch) -> str:
    return "".join(f"{value:08x}" for value in sketch)


def _read(written: str) -> Sketch:
    return tuple(int(written[start : start + 8], 16) for start in range(0, len(written), 8))
