"""validation_report: what the candidate can do beside the baseline, and the gates' verdict on it."""

import re
from typing import Any

import dagster as dg

from finetune_assets.evaluation.gates.verdict import gate_names
from finetune_assets.evaluation.wording import about
from finetune_assets.lineage import show
from finetune_assets.lineage.checks import Check, Evidence, build_checks
from finetune_assets.lineage.instance import GATE_TAG
from finetune_assets.lineage.judging import REPORT as STAGE
from finetune_assets.lineage.judging import judge_candidate
from finetune_assets.lineage.report_files import CONFUSION, EFFECTS, PAGE
from finetune_assets.lineage.runtime import TaskRun, asset_key, assets_of, materialized, open_task
from finetune_assets.lineage.suite_history import suite_history
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.lineage.tuned_adapter import STAGE as ADAPTER
from finetune_assets.lineage.validated_splits import STAGE as SPLITS
from finetune_assets.releases.registry import Registry
from finetune_assets.releases.review import kept_policy
from finetune_assets.releases.states import ReleaseState
from finetune_assets.resources.platform import Platform, RunOptions
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json
from finetune_assets.storage.stages import record_report

CODE_VERSION = "2"
_STATE_OF: dict[str, ReleaseState] = {"PASS": "validated", "FAIL": "rejected"}


def build_asset(spec: TaskSpec) -> dg.AssetsDefinition:
    """Return the asset of one task."""

    @dg.asset(
        key=asset_key(spec.name, STAGE),
        deps=[
            *(asset_key(spec.name, name) for name in assets_of(spec.config, ADAPTER)),
            asset_key(spec.name, SPLITS),
        ],
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
        metadata = describe(artifact) | _history(task)
        return materialized(artifact, reused=reused, namespace=task.namespace, metadata=metadata)

    return validation_report


def _history(task: TaskRun) -> dict[str, Any]:
    """Return the suites' figures over the releases; they are no part of the report, which judges one candidate."""
    trends = suite_history(task.database, task.artifacts, task.task)
    if not trends:
        return {}
    rows = [{"suite": trend.suite, **row} for trend in trends for row in trend.rows]
    return {"suite_history": show.table(rows), "suite_trend": show.table([trend.summary() for trend in trends])}


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
        policy=kept_policy(task.config.release, manifest.get("rules", "")),
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
    """Return the candidate's headline scores: every measure that has a value, and the shares of every task."""
    candidate = report["scores"]["candidate"]
    figures = {name: figure["value"] for name, figure in candidate["measures"].items()}
    figures |= {name: candidate[name] for name in ("correct", "macro_f1", "parse_rate", "coverage")}
    return {name: float(value) for name, value in figures.items() if value is not None}


def describe(artifact: Artifact) -> dict[str, Any]:
    """Return the metadata that a person wants to see."""
    report = read_json(artifact.file("report.json"))
    comparison = report["comparison"]
    shown = {
        "verdict": report["verdict"]["verdict"],
        "candidate": artifact.manifest["candidate"][:12],
        "baseline": artifact.manifest["baseline_name"],
        "primary_measure": report["primary"],
        "gain": comparison["difference"],
        **{name: value for name, value in zip(("gain_low", "gain_high"), comparison["interval"] or (), strict=False)},
        **scores_of(report),
        "report": show.markdown(artifact.file("report.md").read_text(encoding="utf-8")),
        "report_file": dg.MetadataValue.path(str(artifact.file("report.md"))),
    }
    if artifact.has_file(PAGE):
        shown["report_page"] = dg.MetadataValue.path(str(artifact.file(PAGE)))
    if artifact.has_file(EFFECTS):
        shown["effects"] = show.picture(artifact.file(EFFECTS).read_bytes(), "gains with their intervals")
    if artifact.has_file(CONFUSION):
        shown["confusion"] = show.picture(artifact.file(CONFUSION).read_bytes(), "confusion matrix")
    return shown


def check_name(gate: str) -> str:
    """Return a gate's name as a check's: letters, digits and underscores only."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", gate).strip("_")


def _gate_evidence(artifact: Artifact, name: str) -> Evidence:
    verdict = read_json(artifact.file("report.json"))["verdict"]
    gate = next((gate for gate in verdict["gates"] if gate["name"] == name), None)
    if gate is None:
        # A gate that the report does not hold cannot pass.
        return Evidence(passed=False, summary=f"the report holds no gate {name}: materialize validation_report again")
    numbers = {
        "observed": gate["observed"],
        "threshold": gate["threshold"],
        "low": gate["interval"][0] if gate["interval"] else None,
        "high": gate["interval"][1] if gate["interval"] else None,
        "p_value": gate["p_value"],
        "more_rows_needed": gate["more_rows_needed"],
    }
    rows = [{"record": record} for record in gate["records"]]
    rows += [{"slice": name, "more_rows_needed": more} for name, more in sorted(gate["more_by_slice"].items())]
    return Evidence(
        passed=gate["verdict"] == "PASS",
        summary=f"{gate['verdict']}: {gate['reason']}",
        numbers={key: float(value) for key, value in numbers.items() if value is not None},
        rows=rows,
    )


def _whole_verdict(task: TaskRun, artifact: Artifact) -> Evidence:
    verdict = read_json(artifact.file("report.json"))["verdict"]
    gates = [{"gate": gate["name"], "verdict": gate["verdict"], "reason": gate["reason"]} for gate in verdict["gates"]]
    return Evidence(
        passed=verdict["verdict"] == "PASS",
        summary=f"{verdict['verdict']} over {len(gates)} gates",
        rows=[row for row in gates if row["verdict"] != "PASS"],
    )


def _gate_check(name: str, *, advisory: bool) -> Check:
    return Check(
        check_name(name),
        "Advice, no gate: " + about(name) if advisory else about(name),
        lambda _, artifact: _gate_evidence(artifact, name),
        gate=not advisory,
    )


def build_asset_checks(spec: TaskSpec) -> dg.AssetChecksDefinition:
    """Return the checks of one task's report: the gates, one by one and as a whole."""
    config = spec.config.evaluation
    advisory = {"forgetting"} if config.forgetting and not config.forgetting.blocking else set()
    return build_checks(
        spec,
        STAGE,
        [
            *(_gate_check(name, advisory=name in advisory) for name in gate_names(config)),
            Check("verdict", "Every gate passes; INCONCLUSIVE is no pass.", _whole_verdict),
        ],
    )
