"""Leakage, measured on the written examples: does any question or any declared group stand in two splits?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_assets.datasets.config import SplitConfig
from finetune_assets.datasets.leak_groups import Ties, components
from finetune_assets.datasets.split_files import read_rows
from finetune_assets.records.example import SPLITS

METHOD = "union-find over equal normalised content and declared groups; near-duplicates are not searched"
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
        failures: the first 100 of the rows concerned: ids, field and the two splits, never a text.
    """

    rows: int
    splits: dict[str, int]
    groups: int
    components: int
    largest_component: int
    key_overlap: int
    group_overlap: int
    failures: list[dict[str, Any]]

    def certificate(self, config: SplitConfig) -> dict[str, Any]:
        """Return the evidence as JSON."""
        return {
            "method": METHOD,
            "group_fields": config.group_fields,
            "seed": config.seed,
            "examples": self.rows,
            "splits": self.splits,
            "declared_groups": self.groups,
            "components": self.components,
            "largest_component": self.largest_component,
            "cross_split_key_overlap": self.key_overlap,
            "cross_split_group_overlap": self.group_overlap,
        }


def measure_leakage(folder: Path) -> Leakage:
    """Read the examples of a split dataset again and look for what two splits share.

    Args:
        folder: the split dataset.

    Returns:
        The overlaps, 0 in a sound dataset, and the leak groups. Memory grows by about 200 bytes a row.

    Raises:
        OSError: when `examples.jsonl` cannot be read.
    """
    seen_keys: dict[bytes, int] = {}
    seen_groups: dict[str, int] = {}
    overlapping_keys: set[bytes] = set()
    overlapping_groups: set[str] = set()
    failures: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    ties = Ties()
    rows = 0
    for row in read_rows(folder):
        split = SPLITS.index(row["split"])
        counts[row["split"]] += 1
        key = bytes.fromhex(row["content_key"])
        if (other := seen_keys.setdefault(key, split)) != split:
            overlapping_keys.add(key)
            _note(failures, row, "content_key", other)
        for group in row["groups"]:
            ties.tie(rows, group)
            if (other := seen_groups.setdefault(group, split)) != split:
                overlapping_groups.add(group)
                _note(failures, row, "groups", other)
        rows += 1
    sizes = _component_sizes(rows, ties)
    return Leakage(
        rows=rows,
        splits={name: counts[name] for name in SPLITS},
        groups=len(seen_groups),
        components=len(sizes),
        largest_component=max(sizes, default=0),
        key_overlap=len(overlapping_keys),
        group_overlap=len(overlapping_groups),
        failures=failures,
    )


def _component_sizes(rows: int, ties: Ties) -> list[int]:
    groups = components(rows, ties)
    return list(Counter(groups.find(row) for row in range(rows)).values())


def _note(failures: list[dict[str, Any]], row: dict[str, Any], name: str, other: int) -> None:
    if len(failures) < _MAX_SHOWN:
        failures.append(
            {
                "record_id": row["record_id"],
                "example_id": row["example_id"],
                "field": name,
                "problem": f"in {row['split']} and in {SPLITS[other]}",
            }
        )
