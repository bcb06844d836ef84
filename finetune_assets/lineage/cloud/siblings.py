"""The run's other variants at a provider: asked for early, so that all are tuned side by side, and cancelled with it.

Each job is submitted once, whoever asks; a variant's own step attaches to it later. What a sibling is refused is told
here and raised there: no step fails for another's job.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from finetune_assets.lineage.bases import find_base
from finetune_assets.lineage.cloud.doors import open_clients, open_store, resolved_task
from finetune_assets.lineage.cloud.jobs import submit
from finetune_assets.lineage.cloud.plan import plan_job
from finetune_assets.lineage.cloud.sweep import backend_for
from finetune_assets.lineage.runtime import TaskRun, adapter_stage, asset_key, is_cancelled
from finetune_assets.lineage.tuning_request import ADAPTER, request_of
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.intents import Intent, events_of, find_intent, open_intents
from finetune_assets.tuning.backends.cancelling import cancel_job
from finetune_assets.tuning.backends.registry import backend_of
from finetune_assets.tuning.request import TuningRequest


def submit_siblings(whole: TaskRun, context: dg.AssetExecutionContext, variant: str) -> None:
    """Ask for the jobs of the run's other variants, until as many are under way as `cloud.concurrent_jobs` allows.

    Args:
        whole: the task with all its variants.
        context: the context of the step whose own job is under way.
        variant: the step's own variant.
    """
    room, waiting = whole.config.cloud.concurrent_jobs - 1, []
    for name in _siblings(whole, context, variant):
        try:
            task = resolved_task(whole.for_variant(name))
            request = request_of(task, find_base(task))
        except (FinetuneError, StorageError) as problem:
            _tell(context, name, problem)
            continue
        intent = find_intent(task.database, request.request_key)
        if intent is not None and intent.state != "INTENDED":
            room -= intent.is_open
        elif task.artifacts.find(ADAPTER, request.request_key) is None:
            waiting.append((name, task, request))
    for name, task, request in waiting:
        if room <= 0:
            return
        room -= _is_submitted(task, context, name, request)


@contextmanager
def ended_together(task: TaskRun, context: dg.AssetExecutionContext, request_key: str) -> Iterator[None]:
    """Cancel all jobs that this run asked for when a person cancels the run: later steps will watch none of them.

    A signal alone cancels nothing; the next run attaches.

    Args:
        task: the task.
        context: the context of the step that stands by a job.
        request_key: that job's.
    """
    try:
        yield
    except BaseException:
        if is_cancelled(context):
            for intent in open_intents(task.database, task.task):
                if intent.request_key == request_key or _is_asked_by(task, intent):
                    _cancel(task, context, intent)
        raise


def _is_asked_by(task: TaskRun, intent: Intent) -> bool:
    return intent.is_paid and any(
        event.by == f"run {task.run_id}" and event.attempt == intent.attempt
        for event in events_of(task.database, intent.request_key)
    )


def _cancel(task: TaskRun, context: dg.AssetExecutionContext, intent: Intent) -> None:
    if intent.cancel_requested_by:
        return
    told = f"variant {intent.variant}" if intent.variant else intent.request_key
    try:
        cancel_job(
            task.database, backend_for(intent), intent.request_key, by=f"run {task.run_id}, cancelled in Dagster"
        )
        context.log.info(f"asked the provider to cancel the job of {told}")
    except (FinetuneError, StorageError) as problem:
        context.log.warning(f"the job of {told} could not be cancelled yet, the sweep will: {problem}")


def _siblings(whole: TaskRun, context: dg.AssetExecutionContext, variant: str) -> Iterator[str]:
    for name, config in whole.config.tuning.by_variant().items():
        if name != variant and config.is_managed and _is_made(context, asset_key(whole.task, adapter_stage(name))):
            yield name


def _is_made(context: dg.AssetExecutionContext, key: dg.AssetKey) -> bool:
    """Return whether the run makes an asset: its job has it, and its step is not left out of a re-execution.

    The run's `asset_selection` does not tell: it is empty or None where a whole job runs, and names what an earlier run
    made where only some steps of it are executed again.
    """
    steps = context.run.step_keys_to_execute
    return key in context.job_def.asset_layer.selected_asset_keys and (
        steps is None or key.to_python_identifier() in steps
    )


def _is_submitted(task: TaskRun, context: dg.AssetExecutionContext, name: str, request: TuningRequest) -> bool:
    """Ask for one sibling's job, and say whether it is there now."""
    try:
        plan = plan_job(task, request, open_store(task), name)
        plan.require()
        backend = backend_of(task.config.tuning.backend, open_clients(task))
        submit(task, context, backend, plan.job, plan.reservation, waits=False)
    except (FinetuneError, StorageError) as problem:
        _tell(context, name, problem)
        return False
    return True


def _tell(context: dg.AssetExecutionContext, name: str, problem: FinetuneError | StorageError) -> None:
    context.log.warning(f"variant {name} is not tuned side by side, its own step will try: {problem}")
