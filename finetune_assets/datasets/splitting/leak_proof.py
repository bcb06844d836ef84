"""Leak-proof splits: from settled rows to splits that cut no leak group, with the evidence for it.

Near-duplicates are tied, items are assigned, a smoke subset is chosen where one was asked for, and then the accepted
rows are searched once more for near-duplicates in different splits. Found pairs are tied and the items assigned anew,
until the search that the certificate speaks of finds none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune_assets.datasets.config import SplitConfig
from finetune_assets.datasets.row_table import RowTable
from finetune_assets.datasets.splitting.assign import NOWHERE, TEST, VALIDATION, SplitResult, SplitTable, assign_splits
from finetune_assets.datasets.splitting.certificate import build_certificate
from finetune_assets.datasets.splitting.leak_groups import components
from finetune_assets.datasets.splitting.leakage_near import Closest, closest_across
from finetune_assets.datasets.splitting.leakage_official import OfficialLeaks, official_leaks
from finetune_assets.datasets.splitting.near_duplicates import NearPairs, NearSearch, Sketches
from finetune_assets.datasets.splitting.near_duplicates_guard import EvaluationGuard
from finetune_assets.datasets.splitting.near_duplicates_recall import Recall, measure_recall
from finetune_assets.datasets.splitting.subset import choose_subset


@dataclass(frozen=True, slots=True)
class Decision:
    """Where every row goes.

    Attributes:
        table: the items that were split.
        row_of: the row of each item.
        result: their splits.
        outside: rows outside of the smoke subset.
        near_pairs: pairs of near-duplicate rows among all kept rows, most alike first.
        closest: the closest pair of accepted rows across splits.
        recall: of the search; None where near-duplicates are not searched.
        official: leaks between official splits; None without official splits.
    """

    table: SplitTable
    row_of: Sequence[int]
    result: SplitResult
    outside: frozenset[int]
    near_pairs: list[tuple[int, int, float]]
    closest: Closest
    recall: Recall | None
    official: OfficialLeaks | None

    def certificate(self, config: SplitConfig) -> dict[str, Any]:
        """Return the evidence as JSON."""
        return build_certificate(
            self.table,
            self.result,
            config,
            near_pairs=len(self.near_pairs),
            closest=self.closest,
            recall=self.recall,
            official=self.official,
        )


def decide_splits(
    rows: RowTable, sketches: Sketches, config: SplitConfig, previous: Mapping[bytes, int], *, limit: int = 0
) -> Decision:
    """Assign every kept row to a split, to a reason why it has none, or outside of the subset.

    Args:
        rows: all rows, settled.
        sketches: of the same rows; not looked at where the search for near-duplicates is off.
        config: shares, seed, leak groups.
        previous: earlier assignments.
        limit: size of a smoke subset; 0 takes all.
    """
    table, row_of = rows.split_table(frozenset(config.evaluation_only))
    near = _Near(table, row_of, sketches) if config.near_duplicates.enabled else None
    pairs = near.tie() if near else NearPairs()
    order = near.order if near else None
    official = official_leaks(rows.official, rows.key_of, table, pairs, order) if config.official else None
    result, outside, across = _assign(table, near, config, previous, limit)
    recall = None
    if near and across:
        groups = components(len(table.keys), table.ties, without=result.set_aside)
        group_of = [groups.find(item) for item in across.items]
        recall = measure_recall(across.search, group_of, config.near_duplicates.planted_pairs)
    return Decision(
        table,
        row_of,
        result,
        outside=frozenset(row_of[item] for item in outside),
        near_pairs=near.rows_of(pairs) if near else [],
        closest=across.closest if across else Closest(),
        recall=recall,
        official=official,
    )


def guard_evaluation(decision: Decision, sketches: Sketches) -> EvaluationGuard:
    """Return a guard for rows that are made of training rows after the split."""
    evaluated = [
        row for row, split in zip(decision.row_of, decision.result.splits, strict=True) if split in (VALIDATION, TEST)
    ]
    return EvaluationGuard(sketches.search(evaluated))


@dataclass(frozen=True, slots=True)
class _Across:
    """The accepted items (by content key), a search over them, and their closest pair across splits."""

    items: list[int]
    search: NearSearch
    closest: Closest


class _Near:
    """The near-duplicates among the items of a table.

    Args:
        table: the items; ties are added to it.
        row_of: the row of each item.
        sketches: of all rows.
    """

    def __init__(self, table: SplitTable, row_of: Sequence[int], sketches: Sketches) -> None:
        import numpy as np

        self.order = table.keys.order()
        self._table = table
        self._rows = np.asarray(row_of, np.int64)
        self._sketches = sketches

    def tie(self) -> NearPairs:
        """Tie all near-duplicates; return the pairs, as positions in the order of the content keys."""
        pairs = self._sketches.search(self._rows[self.order]).near_pairs()
        one, other, _ = pairs.columns()
        self._table.ties.tie_pairs(self.order[one], self.order[other])
        for members in pairs.equal:
            self._table.ties.tie_all(int(self.order[member]) for member in members)
        return pairs

    def rows_of(self, pairs: NearPairs) -> list[tuple[int, int, float]]:
        """Return the rows of pairs, most alike first."""
        import numpy as np

        one, other, similarity = pairs.all_columns()
        ranked = np.lexsort((other, one, -similarity))
        row_at = self._rows[self.order]
        columns = row_at[one[ranked]], row_at[other[ranked]], similarity[ranked]
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def across(self, splits: bytearray) -> _Across:
        """Search the accepted items for near-duplicates in different splits."""
        import numpy as np

        where = np.frombuffer(bytes(splits), np.uint8)[self.order] if len(self.order) else np.zeros(0, np.uint8)
        items = self.order[where != NOWHERE]
        search = self._sketches.search(self._rows[items])
        return _Across(items.tolist(), search, closest_across(search, where[where != NOWHERE].tobytes()))


def _assign(
    table: SplitTable, near: _Near | None, config: SplitConfig, previous: Mapping[bytes, int], limit: int
) -> tuple[SplitResult, list[int], _Across | None]:
    """Assign the items until no near-duplicates stand in different splits; say which are outside of the subset."""
    while True:
        result = assign_splits(table, config, previous)
        outside = _leave_out(table, result, config, limit)
        across = near.across(result.splits) if near else None
        if across is None or not across.closest.leaks:
            return result, outside, across
        # Pairs that the first search left out: of a run so long that not all of its pairs are compared, or tied only
        # through an item that is set aside now.
        for one, other, _ in across.closest.leaks:
            table.ties.tie_pair(across.items[one], across.items[other])


def _leave_out(table: SplitTable, result: SplitResult, config: SplitConfig, limit: int) -> list[int]:
    """Take the items outside of the smoke subset out of the splits and return them."""
    if not limit:
        return []
    chosen = set(choose_subset(table, result.splits, config, limit))
    outside = [item for item, split in enumerate(result.splits) if split != NOWHERE and item not in chosen]
    for item in outside:
        result.splits[item] = NOWHERE
    return outside
