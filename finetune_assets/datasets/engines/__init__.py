"""Engines: where the batches of a build are prepared. In this process, in several, or by Ray on many machines.

Every engine calls the same `prepare_batch` and yields its batches in the order of their lines, so the engine and the
number of workers change the time of a build and not one byte of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from finetune_assets.datasets.batches import PreparedBatch
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.engines.lines import line_batches as line_batches
from finetune_assets.datasets.engines.local import on_this_machine
from finetune_assets.datasets.engines.ray import on_ray
from finetune_assets.records.task_type import TaskType

Engine = Callable[[Path, TaskType, DatasetConfig], Iterator[PreparedBatch]]

ENGINES: Mapping[str, Engine] = {"local": on_this_machine, "ray": on_ray}
"""Name of each engine, as `dataset.engine` says it, and its function."""


def prepared_batches(records: Path, task: TaskType, config: DatasetConfig) -> Iterator[PreparedBatch]:
    """Prepare every line of a file by the engine that the configuration names.

    Args:
        records: `records.jsonl` as `ingest` wrote it.
        task: turns records into examples.
        config: names the engine and the number of its workers.

    Returns:
        The batches in the order of their lines, as they are asked for. Two portions a worker are under way at most.

    Raises:
        FinetuneError: when the engine is not installed, or a worker was killed.
    """
    return ENGINES[config.engine](records, task, config)
