"""Managed tuning by Vertex AI (`client.tunings` of google-genai): the verbs that all its models share.

What one kind of model is asked for stands in `gemini.py` and `open_model.py`. A create is made once and never repeated
here: the service has no request id, so that a blind repetition would make a second job.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from finetune_assets.tuning.backends.labelled_jobs import LabelledJobs
from finetune_assets.tuning.backends.managed_status import place_of, result_of, status_of
from finetune_assets.tuning.backends.protocol import JobRequest, JobResult, JobStatus
from finetune_assets.tuning.cloud.catalogue import lookup, names_of, nearest
from finetune_assets.tuning.cloud.clients import CloudClients, knowing_it_is_experimental
from finetune_assets.tuning.cloud.errors import MissingError, RejectedError
from finetune_assets.tuning.cloud.faults import Action, Explained
from finetune_assets.tuning.cloud.retries import read

PAGE = 100
METHODS = {"sft": "SUPERVISED_FINE_TUNING", "dpo": "PREFERENCE_TUNING", "distillation": "DISTILLATION"}
ADAPTER_SIZES = {
    1: "ADAPTER_SIZE_ONE",
    2: "ADAPTER_SIZE_TWO",
    4: "ADAPTER_SIZE_FOUR",
    8: "ADAPTER_SIZE_EIGHT",
    16: "ADAPTER_SIZE_SIXTEEN",
    32: "ADAPTER_SIZE_THIRTY_TWO",
}


@dataclass(frozen=True)
class TuneCall:
    """What `client.tunings.tune` is called with: the model to start from and the config object."""

    base_model: str
    config: Any


class ManagedTuning(LabelledJobs):
    """The five verbs over `client.tunings`.

    Args:
        clients: Google's clients of the project and location.
        policy: how often a read is repeated.
    """

    name: str
    agent: str

    @abstractmethod
    def call_of(self, request: JobRequest) -> TuneCall:
        """Return what the service is asked for.

        Raises:
            RejectedError: for settings that this kind of model does not have.
        """

    def submit(self, request: JobRequest) -> JobStatus:
        """Ask for the job, once.

        Raises:
            AmbiguousError: when it may or may not exist now.
            CloudError: when it was refused; nothing exists then.
        """
        from google.genai import types

        call = self.call_of(request)
        tunings = self._clients.genai.tunings
        with (
            knowing_it_is_experimental(),
            Explained(self._action("the tuning job was not submitted", request, creates=True)),
        ):
            job = tunings.tune(
                base_model=call.base_model,
                training_dataset=types.TuningDataset(gcs_uri=request.train_uri),
                config=call.config,
            )
        return status_of(job)

    def status(self, handle: str) -> JobStatus:
        """Return how a job stands.

        Raises:
            MissingError: when there is no such job.
            CloudError: when the service cannot say.
        """
        return status_of(self._get(handle))

    def cancel(self, handle: str) -> None:
        """Ask for the job's end; one that has ended already, or is gone, is fine."""
        tunings = self._at(handle).genai.tunings
        action = Action("the tuning job was not cancelled", where=handle, project=self._clients.project)
        try:
            read(lambda: tunings.cancel(name=handle), action, self._policy)
        except RejectedError:
            # 400 is the answer for a job that has ended.
            if not self.status(handle).has_ended:
                raise
        except MissingError:
            return

    def result(self, handle: str) -> JobResult:
        """Return what a job gave that succeeded.

        Raises:
            MissingError: when there is no such job.
            RejectedError: when it has not succeeded.
        """
        job = self._get(handle)
        status = status_of(job)
        if status.state != "succeeded":
            raise RejectedError(
                "the job has no result", where=handle, found=status.provider_state, expected="JOB_STATE_SUCCEEDED"
            )
        return result_of(job)

    def _listed(self, action: Action, words: str) -> list[JobStatus]:
        from google.genai import types

        tunings = self._clients.genai.tunings

        def pages() -> list[JobStatus]:
            found: Iterable[Any] = tunings.list(config=types.ListTuningJobsConfig(page_size=PAGE, filter=words or None))
            return [status_of(job) for job in found]

        return read(pages, action, self._policy)

    def _get(self, handle: str) -> Any:
        tunings = self._at(handle).genai.tunings
        action = Action("the tuning job could not be looked at", where=handle, project=self._clients.project)
        return read(lambda: tunings.get(name=handle), action, self._policy)

    def _at(self, handle: str) -> CloudClients:
        """Return the clients of the place that the handle names: it may be another one than the settings' of today."""
        location = place_of(handle)[1]
        return self._clients if location in ("", self._clients.location) else self._clients.at(location)

    def _action(self, what: str, request: JobRequest, *, creates: bool = False) -> Action:
        return Action(
            what,
            where=f"{self.name} job {request.display_name}",
            creates=creates,
            project=self._clients.project,
            location=self._clients.location,
            model=request.request.config.base_model,
            data=request.train_uri,
            agent=self.agent,
            alternatives=lambda: _alternatives(request.request.config.base_model),
        )


def _alternatives(model: str) -> str:
    """Return the models of the catalogue that are nearest to one, without itself."""
    own = lookup(model)
    return names_of(entry for entry in nearest(model) if entry is not own)


def common_config(request: JobRequest, *, adapter_size: int | None) -> dict[str, Any]:
    """Return the settings of a `CreateTuningJobConfig` that all managed models have.

    Epochs are always set: the service's own default was 40 for 166 rows, by a user's report.

    Args:
        request: the job.
        adapter_size: rank of the adapter; None where all weights are tuned.

    Raises:
        RejectedError: for epochs that are not whole, or a rank that the service does not have.
    """
    from google.genai import types

    config, cloud = request.request.config, request.cloud
    epochs = round(config.epochs)
    if epochs != config.epochs or epochs < 1:
        raise RejectedError(
            "managed tuning counts whole epochs",
            where="tuning.epochs",
            found=str(config.epochs),
            expected="1, 2, 3, …",
        )
    fields: dict[str, Any] = {
        "method": METHODS[config.managed_settings.method],
        "epoch_count": epochs,
        "tuned_model_display_name": request.display_name,
        "description": f"task {request.request.task}, request {request.request.request_key}, attempt {request.attempt}",
        "labels": request.labels(),
    }
    if adapter_size is not None:
        fields["adapter_size"] = ADAPTER_SIZES[adapter_size]
    if request.validation_uri:
        fields["validation_dataset"] = types.TuningValidationDataset(gcs_uri=request.validation_uri)
    if cloud.kms_key:
        fields["encryption_spec"] = types.EncryptionSpec(kms_key_name=cloud.kms_key)
    if cloud.service_account:
        # The config has no such field; the wire has.
        fields["http_options"] = types.HttpOptions(extra_body={"serviceAccount": cloud.service_account})
    return fields


def rank_of(request: JobRequest) -> int:
    """Return the adapter's rank that the settings name.

    Raises:
        RejectedError: when they name none: the service's own choice would be part of no record.
    """
    rank = request.request.config.managed_settings.adapter_size
    if rank is None:
        raise RejectedError(
            "the adapter's size is not set",
            where="tuning.managed.adapter_size",
            expected=" or ".join(str(size) for size in ADAPTER_SIZES),
            mend="set it; the catalogue's advice for the model is filled in before a job is submitted",
        )
    return rank
