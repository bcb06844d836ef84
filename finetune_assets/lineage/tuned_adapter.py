"""tuned_adapter: the adapter that one tuning request gives, trained at most once for each request key.

Training runs in a process of its own through Dagster Pipes, resumes from its newest complete checkpoint, and holds a
lease on its request key, so that two runs never train the same thing side by side.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import dagster as dg

from finetune_assets.lineage import show
from finetune_assets.lineage.bases import Base, find_base
from finetune_assets.lineage.checks import Check, Evidence, build_checks
from finetune_assets.lineage.cloud.container_tuning import trained_where, tune_in_container
from finetune_assets.lineage.cloud.managed_evidence import (
    describe_managed,
    every_row_was_learned,
    job_history,
    model_is_kept,
)
from finetune_assets.lineage.cloud.managed_tuning import tune_managed
from finetune_assets.lineage.runtime import TaskRun, adapter_stage, asset_key, materialized, open_task
from finetune_assets.lineage.smoke_proof import prove
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.lineage.tuning_request import (
    ADAPTER,
    LOSS_CHART,
    WAIT_FOR_TWIN_S,
    keep_adapter,
    request_of,
    tuned_once,
)
from finetune_assets.lineage.uploaded_dataset import STAGE as UPLOADED
from finetune_assets.records.digests import short
from finetune_assets.records.errors import FinetuneError
from finetune_assets.resources.platform import Platform, RunOptions
from finetune_assets.resources.trainer import Trainer
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json, write_json_atomic
from finetune_assets.storage.intents import mark, record_intent
from finetune_assets.storage.leases import lease
from finetune_assets.training.digest import adapter_digest
from finetune_assets.tuning.local import plan_adapter
from finetune_assets.tuning.request import TuningRequest

STAGE = ADAPTER
CODE_VERSION = "1"
_MADE = {
    "local": "A low-rank adapter of the base model, trained here on the uploaded rows",
    "custom_job": "A low-rank adapter of the base model, trained on the uploaded rows on machines of Vertex AI",
    "gemini": "A Gemini model, tuned on the uploaded rows by Vertex AI, which keeps it",
    "open_model": "An open model, tuned on the uploaded rows by Vertex AI, its weights in the bucket",
}
_KINDS = {
    "local": {"pytorch", "huggingface"},
    "custom_job": {"pytorch", "vertexai"},
    "gemini": {"vertexai"},
    "open_model": {"vertexai"},
}
# One local training at a time: two would share the cores and the memory. A lease and no Dagster pool, because a pool's
# slot outlives a killed run, and the next run then waits for it forever.
LOCAL_TRAINING = "local-training"


def build_asset(spec: TaskSpec, shared_deps: list[dg.AssetKey], variant: str = "") -> dg.AssetsDefinition:
    """Return the asset of one task, or of one of its tuning variants.

    Args:
        spec: the task.
        shared_deps: the shared assets that its base model comes from.
        variant: the variant's name, "" where there are none.
    """
    told = f", variant {variant}" if variant else ""
    backend = spec.config.tuning.by_variant()[variant].backend

    @dg.asset(
        key=asset_key(spec.name, adapter_stage(variant)),
        deps=[asset_key(spec.name, UPLOADED), *shared_deps],
        group_name=spec.name,
        description=f"{_MADE[backend]}{told}.",
        kinds=_KINDS[backend],
        owners=spec.config.owners,
        code_version=CODE_VERSION,
    )
    def tuned_adapter(
        context: dg.AssetExecutionContext,
        platform: Platform,
        options: RunOptions,
        trainer: Trainer,
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        task = open_task(context, spec, platform, options)
        artifact, reused = tune(task, context, trainer, variant)
        task.record(adapter_stage(variant), artifact, reused=reused)
        told = job_history(task, artifact) | describe(artifact)
        if options.smoke:
            told |= prove(task, artifact, variant, context.log.info)
        return materialized(artifact, reused=reused, namespace=task.namespace, metadata=told)

    return tuned_adapter


def tune(
    whole: TaskRun, context: dg.AssetExecutionContext, trainer: Trainer, variant: str = ""
) -> tuple[Artifact, bool]:
    """Make the adapter of the task's request where its backend makes it, or take over an equal one.

    Args:
        whole: the task with all its variants.
        context: the asset's context.
        trainer: runs the local trainer.
        variant: the variant to tune, "" where there are none.
    """
    task = whole.for_variant(variant)
    if task.config.tuning.is_managed:
        return tune_managed(whole, context, variant)
    if task.config.tuning.is_cloud:
        return tune_in_container(task, context, variant)
    return tune_here(task, context, trainer)


def tune_here(task: TaskRun, context: dg.AssetExecutionContext, trainer: Trainer) -> tuple[Artifact, bool]:
    """Train the adapter on this machine, or take over the one that the same request gave before."""
    base = find_base(task)
    request = request_of(task, base)
    return tuned_once(task, request, lambda: _train(task, context, trainer, base, request))


def _train(
    task: TaskRun, context: dg.AssetExecutionContext, trainer: Trainer, base: Base, request: TuningRequest
) -> Artifact:
    key = request.request_key
    record_intent(task.database, request_key=key, task=task.task, backend=task.config.tuning.backend)
    work = task.home.work / "tuning" / key
    job = _write_job(work, base, request, task.result(UPLOADED))
    mark(task.database, key, state="RUNNING", handle=str(work))
    plan = plan_adapter(job, task.config.tuning, os.environ)
    try:
        with lease(task.database, LOCAL_TRAINING, wait_s=WAIT_FOR_TWIN_S):
            trainer.run(context, plan, what="training", log=task.home.logs / f"training-{key}.log")
    except FinetuneError as problem:
        mark(task.database, key, state="FAILED", error=str(problem))
        raise
    artifact = keep_adapter(task, base, request, work / "out")
    mark(task.database, key, state="SUCCEEDED", handle=artifact.key)
    shutil.rmtree(work)
    return artifact


def _write_job(work: Path, base: Base, request: TuningRequest, uploaded: Artifact) -> Path:
    validation = uploaded.file("chat/validation.jsonl")
    job = work / "job.json"
    (work / "out").mkdir(parents=True, exist_ok=True)
    write_json_atomic(
        job,
        {
            "base": str(base.folder),
            "train": str(uploaded.file("chat/train.jsonl")),
            "validation": str(validation) if validation.stat().st_size else None,
            "work": str(work / "checkpoints"),
            "out": str(work / "out"),
            "request": request.model_dump(mode="json"),
            "chat_template": base.chat_template,
        },
    )
    return job


def describe(artifact: Artifact) -> dict[str, Any]:
    """Return the metadata that a person wants to see."""
    if "managed" in artifact.manifest:
        return describe_managed(artifact)
    training = read_json(artifact.file("training.json"))
    plain = {
        name: value
        for name, value in training.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value is not None
    }
    return {
        "base_model": artifact.manifest["base"]["name"],
        "request_key": artifact.key,
        "loss": show.picture(artifact.file(LOSS_CHART).read_bytes(), "training loss"),
        "final_loss": float(training["loss"][-1][1]),
        **{f"training/{name}": value for name, value in plain.items()},
        "settings": dg.MetadataValue.json(artifact.manifest["request"]["config"]),
        "versions": dg.MetadataValue.json(training.get("versions", {})),
        **trained_where(artifact),
    }


def _artifact_loadable(task: TaskRun, artifact: Artifact) -> Evidence:
    """Read every tensor, compare the digest and hold the shapes against the configuration."""
    if "managed" in artifact.manifest:
        return model_is_kept(task, artifact)
    from safetensors.numpy import load_file

    problems = artifact.verify()
    config = json.loads(artifact.file("adapter_config.json").read_text(encoding="utf-8"))
    tensors = load_file(str(artifact.file("adapter_model.safetensors")))
    rank = int(config["r"])
    problems += [f"{name}: no rank-{rank} factor" for name, tensor in tensors.items() if rank not in tensor.shape]
    problems += [f"{name}: not finite" for name, tensor in tensors.items() if not _finite(tensor)]
    if adapter_digest(artifact.path) != artifact.manifest["adapter_digest"]:
        problems.append("the adapter's digest is not the manifest's")
    if not tensors:
        problems.append("the adapter holds no tensors")
    return Evidence(
        passed=not problems,
        summary=f"{len(tensors)} tensors read, {len(problems)} problems; "
        f"adapter {short(artifact.manifest['adapter_digest'])}",
        numbers={"tensors": len(tensors), "weights": sum(int(tensor.size) for tensor in tensors.values())},
        rows=[{"problem": problem} for problem in problems],
    )


def _finite(tensor: Any) -> bool:
    import numpy as np

    return bool(np.isfinite(tensor.astype("float32")).all())


def _loss_falls(task: TaskRun, artifact: Artifact) -> Evidence:
    losses = [value for _, value in read_json(artifact.file("training.json"))["loss"]]
    if not losses:
        return Evidence(passed=True, summary="does not apply: the provider gives no losses")
    tenth = max(1, len(losses) // 10)
    start, end = sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
    return Evidence(
        passed=end < start,
        summary=f"mean loss {start:.3f} in the first tenth, {end:.3f} in the last",
        numbers={"first_loss": start, "last_loss": end},
    )


def build_asset_checks(spec: TaskSpec, variant: str = "") -> dg.AssetChecksDefinition:
    """Return the checks of one task's adapter, or of one variant's."""
    managed = spec.config.tuning.by_variant()[variant].is_managed
    learned = Check("rows_learned", "The provider learned from every row, uncut.", every_row_was_learned)
    return build_checks(
        spec,
        adapter_stage(variant),
        [
            *([learned] if managed else []),
            Check(
                "artifact_loadable",
                "Every tensor reads back, is finite and fits the configuration.",
                _artifact_loadable,
            ),
            Check("loss_falls", "The training loss ends below where it began.", _loss_falls, gate=False),
        ],
    )
