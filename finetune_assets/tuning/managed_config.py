"""Settings that only a provider knows: method, mode and adapter of managed tuning, and the machines of a job."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

BackendName = Literal["local", "gemini", "open_model", "custom_job"]
MANAGED = ("gemini", "open_model")
Method = Literal["sft", "dpo", "distillation"]
Mode = Literal["peft", "full"]


class ManagedSettings(BaseModel):
    """Managed tuning by Vertex AI. What a model does not offer is refused before anything is submitted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Method = Field(
        default="sft",
        description="`sft`: by examples; `dpo`: by preferred and rejected answers; `distillation`: by a teacher model.",
    )
    mode: Mode = Field(default="peft", description="`peft`: an adapter; `full`: all weights (some open models only).")
    adapter_size: Literal[1, 2, 4, 8, 16, 32] | None = Field(
        default=None, description="Rank of the adapter; null takes the catalogue's advice for the model."
    )
    learning_rate_multiplier: float = Field(
        default=1.0, gt=0.0, le=100.0, description="Scales the service's own learning rate; Gemini only."
    )
    last_checkpoint_only: bool = Field(default=False, description="Keep no earlier checkpoints; Gemini only.")
    beta: float = Field(default=0.1, gt=0.0, le=10.0, description="How strictly dpo keeps to the base model.")
    teacher: str = Field(default="", description="Model that distillation learns from.")
    continue_from: str = Field(
        default="", description="Tuned model (projects/…/models/ID@1) or gs:// folder of weights to go on from."
    )
    checkpoint: str = Field(default="", description="Checkpoint of that tuned model; empty takes its default.")

    @model_validator(mode="after")
    def _method_has_what_it_needs(self) -> Self:
        if self.method == "distillation" and not self.teacher:
            raise ValueError("distillation needs a teacher")
        if self.teacher and self.method != "distillation":
            raise ValueError("teacher belongs to method distillation")
        if self.checkpoint and not self.continue_from:
            raise ValueError("checkpoint needs continue_from")
        return self


class CustomJobSettings(BaseModel):
    """Machines on which this project's trainer runs in its container."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str = Field(
        default="",
        description="Image of this project, by digest (…@sha256:…) for a job that counts.",
    )
    machine_type: str = Field(default="g2-standard-12", min_length=1, description="Machine of one replica.")
    accelerator_type: str = Field(default="NVIDIA_L4", description="Its accelerator; empty for none.")
    accelerator_count: int = Field(default=1, ge=0, le=16, description="Accelerators of one replica.")
    replicas: int = Field(default=1, ge=1, le=64, description="Machines; more than one train together.")
    disk_gb: int = Field(default=200, ge=100, le=64000, description="Boot disk of a machine in gigabytes.")
    spot: bool = Field(
        default=False, description="Take a machine that may be taken away; the trainer goes on from its checkpoint."
    )
    max_hours: float = Field(default=6.0, gt=0.0, le=168.0, description="Hours after which the service ends the job.")
    max_wait_hours: float = Field(
        default=0.5, ge=0.0, le=168.0, description="Hours that a spot job may wait for a machine; 0 waits for ever."
    )
    restart: bool = Field(default=True, description="Start again when a machine was lost.")
    network: str = Field(default="", description="VPC network of the machines (full resource name); empty for none.")
