"""What an adapter is asked for by, and how one with weights is kept; shared by every way to tune."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from finetune_assets.evaluation.report.charts import loss_png
from finetune_assets.lineage.bases import Base
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.uploaded_dataset import STAGE as UPLOADED
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json, write_atomic
from finetune_assets.storage.leases import lease
from finetune_assets.training.digest import adapter_digest
from finetune_assets.tuning.cloud.catalogue import lookup
from finetune_assets.tuning.request import TuningRequest

ADAPTER = "tuned_adapter"
LOSS_CHART = "loss.png"
# How long a second run waits for the first to finish the very same adapter.
WAIT_FOR_TWIN_S = 6 * 3600.0


def request_of(task: TaskRun, base: Base) -> TuningRequest:
    """Return everything that decides this task's adapter."""
    uploaded = task.result(UPLOADED)
    files = uploaded.manifest["files"]
    form = task.config.tuning.rows_format
    validation = files[f"{form}/validation.jsonl"]
    is_sent = sends_validation(task, uploaded)
    return TuningRequest(
        task=task.task,
        dataset_digest=uploaded.digest,
        train_digest=files[f"{form}/train.jsonl"]["sha256"],
        validation_digest=validation["sha256"] if is_sent else None,
        base_digest=base.digest,
        template_hash=base.template_hash(task.task_type()),
        config=task.config.tuning,
    )


def tuned_once(task: TaskRun, request: TuningRequest, make: Callable[[], Artifact]) -> tuple[Artifact, bool]:
    """Return the adapter that a request gives, made now or taken over; two runs never make it side by side.

    Args:
        task: the task.
        request: what decides the adapter.
        make: makes it; called at most once, under a lease on the request.

    Returns:
        The adapter, and whether it was there already.

    Raises:
        StorageError: when another run is still at work on it after six hours.
    """
    key = request.request_key
    known = task.artifacts.find(ADAPTER, key)
    if known:
        return known, True
    with lease(task.database, f"tuning/{key}", wait_s=WAIT_FOR_TWIN_S):
        known = task.artifacts.find(ADAPTER, key)
        return (known, True) if known else (make(), False)


def sends_validation(task: TaskRun, uploaded: Artifact) -> bool:
    """Return whether the validation rows go to the backend.

    Of a few rows, one validation row may be more than the share that a provider takes: a smoke test then does without,
    and a full job is refused by the preflight.
    """
    files, form = uploaded.manifest["files"], task.config.tuning.rows_format
    size, train = (int(files[f"{form}/{split}.jsonl"]["bytes"]) for split in ("validation", "train"))
    entry = lookup(task.config.tuning.base_model) if task.config.tuning.is_managed else None
    share = entry.limits.validation_bytes_share if entry else None
    is_too_large = share is not None and size > share * train
    return size > 0 and not (task.options.smoke and is_too_large)


def keep_adapter(
    task: TaskRun, base: Base, request: TuningRequest, out: Path, more: dict[str, Any] | None = None
) -> Artifact:
    """Keep what a trainer left as the request's artifact.

    Args:
        task: the task.
        base: what was tuned.
        request: what was asked for.
        out: the trainer's folder.
        more: what else the manifest says; no part of the identity.
    """
    digest = adapter_digest(out)
    with task.artifacts.create(ADAPTER, request.request_key) as staging:
        for path in sorted(out.iterdir()):
            if path.is_file():
                shutil.copyfile(path, staging.path / path.name)
        training = read_json(out / "training.json")
        write_atomic(staging.path / LOSS_CHART, loss_png(training["loss"]))
        return staging.commit(
            {
                "task": task.task,
                "request": request.model_dump(mode="json"),
                "base": {"name": base.name, "digest": base.digest},
                "adapter_digest": digest,
                "template_hash": request.template_hash,
                **(more or {}),
            },
            identity={"adapter": digest},
            # The adapter's own digest leaves out paths and versions that peft writes beside the tensors.
            outside_digest=[path.name for path in staging.path.iterdir()],
        )
