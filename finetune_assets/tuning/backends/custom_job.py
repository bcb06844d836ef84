"""This project's own trainer on machines of Vertex AI: a custom job that runs the container's entry point.

The job is made by `aiplatform.CustomJob`. It is looked at through the service's plain client, whose calls take a time
limit: those of the wrapper have none and would wait for ever on a connection that hangs.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from finetune_assets.tuning.backends.custom_status import custom_result, custom_status
from finetune_assets.tuning.backends.labelled_jobs import LabelledJobs
from finetune_assets.tuning.backends.machines import check_machine
from finetune_assets.tuning.backends.managed_status import place_of
from finetune_assets.tuning.backends.protocol import JobRequest, JobResult, JobStatus
from finetune_assets.tuning.cloud.clients import REQUEST_TIMEOUT_S
from finetune_assets.tuning.cloud.errors import MissingError, RejectedError
from finetune_assets.tuning.cloud.faults import Action, Explained
from finetune_assets.tuning.cloud.retries import read
from finetune_assets.tuning.container_job import container_arguments, container_command
from finetune_assets.tuning.managed_config import CustomJobSettings

AGENT = "gcp-sa-aiplatform-cc"
_PAGE = 100
_HOUR = 3600


class CustomJobBackend(LabelledJobs):
    """The five verbs over custom jobs.

    Args:
        clients: Google's clients of the project and location, with one for Cloud Storage.
        policy: how often a read is repeated.
    """

    name = "custom_job"

    @cached_property
    def _jobs(self) -> Any:
        return self._clients.gapic("JobServiceClient")

    def submit(self, request: JobRequest) -> JobStatus:
        """Ask for the job, once.

        Raises:
            AmbiguousError: when it may or may not exist now.
            CloudError: when it was refused; nothing exists then.
        """
        about, schedule = custom_job_of(request), schedule_of(request)
        with Explained(self._action("the custom job was not submitted", request)):
            aiplatform = self._clients.aiplatform()
            job = aiplatform.CustomJob(**about, project=self._clients.project, location=self._clients.location)
            strategy = aiplatform.compat.types.custom_job.Scheduling.Strategy[schedule.pop("scheduling_strategy")]
        with Explained(self._action("the custom job was not submitted", request, creates=True)):
            job.submit(**schedule, scheduling_strategy=strategy, create_request_timeout=REQUEST_TIMEOUT_S)
        return custom_status(job.gca_resource)

    def status(self, handle: str) -> JobStatus:
        """Return how a job stands.

        Raises:
            MissingError: when there is no such job.
            CloudError: when the service cannot say.
        """
        return custom_status(self._get(handle))

    def cancel(self, handle: str) -> None:
        """Ask for the job's end; one that has ended already, or is gone, is fine."""
        action = Action("the custom job was not cancelled", where=handle, project=self._clients.project)
        client = self._client_of(handle)
        try:
            read(lambda: client.cancel_custom_job(name=handle, timeout=REQUEST_TIMEOUT_S), action, self._policy)
        except RejectedError:
            if not self.status(handle).has_ended:
                raise
        except MissingError:
            return

    def result(self, handle: str) -> JobResult:
        """Return what a job gave that succeeded: its weights in Cloud Storage and the trainer's record beside them.

        Raises:
            MissingError: when there is no such job, or the trainer left no record.
            RejectedError: when it has not succeeded.
        """
        job = self._get(handle)
        status = custom_status(job)
        if status.state != "succeeded":
            raise RejectedError(
                "the job has no result", where=handle, found=status.provider_state, expected="JOB_STATE_SUCCEEDED"
            )
        return custom_result(job, self._object)

    def _listed(self, action: Action, words: str) -> list[JobStatus]:
        def pages() -> list[JobStatus]:
            asked = {"parent": self._clients.parent, "filter": words, "page_size": _PAGE}
            return [custom_status(job) for job in self._jobs.list_custom_jobs(request=asked, timeout=REQUEST_TIMEOUT_S)]

        return read(pages, action, self._policy)

    def _get(self, handle: str) -> Any:
        action = Action("the custom job could not be looked at", where=handle, project=self._clients.project)
        client = self._client_of(handle)
        return read(lambda: client.get_custom_job(name=handle, timeout=REQUEST_TIMEOUT_S), action, self._policy)

    def _client_of(self, handle: str) -> Any:
        location = place_of(handle)[1]
        if location in ("", self._clients.location):
            return self._jobs
        return self._clients.at(location).gapic("JobServiceClient")

    def _object(self, bucket: str, name: str) -> bytes:
        """Return an object's bytes."""
        uri = f"gs://{bucket}/{name}"
        action = Action("the trainer's record could not be read", where=uri, project=self._clients.project)
        blob = self._clients.storage.bucket(bucket).blob(name)
        # The client's own repetition is off: `read` does it, under one policy.
        return read(lambda: bytes(blob.download_as_bytes(timeout=REQUEST_TIMEOUT_S, retry=None)), action, self._policy)

    def _action(self, what: str, request: JobRequest, *, creates: bool = False) -> Action:
        return Action(
            what,
            where=f"{self.name} {request.display_name}",
            creates=creates,
            project=self._clients.project,
            location=self._clients.location,
            data=request.train_uri,
            agent=AGENT,
        )


def custom_job_of(request: JobRequest) -> dict[str, Any]:
    """Return what `aiplatform.CustomJob` is made of, apart from project and location.

    Raises:
        RejectedError: for a machine that does not exist, or a missing image, job file or folder.
    """
    settings = _settings(request)
    return {
        "display_name": request.display_name,
        "worker_pool_specs": worker_pools(request, settings),
        "base_output_dir": request.output_uri,
        "staging_bucket": "/".join(request.output_uri.split("/")[:3]),
        "labels": request.labels(),
        "encryption_spec_key_name": request.cloud.kms_key or None,
    }


def schedule_of(request: JobRequest) -> dict[str, Any]:
    """Return what `CustomJob.submit` is told: identity, network, deadline, restarts and the kind of machine."""
    settings = request.request.config.job_settings
    return {
        "service_account": request.cloud.service_account or None,
        "network": settings.network or None,
        "timeout": round(settings.max_hours * _HOUR),
        "restart_job_on_worker_restart": settings.restart,
        "disable_retries": False,
        "scheduling_strategy": "SPOT" if settings.spot else "STANDARD",
        "max_wait_duration": round(settings.max_wait_hours * _HOUR) if settings.spot else None,
        "enable_web_access": False,
    }


def worker_pools(request: JobRequest, settings: CustomJobSettings) -> list[dict[str, Any]]:
    """Return the job's machines: pool 0 is the first one, pool 1 all others."""
    machine: dict[str, Any] = {"machine_type": settings.machine_type}
    if settings.accelerator_type:
        machine |= {
            "accelerator_type": settings.accelerator_type,
            "accelerator_count": settings.accelerator_count,
        }
    pool = {
        "machine_spec": machine,
        "replica_count": 1,
        "disk_spec": {"boot_disk_type": "pd-ssd", "boot_disk_size_gb": settings.disk_gb},
        "container_spec": {
            "image_uri": settings.image,
            "command": container_command(),
            "args": container_arguments(request.container, request.container_sha256),
            "env": [{"name": "RUN_KEY", "value": request.run_key}],
        },
    }
    return [pool] if settings.replicas == 1 else [pool, {**pool, "replica_count": settings.replicas - 1}]


def _settings(request: JobRequest) -> CustomJobSettings:
    settings = request.request.config.job_settings
    check_machine(settings)
    for value, where, what in (
        (settings.image, "tuning.custom_job.image", "a custom job needs this project's image"),
        (request.container, "the job file", "a custom job needs its job file in Cloud Storage"),
        (request.output_uri, "cloud.bucket", "a custom job needs a folder for its weights"),
    ):
        if not value:
            raise RejectedError(what, where=where, mend="set it; `finetune doctor TASK` checks the settings")
    return settings
