"""Settling in columns says what the rules say row by row."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.settling import (
    ABSENT,
    CONFLICT,
    DUPLICATE,
    DUPLICATE_ID,
    KEPT,
    conflicting_keys,
    lost_by_id,
    numbered,
    settled,
)

# Few values, of which some agree in their first eight bytes: what a hash never does, and must not matter.
hashes = st.sampled_from([bytes([a]) * 8 + bytes([b]) * 8 for a in range(4) for b in range(3)])
rows = st.lists(st.tuples(hashes, st.integers(0, 2), st.integers(0, 4), st.booleans()), max_size=14)
Row = tuple[bytes, int, int, bool]


def settle(table: list[Row], previous: dict[bytes, int], *, keep_first: bool) -> tuple[list[int], list[int]]:
    key_of, first = numbered(b"".join(key for key, *_ in table), 16)
    keys = [table[row][0] for row in first]
    answers = np.array([answer for _, answer, *_ in table], np.int64)
    ids = np.array([name for _, _, name, _ in table], np.int64)
    conflicting = conflicting_keys(key_of, first, answers)
    lost = lost_by_id(key_of, ids, keys, conflicting, previous, keep_first=keep_first)
    observed = np.array([found for *_, found in table], np.bool_)
    states, kept = settled(key_of, answers, lost, conflicting, observed, keep_first=keep_first)
    return states.tolist(), kept.tolist()


def by_the_rules(table: list[Row], previous: dict[bytes, int], *, keep_first: bool) -> list[int]:
    """Row by row, as the module's first paragraph says it."""
    answers: dict[bytes, set[int]] = defaultdict(set)
    sharing: dict[int, set[bytes]] = defaultdict(set)
    for key, answer, name, _ in table:
        answers[key].add(answer)
        sharing[name].add(key)
    winner = {}
    for name, keys in sharing.items():
        alive = [key for key in keys if keep_first or len(answers[key]) == 1]
        winner[name] = min(alive, key=lambda key: (key not in previous, key), default=None)
    kept: dict[bytes, tuple[bool, int]] = {}
    for row, (key, _, name, observed) in enumerate(table):
        if winner[name] == key and (key not in kept or (not observed, row) < kept[key]):
            kept[key] = (not observed, row)
    states: list[int] = []
    for row, (key, answer, name, _) in enumerate(table):
        alive = keep_first or len(answers[key]) == 1
        if alive and winner[name] != key:
            states.append(DUPLICATE_ID)
        elif not alive:
            states.append(CONFLICT)
        elif kept[key][1] == row:
            states.append(KEPT)
        else:
            states.append(DUPLICATE if table[kept[key][1]][1] == answer else CONFLICT)
    return states


@given(table=rows, old=st.sets(hashes), keep_first=st.booleans())
def test_columns_settle_as_the_rules_say(table: list[Row], old: set[bytes], keep_first: bool) -> None:
    previous = dict.fromkeys(old, 0)
    states, kept = settle(table, previous, keep_first=keep_first)
    assert states == by_the_rules(table, previous, keep_first=keep_first)
    assert sorted(row for row in kept if row != ABSENT) == [row for row, state in enumerate(states) if state == KEPT]


@given(st.lists(hashes, max_size=20))
def test_equal_hashes_have_one_number_in_order_of_appearance(values: list[bytes]) -> None:
    number_of, first = numbered(b"".join(values), 16)
    seen = list(dict.fromkeys(values))
    assert number_of.tolist() == [seen.index(value) for value in values]
    assert first.tolist() == [values.index(value) for value in seen]
