from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.quality.frequent import FrequentItems


@given(items=st.lists(st.integers(0, 40), max_size=300), capacity=st.integers(1, 50))
def test_counts_are_off_by_no_more_than_the_error(items: list[int], capacity: int) -> None:
    counted: FrequentItems[int] = FrequentItems(capacity)
    for item in items:
        counted.add([item])
    for item, true in Counter(items).items():
        assert counted.count(item) <= true <= counted.count(item) + counted.error
    assert len(counted.most_common()) <= capacity
    assert counted.error <= len(items) / (capacity + 1)


def test_most_frequent_comes_first() -> None:
    counted: FrequentItems[str] = FrequentItems()
    counted.add("abbcca")
    counted.add("c")
    assert counted.most_common(2) == [("c", 3), ("a", 2), ("b", 2)]
