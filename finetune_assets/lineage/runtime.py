"""One task in one run: effective settings, storage and the results of the stages before.

A stage's result is an artifact; which one is current is written in the database by run and by namespace, so that a
step reads what its own run made, and a single materialization reads the latest.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from finetune_assets.lineage.settings import Settings, resolve
from finetune_assets.lineage.task_config import TaskConfig, TaskSpec
from finetune_assets.records.digests import digest_of, short
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.task_type import TaskType
from finetune_assets.resources.platform import Platform, RunOptions
from finetune_assets.storage import stages
from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home
from finetune_assets.storage.namespaces import MAIN
from finetune_assets.task_types import build_task_type

PLATFORM_TASK = "platform"
STAGES = (
    "raw_observations",
    "validated_splits",
    "uploaded_dataset",
    "tuned_adapter",
    "validation_report",
    "release_approval",
    "deployed_endpoint",
)
DATA_STAGES = STAGES[:3]


@dataclass(frozen=True)
class StageBook:
    """Reads and writes which artifact is a stage's current result.

    Attributes:
        task: the task, or `platform` for what all share.
        namespace: `main`, or one of its own for each kind of experiment.
        run_id: the Dagster run.
    """

    task: str
    namespace: str
    run_id: str
    artifacts: ArtifactStore
    database: Database

    def result(self, stage: str) -> Artifact:
        """Return the stage's artifact: this run's, else the latest of the namespace.

        Raises:
            FinetuneError: when the stage has no result yet.
        """
        found = stages.find_stage(self.database, self.task, self.namespace, stage, self.run_id)
        artifact = self.artifacts.find(found.kind, found.key) if found else None
        if artifact is None:
            raise FinetuneError(
                "upstream has no result yet",
                where=f"{self.task}/{stage}",
                mend=f"materialize {stage} first, or run the whole chain with `finetune run {self.task}`",
            )
        return artifact

    def reused(self, stage: str) -> bool:
        """Return True when this very run took the stage's result over unchanged."""
        found = stages.find_stage(self.database, self.task, self.namespace, stage, self.run_id)
        return bool(found and found.run_id == self.run_id and found.reused)

    def record(self, stage: str, artifact: Artifact, *, reused: bool) -> None:
        """Write that `artifact` is the stage's result in this run and the namespace's newest."""
        stages.record_stage(
            self.database,
            task=self.task,
            namespace=self.namespace,
            stage=stage,
            run_id=self.run_id,
            kind=artifact.kind,
            key=artifact.key,
            digest=artifact.digest,
            reused=reused,
        )


@dataclass(frozen=True)
class TaskRun(StageBook):
    """A task in one run: its settings and task type beside the stage book.

    Attributes:
        settings: the effective settings.
        folder: the folder of its defs.yaml.
        home: the platform's home.
        options: what this run was asked to do differently.
        cancelled: tells whether a person has cancelled the run, which a signal alone does not say.
    """

    settings: Settings
    folder: Path
    home: Home
    options: RunOptions
    cancelled: Callable[[], bool] = field(default=lambda: False, repr=False, compare=False)

    @property
    def config(self) -> TaskConfig:
        """The effective configuration."""
        return self.settings.config

    @property
    def is_experiment(self) -> bool:
        """True when the run may not touch the head or the live release."""
        return self.options.is_experiment

    def for_variant(self, variant: str) -> "TaskRun":
        """Return the task as one tuning variant sees it; "" is the task itself."""
        if not variant:
            return self
        config = self.config.model_copy(update={"tuning": self.config.tuning.by_variant()[variant]})
        return replace(self, settings=Settings(config=config, origins=self.settings.origins))

    def task_type(self) -> TaskType:
        """Build the task type from the settings and the task's folder."""
        section = self.config.type_section()
        return build_task_type(self.config.task_type, section.model_dump(mode="json"), self.folder)


def adapter_stage(variant: str = "") -> str:
    """Return the asset that one tuning variant gives; "" is a task without variants."""
    return f"tuned_adapter_{variant}" if variant else "tuned_adapter"


def assets_of(config: TaskConfig, stage: str) -> list[str]:
    """Return the assets that a stage stands for: several adapters where there are variants, else the stage itself."""
    return [adapter_stage(name) for name in config.tuning.by_variant()] if stage == "tuned_adapter" else [stage]


def namespace_of(options: RunOptions) -> str:
    """Return `main`, or a namespace made of the limit and the overrides of an experiment or a smoke test."""
    if not options.is_experiment:
        return MAIN
    asked: dict[str, Any] = {"limit": options.limit, "overrides": options.overrides}
    if options.smoke:
        return "smoke-" + short(digest_of(asked))
    return "experiment-" + short(digest_of(asked))


def open_task(context: Any, spec: TaskSpec, platform: Platform, options: RunOptions) -> TaskRun:
    """Open a task for one step; `context` is the asset's or the check's context."""
    home = platform.home()
    return TaskRun(
        task=spec.name,
        namespace=namespace_of(options),
        run_id=context.run.run_id,
        artifacts=platform.artifacts(),
        database=platform.database(),
        settings=resolve(spec, options.overrides, os.environ),
        folder=Path(spec.folder),
        home=home,
        options=options,
        cancelled=partial(is_cancelled, context),
    )


def is_cancelled(context: Any) -> bool:
    """Return whether a person has cancelled the context's run, as Dagster's records say."""
    run = context.instance.get_run_by_id(context.run.run_id)
    return run is not None and run.status == dg.DagsterRunStatus.CANCELING


def open_shared(context: Any, platform: Platform) -> StageBook:
    """Open the stage book of the assets that all tasks share."""
    return StageBook(
        task=PLATFORM_TASK,
        namespace=MAIN,
        run_id=context.run.run_id,
        artifacts=platform.artifacts(),
        database=platform.database(),
    )


def asset_key(task: str, stage: str) -> dg.AssetKey:
    """Return the asset's key, `[task, stage]`."""
    return dg.AssetKey([task, stage])


def materialized(artifact: Artifact, *, reused: bool, namespace: str, metadata: dict[str, Any]) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Return the asset's result: its digest as data version, and the metadata that every asset carries."""
    return dg.MaterializeResult(
        data_version=dg.DataVersion(artifact.digest),
        metadata={
            "digest": short(artifact.digest),
            "reused": reused,
            "namespace": namespace,
            "artifact": dg.MetadataValue.path(str(artifact.path)),
            **metadata,
        },
    )
