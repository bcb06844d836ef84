"""The words that every managed backend speaks: a job request, how a job stands, what it gave, and the five verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, get_args

from finetune_assets.records.digests import digest_of
from finetune_assets.tuning.cloud.config import CloudConfig
from finetune_assets.tuning.request import TuningRequest

JobState = Literal["waiting", "running", "cancelling", "succeeded", "failed", "cancelled", "expired", "unknown"]
JOB_STATES: tuple[str, ...] = get_args(JobState)
ENDED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled", "expired"})
# What a job waits for or does; each group of phases has a deadline of its own.
Phase = Literal["queued", "quota", "capacity", "preparing", "tuning", "finishing", ""]

RUN_KEY_LABEL = "run_key"
BACKEND_LABEL = "backend"
OWNER_LABEL = "managed_by"
OWNER = "finetune_assets"


@dataclass(frozen=True)
class JobRequest:
    """Everything that a managed job is made of.

    Attributes:
        request: what decides the tuning; its key is the job's identity.
        attempt: 1, 2, …; a further attempt is asked for by a person.
        cloud: where it runs.
        train_uri: gs:// URI of the training rows.
        validation_uri: gs:// URI of the validation rows, "" for none.
        output_uri: gs:// prefix of a folder for results, one for each run key.
        variant: the tuning variant, "" where there are none.
        rows: training rows.
        facts: further labels (a label's rules hold): dataset digest, Dagster run.
        container: for custom jobs: the URI of the trainer's job file.
        container_sha256: its SHA-256; the trainer refuses a job file that was changed.
        estimate: what later estimates learn from; see `CostEstimate.record`.
    """

    request: TuningRequest
    attempt: int
    cloud: CloudConfig
    train_uri: str
    validation_uri: str
    output_uri: str
    variant: str = ""
    rows: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)
    container: str = ""
    container_sha256: str = ""
    estimate: Mapping[str, Any] = field(default_factory=dict)

    @property
    def run_key(self) -> str:
        """The label under which the provider knows the job (40 hex digits): request, place and attempt."""
        place = {"project": self.cloud.project, "location": self.cloud.location}
        return digest_of({"request": self.request.request_key, "place": place, "attempt": self.attempt})[:40]

    @property
    def display_name(self) -> str:
        """What a person reads in the console: task, variant and the key's first digits."""
        return "-".join(part for part in (self.request.task, self.variant, self.run_key[:8]) if part).replace("_", "-")

    def labels(self) -> dict[str, str]:
        """Return the labels of the job, the run key among them."""
        own = {
            RUN_KEY_LABEL: self.run_key,
            OWNER_LABEL: OWNER,
            BACKEND_LABEL: self.request.config.backend,
            "task": self.request.task,
            "request_key": self.request.request_key,
            "attempt": str(self.attempt),
        }
        return {**self.cloud.labels, **self.facts, **own}


@dataclass(frozen=True)
class JobStatus:
    """How a job stands.

    Attributes:
        handle: the provider's full name of the job.
        state: in our words; an unknown state of the provider counts as not ended.
        phase: what it waits for or does.
        provider_state: the provider's own word or words.
        error: the provider's message, "" for none.
        error_code: its code, 0 for none.
        run_key: the run key in its labels, "" where it has none.
        labels: all its labels.
        created: when the provider made it.
        started: when work began, None before.
        ended: when it ended, None before.
        link: the console's page of the job.
        progress: figures to show, such as epochs and steps done.
    """

    handle: str
    state: JobState
    phase: Phase = ""
    provider_state: str = ""
    error: str = ""
    error_code: int = 0
    run_key: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    created: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    link: str = ""
    progress: Mapping[str, float] = field(default_factory=dict)

    @property
    def has_ended(self) -> bool:
        """True when nothing more will happen."""
        return self.state in ENDED


@dataclass(frozen=True)
class Checkpoint:
    """A state of the model that the job kept."""

    id: str
    epoch: float
    step: int
    endpoint: str = ""
    uri: str = ""


@dataclass(frozen=True)
class JobResult:
    """What a job that succeeded gave.

    Attributes:
        handle: the job.
        model: the tuned model's resource name with its version (`…/models/ID@1`), "" where only files were written.
        endpoint: the endpoint that the service made for it, "" for none.
        weights_uri: gs:// folder of the weights, "" where the service keeps them.
        checkpoints: what was kept on the way, in order.
        billable_tokens: tokens that are paid for, None where the service does not say.
        statistics: what the service says of the data: `rows`, `truncated`, `truncated_rows` (indices), `dropped`
            (reasons), `steps`, token distributions.
        losses: [{"epoch" or "step", "train_loss", "validation_loss", "perplexity", …}] as far as known.
        raw: the provider's answer, without tokens and headers.
    """

    handle: str
    model: str = ""
    endpoint: str = ""
    weights_uri: str = ""
    checkpoints: tuple[Checkpoint, ...] = ()
    billable_tokens: int | None = None
    statistics: Mapping[str, Any] = field(default_factory=dict)
    losses: tuple[Mapping[str, float], ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Backend(Protocol):
    """A managed backend. Every verb is one conversation and raises the errors of `cloud/errors.py`."""

    name: str

    def find(self, request: JobRequest) -> list[JobStatus]:
        """Return the jobs that carry the request's run key, oldest first; reads may be repeated."""

    def submit(self, request: JobRequest) -> JobStatus:
        """Ask for the job, once.

        Raises:
            AmbiguousError: when it may or may not exist now; it must be looked up before anything else.
            CloudError: when it was refused; nothing exists then.
        """

    def status(self, handle: str) -> JobStatus:
        """Return how a job stands; reads may be repeated."""

    def cancel(self, handle: str) -> None:
        """Ask for its end; a job that has ended already is fine."""

    def result(self, handle: str) -> JobResult:
        """Return what a job gave that succeeded."""

    def owned(self) -> list[JobStatus]:
        """Return every job that carries our owner label, newest first: what a sweep holds against the intents."""
