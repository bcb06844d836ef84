"""embedded_base_model: the small model that every task can be tuned from without an account or a download.

It is pre-trained here, from the project's own unlabelled text, and cached by the digest of corpus and settings.
"""

import json
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field

from finetune_assets.evaluation.report.charts import loss_png
from finetune_assets.lineage import show
from finetune_assets.lineage.bases import EMBEDDED_STAGE
from finetune_assets.lineage.runtime import PLATFORM_TASK, StageBook, asset_key, materialized, open_shared
from finetune_assets.lineage.tuned_adapter import LOCAL_TRAINING
from finetune_assets.lineage.tuning_request import LOSS_CHART
from finetune_assets.records.digests import digest_of, digest_of_file
from finetune_assets.resources.platform import Platform
from finetune_assets.resources.trainer import Trainer
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json, write_atomic, write_json_atomic
from finetune_assets.storage.leases import lease
from finetune_assets.task_types import build_task_type
from finetune_assets.training.corpus import CorpusConfig, build_corpus, corpus_digest
from finetune_assets.tuning.local import plan_base_model
from finetune_assets.tuning.request import BaseModelConfig, BaseModelRequest

CODE_VERSION = "1"
WAIT_FOR_TWIN_SECONDS = 3600.0


class EmbeddedBaseConfig(BaseModel):
    """What the embedded base learns from and how large it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    taxonomy: str = Field(description="Taxonomy whose label names appear in the corpus, never beside an observation.")
    model: BaseModelConfig = Field(default_factory=BaseModelConfig, description="Shape and pre-training.")


def embedded_base_key() -> dg.AssetKey:
    """Return the key of the shared asset."""
    return asset_key(PLATFORM_TASK, EMBEDDED_STAGE)


def build_asset(config: EmbeddedBaseConfig, folder: Path) -> dg.AssetsDefinition:
    """Return the shared asset; `folder` is where the configuration's paths start."""

    @dg.asset(
        key=embedded_base_key(),
        group_name=PLATFORM_TASK,
        description="A Llama of about a million weights, pre-trained here on unlabelled text. It shows that the "
        "platform works; it is not a model to use in earnest.",
        kinds={"pytorch", "huggingface"},
        code_version=CODE_VERSION,
    )
    def embedded_base_model(
        context: dg.AssetExecutionContext, platform: Platform, trainer: Trainer
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        shared = open_shared(context, platform)
        artifact, reused = pretrain(shared, platform, config, folder, context, trainer)
        shared.record(EMBEDDED_STAGE, artifact, reused=reused)
        return materialized(artifact, reused=reused, namespace=shared.namespace, metadata=describe(artifact))

    return embedded_base_model


def corpus_of(config: EmbeddedBaseConfig, folder: Path) -> CorpusConfig:
    """Return the corpus settings with the keys and names of the answers that the taxonomy allows."""
    task_type = build_task_type("classification", {"taxonomy": config.taxonomy}, folder)
    answers = [json.loads(choice) for choice in task_type.choices() or ()]
    keys = tuple(answers[0])
    return CorpusConfig(
        label_keys=keys, label_values=tuple(tuple(sorted({answer[key] for answer in answers})) for key in keys)
    )


def _request(config: EmbeddedBaseConfig, corpus: CorpusConfig, memo: Path) -> BaseModelRequest:
    """Return the request; the corpus is built once for each state of settings and code to learn its digest."""
    key = digest_of({"corpus": corpus.model_dump(mode="json"), "code": _generator_digest()})
    place = memo / f"corpus-{key}.json"
    if not place.exists():
        write_json_atomic(place, {"digest": corpus_digest(build_corpus(corpus))})
    return BaseModelRequest(corpus_digest=read_json(place)["digest"], model=config.model)


def _generator_digest() -> str:
    package = Path(__file__).resolve().parents[1]
    sources = [
        *sorted((package / "datasets" / "synthetic").glob("*.py")),
        package / "training" / "corpus.py",
        package / "training" / "prose.py",
        package / "datasets" / "render.py",
    ]
    return digest_of({path.name: digest_of_file(path) for path in sources})


def pretrain(
    shared: StageBook,
    platform: Platform,
    config: EmbeddedBaseConfig,
    folder: Path,
    context: Any,
    trainer: Trainer,
) -> tuple[Artifact, bool]:
    """Pre-train the base, or take over the one that the same corpus and settings gave before."""
    home = platform.home()
    corpus = corpus_of(config, folder)
    request = _request(config, corpus, home.path / "evidence")
    known = shared.artifacts.find(EMBEDDED_STAGE, request.key)
    if known:
        return known, True
    with lease(shared.database, f"base/{request.key}", wait_s=WAIT_FOR_TWIN_SECONDS):
        known = shared.artifacts.find(EMBEDDED_STAGE, request.key)
        if known:
            return known, True
        with shared.artifacts.create(EMBEDDED_STAGE, request.key) as staging:
            job = home.work / f"base-{request.key}.json"
            write_json_atomic(
                job,
                {
                    "out": str(staging.path),
                    "request": request.model_dump(mode="json"),
                    "corpus": corpus.model_dump(mode="json"),
                },
            )
            plan = plan_base_model(job, threads=config.model.threads)
            with lease(shared.database, LOCAL_TRAINING, wait_s=WAIT_FOR_TWIN_SECONDS):
                trainer.run(context, plan, what="pre-training", log=home.logs / f"base-{request.key}.log")
            job.unlink()
            training = read_json(staging.path / "training.json")
            write_atomic(staging.path / LOSS_CHART, loss_png(training["loss"]))
            return (
                staging.commit(
                    {"request": request.model_dump(mode="json"), "corpus": corpus.model_dump(mode="json")},
                    outside_digest=["training.json", LOSS_CHART],
                ),
                False,
            )


def describe(artifact: Artifact) -> dict[str, Any]:
    """Return the metadata that a person wants to see."""
    training = read_json(artifact.file("training.json"))
    return {
        "weights": training["weights"],
        "corpus_tokens": training["corpus_tokens"],
        "corpus_documents": training["corpus_documents"],
        "duration_s": training["duration_s"],
        "cpu_s": training["cpu_s"],
        "loss": show.picture(artifact.file(LOSS_CHART).read_bytes(), "pre-training loss"),
        "final_loss": float(training["loss"][-1][1]),
    }
