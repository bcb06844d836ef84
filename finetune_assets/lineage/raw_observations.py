"""raw_observations: the source files, read once, each row kept or quarantined with its reason."""

import os
from pathlib import Path
from typing import Any

import dagster as dg

from finetune_assets.datasets.reading.cloud_source import ORIGINS, LocalSource, fetch_source, is_remote
from finetune_assets.datasets.reading.ingest import ingest, source_identity
from finetune_assets.datasets.reading.listing import source_path
from finetune_assets.lineage import show
from finetune_assets.lineage.case_consumption import finish_consumption
from finetune_assets.lineage.checks import Check, Evidence, build_checks
from finetune_assets.lineage.corrected_cases import plan_cases
from finetune_assets.lineage.runtime import TaskRun, asset_key, materialized, open_task
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.records.digests import digest_of
from finetune_assets.records.errors import FinetuneError
from finetune_assets.resources.cloud import storage_client
from finetune_assets.resources.platform import Platform, RunOptions
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json, write_json_atomic

STAGE = "raw_observations"
CASES = "error_cases"
CODE_VERSION = "1"


def build_asset(spec: TaskSpec) -> dg.AssetsDefinition:
    """Return the asset of one task."""

    @dg.asset(
        key=asset_key(spec.name, STAGE),
        deps=[asset_key(spec.name, CASES)],
        group_name=spec.name,
        description="Source records as found, each with its place, and corrected cases; what cannot be read is in "
        "quarantine.",
        kinds={"json"},
        owners=spec.config.owners,
        code_version=CODE_VERSION,
    )
    def raw_observations(
        context: dg.AssetExecutionContext, platform: Platform, options: RunOptions
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        task = open_task(context, spec, platform, options)
        artifact, reused = read_source(task, context.log.info)
        task.record(STAGE, artifact, reused=reused)
        return materialized(artifact, reused=reused, namespace=task.namespace, metadata=describe(artifact))

    return raw_observations


def read_source(task: TaskRun, say: Any) -> tuple[Artifact, bool]:
    """Read the source and the corrected cases, or take over what equal ones gave before."""
    for number, taken in finish_consumption(task):
        say(f"version {number} had not finished taking its corrected cases: {taken.cases} taken")
    plan = plan_cases(task)
    local = local_source(task)
    source = local.config
    aliases = task.task_type().aliases
    identity = {
        "code": CODE_VERSION,
        "source": source_identity(source, task.folder),
        "aliases": {name: list(names) for name, names in aliases.items()},
        **plan.identity(),
    }
    key = digest_of(identity)[:20]
    known = task.artifacts.find(STAGE, key)
    if known:
        return known, True
    with task.artifacts.create(STAGE, key) as staging:
        summary = ingest(
            source,
            task.folder,
            aliases,
            staging.path,
            further=plan.rows(),
            on_progress=lambda rows: say(f"{rows} rows read"),
        )
        # The manifest says which bytes the records are from; rows of other bytes must not stand under it.
        if source_identity(source, task.folder) != identity["source"]:
            raise FinetuneError(
                "the source changed while it was read",
                where=str(source_path(source, task.folder)),
                expected="files that stay as they are for the time of the run",
                mend="run again once whoever writes them is done",
            )
        write_json_atomic(staging.path / "summary.json", {**summary.to_json(), **plan.counts()})
        plan.write(staging.path)
        if local.objects:
            write_json_atomic(staging.path / ORIGINS, local.origins())
        outside = [ORIGINS] if local.objects else []
        return staging.commit({"task": task.task, "inputs": identity}, outside_digest=outside), False


def local_source(task: TaskRun) -> LocalSource:
    """Return the source with its files on this machine; those in Cloud Storage are fetched, once each generation."""
    source = task.config.dataset.source
    if not is_remote(source):
        return LocalSource(source)
    return fetch_source(source, storage_client(os.environ), task.home.work / "gcs-sources")


def summary_of(artifact: Artifact) -> dict[str, Any]:
    """Return the counts that were written beside the records."""
    summary: dict[str, Any] = read_json(artifact.file("summary.json"))
    return summary


def describe(artifact: Artifact) -> dict[str, Any]:
    """Return the metadata that a person wants to see."""
    summary = summary_of(artifact)
    origins = read_json(artifact.file(ORIGINS)) if artifact.has_file(ORIGINS) else {}
    return {
        "dagster/row_count": summary["accepted"],
        "rows_read": summary["read"],
        "rows_quarantined": summary["quarantined"],
        "quarantine_reasons": show.reasons(summary["reasons"]),
        "source_files": show.table([_file_row(item) for item in summary["files"]]),
        **(
            {"fetched_from": show.table([{"name": name, **facts} for name, facts in origins.items()])}
            if origins
            else {}
        ),
        **_cases_shown(summary),
        "noticed": show.counts(summary["notes"], name="what"),
        "records": dg.MetadataValue.path(str(artifact.file("records.jsonl"))),
        "quarantine": dg.MetadataValue.path(str(artifact.file("quarantine.jsonl"))),
    }


def _cases_shown(summary: dict[str, Any]) -> dict[str, Any]:
    """Return how many rows came from feedback; nothing for a task without corrected cases."""
    found = summary.get("feedback")
    if not found:
        return {}
    return {
        "corrected_cases": show.counts(
            {name: found[name] for name in ("accepted", "quarantined", "regression")}, name="corrected cases"
        )
    }


def _of_source(summary: dict[str, Any], name: str) -> int:
    """Return a count without what came from feedback, whose faults are not the source's."""
    return int(summary[name]) - int(summary.get("feedback", {}).get(name, 0))


def _file_row(item: dict[str, Any]) -> dict[str, Any]:
    """Return one source file as a row whose columns are the same for every file."""
    dialect = ", ".join(f"{name} {value!r}" for name, value in (item.get("dialect") or {}).items())
    plain = {name: item.get(name) or "" for name in ("name", "format", "packing")}
    return {**plain, "bytes": item["bytes"], "rows": item["rows"], "dialect": dialect, "fault": item.get("fault") or ""}


def _files_usable(task: TaskRun, artifact: Artifact) -> Evidence:
    summary = summary_of(artifact)
    faulty = [_file_row(item) for item in summary["files"] if item.get("fault")]
    passed_over = {name: count for name, count in summary["notes"].items() if name.startswith("skipped_")}
    told = "".join(f", {count} {name.replace('_', ' ')}" for name, count in sorted(passed_over.items()))
    return Evidence(
        passed=not faulty,
        summary=f"{len(summary['files'])} source files, {len(faulty)} cannot be used{told}",
        numbers={"files": len(summary["files"]), "unusable": len(faulty), **passed_over},
        rows=[{"file": row["name"], "fault": row["fault"]} for row in faulty],
    )


def _quarantine_share(task: TaskRun, artifact: Artifact) -> Evidence:
    summary = summary_of(artifact)
    limit = task.config.dataset.source.max_quarantine_share
    quarantined, read = _of_source(summary, "quarantined"), _of_source(summary, "read")
    share = quarantined / read if read else 1.0
    rows = [{"reason": reason, "rows": count} for reason, count in sorted(summary["reasons"].items())]
    return Evidence(
        passed=share <= limit,
        summary=f"{quarantined} of {read} rows cannot be read ({share:.1%}; at most {limit:.0%} allowed)",
        numbers={"quarantined_share": share},
        rows=rows,
    )


def _counts_conserved(task: TaskRun, artifact: Artifact) -> Evidence:
    summary = summary_of(artifact)
    accepted = _lines(artifact.file("records.jsonl"))
    quarantined = _lines(artifact.file("quarantine.jsonl"))
    passed = accepted + quarantined == summary["read"] and accepted == summary["accepted"]
    cases, told = summary.get("feedback"), ""
    if cases:
        told = (
            f"; {cases['accepted']} accepted and {cases['quarantined']} quarantined of them are corrected cases, "
            f"{cases['regression']} further ones are regression samples"
        )
    numbers = {"read": summary["read"], "accepted": accepted, "quarantined": quarantined}
    numbers |= {f"feedback_{name}": cases[name] for name in ("accepted", "quarantined", "regression")} if cases else {}
    return Evidence(
        passed=passed,
        summary=f"{summary['read']} read = {accepted} accepted + {quarantined} quarantined{told}",
        numbers=numbers,
    )


def _lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(1 for _ in stream)


def build_asset_checks(spec: TaskSpec) -> dg.AssetChecksDefinition:
    """Return the checks of one task's raw observations."""
    return build_checks(
        spec,
        STAGE,
        [
            Check(
                "counts_conserved",
                "Rows read = accepted + quarantined, counted again from the files.",
                _counts_conserved,
            ),
            Check("readable", "Not more rows in quarantine than the YAML allows.", _quarantine_share),
            Check(
                "files_usable",
                "Source files that cannot be used, one row of quarantine each.",
                _files_usable,
                gate=False,
            ),
        ],
    )
