"""The lines of `records.jsonl` in portions: as bytes for machines that share no disk, as places else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Few rows fit into the processor's cache together.
BATCH_ROWS = 500
BATCH_BYTES = 4 << 20


class Portion(NamedTuple):
    """Whole lines of a file: those that begin from byte `begin` on and before byte `end`."""

    path: Path
    begin: int
    end: int


def line_batches(records: Path, *, rows: int = BATCH_ROWS, size: int = BATCH_BYTES) -> Iterator[list[bytes]]:
    """Yield the lines of a file in batches of at most `rows` lines, or of the lines that reach `size` bytes."""
    return portion_batches(Portion(records, 0, records.stat().st_size), rows=rows, size=size)


def portions(records: Path, size: int) -> Iterator[Portion]:
    """Yield a file in portions of `size` bytes, of which no line is read."""
    whole = records.stat().st_size
    return (Portion(records, begin, min(begin + size, whole)) for begin in range(0, whole, size))


def portion_batches(portion: Portion, *, rows: int = BATCH_ROWS, size: int = BATCH_BYTES) -> Iterator[list[bytes]]:
    """Yield the lines of a portion in batches of at most `rows` lines, or of the lines that reach `size` bytes."""
    with portion.path.open("rb", buffering=1 << 20) as stream:
        if portion.begin:
            # The line that stands across the edge belongs to the portion before.
            stream.seek(portion.begin - 1)
            begin = portion.begin - 1 + len(stream.readline())
        else:
            begin = 0
        batch: list[bytes] = []
        held = 0
        while begin < portion.end and (line := stream.readline()):
            begin += len(line)
            batch.append(line)
            held += len(line)
            if len(batch) == rows or held >= size:
                yield batch
                batch, held = [], 0
        if batch:
            yield batch
