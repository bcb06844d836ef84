"""The proof that a pool of rows is held out: nothing in it was trained on or judged on, nor anything much like it.

Here belongs the proof for rows that come from outside a split, such as mined suites; the split proves its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example
from finetune_assets.records.similarity import FixedWording, jaccard, shingles, similarity_text, with_attachments

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEAR = 0.8
"""Jaccard similarity of character shingles from which two inputs are near-duplicates, as the split's default has it."""

_SHINGLE = 4
_NEAREST = 10
# Likenesses held at once: 8 million, 64 MB.
_BLOCK = 8_000_000
_MAX_FEATURES = 200_000


NO_WORDING = FixedWording("")
# Scripts without spaces between words count sign by sign; else a whole sentence would be one word, like no other.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD_OR_SIGN = rf"(?u)[{_SPACELESS}]|[^\W{_SPACELESS}]+|[^\w\s]"


def refuse_leaks(
    pool: Sequence[Example],
    train: Sequence[Example],
    test: Sequence[Example],
    leak_groups: Mapping[str, str],
    wording: FixedWording = NO_WORDING,
) -> None:
    """Refuse a pool that is not held out.

    Args:
        pool: the rows.
        train: training rows.
        test: rows that models are judged on.
        leak_groups: leak group by content key, where known.
        wording: what the user template puts around the rows' own words.

    Raises:
        FinetuneError: naming how many rows leak, how, and the first of them.
    """
    found = find_leaks(pool, train, test, leak_groups, wording)
    if not found:
        return
    first = ", ".join(f"{record} ({reason})" for record, reason in sorted(found.items())[:5])
    raise FinetuneError(
        "the pool is not held out",
        found=f"{len(found)} of {len(pool)} rows: {first}",
        expected="rows whose leak group is in neither training nor test, as they were observed",
        mend="take these rows out of the pool; find_leaks names all of them",
    )


def find_leaks(
    pool: Sequence[Example],
    train: Sequence[Example],
    test: Sequence[Example],
    leak_groups: Mapping[str, str],
    wording: FixedWording = NO_WORDING,
) -> dict[str, str]:
    """Return why rows of a pool are not held out, by record id; arguments as for `refuse_leaks`.

    Returns:
        `not_observed` (synthetic or augmented), `in_train`, `in_test` (equal question, shared declared group or leak
        group), `near_train` or `near_test` (shingle similarity of 0.8 or more); the first that holds. Rows of the pool
        that a leaking one is tied to are not themselves leaks.
    """
    found: dict[str, str] = {}
    names = {"in_train": _names(train, leak_groups), "in_test": _names(test, leak_groups)}
    for example in pool:
        own = _names([example], leak_groups)
        if example.origin != "observed":
            found[example.record_id] = "not_observed"
            continue
        for reason, taken in names.items():
            if own & taken:
                found.setdefault(example.record_id, reason)
    for reason, rows in (("near_train", train), ("near_test", test)):
        for example, near in zip(pool, nearest_rows(pool, rows, wording), strict=True):
            if example.record_id not in found and _is_near(example, [rows[place] for place, _ in near], wording):
                found[example.record_id] = reason
    return found


def nearest_rows(
    pool: Sequence[Example], rows: Sequence[Example], wording: FixedWording = NO_WORDING
) -> list[list[tuple[int, float]]]:
    """Return the most similar rows by the cosine of TF-IDF over words and pairs of words.

    Args:
        pool: rows to find neighbours of.
        rows: rows to find them among.
        wording: what the user template puts around the rows' own words.

    Returns:
        For each row of the pool up to 10 (position in `rows`, cosine), the most similar first; none with cosine 0.
    """
    if not pool or not rows:
        return [[] for _ in pool]
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectoriser = TfidfVectorizer(
        token_pattern=_WORD_OR_SIGN, ngram_range=(1, 2), sublinear_tf=True, max_features=_MAX_FEATURES
    )
    try:
        others = vectoriser.fit_transform([_question(example, wording) for example in rows])
    except ValueError:  # nothing but blanks: sklearn refuses an empty vocabulary
        return [[] for _ in pool]
    own = vectoriser.transform([_question(example, wording) for example in pool])
    found: list[list[tuple[int, float]]] = []
    step = max(1, _BLOCK // len(rows))
    for start in range(0, len(pool), step):
        found += [_best(row) for row in (own[start : start + step] @ others.T).toarray()]
    return found


def _best(likeness: NDArray[np.float64]) -> list[tuple[int, float]]:
    import numpy as np

    count = min(_NEAREST, len(likeness))
    # All at least as near as the tenth, so that equal ones are told apart by their place and not by chance.
    limit = np.partition(likeness, -count)[-count]
    places = np.flatnonzero((likeness >= limit) & (likeness > 0))
    order = places[np.lexsort((places, -likeness[places]))][:count]
    return [(int(place), float(likeness[place])) for place in order]


def _names(rows: Sequence[Example], leak_groups: Mapping[str, str]) -> set[str]:
    names: set[str] = set()
    for example in rows:
        names.add(f"key {example.content_key}")
        names.update(f"group {group}" for group in example.groups)
        if example.content_key in leak_groups:
            names.add(f"leak {leak_groups[example.content_key]}")
    return names


def _is_near(example: Example, others: Sequence[Example], wording: FixedWording) -> bool:
    own = _shingles(example, wording)
    return any(jaccard(own, _shingles(other, wording)) >= NEAR for other in others)


def _shingles(example: Example, wording: FixedWording) -> frozenset[str]:
    return shingles(" ".join(_question(example, wording).lower().split()), _SHINGLE)


def _question(example: Example, wording: FixedWording) -> str:
    text = similarity_text(example.messages, example.facts, wording)
    return with_attachments(text, [attachment.uri for attachment in example.attachments])
