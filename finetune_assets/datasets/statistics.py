"""Statistics of a split dataset: counts by label, level and slice, and text lengths."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.datasets.traits import Traits, bucket_order, length_bucket
from finetune_assets.records.example import SPLITS

_QUANTILES = {"median": 0.5, "p95": 0.95}


class SplitStatistics:
    """Counts rows as they are written.

    Args:
        labels: label names by number.
        label_paths: the parts of each label, outermost first.
        slice_sets: tuples of slice names by number.
        traits: the rows' traits by number.
    """

    def __init__(
        self,
        labels: Sequence[str],
        label_paths: Mapping[str, tuple[str, ...]],
        slice_sets: Sequence[tuple[str, ...]],
        traits: Sequence[Traits] = (),
    ) -> None:
        self._labels = labels
        self._label_paths = label_paths
        self._slice_sets = slice_sets
        self._by_label: list[Counter[int]] = [Counter() for _ in SPLITS]
        self._traits = traits
        self._by_traits: list[Counter[int]] = [Counter() for _ in SPLITS]
        self._by_slices: list[Counter[int]] = [Counter() for _ in SPLITS]
        self._lengths = [array("q") for _ in SPLITS]

    def add(self, split: int, label: int, slices: int, length: int, traits: int | None = None) -> None:
        """Count one example.

        Args:
            split: the split's number.
            label: the label's number.
            slices: the number of its tuple of slices.
            length: characters of the user's turns.
            traits: the number of its traits.
        """
        self._by_label[split][label] += 1
        self._by_slices[split][slices] += 1
        self._lengths[split].append(length)
        if traits is not None:
            self._by_traits[split][traits] += 1

    @property
    def splits(self) -> dict[str, int]:
        """Examples by split."""
        return {name: len(self._lengths[number]) for number, name in enumerate(SPLITS)}

    def to_json(self, label_levels: Sequence[str]) -> dict[str, Any]:
        """Return everything, sorted by name.

        Args:
            label_levels: names of the label's parts, outermost first.

        Returns:
            `splits`, `labels` (rows by label), `labels_by_split`, `levels` (rows by value of each level),
            `slices_by_split`, `text_characters` (min, median, p95, max and mean of the user's turns by split), and
            `distributions` (rows by split for each source, photo, language, origin and bucket of length).
        """
        by_label = {
            name: [counts[number] for counts in self._by_label]
            for number, name in sorted(enumerate(self._labels), key=lambda item: item[1])
        }
        present = {name: counts for name, counts in by_label.items() if any(counts)}
        return {
            "splits": self.splits,
            "labels": {name: sum(counts) for name, counts in present.items()},
            "labels_by_split": {name: dict(zip(SPLITS, counts, strict=True)) for name, counts in present.items()},
            "levels": self._levels(present, label_levels),
            "slices_by_split": self._slices(),
            "text_characters": {name: _spread(self._lengths[number]) for number, name in enumerate(SPLITS)},
            "distributions": self._distributions(),
        }

    def _distributions(self) -> dict[str, dict[str, dict[str, int]]]:
        found: dict[str, dict[str, Counter[str]]] = {name: {} for name in Traits._fields}
        for split, counts in zip(SPLITS, self._by_traits, strict=True):
            for number, count in counts.items():
                for name, value in zip(Traits._fields, self._traits[number], strict=True):
                    found[name].setdefault(value, Counter())[split] += count
        buckets = {bucket: Counter[str]() for bucket in bucket_order()}
        for split, lengths in zip(SPLITS, self._lengths, strict=True):
            for length, count in Counter(lengths).items():
                buckets[length_bucket(length)][split] += count
        tables = {name: dict(sorted(values.items())) for name, values in found.items()}
        tables["length"] = {bucket: counts for bucket, counts in buckets.items() if counts}
        return {
            name: {value: {split: counts[split] for split in SPLITS} for value, counts in values.items()}
            for name, values in tables.items()
        }

    def _levels(self, by_label: Mapping[str, list[int]], label_levels: Sequence[str]) -> dict[str, dict[str, int]]:
        counts: dict[str, Counter[str]] = {level: Counter() for level in label_levels}
        for label, rows in by_label.items():
            for level, part in zip(label_levels, self._label_paths[label], strict=False):
                counts[level][part] += sum(rows)
        return {level: dict(sorted(found.items())) for level, found in counts.items()}

    def _slices(self) -> dict[str, dict[str, int]]:
        names = sorted({name for names in self._slice_sets for name in names})
        return {
            name: {
                split: sum(
                    count for number, count in self._by_slices[index].items() if name in self._slice_sets[number]
                )
                for index, split in enumerate(SPLITS)
            }
            for name in names
        }


def _spread(lengths: array[int]) -> dict[str, float]:
    if not lengths:
        return {}
    ordered = sorted(lengths)
    last = len(ordered) - 1
    quantiles = {name: ordered[round(share * last)] for name, share in _QUANTILES.items()}
    return {"min": ordered[0], **quantiles, "max": ordered[-1], "mean": round(sum(ordered) / len(ordered), 1)}
