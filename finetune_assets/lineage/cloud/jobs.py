"""One job at a provider within one step: submitted at most once, watched to its end, cancelled only by a person.

An infrastructure's signal ends this process and leaves the job, which the next run attaches to. A person's cancel in
the UI cancels the job.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dagster as dg

from finetune_assets.lineage.runtime import TaskRun, is_cancelled
from finetune_assets.storage.intents import mark
from finetune_assets.storage.ledger import Reservation
from finetune_assets.tuning.backends.cancelling import cancel_job
from finetune_assets.tuning.backends.patience import Waiter
from finetune_assets.tuning.backends.protocol import Backend, JobRequest, JobResult, JobStatus
from finetune_assets.tuning.backends.submission import Booking, retry_words, submit_once
from finetune_assets.tuning.backends.watching import watch
from finetune_assets.tuning.cloud.errors import JobFailedError

_ASK_DAGSTER_S = 2.0


def submit(
    task: TaskRun,
    context: dg.AssetExecutionContext,
    backend: Backend,
    job: JobRequest,
    reservation: Reservation | None,
    *,
    waits: bool = True,
) -> JobStatus:
    """Return the request's job, which exists once: the one under way, or a new one.

    Args:
        task: the task.
        context: the asset's context.
        backend: who tunes.
        job: what is asked for.
        reservation: what the budget sets aside.
        waits: False gives up at once where another process submits the same job, or no quota is left.
    """
    booking = Booking(reservation=reservation, namespace=task.namespace, by=f"run {task.run_id}")
    if not waits:
        booking = replace(booking, twin_s=0.0, quota_h=0.0)
    status = submit_once(task.database, backend, job, booking, _waiter(task, context))
    context.log.info(f"job {status.handle} ({status.provider_state}) {status.link}")
    return status


def finish(
    task: TaskRun, context: dg.AssetExecutionContext, backend: Backend, job: JobRequest, status: JobStatus
) -> tuple[JobStatus, JobResult]:
    """Watch a job to its end and return what it gave.

    Raises:
        JobFailedError: when it did not succeed.
        CloudError: see `watching.watch`.
    """
    key = job.request.request_key
    try:
        last = (
            status
            if status.has_ended
            else watch(task.database, backend, key, status.handle, job.cloud, _waiter(task, context))
        )
    except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt):
        # The interrupt comes between two lines; whether a person asked for it stands in Dagster's records.
        if is_cancelled(context):
            cancel_job(task.database, backend, key, by=f"run {task.run_id}, cancelled in Dagster")
            context.log.info(f"asked the provider to cancel {status.handle}")
        else:
            context.log.info(f"left {status.handle} to its provider: run again to attach, or `finetune jobs cancel`")
        raise
    if last.state != "succeeded":
        raise JobFailedError(
            f"the tuning job {last.state}",
            where=last.link or last.handle,
            found=last.error or last.provider_state,
            mend=retry_words(key),
        )
    return last, backend.result(last.handle)


def settle(task: TaskRun, job: JobRequest, *, tokens: int | None, cost: int | None) -> None:
    """Write down what the job was billed, beside what was estimated; `cost` in millionths of a US dollar."""
    mark(
        task.database,
        job.request.request_key,
        "SUCCEEDED",
        billable_tokens=tokens,
        actual_cost=cost,
        by=f"run {task.run_id}",
    )


def _waiter(task: TaskRun, context: dg.AssetExecutionContext) -> Waiter:
    def changed(status: JobStatus) -> None:
        told = ", ".join(f"{name} {value:g}" for name, value in sorted(status.progress.items()))
        phase = f" ({status.phase})" if status.phase else ""
        context.log.info(f"{status.provider_state or status.state}{phase}{': ' + told if told else ''}")

    return Waiter(
        on_change=changed,
        on_note=context.log.warning,
        should_stop=_stop_of(context),
        by=f"run {task.run_id}",
    )


def _stop_of(context: dg.AssetExecutionContext) -> Callable[[], Any]:
    """Return the wish of whoever cancels the run; Dagster's records are asked every two seconds at the most."""
    asked_at, answer = 0.0, ""

    def wish() -> Any:
        nonlocal asked_at, answer
        now = time.monotonic()
        if now - asked_at > _ASK_DAGSTER_S:
            asked_at, answer = now, "cancel" if is_cancelled(context) else ""
        return answer

    return wish
