"""How a step's rows are split into forward passes, and what to do when one does not fit into memory.

Pure arithmetic and the exit code by which the trainer tells its supervisor; no torch.
"""

from __future__ import annotations

OUT_OF_MEMORY_EXIT = 77
STOPPED_EXIT = 143
"""Exit code of a trainer that was asked to stop and left a checkpoint (128 + SIGTERM, as shells write it)."""


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
