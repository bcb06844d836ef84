"""Strata of few rows: divided together, so that labels without a second row reach the evaluation too."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_assets.datasets.splitting.assign import NOWHERE, TEST, TRAIN, VALIDATION, SplitTable, assign_splits
from finetune_assets.datasets.splitting.config import SplitConfig
from finetune_assets.datasets.splitting.keys import KeyColumn
from finetune_assets.datasets.splitting.strata import Shares, SmallStrata

Row = tuple[int, str, tuple[str, ...]]


def key_of(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def split(
    rows: list[Row], previous: dict[bytes, int] | None = None, config: SplitConfig | None = None
) -> tuple[dict[int, int], dict[bytes, int], SmallStrata]:
    """Return the split by row number, what the next version remembers, and what was pooled."""
    table = SplitTable()
    for number, stratum, groups in rows:
        table.add(key_of(number), stratum, groups=groups)
    result = assign_splits(table, config or SplitConfig(), previous or {})
    found = {row[0]: where for row, where in zip(rows, result.splits, strict=True) if where != NOWHERE}
    return found, dict(result.assignments(table, previous or {})), result.small


@pytest.mark.parametrize("seed", range(3))
def test_labels_of_their_own_do_not_send_every_row_to_training(seed: int) -> None:
    rows: list[Row] = [(number, f"answer {number}", ()) for number in range(1_000)]
    config = SplitConfig(seed=seed)
    found, _, small = split(rows, config=config)
    assert Counter(found.values()) == {TRAIN: 800, VALIDATION: 100, TEST: 100}
    assert small == SmallStrata(fewer_than=7, strata=1_000, examples=1_000)


def test_one_document_a_label_does_not_either() -> None:
    rows: list[Row] = [(number, f"page {number // 10}", (f"page={number // 10}",)) for number in range(1_000)]
    found, _, small = split(rows)
    assert Counter(found.values()) == {TRAIN: 800, VALIDATION: 100, TEST: 100}
    assert (small.strata, small.examples) == (100, 1_000)


def test_a_label_with_enough_rows_is_divided_by_itself() -> None:
    common: list[Row] = [(number, "common", ()) for number in range(100)]
    rare: list[Row] = [(1_000 + number, f"rare {number // 6}", ()) for number in range(60)]
    enough: list[Row] = [(2_000 + number, "enough", ()) for number in range(7)]
    found, _, small = split([*common, *rare, *enough])
    assert small == SmallStrata(fewer_than=7, strata=10, examples=60)
    for rows, counts in ((common, (80, 10, 10)), (rare, (48, 6, 6)), (enough, (5, 1, 1))):
        assert tuple(Counter(found[number] for number, _, _ in rows)[where] for where in range(3)) == counts


@pytest.mark.parametrize(("shares", "rows"), [((0.8, 0.1, 0.1), 7), ((0.9, 0.0, 0.1), 6), ((1.0, 0.0, 0.0), 1)])
def test_how_many_rows_a_label_needs_follows_from_the_shares(shares: tuple[float, ...], rows: int) -> None:
    config = SplitConfig(**dict(zip(("train", "validation", "test"), shares, strict=True)))
    assert Shares(config).divisible_from() == rows
    assert Shares(SplitConfig(train=0.999998, validation=0.000001, test=0.000001)).divisible_from() == 10_000


rows_of = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.integers(0, 60).map(lambda number: f"label {number}" if number < 30 else "common"),
        st.lists(st.integers(0, 40).map(str), max_size=1).map(tuple),
    ),
    max_size=120,
    unique_by=lambda row: row[0],
)


@settings(max_examples=60)
@given(
    rows=rows_of,
    cuts=st.lists(st.integers(0, 120), max_size=5),
    random=st.randoms(use_true_random=False),
    config=st.sampled_from([SplitConfig(), SplitConfig(train=0.5, validation=0.0, test=0.5, seed=3)]),
)
def test_growth_in_any_order_and_steps_moves_none_and_leaks_none(
    rows: list[Row], cuts: list[int], random: object, config: SplitConfig
) -> None:
    """A label grows out of the pool, and rows of it join leak groups; what is assigned stays."""
    grown = sorted(rows, key=lambda row: random.random())  # type: ignore[attr-defined]
    known: dict[bytes, int] = {}
    before: dict[int, int] = {}
    for end in [*sorted(cut for cut in cuts if cut < len(rows)), len(rows)]:
        found, known, small = split(grown[:end], known, config)
        assert split(list(reversed(grown[:end])), known, config) == (found, known, small)
        moved = {number for number, where in before.items() if found.get(number) != where}
        # Only a new row that ties two splits is set aside; never an old one.
        assert not moved
        places: dict[str, set[int]] = {}
        for number, _, groups in grown[:end]:
            for group in groups:
                if number in found:
                    places.setdefault(group, set()).add(found[number])
        assert all(len(where) == 1 for where in places.values())
        before = found


@given(rows=rows_of, random=st.randoms(use_true_random=False))
def test_the_order_of_the_rows_says_nothing(rows: list[Row], random: object) -> None:
    shuffled = sorted(rows, key=lambda row: random.random())  # type: ignore[attr-defined]
    assert split(shuffled) == split(rows)


def test_keys_in_one_block_say_what_a_list_says() -> None:
    keys = [key_of(number) for number in (3, 1, 2, 1)]
    column = KeyColumn()
    for key in keys:
        column.append(key)
    assert list(column) == keys
    assert [column[number] for number in range(len(column))] == keys
    assert [keys[number] for number in column.order()] == sorted(keys)
    assert column.repeated() == 1
    assert (KeyColumn().repeated(), len(KeyColumn()), list(KeyColumn().order())) == (0, 0, [])
    with pytest.raises(IndexError):
        column[4]
    with pytest.raises(ValueError, match="32 bytes, found 1"):
        column.append(b"x")
    with pytest.raises(TypeError, match="does not grow"):
        column.take(column.order()).append(keys[0])
