"""The lines of `conflicts.jsonl`: one for each input that has different answers, with the answers side by side.

Labels say by their names what contradicts what; of free text the answers themselves are shown, redacted and shortened
as in the quarantine, with how alike they are: two spellings of one answer are another problem than two opinions. The
file belongs to the artifact; findings and metadata name rows and numbers only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.datasets.quarantine import shown_text

_MAX_ANSWERS = 20
_MAX_IDS = 20
# The beginning decides; answers of books would cost more than they tell.
_COMPARED_CHARACTERS = 5_000


def conflict_line(content_key: str, kept: Mapping[str, Any] | None, rejected: Sequence[Mapping[str, Any]]) -> Any:
    """Return the line of one input.

    Args:
        content_key: the input's key, 64 hex digits.
        kept: the row that stays, None where none does.
        rejected: the rows that are set aside, in file order.

    Returns:
        `answers`: rows by label; `targets`: the different answers, the most frequent first (at most 20), each with its
        number of rows, the ids of at most 20 of them, its likeness to the first (0 to 1, by the edits between them)
        and its text; `kept` and `rows`: the rows, each with the number of its answer in `targets`.
    """
    rows = [*([kept] if kept else []), *rejected]
    counts = Counter(row["target"] for row in rows)
    # Equal counts keep the order of the file.
    ordered = sorted(counts, key=lambda target: -counts[target])
    number = {target: place for place, target in enumerate(ordered)}
    return {
        "content_key": content_key,
        "answers": dict(sorted(Counter(row["label"] for row in rows).items())),
        "targets": [_answer(target, ordered[0], rows) for target in ordered[:_MAX_ANSWERS]],
        "different_targets": len(ordered),
        "kept": _place(kept, number) if kept else None,
        "rows": [_place(row, number) for row in rejected],
    }


def _answer(target: str, first: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    ids = [row["record_id"] for row in rows if row["target"] == target]
    return {"rows": len(ids), "record_ids": ids[:_MAX_IDS], "alike": alike(first, target), "text": shown_text(target)}


def alike(one: str, other: str) -> float:
    """Return how alike two answers are: 1 less the share of edited characters (Indel distance), 0 to 1."""
    from rapidfuzz.distance import Indel

    return round(Indel.normalized_similarity(one[:_COMPARED_CHARACTERS], other[:_COMPARED_CHARACTERS]), 3)


def _place(row: Mapping[str, Any], number: Mapping[str, int]) -> dict[str, Any]:
    return {
        "record_id": row["record_id"],
        "label": row["label"],
        "answer": number[row["target"]],
        "source": row["source"],
    }
