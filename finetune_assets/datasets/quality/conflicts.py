"""Label conflicts: equal inputs with different labels, set aside by the build, and nearly equal ones, which stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from finetune_assets.datasets.quality.config import LabelConflictsConfig
from finetune_assets.datasets.quality.finding import QualityFinding
from finetune_assets.datasets.quality.rows import written_rows
from finetune_assets.datasets.split_files import read_near_pairs

# Answers that differ by a tenth of their characters or less: spellings of one answer, rather than two.
_ONE_ANSWER = 0.9


def label_conflicts(folder: Path, config: LabelConflictsConfig, *, free_text: bool) -> QualityFinding:
    """Find rows that contradict one another.

    Args:
        folder: the split dataset; its `conflicts.jsonl` holds the exact conflicts, `near_duplicates.jsonl` the pairs.
        config: the limit.
        free_text: True where targets are no labels. Then near-duplicates are no conflict: two wordings of one question
            may well have two wordings of one answer.

    Returns:
        The share of rows in a conflict, of the rows written and those set aside for a conflict.

    Raises:
        OSError: when a file cannot be read.
    """
    finding = QualityFinding()
    exact_inputs = exact_rows = set_aside = spellings = 0
    for conflict in _lines(folder / "conflicts.jsonl"):
        kept = [conflict["kept"]] if conflict["kept"] else []
        exact_inputs += 1
        exact_rows += len(kept) + len(conflict["rows"])
        set_aside += len(conflict["rows"])
        spellings += all(target["alike"] >= _ONE_ANSWER for target in conflict["targets"])
        for row in kept + conflict["rows"]:
            finding.note({"record_id": row["record_id"]}, similarity=1.0, **_of_answer(row, conflict))
    known = {row["content_key"]: row for row in _places(folder)}
    near_rows: set[str] = set()
    pairs = 0
    for first, second, similarity in () if free_text else read_near_pairs(folder):
        a, b = known.get(first), known.get(second)
        if a and b and a["label"] != b["label"]:
            pairs += 1
            near_rows |= {first, second}
            problem = f"nearly equal to {b['record_id']}, which has another label"
            finding.note(a, problem=problem, similarity=round(similarity, 3))
    total = len(known) + set_aside
    share = (exact_rows + len(near_rows)) / total if total else 0.0
    finding.flagged = exact_rows + len(near_rows)
    finding.passed = share <= config.max_share
    finding.numbers = {"exact_conflicts": exact_inputs, "near_conflicts": pairs, "conflict_share": round(share, 6)}
    if free_text:
        finding.numbers["nearly_one_answer"] = spellings
    alike = f" ({spellings} of them with answers at least {_ONE_ANSWER:.0%} alike)" if free_text else ""
    finding.summary = (
        f"{exact_inputs} inputs with different answers{alike}, {pairs} near-duplicate pairs with different labels: "
        f"{share:.1%} of {total} rows (at most {config.max_share:.1%})"
    )
    return finding


def _of_answer(row: dict[str, Any], conflict: dict[str, Any]) -> dict[str, Any]:
    """Return which answer a row holds: its number, how many rows share it, its likeness to the most frequent one."""
    targets, number = conflict["targets"], row["answer"]
    problem = f"equal input, answer {number + 1} of {conflict['different_targets']}; see conflicts.jsonl"
    shown = targets[number] if number < len(targets) else {}
    return {
        "problem": problem,
        "input": conflict["content_key"][:12],
        "rows_with_answer": shown.get("rows"),
        "answers_alike": shown.get("alike"),
    }


def _places(folder: Path) -> Iterator[dict[str, Any]]:
    for row in written_rows(folder):
        yield {name: row[name] for name in ("content_key", "record_id", "split", "label")}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        for line in lines:
            yield orjson.loads(line)
