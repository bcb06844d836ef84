"""Tables of how the rows are distributed, for the metadata of validated_splits."""

from collections.abc import Mapping
from typing import Any

from finetune_assets.datasets.traits import bucket_order
from finetune_assets.lineage import show
from finetune_assets.records.example import SPLITS

# A folder of source code has a source for each file: nobody reads hundreds of them.
MAX_VALUES = 20


def distribution_tables(statistics: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table for each level of the labels, and for source, photo, language, origin and length.

    Args:
        statistics: `statistics.json` of a split dataset.

    Returns:
        Metadata by name, `rows_by_<name>`; a distribution of one value only is left out, for it says nothing. Lengths
        stand in their order, and of many other values the 20 with most rows, with the rest in one row.
    """
    tables = {
        f"rows_by_{level}": show.counts(counts, name=level)
        for level, counts in statistics["levels"].items()
        if len(counts) > 1
    }
    for name, values in statistics["distributions"].items():
        if len(values) > 1:
            ordered = _by_length(values) if name == "length" else _most_first(values)
            rows = [{name: value, **{split: by_split[split] for split in SPLITS}} for value, by_split in ordered]
            tables[f"rows_by_{name}"] = show.table(rows)
    return tables


_Counted = list[tuple[str, Mapping[str, int]]]


def _by_length(values: Mapping[str, Mapping[str, int]]) -> _Counted:
    return [(bucket, values[bucket]) for bucket in bucket_order() if bucket in values]


def _most_first(values: Mapping[str, Mapping[str, int]]) -> _Counted:
    ordered: _Counted = sorted(values.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    shown, rest = ordered[:MAX_VALUES], ordered[MAX_VALUES:]
    if rest:
        shown.append((f"{len(rest)} more", {split: sum(counts[split] for _, counts in rest) for split in SPLITS}))
    return shown
