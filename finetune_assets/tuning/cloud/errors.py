"""What a cloud service refuses, as errors that name the mend: a class for each thing that is mended differently."""

from __future__ import annotations

from finetune_assets.records.errors import FinetuneError


class CloudError(FinetuneError):
    """A cloud service did not do what it was asked."""


class NoCredentialsError(CloudError):
    """There are no credentials, or they are not taken."""


class ApiDisabledError(CloudError):
    """The API is not enabled in the project."""


class ProjectError(CloudError):
    """The project does not exist, or is not this identity's."""


class PermissionDeniedError(CloudError):
    """This identity, or a service agent, lacks a permission."""


class QuotaError(CloudError):
    """A quota is used up; waiting or a higher quota helps."""


class ModelDeniedError(CloudError):
    """The model cannot be tuned, or not in this way or place."""


class RejectedError(CloudError):
    """The service refuses the request as it is."""


class MissingError(CloudError):
    """What was asked for is not there."""


class UnavailableError(CloudError):
    """The service cannot be reached, or fails at the moment; asking again later helps."""


class AmbiguousError(CloudError):
    """Nobody knows whether the request was carried out; it has to be looked up before it is tried again."""


class JobFailedError(CloudError):
    """The job was carried out and failed, was cancelled or expired."""


class DeadlineError(CloudError):
    """The job stayed in a phase for longer than `cloud.deadlines` allows; it runs on and can be attached to."""


class BudgetError(CloudError):
    """The job's price is not known, or does not fit the budget."""
