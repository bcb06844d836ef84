"""validation_report: what the candidate can do beside the baseline, and the gates' verdict on it."""

from typing import Any

import dagster as dg

from finetune_assets.lineage import show
from finetune_assets.lineage.checks import Check, Evidence, build_checks
from finetune_assets.lineage.instance import GATE_TAG
from finetune_assets.lineage.judging import CONFUSION, judge_candidate
from finetune_assets.lineage.judging import REPORT as STAGE
from finetune_assets.lineage.runtime import TaskRun, asset_key, materialized, open_task
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.lineage.tuned_adapter import STAGE as ADAPTER
from finetune_assets.lineage.validated_splits import STAGE as SPLITS
from finetune_assets.releases.registry import Registry
from finetune_assets.releases.states import ReleaseState
from finetune_assets.resources.platform import Platform, RunOptions
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json
from finetune_assets.storage.stages import record_report

CODE_VERSION = "1"
_STATE_OF: dict[str, ReleaseState] = {"PASS": "validated", "FAIL": "rejected"}


def build_asset(spec: TaskSpec) -> dg.AssetsDefinition:
    """Return the asset of one task."""

    @dg.asset(
        key=asset_key(spec.name, STAGE),
        deps=[asset_key(spec.name, ADAPTER), asset_key(spec.name, SPLITS)],
        group_name=spec.name,
        description="Scores beside the untuned base, the live release and the trivial baselines; the gates' verdict.",
        kinds={"scikitlearn", "pytorch"},
        owners=spec.config.owners,
        code_version=CODE_VERSION,
    )
    def validation_report(
        context: dg.AssetExecutionContext, platform: Platform, options: RunOptions
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        task = open_task(context, spec, platform, options)
        artifact, reused = judge_candidate(task, context.log.info)
        task.record(STAGE, artifact, reused=reused)
        _register(task, artifact)
        context.instance.add_run_tags(context.run_id, {GATE_TAG: artifact.manifest["verdict"]})
        return materialized(artifact, reused=reused, namespace=task.namespace, metadata=describe(artifact))

    return validation_report


def _register(task: TaskRun, artifact: Artifact) -> None:
    """Write the verdict down; outside of experiments the candidate becomes a numbered release."""
    manifest = artifact.manifest
    record_report(
        task.database,
        task=task.task,
        namespace=task.namespace,
        report_key=artifact.key,
        digest=artifact.digest,
        candidate=manifest["candidate"],
        baseline=manifest["baseline"],
        verdict=manifest["verdict"],
        run_id=task.run_id,
    )
    if task.is_experiment:
        return
    registry = Registry(task.database)
    report = read_json(artifact.file("report.json"))
    release = registry.register(
        task.task,
        manifest["candidate"],
        base_model=task.config.tuning.base_model,
        request_key=manifest["adapter_key"],
        dataset_digest=task.result(SPLITS).digest,
        report_key=artifact.key,
        report_digest=artifact.digest,
        scores=scores_of(report),
        run_id=task.run_id,
    )
    state = _STATE_OF.get(manifest["verdict"])
    if state and release.state == "candidate":
        registry.transition(release.id, state, by="gate", note=manifest["verdict"], run_id=task.run_id)


def scores_of(report: dict[str, Any]) -> dict[str, float]:
    """Return the candidate's headline scores."""
    candidate = report["scores"]["candidate"]
    return {name: candidate[name] for name in ("exact", "macro_f1", "parse_rate", "coverage")}


def describe(artifact: Artifact) -> dict[str, Any]:
    """Return the metadata that a person wants to see."""
    report = read_json(artifact.file("report.json"))
    return {
        "verdict": report["verdict"]["verdict"],
        "candidate": artifact.manifest["candidate"][:12],
        "baseline": artifact.manifest["baseline_name"],
        **scores_of(report),
        "report": show.markdown(artifact.file("report.md").read_text(encoding="utf-8")),
        "confusion": show.picture(artifact.file(CONFUSION).read_bytes(), "confusion matrix"),
        "report_file": dg.MetadataValue.path(str(artifact.file("report.md"))),
    }


def _gate_evidence(artifact: Artifact, names: tuple[str, ...]) -> Evidence:
    verdict = read_json(artifact.file("report.json"))["verdict"]
    gates = [gate for gate in verdict["gates"] if gate["name"].startswith(names)]
    broken = [gate for gate in gates if gate["verdict"] != "PASS"]
    spoken = broken or gates
    return Evidence(
        # A gate that the report does not hold cannot pass.
        passed=bool(gates) and not broken,
        summary=" ".join(f"{gate['verdict']}: {gate['reason']}" for gate in spoken) or "the report holds no such gate",
        numbers={gate["name"]: float(gate["observed"]) for gate in gates if gate["observed"] is not None},
        rows=[{"gate": gate["name"], "record": record} for gate in broken for record in gate["records"]],
    )


def _beats_baseline(task: TaskRun, artifact: Artifact) -> Evidence:
    return _gate_evidence(artifact, ("beats_", "rows", "baseline_coverage", "floor:", "slices"))


def _parse_rate(task: TaskRun, artifact: Artifact) -> Evidence:
    return _gate_evidence(artifact, ("parse_rate", "coverage"))


def _critical(task: TaskRun, artifact: Artifact) -> Evidence:
    return _gate_evidence(artifact, ("critical",))


def _whole_verdict(task: TaskRun, artifact: Artifact) -> Evidence:
    verdict = read_json(artifact.file("report.json"))["verdict"]
    gates = [{"gate": gate["name"], "verdict": gate["verdict"], "reason": gate["reason"]} for gate in verdict["gates"]]
    return Evidence(
        passed=verdict["verdict"] == "PASS",
        summary=f"{verdict['verdict']} over {len(gates)} gates",
        rows=[row for row in gates if row["verdict"] != "PASS"],
    )


def build_asset_checks(spec: TaskSpec) -> dg.AssetChecksDefinition:
    """Return the checks of one task's report: the gates, one by one and as a whole."""
    return build_checks(
        spec,
        STAGE,
        [
            Check("beats_baseline", "Shown to be better than the baseline, paired on the same rows.", _beats_baseline),
            Check("parse_rate", "Answers are there and can be read.", _parse_rate),
            Check("no_regression_on_critical", "No critical row that the baseline has right is lost.", _critical),
            Check("verdict", "Every gate passes; INCONCLUSIVE is no pass.", _whole_verdict),
        ],
    )
