"""A job's request as the service would get it, for people; nothing is sent."""

from __future__ import annotations

from typing import Any

from finetune_assets.tuning.backends.custom_job import custom_job_of, schedule_of
from finetune_assets.tuning.backends.managed_jobs import ManagedTuning
from finetune_assets.tuning.backends.protocol import Backend, JobRequest


def as_sent(backend: Backend, job: JobRequest) -> dict[str, Any]:
    """Return what the service would be asked for, as JSON.

    Args:
        backend: the job's backend; it is not asked.
        job: the job. Of a custom job the place of its job file may be a stand-in: the file is written at submission.

    Raises:
        RejectedError: for settings that the backend refuses.
    """
    if isinstance(backend, ManagedTuning):
        call = backend.call_of(job)
        config = call.config.model_dump(mode="json", exclude_none=True)
        return {"base_model": call.base_model, "training_dataset": {"gcs_uri": job.train_uri}, "config": config}
    return {**custom_job_of(job), **schedule_of(job)}
