"""Engines: where the batches of a build are prepared. In this process, in several, or by Ray on many machines.

Every engine calls the same `prepare_batch` and yields its batches in the order of their lines, so the engine and the
number of workers change the time of a build and not one byte of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from finetune_assets.datasets.batches import PreparedBatch
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.engines.local import on_this_machine
from finetune_assets.datasets.engines.ray import on_ray
from finetune_assets.records.task_type import TaskType

Lines = list[bytes]
Engine = Callable[[Iterator[Lines], TaskType, DatasetConfig], Iterator[PreparedBatch]]

ENGINES: Mapping[str, Engine] = {"local": on_this_machine, "ray": on_ray}
"""Name of each engine, as `dataset.engine` says it, and its function."""

# Few rows fit into the processor's cache together; batches that travel are larger, so that sending one costs little
# beside preparing it.
BATCH_ROWS = 500
SENT_ROWS = 4_000
BATCH_BYTES = 4 << 20


def prepared_batches(records: Path, task: TaskType, config: DatasetConfig) -> Iterator[PreparedBatch]:
    """Prepare every line of a file by the engine that the configuration names.

    Args:
        records: `records.jsonl` as `ingest` wrote it.
        task: turns records into examples.
        config: names the engine and the number of its workers.

    Yields:
        The batches in the order of their lines. Two batches a worker are under way at most.

    Raises:
        FinetuneError: when the engine is not installed, or a worker was killed.
    """
    here = config.engine == "local" and config.workers == 1
    batches = line_batches(records, rows=BATCH_ROWS if here else SENT_ROWS)
    yield from ENGINES[config.engine](batches, task, config)


def line_batches(records: Path, *, rows: int = BATCH_ROWS, size: int = BATCH_BYTES) -> Iterator[Lines]:
    """Yield the lines of a file in batches of at most `rows` lines, or of the lines that reach `size` bytes."""
    with records.open("rb", buffering=1 << 20) as stream:
        batch: Lines = []
        held = 0
        for line in stream:
            batch.append(line)
            held += len(line)
            if len(batch) == rows or held >= size:
                yield batch
                batch, held = [], 0
        if batch:
            yield batch
