"""The engine `ray`: batches are prepared by tasks of a Ray cluster, on this machine or on many.

A cluster that runs already is joined (`RAY_ADDRESS`, as Ray itself reads it, or an earlier `ray.init`); without one a
cluster of `workers` CPUs is started on this machine for the time of the build. Machines of a cluster need this package
installed; they get the records through Ray and need no common disk.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finetune_assets.datasets.batches import PreparedBatch, prepare_batch
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.engines.lines import line_batches
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.task_type import TaskType

_UNDER_WAY = 2
# Batches that travel are large, so that sending one costs little beside preparing it.
SENT_ROWS = 4_000
# Ray reports usage to its makers unless it is told not to; data preparation has nothing to tell anybody.
_NO_REPORT = {"RAY_USAGE_STATS_ENABLED": "0"}


def on_ray(records: Path, task: TaskType, config: DatasetConfig) -> Iterator[PreparedBatch]:
    """Prepare batches by Ray tasks, two for each of `config.workers` under way at most.

    Raises:
        FinetuneError: when Ray is not installed, or a task was lost for good.
    """
    ray = _ray()
    with _cluster(ray, config.workers):
        prepare = ray.remote(prepare_batch).options(num_cpus=1)
        held_task, held_config = ray.put(task), ray.put(config)
        waiting: deque[Any] = deque()
        try:
            for lines in line_batches(records, rows=SENT_ROWS):
                waiting.append(prepare.remote(lines, held_task, held_config))
                if len(waiting) > _UNDER_WAY * config.workers:
                    yield ray.get(waiting.popleft())
            while waiting:
                yield ray.get(waiting.popleft())
        except (
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.ObjectLostError,
            ray.exceptions.OutOfMemoryError,
        ) as error:
            raise FinetuneError(
                "a Ray task of the build was lost",
                where="dataset.engine",
                found=type(error).__name__,
                mend="free memory on the cluster's machines, or set fewer workers; then run again",
            ) from error


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise FinetuneError(
            "Ray is not installed",
            where="dataset.engine",
            found="ray",
            expected="local, or the optional extra",
            mend="pip install 'finetune_assets[ray]'",
        ) from error
    return ray


@contextmanager
def _cluster(ray: Any, workers: int) -> Iterator[None]:
    """Join a cluster that runs, or start one of `workers` CPUs and stop it afterwards."""
    if ray.is_initialized():
        yield
        return
    before = {name: os.environ.get(name) for name in _NO_REPORT}
    os.environ.update(_NO_REPORT)
    try:
        # A cluster that is joined has its own number of CPUs, and Ray refuses another.
        size = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers}
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR", **size)
        yield
    finally:
        ray.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
