import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.training.batches import is_out_of_memory, split_batch


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
