"""The `tuning:` section of a task: every setting of a tuning run, its default and its unit.

Here belong settings and rules over them. What a run's identity is stands in `request.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from finetune_assets.tuning.managed_config import MANAGED, BackendName, CustomJobSettings, ManagedSettings

EMBEDDED = "embedded"
EMBEDDED_LEARNING_RATE = 1.5e-3
HUB_LEARNING_RATE = 2e-4
# Settings that change what is shown or how often the run can be resumed, never the weights.
_NOT_IDENTITY = frozenset({"checkpoint_every", "keep_checkpoints", "report_to", "variants"})

# The settings that a managed job is asked for; all else is the provider's.
_MANAGED_IDENTITY = ("backend", "base_model", "epochs", "batch_size", "learning_rate")

VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
ModuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]+$")]


class LoraSettings(BaseModel):
    """The low-rank adapter (Hu et al. 2021, arXiv:2106.09685)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(default=16, ge=1, le=512, description="Rank of the two factors of each adapted layer.")
    alpha: int = Field(default=32, ge=1, le=2048, description="Scale: the update is multiplied by alpha / rank.")
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="Share of adapter inputs dropped in training.")
    target_modules: Literal["all-linear"] | tuple[ModuleName, ...] = Field(
        default="all-linear",
        description="Layers to adapt: `all-linear` (every linear layer but the output head) or module names.",
    )


class EarlyStopping(BaseModel):
    """Stop when the loss on the validation rows no longer falls; off unless `patience` is set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    patience: int = Field(default=0, ge=0, le=1000, description="Evaluations without improvement allowed; 0 is off.")
    min_delta: float = Field(default=0.0, ge=0.0, description="Smallest fall of the loss that counts (nats a token).")
    evaluate_every: int = Field(default=100, ge=1, description="Optimizer steps between evaluations.")


class TuningConfig(BaseModel):
    """How a task's adapter is trained. Unset values fit the embedded base on a CPU."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: BackendName = Field(
        default="local",
        description="Where training runs: `local`, a subprocess here; `gemini` and `open_model`, managed tuning by "
        "Vertex AI; `custom_job`, this project's own trainer on a machine of Vertex AI.",
    )
    base_model: str = Field(
        default=EMBEDDED,
        min_length=1,
        max_length=400,
        description="`embedded` (the project's own small model), a hub id such as microsoft/Phi-3-mini-4k-instruct, "
        "or a folder with safetensors weights.",
    )
    revision: str | None = Field(
        default=None, min_length=1, max_length=200, description="Branch, tag or commit of a hub id; None is its main."
    )
    epochs: float = Field(default=5.0, gt=0.0, le=1000.0, description="Passes over the training rows.")
    batch_size: int = Field(default=8, ge=1, le=4096, description="Rows in one forward pass.")
    gradient_accumulation: int = Field(
        default=1, ge=1, le=4096, description="Forward passes in one optimizer step (rows a step: batch_size x this)."
    )
    learning_rate: float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        description="Peak learning rate; unset means 1.5e-3 for the embedded base and 2e-4 for any other.",
    )
    lora: LoraSettings = Field(default_factory=LoraSettings, description="The low-rank adapter.")
    max_length: int = Field(
        default=512, ge=16, le=131072, description="Longest row in tokens; longer prompts are cut and counted."
    )
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="Seed of adapter weights, row order and dropout.")
    warmup: float = Field(default=0.05, ge=0.0, lt=1.0, description="Share of the steps with a rising learning rate.")
    scheduler: Literal["linear", "cosine", "constant_with_warmup"] = Field(
        default="linear", description="How the learning rate falls after the warm-up."
    )
    weight_decay: float = Field(default=0.0, ge=0.0, le=1.0, description="AdamW's decoupled weight decay.")
    max_gradient_norm: float = Field(default=1.0, gt=0.0, description="Gradients are scaled down to this norm.")
    checkpoint_every: int = Field(default=200, ge=1, description="Optimizer steps between checkpoints.")
    keep_checkpoints: int = Field(
        default=2, ge=2, le=100, description="Checkpoints kept; two, so that a torn newest one costs only its steps."
    )
    profile: Literal["auto", "cpu", "gpu"] = Field(
        default="auto",
        description="`cpu`: float32, one forward a batch; `gpu`: bfloat16 and activation checkpointing; "
        "`auto`: gpu where CUDA is there.",
    )
    threads: int = Field(
        default=1, ge=1, le=256, description="CPU threads of the trainer; part of the weights' identity on a CPU."
    )
    early_stopping: EarlyStopping = Field(default_factory=EarlyStopping, description="Off by default.")
    quantisation: Literal["none", "nf4"] = Field(
        default="none", description="`nf4` loads a hub model's weights in 4 bits (needs bitsandbytes)."
    )
    report_to: tuple[Literal["wandb", "tensorboard"], ...] = Field(
        default=(), description="Experiment trackers to write to, where they are installed."
    )

    managed: ManagedSettings | None = Field(
        default=None, description="What only managed tuning knows; for the backends gemini and open_model."
    )
    custom_job: CustomJobSettings | None = Field(
        default=None, description="Machines of the trainer; for the backend custom_job."
    )

    variants: dict[VariantName, dict[str, Any]] = Field(
        default_factory=dict,
        description="Several adapters side by side: for each a name and the settings that differ from this section. "
        "The best on the validation rows is judged on the test rows.",
    )

    @model_validator(mode="after")
    def _variants_are_settings(self) -> Self:
        for name, settings in self.variants.items():
            if "variants" in settings:
                raise ValueError(f"variants.{name}: a variant has no variants of its own")
        self.by_variant()
        return self

    def by_variant(self) -> dict[str, TuningConfig]:
        """Return every variant with its whole settings; without variants the section itself under the name ""."""
        if not self.variants:
            return {"": self}
        own = self.model_dump(mode="json", exclude={"variants"}, exclude_unset=True)
        return {name: TuningConfig.model_validate(_merged(own, settings)) for name, settings in self.variants.items()}

    @model_validator(mode="after")
    def _sections_fit_the_backend(self) -> Self:
        if self.managed is not None and self.backend not in MANAGED:
            raise ValueError(f"managed: belongs to the backends {' and '.join(MANAGED)}; this one is {self.backend}")
        if self.custom_job is not None and self.backend != "custom_job":
            raise ValueError(f"custom_job: belongs to that backend; this one is {self.backend}")
        if self.backend in MANAGED and self.is_embedded:
            raise ValueError(f"base_model: {self.backend} tunes no embedded base; name a model of its catalogue")
        return self

    @model_validator(mode="after")
    def _revision_needs_a_hub_id(self) -> Self:
        if self.revision is not None and self.is_embedded:
            raise ValueError("revision: the embedded base has none; remove it or name a hub id in base_model")
        if self.quantisation != "none" and self.is_embedded:
            raise ValueError("quantisation: the embedded base is 4.5 MB; use `none`")
        return self

    @property
    def rows_format(self) -> str:
        """The rendered format that the backend reads its rows in."""
        if self.backend not in MANAGED:
            return "chat"
        if self.managed_settings.method == "dpo":
            return "preference"
        return "gemini" if self.backend == "gemini" else "vertex_open_messages"

    @property
    def is_managed(self) -> bool:
        """Whether the provider trains and keeps the model, so that there are no weights to load here."""
        return self.backend in MANAGED

    @property
    def is_cloud(self) -> bool:
        """Whether training runs at a provider."""
        return self.backend != "local"

    @property
    def managed_settings(self) -> ManagedSettings:
        """The section `managed`, its defaults where YAML has none."""
        return self.managed or ManagedSettings()

    @property
    def job_settings(self) -> CustomJobSettings:
        """The section `custom_job`, its defaults where YAML has none."""
        return self.custom_job or CustomJobSettings()

    @property
    def is_embedded(self) -> bool:
        """Whether the base is the project's own small model."""
        return self.base_model == EMBEDDED

    @property
    def needs_embedded(self) -> bool:
        """Whether any variant's base is the project's own small model."""
        return any(config.is_embedded for config in self.by_variant().values())

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate in force: the one given, else the one that fits the base."""
        if self.learning_rate is not None:
            return self.learning_rate
        return EMBEDDED_LEARNING_RATE if self.is_embedded else HUB_LEARNING_RATE

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide the weights, as JSON, with defaults resolved.

        How often checkpoints are written and which trackers are told is left out: changing them must not retrain.
        """
        data = self.model_dump(mode="json", exclude=set(_NOT_IDENTITY))
        data["learning_rate"] = self.peak_learning_rate
        if self.backend in MANAGED:
            settings = self.managed_settings.model_dump(mode="json")
            return {name: data[name] for name in _MANAGED_IDENTITY} | {"managed": settings}
        # A section that only says on which machine it runs is no part of what is trained.
        return {name: value for name, value in data.items() if name not in ("managed", "custom_job")}


def _merged(own: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings laid over others, section by section."""
    merged = dict(own)
    for name, value in settings.items():
        below = merged.get(name)
        merged[name] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
