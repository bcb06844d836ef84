"""Which rows share a batch, and how a step's rows are split when one does not fit into memory.

Pure arithmetic and the exit codes by which the trainer tells its supervisor; no torch.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

OUT_OF_MEMORY_EXIT = 77
STOPPED_EXIT = 143
"""Exit code of a trainer that was asked to stop and left a checkpoint (128 + SIGTERM, as shells write it)."""


_POOL_BATCHES = 50


def grouped_order(lengths: Sequence[int], batch_size: int, seed: str) -> list[int]:
    """Return an order of rows in which neighbours have like lengths, so that batches hold little padding.

    Rows are shuffled, sorted by length in pools of 50 batches, cut into batches, and the batches are shuffled: unlike
    transformers' `LengthGroupedSampler`, which leaves them sorted, so that short and long rows come in waves. The
    batch with the longest row comes first, so that memory runs out early or not at all.

    Args:
        lengths: tokens of each row.
        batch_size: rows in a batch, 1 or more.
        seed: decides the order, alone; an epoch needs a seed of its own.

    Returns:
        Each row's number once. Consecutive slices of `batch_size` are the batches; only the last may be smaller.
    """
    draw = random.Random(seed)  # noqa: S311 - an order of rows, no secret
    rows = list(range(len(lengths)))
    draw.shuffle(rows)
    pool = batch_size * _POOL_BATCHES
    whole: list[list[int]] = []
    rest: list[int] = []
    for start in range(0, len(rows), pool):
        ordered = sorted(rows[start : start + pool], key=lambda row: lengths[row])
        batches = [ordered[first : first + batch_size] for first in range(0, len(ordered), batch_size)]
        if len(batches[-1]) < batch_size:
            rest = batches.pop()
        whole += batches
    draw.shuffle(whole)
    if whole:
        longest = max(range(len(whole)), key=lambda index: lengths[whole[index][-1]])
        whole[0], whole[longest] = whole[longest], whole[0]
    return [row for batch in [*whole, rest] for row in batch]


def split_batch(batch_size: int, accumulation: int, halvings: int) -> tuple[int, int]:
    """Return smaller forward passes for the same optimizer step.

    Args:
        batch_size: rows in one forward pass, 1 or more.
        accumulation: forward passes in one step, 1 or more.
        halvings: how often memory ran out, 0 or more.

    Returns:
        Rows in a pass and passes in a step; their product stays what it was. Each halving takes the largest divisor
        of the batch size that is at most half of it, down to 1.
    """
    rows = batch_size * accumulation
    for _ in range(halvings):
        batch_size = max(size for size in range(1, max(batch_size // 2, 1) + 1) if batch_size % size == 0)
    return batch_size, rows // batch_size


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of the CPU or of the GPU, ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        " out of memory" in text or "can't allocate memory" in text or "CUBLAS_STATUS_ALLOC_FAILED" in text
    )
