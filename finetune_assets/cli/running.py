"""Running a task's graph in this process, as the CLI does: the same job, the same instance, the same checks.

Here belongs what the UI's launcher would do for a run: tags that name the process, a watcher that ends it when
somebody cancels, and events handed on as they come.
"""

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy.exc import DBAPIError

from finetune_assets.lineage.instance import TASK_TAG, process_tags
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.files import disk_full

POLL_SECONDS = 0.3
# Dagster fails the step of a blocking check that did not pass; the check's own verdict says more.
_FAILED_GATE = "DagsterAssetCheckFailedError"
_FULL_DISK = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), "database or disk is full")
_INTERRUPTED = "DagsterExecutionInterruptedError"

EventHandler = Callable[[Any], None]


@dataclass
class RunResult:
    """How a run ended.

    Attributes:
        run_id: the Dagster run.
        success: True when every selected asset was made and every gate held.
        failed_checks: (asset, check, summary) of each gate that did not hold.
        error: one line of the first error, "" when there was none.
        stopped: True when somebody stopped or cancelled the run.
        outputs: metadata of each materialized asset by its stage.
    """

    run_id: str
    success: bool
    failed_checks: list[tuple[str, str, str]] = field(default_factory=list)
    error: str = ""
    stopped: bool = False
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)


def execute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    *,
    task: str,
    assets: Sequence[dg.AssetKey],
    run_config: dict[str, Any],
    tags: dict[str, str],
    on_event: EventHandler,
) -> RunResult:
    """Execute part of a job here and now.

    Args:
        job: the task's job.
        instance: the shared instance.
        task: the task's name.
        assets: which of the job's assets to make.
        run_config: Dagster's run config.
        tags: further tags of the run.
        on_event: called with each event record of the run, in order, from another thread.

    Returns:
        How the run ended; a failed asset or gate is a result, no exception.
    """
    run_id = _new_run_id()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with _watching(instance, run_id, on_event):
        result = job.execute_in_process(
            run_config={**run_config, **quiet},
            instance=instance,
            asset_selection=list(assets),
            run_id=run_id,
            tags={TASK_TAG: task, **process_tags(), **tags},
            raise_on_error=False,
        )
    return _summarise(run_id, result, Path(instance.root_directory))


def _new_run_id() -> str:
    import uuid

    return str(uuid.uuid4())


@contextmanager
def _watching(instance: dg.DagsterInstance, run_id: str, on_event: EventHandler) -> Iterator[None]:
    """Hand on the run's events as they are written, and end the run when somebody cancels it."""
    done = threading.Event()

    def watch() -> None:
        cursor: str | None = None
        cancelled = False
        while True:
            last_round = done.wait(POLL_SECONDS)
            # What is wrong with the storage the run itself will say; until then this tries again.
            with suppress(DBAPIError):
                batch = instance.get_records_for_run(run_id, cursor=cursor)
                cursor = batch.cursor
                for record in batch.records:
                    on_event(record.event_log_entry)
                run = instance.get_run_by_id(run_id)
                if run and run.status == dg.DagsterRunStatus.CANCELING and not cancelled and not last_round:
                    cancelled = True
                    # As a user's Ctrl-C: Dagster turns it into an interrupt of the step, which stops the trainer. A
                    # real signal, because the main thread waits for the trainer in a system call.
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            if last_round:
                return

    thread = threading.Thread(target=watch, name="run-watcher", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=10)


def _summarise(run_id: str, result: dg.ExecuteInProcessResult, place: Path) -> RunResult:
    summary = RunResult(run_id=run_id, success=result.success)
    for event in result.all_events:
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            _note_check(summary, event.asset_check_evaluation_data)
        elif event.is_step_materialization:
            materialization = event.step_materialization_data.materialization
            stage = materialization.asset_key.path[-1]
            summary.metadata[stage] = {name: value.value for name, value in materialization.metadata.items()}
        elif event.is_step_failure and _is(event.step_failure_data.error, _INTERRUPTED):
            summary.stopped = True
        elif event.is_step_failure and not summary.error and not _is(event.step_failure_data.error, _FAILED_GATE):
            summary.error = _explain_full_disk(first_line(event.step_failure_data.error), place)
    if not summary.success and not summary.error and not summary.failed_checks:
        failure = next((event.message for event in result.all_events if event.is_failure and event.message), "")
        summary.error = failure.splitlines()[0] if failure else "the run did not finish"
    return summary


def _explain_full_disk(line: str, place: Path) -> str:
    # Of a step's error only the text is left; a full disk under Dagster's own storage or a library needs its mend.
    return str(disk_full(place)) if any(text in line for text in _FULL_DISK) else line


def _is(error: Any, name: str) -> bool:
    return bool(error and error.cls_name == name)


def _note_check(summary: RunResult, evaluation: Any) -> None:
    if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR:
        asset = "/".join(evaluation.asset_key.path)
        summary.failed_checks.append((asset, evaluation.check_name, evaluation.description or ""))


def first_line(error: Any) -> str:
    """Return a step's error as one line, without the traceback: the platform's own, else the innermost cause."""
    chain = []
    while error is not None:
        chain.append(error)
        error = error.cause
    if not chain:
        return ""
    ours = _names_of(FinetuneError) | _names_of(StorageError)
    known = next((item for item in chain if item.cls_name in ours), None)
    text = str(known.message).partition(": ")[2] if known else str(chain[-1].message)
    return " ".join(text.split())


def _names_of(error: type[Exception]) -> set[str]:
    """Return the names of an error and of what is derived from it."""
    return {error.__name__}.union(*(_names_of(derived) for derived in error.__subclasses__()))
