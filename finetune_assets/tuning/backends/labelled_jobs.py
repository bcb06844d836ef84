"""Jobs found again by their labels: what every backend at Vertex AI does alike, whatever client it asks with."""

from __future__ import annotations

from abc import ABC, abstractmethod

from finetune_assets.tuning.backends.protocol import (
    BACKEND_LABEL,
    OWNER,
    OWNER_LABEL,
    RUN_KEY_LABEL,
    JobRequest,
    JobStatus,
)
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.errors import RejectedError
from finetune_assets.tuning.cloud.faults import Action
from finetune_assets.tuning.cloud.retries import ReadPolicy


class LabelledJobs(ABC):
    """The verbs that look for jobs.

    Args:
        clients: Google's clients of the project and location.
        policy: how often a read is repeated.
    """

    name: str

    def __init__(self, clients: CloudClients, policy: ReadPolicy | None = None) -> None:
        self._clients = clients
        self._policy = policy or ReadPolicy()

    @abstractmethod
    def _listed(self, action: Action, words: str) -> list[JobStatus]:
        """Return the place's jobs that fit a filter, "" for all."""

    @abstractmethod
    def _action(self, what: str, request: JobRequest, *, creates: bool = False) -> Action:
        """Return what an error about a request says."""

    def find(self, request: JobRequest) -> list[JobStatus]:
        """Return the jobs that carry the request's run key, oldest first.

        Raises:
            CloudError: when the service cannot say.
        """
        jobs = self._labelled(RUN_KEY_LABEL, request.run_key, self._action("the job could not be looked up", request))
        return sorted(jobs, key=_age)

    def owned(self) -> list[JobStatus]:
        """Return every job of this backend that carries our owner label, newest first."""
        action = Action("the jobs could not be listed", where=self._clients.parent, project=self._clients.project)
        jobs = self._labelled(OWNER_LABEL, OWNER, action)
        mine = [job for job in jobs if job.labels.get(BACKEND_LABEL, self.name) == self.name]
        return sorted(mine, key=_age, reverse=True)

    def _labelled(self, label: str, value: str, action: Action) -> list[JobStatus]:
        """Return the jobs with a label; where the service does not filter by labels, all are looked at."""
        try:
            jobs = self._listed(action, f'labels.{label}="{value}"')
        except RejectedError:
            jobs = self._listed(action, "")
        # The filter's promise is not documented for tuning jobs: it is never relied upon.
        return [job for job in jobs if job.labels.get(label) == value]


def _age(job: JobStatus) -> tuple[float, str]:
    return (job.created.timestamp() if job.created else 0.0, job.handle)
