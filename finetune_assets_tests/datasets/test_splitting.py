from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_assets.datasets.config import SplitConfig
from finetune_assets.datasets.splitting.assign import NOWHERE, TEST, TRAIN, VALIDATION, SplitTable, assign_splits
from finetune_assets.datasets.splitting.leak_groups import Ties, components

CONFIG = SplitConfig(train=0.7, validation=0.1, test=0.2)
HONOUR = {"field": "official", "use": "honour"}


def key_of(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


@dataclass(frozen=True)
class Item:
    number: int
    stratum: str = "a"
    groups: tuple[str, ...] = ()
    evaluation_only: bool = False
    official: int = 0
    synthetic: bool = False


Split = tuple[dict[int, int], dict[int, str]]


def split(items: list[Item], previous: dict[int, int] | None = None, config: SplitConfig = CONFIG) -> Split:
    """Split, and name everything by the items' own numbers."""
    table = SplitTable()
    for item in items:
        table.add(
            key_of(item.number),
            item.stratum,
            evaluation_only=item.evaluation_only,
            official=item.official,
            synthetic=item.synthetic,
            groups=item.groups,
        )
    result = assign_splits(table, config, {key_of(number): where for number, where in (previous or {}).items()})
    return (
        {item.number: where for item, where in zip(items, result.splits, strict=True) if where != NOWHERE},
        {items[place].number: reason for place, reason in result.set_aside.items()},
    )


def memory(done: Split, previous: dict[int, int]) -> dict[int, int]:
    return {**previous, **done[0]}


groups = st.lists(st.sampled_from("vwxyz"), max_size=2, unique=True).map(tuple)
tables = st.lists(
    st.builds(
        Item,
        st.integers(0, 40),
        st.sampled_from("abc"),
        groups,
        evaluation_only=st.integers(0, 9).map(lambda n: n == 0),
        official=st.sampled_from([0, 0, 0, 1, 2, 4, 5]),
        synthetic=st.integers(0, 4).map(lambda n: n == 0),
    ),
    max_size=25,
    unique_by=lambda item: item.number,
)
memories = st.dictionaries(st.integers(0, 50), st.integers(0, 2), max_size=20)
configs = st.sampled_from(
    [
        CONFIG,
        SplitConfig(seed=1),
        SplitConfig(stratify=False),
        SplitConfig(train=0.5, validation=0.0, test=0.5),
        SplitConfig(train=1.0, validation=0.0, test=0.0),
        SplitConfig.model_validate({"official": HONOUR}),
    ]
)


@given(tables, memories, configs)
def test_no_item_is_lost(items: list[Item], previous: dict[int, int], config: SplitConfig) -> None:
    splits, aside = split(items, previous, config)
    assert splits.keys() | aside.keys() == {item.number for item in items}
    assert not splits.keys() & aside.keys()
    assert set(splits.values()) <= {TRAIN, VALIDATION, TEST}
    assert set(aside.values()) <= {"would_tie_splits", "tied_across_splits", "synthetic_tied_to_evaluation"}


@given(tables, memories, configs)
def test_no_group_is_cut(items: list[Item], previous: dict[int, int], config: SplitConfig) -> None:
    splits, _ = split(items, previous, config)
    places: dict[str, set[int]] = {}
    for item in items:
        for group in item.groups:
            if item.number in splits:
                places.setdefault(group, set()).add(splits[item.number])
    assert all(len(found) == 1 for found in places.values())


@given(tables, memories, configs)
def test_evaluation_only_rows_are_in_test_or_set_aside(
    items: list[Item], previous: dict[int, int], config: SplitConfig
) -> None:
    splits, _ = split(items, previous, config)
    assert all(splits.get(item.number, TEST) == TEST for item in items if item.evaluation_only and not item.synthetic)


@given(tables, memories, configs)
def test_synthetic_rows_are_in_training_or_set_aside(
    items: list[Item], previous: dict[int, int], config: SplitConfig
) -> None:
    splits, aside = split(items, previous, config)
    for item in items:
        if item.synthetic:
            assert splits.get(item.number, TRAIN) == TRAIN
            assert aside.get(item.number) in (None, "synthetic_tied_to_evaluation")


@given(tables, configs)
def test_new_synthetic_rows_change_nothing_for_observed_ones(items: list[Item], config: SplitConfig) -> None:
    observed = [item for item in items if not item.synthetic]
    splits, aside = split(items, {}, config)
    assert split(observed, {}, config) == (
        {item.number: splits[item.number] for item in observed if item.number in splits},
        {item.number: aside[item.number] for item in observed if item.number in aside},
    )


@given(tables, memories, configs)
def test_an_assigned_item_stays_or_is_set_aside(
    items: list[Item], previous: dict[int, int], config: SplitConfig
) -> None:
    splits, aside = split(items, previous, config)
    for number, where in previous.items():
        assert splits.get(number, where) == where
    synthetic = {item.number for item in items if item.synthetic}
    for number, reason in aside.items():
        assert (reason == "tied_across_splits") == (number in previous and number not in synthetic)


@given(tables, memories, configs, st.randoms(use_true_random=False))
def test_order_does_not_matter(
    items: list[Item], previous: dict[int, int], config: SplitConfig, random: object
) -> None:
    shuffled = sorted(items, key=lambda item: random.random())  # type: ignore[attr-defined]
    assert split(shuffled, previous, config) == split(items, previous, config)


@given(tables, memories, configs)
def test_splitting_again_changes_nothing(items: list[Item], previous: dict[int, int], config: SplitConfig) -> None:
    once = split(items, previous, config)
    remembered = memory(once, previous)
    again = split(items, remembered, config)
    assert again == once
    assert memory(again, remembered) == remembered


def test_what_hangs_on_an_item_set_aside_keeps_its_place_in_every_later_version() -> None:
    # Found by hypothesis: 18 is set aside; 0 was tied to training through 18 alone, and lost its place one version on.
    items = [Item(0, "a", ("v",), True), Item(1, "a", ("w",)), Item(18, "a", ("v", "w"), True)]
    previous = {1: TRAIN, 18: TEST}
    once = split(items, previous)
    assert once == ({0: TEST, 1: TRAIN}, {18: "tied_across_splits"})
    assert split(items, memory(once, previous)) == once


@settings(max_examples=200)
@given(tables, tables, configs)
def test_growth_moves_nothing(items: list[Item], more: list[Item], config: SplitConfig) -> None:
    """New rows never move or set aside an old one whose own groups are unchanged."""
    first = split(items, {}, config)
    known = {item.number for item in items}
    grown = split(items + [item for item in more if item.number not in known], memory(first, {}), config)
    assert {number: grown[0][number] for number in first[0]} == first[0]
    assert "tied_across_splits" not in grown[1].values()


@given(tables, tables)
def test_vanished_rows_come_back_to_their_split(items: list[Item], others: list[Item]) -> None:
    first = split(items)
    between = memory(split(others, memory(first, {})), memory(first, {}))
    back = split(items, between)
    assert all(back[0].get(number, where) == where for number, where in first[0].items())


def test_shares_are_met_in_every_stratum() -> None:
    items = [
        Item(number, stratum) for stratum, start in (("a", 0), ("b", 1_000)) for number in range(start, start + 200)
    ]
    splits, _ = split(items)
    for stratum in "ab":
        counts = Counter(splits[item.number] for item in items if item.stratum == stratum)
        assert counts == {TRAIN: 140, VALIDATION: 20, TEST: 40}


def test_without_strata_the_shares_hold_for_the_whole() -> None:
    items = [Item(number, f"label {number}") for number in range(100)]
    whole, _ = split(items, config=SplitConfig(stratify=False))
    assert Counter(whole.values()) == {TRAIN: 80, VALIDATION: 10, TEST: 10}


def test_seed_zero_is_zero_and_no_other() -> None:
    items = [Item(number) for number in range(100)]
    zero, one, default = (
        split(items, config=config)[0] for config in (SplitConfig(seed=0), SplitConfig(seed=1), SplitConfig())
    )
    assert zero == default
    assert zero != one


def test_the_split_is_the_same_on_every_machine() -> None:
    """Pinned: a change here moves rows of every user's first version."""
    splits, _ = split([Item(number) for number in range(12)])
    assert "".join(str(splits[number]) for number in range(12)) == PINNED


PINNED = "000202000010"


def test_a_new_row_that_would_tie_two_splits_is_set_aside() -> None:
    items = [Item(1, groups=("x",)), Item(2, groups=("y",)), Item(3, groups=("x", "y")), Item(4, groups=("y",))]
    splits, aside = split(items, {1: TRAIN, 2: TEST})
    assert splits == {1: TRAIN, 2: TEST, 4: TEST}
    assert aside == {3: "would_tie_splits"}


def test_a_chain_of_new_rows_loses_one_link_only_and_always_the_same() -> None:
    ends = [Item(1, groups=("x",)), Item(2, groups=("y",))]
    chain = [Item(3, groups=("x", "m")), Item(4, groups=("m", "n")), Item(5, groups=("n", "y"))]
    found = [split([*ends, *links], {1: TRAIN, 2: TEST}) for links in permutations(chain)]
    assert found == found[:1] * 6
    splits, aside = found[0]
    assert len(aside) == 1
    assert len(splits) == 4


def test_old_rows_tied_by_a_new_key_stay_on_the_side_of_training() -> None:
    items = [Item(1, groups=("x",)), Item(2, groups=("x",)), Item(3, groups=("x",)), Item(4, groups=("x",))]
    splits, aside = split(items, {1: TRAIN, 2: TEST, 3: VALIDATION})
    assert splits == {1: TRAIN, 4: TRAIN}
    assert aside == {2: "tied_across_splits", 3: "tied_across_splits"}
    splits, aside = split(items[1:3], {2: TEST, 3: VALIDATION})
    assert (splits, aside) == ({3: VALIDATION}, {2: "tied_across_splits"})


def test_an_evaluation_only_row_takes_its_new_group_along() -> None:
    splits, aside = split([Item(1, groups=("x",)), Item(2, groups=("x",), evaluation_only=True)])
    assert splits == {1: TEST, 2: TEST}
    assert not aside


def test_a_training_row_cannot_become_evaluation_only() -> None:
    splits, aside = split([Item(1, evaluation_only=True), Item(2)], {1: TRAIN, 2: TRAIN})
    assert splits == {2: TRAIN}
    assert aside == {1: "tied_across_splits"}


def test_evaluation_only_rows_come_on_top_of_the_shares() -> None:
    items = [Item(number) for number in range(100)]
    held_out = [Item(number, evaluation_only=True) for number in range(100, 150)]
    splits, _ = split(items + held_out)
    assert Counter(splits.values()) == {TRAIN: 70, VALIDATION: 10, TEST: 70}


def test_shares_are_eight_one_one_by_default() -> None:
    assert SplitConfig().shares == {"train": 0.8, "validation": 0.1, "test": 0.1}


def test_honoured_official_splits_lose_only_what_leaks() -> None:
    config = SplitConfig.model_validate({"official": HONOUR})
    items = [
        Item(1, official=1, groups=("x",)),
        Item(2, official=4, groups=("x",)),
        Item(3, official=4),
        Item(4, official=2),
        Item(5, official=1 | 4),
        Item(6, official=2, groups=("y",)),
        Item(7, groups=("y",)),
    ]
    splits, aside = split(items, {}, config)
    assert splits == {1: TRAIN, 3: TEST, 4: VALIDATION, 5: TRAIN, 6: VALIDATION, 7: VALIDATION}
    assert aside == {2: "would_tie_splits"}
    overruled = SplitConfig.model_validate({"official": {**HONOUR, "use": "overrule"}})
    plain = [Item(item.number, groups=item.groups) for item in items]
    assert split(items, {}, overruled) == split(plain, {}, SplitConfig())
    # What an earlier version decided stands, whatever the source says.
    assert split(items, {3: TRAIN}, config)[0][3] == TRAIN


def test_synthetic_rows_come_on_top_of_the_shares() -> None:
    items = [Item(number) for number in range(100)] + [Item(number, synthetic=True) for number in range(100, 150)]
    splits, _ = split(items)
    assert Counter(splits.values()) == {TRAIN: 120, VALIDATION: 10, TEST: 20}
    # A version later they are old, and still take no observed row's place.
    more = [Item(number) for number in range(200, 300)]
    grown, _ = split(items + more, splits)
    assert Counter(grown[item.number] for item in more) == {TRAIN: 70, VALIDATION: 10, TEST: 20}


def test_an_old_synthetic_row_keeps_its_new_likes_in_training() -> None:
    items = [Item(1, groups=("x",), synthetic=True), Item(2, groups=("x",))]
    assert split(items, {1: TRAIN}) == ({1: TRAIN, 2: TRAIN}, {})
    assert split(items, {1: TRAIN, 2: TEST}) == ({2: TEST}, {1: "synthetic_tied_to_evaluation"})


def test_a_pair_ties_like_a_group() -> None:
    ties = Ties()
    ties.tie(0, "child=1")
    ties.tie(1, "child=1")
    ties.tie_pair(1, 3)
    groups_found = components(5, ties)
    assert len({groups_found.find(item) for item in (0, 1, 3)}) == 1
    assert len({groups_found.find(item) for item in range(5)}) == 3
    assert components(5, ties, without=[1]).find(3) != components(5, ties, without=[1]).find(0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": 0.5, "validation": 0.1, "test": 0.2}, "must be 1"),
        ({"train": 0.0, "validation": 0.5, "test": 0.5}, "nothing to tune"),
        ({"seed": -1}, "greater than or equal"),
        ({"seed_value": 1}, "Extra inputs"),
    ],
)
def test_bad_shares_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SplitConfig.model_validate(values)
