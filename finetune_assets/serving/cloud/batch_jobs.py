"""Batch prediction jobs: found by name before they are submitted, submitted once, watched to their end.

The service takes equal jobs any number of times. A job's display name is made of what it asks whom, and is looked up
before and after every unclear answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from finetune_assets.serving.cloud.calls import UNCLEAR, Patience, late, once, read
from finetune_assets.tuning.backends.protocol import OWNER, OWNER_LABEL
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.config import EndpointMachines
from finetune_assets.tuning.cloud.errors import (
    CloudError,
    JobFailedError,
    MissingError,
    QuotaError,
    RejectedError,
    UnavailableError,
)

SUCCEEDED = frozenset({"JOB_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED"})
FAILED = frozenset({"JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED"})


@dataclass(frozen=True)
class BatchJob:
    """A batch prediction job as seen now.

    Attributes:
        name: its resource name.
        display_name: what it asks whom, see `BatchEngine`.
        state: the service's word, `JOB_STATE_…`; an unknown one counts as under way.
        error: the service's words when it failed.
        created: when it was made.
        seconds: how long it worked, 0 while unknown.
    """

    name: str
    display_name: str
    state: str
    error: str = ""
    created: datetime | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class BatchRequest:
    """What a job is made of.

    Attributes:
        display_name: what it asks whom.
        model: the model's resource name.
        source: gs:// file of the questions.
        target: gs:// folder of the answers.
        labels: its labels.
    """

    display_name: str
    model: str
    source: str
    target: str
    labels: Mapping[str, str]


class BatchService(Protocol):
    """One way of asking the service for batch jobs; each method is one request."""

    def list(self, filtered: str) -> list[BatchJob]:
        """Return jobs; `filtered` is the service's filter, "" for all."""

    def create(self, request: BatchRequest) -> BatchJob:
        """Submit a job."""

    def get(self, name: str) -> BatchJob:
        """Return a job."""

    def cancel(self, name: str) -> None:
        """Ask for a job's end."""


class GeminiBatches:
    """Gemini models and tuned ones, by google-genai: no machines to choose."""

    def __init__(self, clients: CloudClients) -> None:
        self._batches = clients.genai.batches

    def list(self, filtered: str) -> list[BatchJob]:
        """See `BatchService`."""
        from google.genai import types

        config = types.ListBatchJobsConfig(filter=filtered or None, page_size=100)
        return [_of_genai(job) for job in self._batches.list(config=config)]

    def create(self, request: BatchRequest) -> BatchJob:
        """See `BatchService`."""
        from google.genai import types

        # genai knows no labels of batch jobs; the service does.
        more = types.HttpOptions(extra_body={"labels": dict(request.labels)})
        config = types.CreateBatchJobConfig(display_name=request.display_name, dest=request.target, http_options=more)
        return _of_genai(self._batches.create(model=request.model, src=request.source, config=config))

    def get(self, name: str) -> BatchJob:
        """See `BatchService`."""
        return _of_genai(self._batches.get(name=name))

    def cancel(self, name: str) -> None:
        """See `BatchService`."""
        self._batches.cancel(name=name)


class ContainerBatches:
    """Registered weights of one's own: machines run for as long as the job takes, and no endpoint is paid for.

    Args:
        clients: Google's clients.
        machines: the machines; replicas as for an endpoint.
    """

    def __init__(self, clients: CloudClients, machines: EndpointMachines) -> None:
        self._clients = clients
        self._client = clients.gapic("JobServiceClient")
        self._machines = machines

    def list(self, filtered: str) -> list[BatchJob]:
        """See `BatchService`."""
        request = {"parent": self._clients.parent, "filter": filtered, "page_size": 100}
        return [_of_gapic(job) for job in self._client.list_batch_prediction_jobs(request, timeout=60.0)]

    def create(self, request: BatchRequest) -> BatchJob:
        """See `BatchService`."""
        from google.cloud import aiplatform_v1

        from finetune_assets.serving.cloud.deployments import machine_spec

        cloud = self._clients.config
        job = aiplatform_v1.BatchPredictionJob(
            display_name=request.display_name,
            model=request.model,
            labels=dict(request.labels),
            input_config={"instances_format": "jsonl", "gcs_source": {"uris": [request.source]}},
            output_config={
                "predictions_format": "jsonl",
                "gcs_destination": {"output_uri_prefix": request.target},
            },
            instance_config={"instance_type": "object", "key_field": "key"},
            dedicated_resources={
                "machine_spec": machine_spec(self._machines),
                "starting_replica_count": self._machines.min_replicas,
                "max_replica_count": self._machines.max_replicas,
            },
            service_account=cloud.service_account,
            encryption_spec={"kms_key_name": cloud.kms_key} if cloud.kms_key else None,
        )
        made = self._client.create_batch_prediction_job(
            parent=self._clients.parent, batch_prediction_job=job, timeout=60.0
        )
        return _of_gapic(made)

    def get(self, name: str) -> BatchJob:
        """See `BatchService`."""
        return _of_gapic(self._client.get_batch_prediction_job({"name": name}, timeout=60.0))

    def cancel(self, name: str) -> None:
        """See `BatchService`."""
        self._client.cancel_batch_prediction_job({"name": name}, timeout=60.0)


def find_jobs(service: BatchService, display_name: str, patience: Patience) -> list[BatchJob]:
    """Return the jobs of a display name, oldest first."""

    def ask(filtered: str) -> list[BatchJob]:
        found = read("batch jobs cannot be listed", display_name, lambda: service.list(filtered), patience)
        ours = [job for job in found if job.display_name == display_name]
        return sorted(ours, key=lambda job: (job.created is None, job.created, job.name))

    try:
        return ask(f'display_name="{display_name}"')
    except RejectedError:
        return ask("")  # which filters a list takes is not written down for every kind of job


def submit(service: BatchService, request: BatchRequest, patience: Patience) -> BatchJob:
    """Return the job of a request: the one that is there and has not failed, else a new one, submitted once.

    Raises:
        CloudError: when the service refuses, or gives no clear answer for too long.
    """
    turns = patience.turns()
    unclear = False
    while True:
        there = [job for job in find_jobs(service, request.display_name, patience) if job.state not in FAILED]
        if there:
            return _only(service, there)
        try:
            made = once("the batch job was not submitted", request.display_name, lambda: service.create(request))
        except UNCLEAR as error:
            unclear = unclear or not isinstance(error, QuotaError)
            turns.rest(error, least_s=patience.visibility_s)
            continue
        if not unclear:
            return made
        # An earlier request may have been carried out after all, and show only now.
        patience.sleep(patience.visibility_s)
        later = find_jobs(service, request.display_name, patience)
        others = [job for job in later if job.state not in FAILED and job.name != made.name]
        return _only(service, [*others, made])


def _only(service: BatchService, jobs: list[BatchJob]) -> BatchJob:
    """Return the first of equal jobs; the others come of answers that were lost and are cancelled."""
    first, *extras = jobs
    _cancel_extras(service, extras)
    return first


def _cancel_extras(service: BatchService, extras: list[BatchJob]) -> None:
    for job in extras:
        if job.state not in SUCCEEDED:
            cancel(service, job.name)


def cancel(service: BatchService, name: str) -> None:
    """Ask for a job's end; one that has ended already is fine, and one that cannot be reached ends by itself."""
    try:
        once("the batch job was not cancelled", name, lambda: service.cancel(name))
    except (RejectedError, MissingError, *UNCLEAR):
        return


def watch(service: BatchService, job: BatchJob, patience: Patience) -> BatchJob:
    """Wait for a job's end.

    Raises:
        JobFailedError: when it failed, was cancelled or expired.
        DeadlineError: when it takes too long, or could not be looked at for too long; it goes on.
    """
    turns = patience.turns()
    seen = patience.clock()
    while job.state not in SUCCEEDED:
        if job.state in FAILED:
            raise JobFailedError(
                "a batch job failed",
                where=job.name,
                found=f"{job.state} {job.error}".strip(),
                mend="mend what it names and run again: another job is then submitted",
            )
        problem: CloudError = late("a batch job is not done in time", job.name, job.state)
        if patience.clock() - seen > patience.outage_s:
            raise problem
        turns.rest(problem)
        try:
            job = read("a batch job cannot be looked at", job.name, lambda: service.get(job.name), patience)  # noqa: B023
            seen = patience.clock()
        except (UnavailableError, QuotaError) as error:
            raise late("a batch job could not be looked at", job.name, error.found) from error
    return job


def labels_of(clients: CloudClients, more: Mapping[str, str]) -> dict[str, str]:
    """Return a job's labels."""
    return {**clients.config.labels, **more, OWNER_LABEL: OWNER}


def _of_genai(job: Any) -> BatchJob:
    error = job.error.message if job.error else ""
    return BatchJob(
        name=job.name or "",
        display_name=job.display_name or "",
        state=str(getattr(job.state, "name", job.state) or ""),
        error=str(error or ""),
        created=job.create_time,
        seconds=_seconds(job.start_time or job.create_time, job.end_time),
    )


def _of_gapic(job: Any) -> BatchJob:
    return BatchJob(
        name=str(job.name),
        display_name=str(job.display_name),
        state=str(getattr(job.state, "name", job.state)),
        error=str(job.error.message),
        created=job.create_time or None,
        seconds=_seconds(job.start_time or job.create_time, job.end_time),
    )


def _seconds(start: datetime | None, end: datetime | None) -> float:
    return max(0.0, (end - start).total_seconds()) if start and end else 0.0
