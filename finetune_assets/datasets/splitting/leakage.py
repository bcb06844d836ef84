"""Leakage, measured on the written examples, whatever the build said: what stands in two splits that should not?

Equal questions, declared groups, near-duplicates; and rows that were made, not observed, in an evaluation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from finetune_assets.datasets.config import SplitConfig
from finetune_assets.datasets.split_files import read_rows
from finetune_assets.datasets.splitting.assign import TRAIN
from finetune_assets.datasets.splitting.leak_groups import Ties, components
from finetune_assets.datasets.splitting.leakage_near import Closest, closest_across
from finetune_assets.datasets.splitting.near_duplicates import Sketches
from finetune_assets.datasets.splitting.near_duplicates_sketch import sketch_texts
from finetune_assets.records.example import SPLITS
from finetune_assets.records.similarity import FixedWording, similarity_text, with_attachments

_BATCH_ROWS = 2_000
_MAX_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Leakage:
    """What the examples share across splits.

    Attributes:
        rows: examples read.
        splits: examples by split.
        groups: distinct declared groups.
        components: leak groups, single examples included.
        largest_component: examples in the largest one.
        key_overlap: content keys that stand in more than one split.
        group_overlap: declared groups that stand in more than one split.
        near_overlap: pairs of near-duplicates whose rows stand in different splits.
        synthetic_in_evaluation: rows in validation or test that were made, not observed.
        largest_similarity: of the closest pair across splits; None where no pair is alike enough to be compared, or
            near-duplicates are not searched.
        failures: the first 100 of the rows concerned: ids, field and the two splits, never a text.
    """

    rows: int
    splits: dict[str, int]
    groups: int
    components: int
    largest_component: int
    key_overlap: int
    group_overlap: int
    near_overlap: int
    synthetic_in_evaluation: int
    largest_similarity: float | None
    failures: list[dict[str, Any]]


def measure_leakage(folder: Path, config: SplitConfig, wording: FixedWording) -> Leakage:
    """Read the examples of a split dataset again and look for what two splits share.

    Args:
        folder: the split dataset.
        config: says whether near-duplicates are searched, and from which similarity.
        wording: what the task's user template puts around a record's own words.

    Returns:
        The overlaps, 0 in a sound dataset, and the leak groups. Memory grows by about 600 bytes a row.

    Raises:
        OSError: when `examples.jsonl` cannot be read.
    """
    seen_groups: dict[str, int] = {}
    overlapping_groups: set[str] = set()
    failures: list[dict[str, Any]] = []
    ties = Ties()
    keys: list[bytes] = []
    splits = bytearray()
    synthetic = 0
    near = config.near_duplicates
    with Sketches(near) as sketches:
        for batch in _batches(folder):
            for row in batch:
                split = SPLITS.index(row["split"])
                for group in row["groups"]:
                    ties.tie(len(splits), group)
                    if (other := seen_groups.setdefault(group, split)) != split:
                        overlapping_groups.add(group)
                        _note(failures, row, "groups", f"in {row['split']} and in {SPLITS[other]}")
                if split != TRAIN and row["origin"] != "observed":
                    synthetic += 1
                    _note(failures, row, "origin", f"{row['origin']}, and in {row['split']}")
                keys.append(bytes.fromhex(row["content_key"]))
                splits.append(split)
            if near.enabled:
                sketches.take(sketch_texts([_text(row, wording) for row in batch], near))
        key_overlap = _tie_equal_keys(keys, splits, ties)
        closest = _closest(sketches, keys, splits, ties) if near.enabled else Closest()
    failures.extend(_key_failures(folder, key_overlap))
    failures.extend(_near_failures(folder, closest))
    sizes = _component_sizes(len(splits), ties)
    return Leakage(
        rows=len(splits),
        splits={name: splits.count(number) for number, name in enumerate(SPLITS)},
        groups=len(seen_groups),
        components=len(sizes),
        largest_component=max(sizes, default=0),
        key_overlap=len(key_overlap),
        group_overlap=len(overlapping_groups),
        near_overlap=len(closest.leaks),
        synthetic_in_evaluation=synthetic,
        largest_similarity=closest.similarity,
        failures=failures[:_MAX_SHOWN],
    )


def _batches(folder: Path) -> Iterator[list[dict[str, Any]]]:
    rows = read_rows(folder)
    while batch := list(islice(rows, _BATCH_ROWS)):
        yield batch


def _text(row: Mapping[str, Any], wording: FixedWording) -> str:
    return with_attachments(
        similarity_text(row["messages"], row["facts"], wording), [file["uri"] for file in row["attachments"]]
    )


def _tie_equal_keys(keys: Sequence[bytes], splits: bytearray, ties: Ties) -> dict[bytes, int]:
    """Tie rows with one content key; return the keys that stand in several splits, with the lowest of these."""
    first: dict[bytes, int] = {}
    overlapping: dict[bytes, int] = {}
    for row, key in enumerate(keys):
        here = first.setdefault(key, row)
        if here != row:
            ties.tie_pair(here, row)
            if splits[here] != splits[row]:
                overlapping[key] = min(splits[here], splits[row])
    return overlapping


def _closest(sketches: Sketches, keys: Sequence[bytes], splits: bytearray, ties: Ties) -> Closest:
    """Tie near-duplicates and return the closest pair across splits, by row."""
    order = sorted(range(len(keys)), key=keys.__getitem__)
    search = sketches.search(order)
    for one, other, _ in search.near_pairs():
        ties.tie_pair(order[one], order[other])
    found = closest_across(search, bytes(splits[row] for row in order))
    found.leaks = [(order[one], order[other], similarity) for one, other, similarity in found.leaks]
    return found


def _key_failures(folder: Path, overlapping: Mapping[bytes, int]) -> Iterator[dict[str, Any]]:
    if not overlapping:
        return
    for row in read_rows(folder):
        other = overlapping.get(bytes.fromhex(row["content_key"]))
        if other is not None and row["split"] != SPLITS[other]:
            yield _failure(row, "content_key", f"in {row['split']} and in {SPLITS[other]}")


def _near_failures(folder: Path, closest: Closest) -> Iterator[dict[str, Any]]:
    """Yield one failure for each of the first pairs."""
    shown = closest.leaks[:_MAX_SHOWN]
    wanted = {row for one, other, _ in shown for row in (one, other)}
    rows = {number: row for number, row in enumerate(read_rows(folder)) if number in wanted} if wanted else {}
    for one, other, similarity in shown:
        there = f"{rows[other]['record_id']} in {rows[other]['split']}"
        yield _failure(rows[one], "messages", f"in {rows[one]['split']}, {similarity:.2f} alike {there}")


def _component_sizes(rows: int, ties: Ties) -> list[int]:
    groups = components(rows, ties)
    return list(Counter(groups.find(row) for row in range(rows)).values())


def _note(failures: list[dict[str, Any]], row: Mapping[str, Any], name: str, problem: str) -> None:
    if len(failures) < _MAX_SHOWN:
        failures.append(_failure(row, name, problem))


def _failure(row: Mapping[str, Any], name: str, problem: str) -> dict[str, Any]:
    return {"record_id": row["record_id"], "example_id": row["example_id"], "field": name, "problem": problem}
