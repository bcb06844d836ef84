"""The `cloud:` section of a task: project, place, storage, deadlines, budget and the machines that serve."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

BUCKET_URI = r"^(gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[^\s#?*\[\]]*)?)?$"
SERVICE_ACCOUNT = r"^([a-z0-9-]+@[a-z0-9.-]+\.iam\.gserviceaccount\.com)?$"
LABEL_VALUE = r"^[a-z0-9_-]{0,63}$"


MediaPlace = Annotated[str, StringConstraints(pattern=r"^gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[^\s#?*\[\]]*)?$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Deadlines(_Section):
    """How long a job may stay in a phase; waiting for a machine is counted apart from work."""

    quota_h: float = Field(default=24.0, gt=0.0, le=720.0, description="Hours that a job may wait for quota.")
    capacity_h: float = Field(default=24.0, gt=0.0, le=720.0, description="Hours that a job may wait for machines.")
    running_h: float = Field(default=24.0, gt=0.0, le=720.0, description="Hours that a job may prepare and train.")
    cancelling_h: float = Field(default=1.0, gt=0.0, le=24.0, description="Hours that a cancelled job may take to end.")


class Polling(_Section):
    """How often a job is looked at."""

    first_s: float = Field(default=15.0, gt=0.0, le=600.0, description="Seconds before the second look.")
    longest_s: float = Field(default=60.0, gt=0.0, le=3600.0, description="Longest time between two looks in seconds.")
    outage_h: float = Field(
        default=6.0, gt=0.0, le=168.0, description="Hours that looks may fail one after the other before the run does."
    )
    visibility_s: float = Field(
        default=5.0,
        ge=0.0,
        le=120.0,
        description="Seconds to wait before a job is looked up again after an unclear answer: a list may lag.",
    )


class Budget(_Section):
    """What may be spent; a job that does not fit is not submitted."""

    monthly_usd: float | None = Field(
        default=None, ge=0.0, description="US dollars that this task may reserve in a calendar month (UTC); null: none."
    )
    per_job_usd: float | None = Field(
        default=None, ge=0.0, description="US dollars that one job may cost by its high estimate; null: no such limit."
    )
    prices: str = Field(
        default="", description="A price file of your own, relative to defs.yaml; empty takes the shipped one."
    )
    prices_max_age_days: int = Field(
        default=180, ge=1, le=3650, description="Prices older than this many days block, as an unknown price does."
    )


class Smoke(_Section):
    """A small job before the full one: it proves permissions, schema, export and one prediction."""

    required: bool = Field(
        default=False, description="Refuse the full job until a smoke run with the same settings succeeded."
    )
    rows: int = Field(default=20, ge=4, le=1000, description="Rows of the smoke run, a stratified subset.")


class EndpointMachines(_Section):
    """The machines behind an endpoint of one's own; tuned Gemini models need none."""

    machine_type: str = Field(default="g2-standard-12", min_length=1, description="Machine of one replica.")
    accelerator_type: str = Field(default="NVIDIA_L4", description="Its accelerator; empty for none.")
    accelerator_count: int = Field(default=1, ge=0, le=16, description="Accelerators of one replica.")
    min_replicas: int = Field(default=1, ge=1, le=100, description="Replicas that always run.")
    max_replicas: int = Field(default=1, ge=1, le=100, description="Replicas at the most.")
    container: str = Field(
        default="us-docker.pkg.dev/vertex-ai/vertex-vision-model-garden-dockers/pytorch-vllm-serve:gemma-4-release",
        min_length=1,
        description="Image that serves the weights; pin it by digest for a release that matters.",
    )
    first_traffic: int = Field(
        default=10, ge=1, le=100, description="Percent of the traffic that a new release gets until its probes passed."
    )
    keep_previous: bool = Field(
        default=False,
        description="Leave the previous release deployed without traffic, for a quick way back; its machines cost on.",
    )
    idle_hours: float = Field(
        default=24.0, gt=0.0, le=8760.0, description="Hours without a question after which an endpoint counts as idle."
    )
    on_idle: Literal["report", "undeploy"] = Field(
        default="report", description="What happens to an idle endpoint: it is reported, or undeployed as well."
    )

    @model_validator(mode="after")
    def _replicas_fit(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError("max_replicas is below min_replicas")
        return self


class CloudConfig(_Section):
    """Where and how managed jobs of a task run. Credentials are the machine's own (application default)."""

    project: str = Field(default="", description="Google Cloud project id.")
    location: str = Field(
        default="us-central1",
        min_length=1,
        description="Region of jobs and endpoints; open models may say `global`, and Google then picks one.",
    )
    bucket: str = Field(
        default="",
        pattern=BUCKET_URI,
        description="Where datasets and results go: gs://bucket or gs://bucket/prefix. Empty keeps them in this home.",
    )
    media: tuple[MediaPlace, ...] = Field(
        default=(), description="Further places (gs://bucket or gs://bucket/prefix) whose files rows may name."
    )
    serving_location: str = Field(
        default="", description="Region that serves, where it differs; Gemini 3 models are served from us or eu."
    )
    service_account: str = Field(
        default="", pattern=SERVICE_ACCOUNT, description="Identity that jobs run under; empty: the service's own agent."
    )
    kms_key: str = Field(default="", description="Key of one's own that encrypts results (full resource name).")
    labels: dict[str, str] = Field(
        default_factory=dict, description="Further labels of jobs, models and endpoints, such as a cost centre."
    )
    concurrent_jobs: int = Field(
        default=1, ge=1, le=50, description="Jobs of one kind under way at once in the project; Google's quota is 1."
    )
    inference: Literal["auto", "online", "batch"] = Field(
        default="auto",
        description="How a candidate is asked when it is judged: online (Gemini only: other weights are not deployed "
        "before they were judged), or by batch prediction. auto: Gemini online, open models by batch.",
    )
    deadlines: Deadlines = Field(default_factory=Deadlines, description="How long a job may stay in a phase.")
    polling: Polling = Field(default_factory=Polling, description="How often a job is looked at.")
    budget: Budget = Field(default_factory=Budget, description="What may be spent.")
    smoke: Smoke = Field(default_factory=Smoke, description="The small job before the full one.")
    endpoint: EndpointMachines = Field(
        default_factory=EndpointMachines, description="Machines that serve a release of one's own."
    )

    @model_validator(mode="after")
    def _labels_are_allowed(self) -> Self:
        for name, value in self.labels.items():
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", name) or not re.fullmatch(LABEL_VALUE, value):
                raise ValueError(f"labels.{name}: small letters, digits, _ and -, 63 characters at most")
        return self

    @property
    def serves_in(self) -> str:
        """The region that serves."""
        return self.serving_location or self.location
