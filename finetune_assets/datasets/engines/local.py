"""The engine `local`: batches are prepared in this process, or in several processes of this machine."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from finetune_assets.datasets.batches import PreparedBatch, prepare_batch
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.task_type import TaskType

_UNDER_WAY = 2

# What a worker process was started with; a batch then travels alone.
_held: dict[str, tuple[TaskType, DatasetConfig]] = {}


def on_this_machine(batches: Iterator[list[bytes]], task: TaskType, config: DatasetConfig) -> Iterator[PreparedBatch]:
    """Prepare batches here, in `config.workers` processes; one worker is this very process.

    Raises:
        FinetuneError: when a worker process was killed.
    """
    if config.workers == 1:
        return (prepare_batch(lines, task, config) for lines in batches)
    return _in_processes(batches, task, config)


def _in_processes(batches: Iterator[list[bytes]], task: TaskType, config: DatasetConfig) -> Iterator[PreparedBatch]:
    # Spawned, not forked: a fork copies the locks of this process's threads, and Dagster has some.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(config.workers, context, _hold, (task, config)) as pool:
        waiting: deque[Future[PreparedBatch]] = deque()
        try:
            for lines in batches:
                waiting.append(pool.submit(_prepare, lines))
                if len(waiting) > _UNDER_WAY * config.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise FinetuneError(
                "a worker of the build was killed",
                where="dataset.workers",
                found=f"{config.workers} worker processes",
                mend="free memory, or set fewer workers: each holds a few batches",
            ) from error
        finally:
            for future in waiting:
                future.cancel()


def _hold(task: TaskType, config: DatasetConfig) -> None:
    _held["job"] = task, config


def _prepare(lines: list[bytes]) -> PreparedBatch:
    return prepare_batch(lines, *_held["job"])
