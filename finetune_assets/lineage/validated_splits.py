"""validated_splits: records become examples, are checked against the taxonomy, cleaned of duplicates and split.

Only earlier assignments enter the next version, so a row once in a split stays in it. The task's head version moves
by compare-and-set under the task's lease; experiments read the head and never move it.
"""

from pathlib import Path
from typing import Any

import dagster as dg

from finetune_assets.datasets.build import build_splits, split_inputs_key
from finetune_assets.datasets.rendered import PREVIEW
from finetune_assets.datasets.split_files import NEAR_DUPLICATES
from finetune_assets.datasets.splitting.certificate import certificate_table
from finetune_assets.evaluation.report.charts import label_bars_png
from finetune_assets.lineage import show
from finetune_assets.lineage.case_consumption import finish_consumption
from finetune_assets.lineage.dataset_manifest import TASK_TYPE_FILE, made_from
from finetune_assets.lineage.distributions import distribution_tables
from finetune_assets.lineage.raw_observations import STAGE as RAW
from finetune_assets.lineage.runtime import TaskRun, asset_key, materialized, open_task
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.records.digests import digest_of, digest_of_file
from finetune_assets.records.example import SPLITS
from finetune_assets.resources.platform import Platform, RunOptions
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json, write_atomic, write_json_atomic
from finetune_assets.storage.heads import Head, advance_head, current_head
from finetune_assets.storage.leases import lease
from finetune_assets.storage.namespaces import MAIN

STAGE = "validated_splits"
CODE_VERSION = "1"
LABEL_CHART = "labels.png"
MAX_BARS = 40


def build_asset(spec: TaskSpec) -> dg.AssetsDefinition:
    """Return the asset of one task."""

    @dg.asset(
        key=asset_key(spec.name, STAGE),
        deps=[asset_key(spec.name, RAW)],
        group_name=spec.name,
        description="Examples in train, validation and test, without duplicates and without leaks; rendered as JSONL.",
        kinds={"json", "pandera"},
        owners=spec.config.owners,
        code_version=CODE_VERSION,
    )
    def validated_splits(
        context: dg.AssetExecutionContext, platform: Platform, options: RunOptions
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        task = open_task(context, spec, platform, options)
        artifact, reused = split_examples(task, context.log.info)
        task.record(STAGE, artifact, reused=reused)
        return materialized(artifact, reused=reused, namespace=task.namespace, metadata=describe(artifact))

    return validated_splits


def split_examples(task: TaskRun, say: Any) -> tuple[Artifact, bool]:
    """Build the next version of the splits, or take over the head where its inputs are the same."""
    raw = task.result(RAW)
    task_type = task.task_type()
    inputs_key = split_inputs_key(raw.digest, task_type, task.config.dataset, limit=task.options.limit)
    with lease(task.database, f"dataset/{task.task}/{task.namespace}", wait_s=30):
        own = current_head(task.database, task.task, task.namespace)
        if own and own.inputs_key == inputs_key:
            known = task.artifacts.find(STAGE, own.artifact_key)
            if known:
                _take_cases(task, say)
                return known, True
        # An experiment starts from the main head's assignments, so that it cannot train on main's test rows.
        starts = task.namespace != MAIN and (own is None or _is_purged(task, own))
        head = current_head(task.database, task.task, MAIN) if starts else own
        previous = _assignments(task, head.artifact_key) if head else None
        artifact = _build(task, raw, inputs_key, previous, say)
        advance_head(
            task.database,
            task.task,
            task.namespace,
            expected_number=own.number if own else None,
            inputs_key=inputs_key,
            artifact_key=artifact.key,
            digest=artifact.digest,
        )
        _take_cases(task, say)
        return artifact, False


def _is_purged(task: TaskRun, head: Head) -> bool:
    return task.artifacts.tombstone(STAGE, head.artifact_key) is not None


def _take_cases(task: TaskRun, say: Any) -> None:
    """Let the head take its corrected cases; a killed run's work is finished by the next one."""
    for number, taken in finish_consumption(task):
        say(f"version {number} took {taken.cases} corrected cases; {len(taken.left)} stay as they are")


def _assignments(task: TaskRun, artifact_key: str) -> Path:
    return task.artifacts.open(STAGE, artifact_key).file("assignments.jsonl")


def _build(task: TaskRun, raw: Artifact, inputs_key: str, previous: Path | None, say: Any) -> Artifact:
    memory = digest_of_file(previous) if previous else ""
    key = digest_of({"inputs": inputs_key, "assignments": memory, "code": CODE_VERSION})[:20]
    known = task.artifacts.find(STAGE, key)
    if known:
        return known
    with task.artifacts.create(STAGE, key) as staging:
        summary = build_splits(
            raw.file("records.jsonl"),
            staging.path,
            task.task_type(),
            task.config.dataset,
            previous=previous,
            limit=task.options.limit,
            on_progress=lambda rows: say(f"{rows} examples made"),
        )
        write_json_atomic(staging.path / "summary.json", summary.to_json())
        write_atomic(staging.path / LABEL_CHART, _label_chart(read_json(staging.path / "statistics.json")))
        manifest = {
            "task": task.task,
            "inputs_key": inputs_key,
            "raw": raw.key,
            "made_from": made_from(task, raw, staging.path),
        }
        return staging.commit(manifest, outside_digest=[LABEL_CHART, TASK_TYPE_FILE])


def _label_chart(statistics: dict[str, Any]) -> bytes:
    """Draw the labels; of more than a screenful, the finest level that fits on one."""
    # Of two that are as fine, the one with a name of its own says more than `label`.
    named = {**statistics["levels"], "label": statistics["labels"]}
    fitting = {name: counts for name, counts in named.items() if len(counts) <= MAX_BARS} or {"label": named["label"]}
    level, counts = max(fitting.items(), key=lambda item: len(item[1]))
    return label_bars_png(counts, title=f"Rows by {level}")


def summary_of(artifact: Artifact) -> dict[str, Any]:
    """Return the counts that were written beside the splits."""
    summary: dict[str, Any] = read_json(artifact.file("summary.json"))
    return summary


def describe(artifact: Artifact) -> dict[str, Any]:
    """Return the metadata that a person wants to see."""
    summary = summary_of(artifact)
    certificate = read_json(artifact.file("certificate.json"))
    splits = summary["splits"]
    return {
        "dagster/row_count": sum(splits.values()),
        **{f"rows_{name}": splits[name] for name in SPLITS},
        "rows_quarantined": summary["quarantined"],
        "rows_duplicate": summary["duplicates"],
        "quarantine_reasons": show.reasons(summary["reasons"]),
        "labels": show.picture(artifact.file(LABEL_CHART).read_bytes(), "rows of each label"),
        "rows_augmented": summary["augmented"],
        **distribution_tables(read_json(artifact.file("statistics.json"))),
        "rows_outside_limit": summary["outside_limit"],
        "near_duplicate_pairs": summary["near_duplicate_pairs"],
        "leakage_certificate": dg.MetadataValue.md(certificate_table(certificate)),
        "leakage_certificate_figures": dg.MetadataValue.json(certificate),
        "train_sample": dg.MetadataValue.path(str(artifact.file(PREVIEW))),
        "quarantine": dg.MetadataValue.path(str(artifact.file("quarantine.jsonl"))),
        "duplicates": dg.MetadataValue.path(str(artifact.file("duplicates.jsonl"))),
        "near_duplicates": dg.MetadataValue.path(str(artifact.file(NEAR_DUPLICATES))),
    }
