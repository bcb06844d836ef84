"""What decides a tuning run, and the key under which it is submitted at most once.

Here belong the requests and their keys. Backends read them; nothing here knows a backend.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from finetune_assets.records.digests import digest_of
from finetune_assets.tuning.config import TuningConfig

KEY_DIGITS = 20
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class TuningRequest(BaseModel):
    """All that decides an adapter's weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = Field(min_length=1, description="The task's name.")
    dataset_digest: str = Field(min_length=1, description="Digest of the dataset version (its manifest's digest).")
    train_digest: Digest = Field(description="SHA-256 of the rendered training rows.")
    validation_digest: Digest | None = Field(
        default=None, description="SHA-256 of the rendered validation rows; None where the split has none."
    )
    base_digest: str = Field(
        min_length=1, description="Identity of the base: the embedded base's artifact digest, a hub commit, or a hash."
    )
    template_hash: str = Field(min_length=1, description="Hash of prompt and chat template; serving compares it.")
    config: TuningConfig = Field(description="The run's settings.")

    @property
    def request_key(self) -> str:
        """20 hex digits: equal for equal requests, whatever is only shown or only helps resuming."""
        data = self.model_dump(mode="json", exclude={"config"})
        data["config"] = self.config.identity()
        return digest_of(data)[:KEY_DIGITS]


class BaseModelConfig(BaseModel):
    """Shape and pre-training of the embedded base: a small Llama, trained from scratch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vocabulary: int = Field(default=2048, ge=300, le=65536, description="Entries of the byte-level BPE vocabulary.")
    hidden: int = Field(default=128, ge=16, le=4096, description="Width of the residual stream.")
    layers: int = Field(default=4, ge=1, le=64, description="Transformer blocks; two cannot compose a triple label.")
    heads: int = Field(default=4, ge=1, le=64, description="Attention heads; hidden must be a multiple.")
    intermediate: int = Field(default=384, ge=16, le=16384, description="Width of the gated feed-forward layer.")
    positions: int = Field(default=2048, ge=64, le=131072, description="Longest text in tokens.")
    window: int = Field(default=128, ge=16, le=4096, description="Tokens in one training window.")
    batch_size: int = Field(default=16, ge=1, le=1024, description="Windows in one optimizer step.")
    initial_deviation: float = Field(
        default=0.05, gt=0.0, le=1.0, description="Standard deviation of the first random weights."
    )
    steps: int = Field(default=200, ge=1, le=100000, description="Optimizer steps.")
    learning_rate: float = Field(default=0.02, gt=0.0, le=1.0, description="Peak learning rate of Muon (matrices).")
    embedding_learning_rate: float = Field(
        default=5e-3, gt=0.0, le=1.0, description="Peak learning rate of AdamW (embeddings and norms)."
    )
    warmup: float = Field(default=0.05, ge=0.0, lt=1.0, description="Share of the steps with a rising learning rate.")
    weight_decay: float = Field(default=0.1, ge=0.0, le=1.0, description="Decoupled weight decay; norms have none.")
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="Seed of weights and window order.")
    threads: int = Field(default=2, ge=1, le=256, description="CPU threads, fixed: sums depend on their number.")


class BaseModelRequest(BaseModel):
    """All that decides the embedded base's weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    corpus_digest: Digest = Field(description="SHA-256 over the documents of the corpus, in order.")
    model: BaseModelConfig = Field(default_factory=BaseModelConfig, description="Shape and pre-training.")

    @property
    def key(self) -> str:
        """20 hex digits: the name under which the finished base is cached."""
        data: dict[str, Any] = self.model_dump(mode="json")
        return digest_of(data)[:KEY_DIGITS]
