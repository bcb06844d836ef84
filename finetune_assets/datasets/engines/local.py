"""The engine `local`: batches are prepared in this process, or in several processes of this machine.

Between processes travel places in files, not rows: a worker reads its portion of the records itself, and leaves the
finished lines, which are most of the bytes, in a file for this process to take over.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from finetune_assets.datasets.batches import PreparedBatch, prepare_batch
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.engines.lines import Portion, line_batches, portion_batches, portions
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.task_type import TaskType

_UNDER_WAY = 2
# Some thousand rows: telling a worker of them costs little beside preparing them.
SENT_BYTES = 1 << 20

# What a worker process was started with; a batch then travels alone.
_held: dict[str, tuple[TaskType, DatasetConfig]] = {}


def on_this_machine(records: Path, task: TaskType, config: DatasetConfig) -> Iterator[PreparedBatch]:
    """Prepare batches here, in `config.workers` processes; one worker is this very process.

    Raises:
        FinetuneError: when a worker process was killed.
    """
    if config.workers == 1:
        return (prepare_batch(lines, task, config) for lines in line_batches(records))
    return _in_processes(records, task, config)


def _in_processes(records: Path, task: TaskType, config: DatasetConfig) -> Iterator[PreparedBatch]:
    # Spawned, not forked: a fork copies the locks of this process's threads, and Dagster has some.
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="finetune-lines-") as folder,
        ProcessPoolExecutor(config.workers, context, _hold, (task, config)) as pool,
    ):
        waiting: deque[tuple[Path, Future[list[PreparedBatch]]]] = deque()
        try:
            for number, portion in enumerate(portions(records, SENT_BYTES)):
                lines = Path(folder, str(number))
                waiting.append((lines, pool.submit(_prepare, portion, lines)))
                if len(waiting) > _UNDER_WAY * config.workers:
                    yield from _taken_over(*waiting.popleft())
            while waiting:
                yield from _taken_over(*waiting.popleft())
        except BrokenProcessPool as error:
            raise FinetuneError(
                "a worker of the build was killed",
                where="dataset.workers",
                found=f"{config.workers} worker processes",
                mend="free memory, or set fewer workers: each holds a few batches",
            ) from error
        finally:
            for _, future in waiting:
                future.cancel()


def _hold(task: TaskType, config: DatasetConfig) -> None:
    _held["job"] = task, config


def _prepare(portion: Portion, lines: Path) -> list[PreparedBatch]:
    """Prepare a portion in a worker: the batches without their lines, which go to a file."""
    task, config = _held["job"]
    made = []
    with lines.open("wb") as out:
        for batch in portion_batches(portion):
            prepared = prepare_batch(batch, task, config)
            out.write(prepared.lines)
            made.append(replace(prepared, lines=b""))
    return made


def _taken_over(lines: Path, future: Future[list[PreparedBatch]]) -> Iterator[PreparedBatch]:
    batches = future.result()
    with lines.open("rb") as stream:
        for batch in batches:
            batch.lines = stream.read(sum(batch.sizes))
            yield batch
    lines.unlink()
