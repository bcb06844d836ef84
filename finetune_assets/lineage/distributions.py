"""Tables of how the rows are distributed, for the metadata of validated_splits."""

from collections.abc import Mapping
from typing import Any

from finetune_assets.lineage import show


def distribution_tables(statistics: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table for each level of the labels, and for source, photo, language, origin and length.

    Args:
        statistics: `statistics.json` of a split dataset.

    Returns:
        Metadata by name, `rows_by_<name>`; a distribution of one value only is left out, for it says nothing.
    """
    tables = {
        f"rows_by_{level}": show.counts(counts, name=level)
        for level, counts in statistics["levels"].items()
        if len(counts) > 1
    }
    for name, values in statistics["distributions"].items():
        if len(values) > 1:
            rows = [{name: value, **by_split} for value, by_split in values.items()]
            tables[f"rows_by_{name}"] = show.table(rows)
    return tables
