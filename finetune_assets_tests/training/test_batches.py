import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.training.batches import grouped_order, is_out_of_memory, split_batch


@given(batch=st.integers(1, 512), accumulation=st.integers(1, 16), halvings=st.integers(0, 12))
def test_a_step_keeps_its_rows(batch, accumulation, halvings):
    rows, passes = split_batch(batch, accumulation, halvings)
    assert rows * passes == batch * accumulation
    assert rows <= max(1, batch >> halvings)


@pytest.mark.parametrize(
    ("batch", "halvings", "expected"), [(8, 0, (8, 1)), (8, 1, (4, 2)), (8, 3, (1, 8)), (6, 2, (1, 6)), (1, 5, (1, 1))]
)
def test_batches_are_halved(batch, halvings, expected):
    assert split_batch(batch, 1, halvings) == expected


@given(lengths=st.lists(st.integers(1, 300), max_size=200), batch=st.integers(1, 16), seed=st.text(max_size=5))
def test_an_order_holds_each_row_once_and_depends_on_the_seed_alone(lengths, batch, seed):
    order = grouped_order(lengths, batch, seed)
    assert sorted(order) == list(range(len(lengths)))
    assert grouped_order(lengths, batch, seed) == order
    if len(lengths) >= batch:
        whole = [order[start : start + batch] for start in range(0, len(order) - batch + 1, batch)]
        tops = [max(lengths[row] for row in rows) for rows in whole]
        assert tops[0] == max(tops)


def test_batches_hold_little_padding_and_come_in_no_order_of_length():
    lengths = [10 + number * 7919 % 90 for number in range(800)]
    order = grouped_order(lengths, 8, "seed")
    batches = [[lengths[row] for row in order[start : start + 8]] for start in range(0, 800, 8)]
    padded = sum(8 * max(batch) for batch in batches)
    assert padded < 1.05 * sum(lengths)
    rising = sum(max(one) < max(two) for one, two in itertools.pairwise(batches))
    assert 25 < rising < 75
    assert grouped_order(lengths, 8, "another") != order


def test_torchs_own_words_are_understood():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))


def test_other_errors_are_not_for_want_of_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.ones(2) @ torch.ones(3)
    assert not is_out_of_memory(caught.value)
    assert not is_out_of_memory(ValueError("we ran out of memory of this name"))
