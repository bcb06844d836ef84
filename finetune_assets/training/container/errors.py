"""Why a container ends without a result; each class has an exit code of its own, which Vertex AI shows."""

from __future__ import annotations

from finetune_assets.records.errors import FinetuneError
from finetune_assets.tuning.container_job import BAD_JOB_EXIT, STORAGE_FAILED_EXIT, TRAINING_FAILED_EXIT


class ContainerError(FinetuneError):
    """The container cannot do its job.

    Attributes:
        exit_code: what the process ends with.
    """

    exit_code = TRAINING_FAILED_EXIT


class BadJobError(ContainerError):
    """The job, or a file that it names, is missing or not what it says; the same job would fail again."""

    exit_code = BAD_JOB_EXIT


class TrainingFailedError(ContainerError):
    """The trainer ended without an adapter."""

    exit_code = TRAINING_FAILED_EXIT


class StorageFailedError(ContainerError):
    """Cloud Storage or the disk did not do what was asked; a later start may succeed."""

    exit_code = STORAGE_FAILED_EXIT
