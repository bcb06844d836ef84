"""release_approval: the decision that a candidate may go live.

With the policy `automatic` a PASS is the decision. With `manual` a person decides: from the command line, which knows
who is logged in, or in the Launchpad with a single-use code that the command line gave out. Dagster's UI has no users
and a web page can post to a loopback address, so a typed name is never a decision.
"""

from collections.abc import Iterator
from typing import Literal

import dagster as dg
from pydantic import Field

from finetune_assets.lineage.judging import REPORT
from finetune_assets.lineage.report_files import rules_digest
from finetune_assets.lineage.runtime import TaskRun, asset_key, materialized, open_task
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.records.digests import digest_of, short
from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases import approvals
from finetune_assets.releases.registry import Registry
from finetune_assets.releases.states import ReleaseState
from finetune_assets.resources.platform import Platform, RunOptions
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import write_json_atomic

STAGE = "release_approval"
CODE_VERSION = "1"
POLICY = "policy:automatic"
_KINDS = {"approval"}


class Decision(dg.Config):
    """What a person decides in the Launchpad, with the code that proves who it is."""

    candidate: str = Field(description="The candidate, as the report and `finetune status` show it (12 digits do).")
    decision: Literal["approve", "reject"] = Field(description="approve or reject.")
    note: str = Field(description="Why; kept with the decision.")
    code: str = Field(description="Single-use code from `finetune approve-code TASK CANDIDATE DECISION`.")


def build_asset(spec: TaskSpec) -> dg.AssetsDefinition:
    """Return the asset of one task: it asks for a decision where the policy is `manual`."""
    return _manual(spec) if spec.config.release.approval == "manual" else _automatic(spec)


def _automatic(spec: TaskSpec) -> dg.AssetsDefinition:
    @dg.asset(
        key=asset_key(spec.name, STAGE),
        deps=[asset_key(spec.name, REPORT)],
        group_name=spec.name,
        kinds=_KINDS,
        owners=spec.config.owners,
        code_version=CODE_VERSION,
        description="Approved by the policy in defs.yaml when every gate passes.",
    )
    def release_approval(
        context: dg.AssetExecutionContext, platform: Platform, options: RunOptions
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        task = open_task(context, spec, platform, options)
        report = judged(task)
        artifact, reused = keep_decision(task, report, decision="approve", approver=POLICY, note="every gate passed")
        return _result(task, artifact, reused=reused)

    return release_approval


def _manual(spec: TaskSpec) -> dg.AssetsDefinition:
    @dg.asset(
        key=asset_key(spec.name, STAGE),
        deps=[asset_key(spec.name, REPORT)],
        group_name=spec.name,
        kinds=_KINDS,
        owners=spec.config.owners,
        code_version=CODE_VERSION,
        description="A person's approval of the candidate; Materialize opens its form. A rejection makes nothing.",
        # A rejection is recorded, but it is no approval: nothing is materialized, so nothing downstream starts.
        output_required=False,
    )
    def release_approval(
        context: dg.AssetExecutionContext, config: Decision, platform: Platform, options: RunOptions
    ) -> Iterator[dg.MaterializeResult | dg.AssetObservation]:  # type: ignore[type-arg]
        task = open_task(context, spec, platform, options)
        report = judged(task, need_pass=config.decision == "approve", by_person=True)
        candidate = report.manifest["candidate"]
        if len(config.candidate) < 8 or not candidate.startswith(config.candidate):
            raise FinetuneError(
                "decision is about another candidate",
                where=f"{task.task}/{STAGE}: candidate",
                found=config.candidate,
                expected=short(candidate),
                mend="look at the latest report and decide about its candidate",
            )
        # The code is spent only on a decision that is otherwise in order.
        approver = approvals.redeem_code(task.database, config.code, task.task, candidate, config.decision)
        artifact, reused = keep_decision(task, report, decision=config.decision, approver=approver, note=config.note)
        if config.decision == "approve":
            yield _result(task, artifact, reused=reused)
        else:
            facts = {"decision": "reject", "candidate": short(candidate), "approver": approver, "note": config.note}
            yield dg.AssetObservation(asset_key(spec.name, STAGE), metadata=facts)

    return release_approval


def _result(task: TaskRun, artifact: Artifact, *, reused: bool) -> dg.MaterializeResult:  # type: ignore[type-arg]
    task.record(STAGE, artifact, reused=reused)
    manifest = artifact.manifest
    return materialized(
        artifact,
        reused=reused,
        namespace=task.namespace,
        metadata={name: manifest[name] for name in ("decision", "approver", "note")}
        | {"candidate": short(manifest["candidate"])},
    )


def judged(task: TaskRun, *, need_pass: bool = True, by_person: bool = False) -> Artifact:
    """Return the current report if it may be decided about.

    Args:
        task: the task in this run.
        need_pass: the decision is an approval.
        by_person: a person decides, who may approve INCONCLUSIVE where `release.inconclusive` says so.

    Raises:
        FinetuneError: for an experiment, or when approval is asked for a report that does not bear it.
    """
    if task.is_experiment:
        raise FinetuneError(
            "an experiment is never released",
            where=f"{task.task}/{STAGE}",
            found=f"namespace {task.namespace}",
            mend="put the values into defs.yaml and run without --set and --limit",
        )
    report = task.result(REPORT)
    if need_pass and report.manifest.get("rules") != rules_digest(task):
        raise FinetuneError(
            "report was made by other rules",
            where=f"{task.task}/{REPORT}",
            found="an `evaluation` section that has changed since",
            expected="a verdict by the rules that hold now",
            mend=f"run `finetune run {task.task}` again, or take the change back",
        )
    verdict = report.manifest["verdict"]
    open_to_person = by_person and task.config.release.inconclusive == "person" and verdict == "INCONCLUSIVE"
    if need_pass and verdict != "PASS" and not open_to_person:
        raise FinetuneError(
            "candidate has not passed its gates",
            where=f"{task.task}/{REPORT}",
            found=verdict,
            expected="PASS",
            mend=_mend(task, verdict, by_person=by_person),
        )
    return report


def _mend(task: TaskRun, verdict: str, *, by_person: bool) -> str:
    if verdict != "INCONCLUSIVE":
        return "read the report's gates; retrain, or gather the rows that it asks for"
    if task.config.release.inconclusive == "refuse":
        return "gather the rows that the report asks for; `release.inconclusive: person` lets a person approve it"
    return "" if by_person else f"only a person may approve this: `finetune approve {task.task} CANDIDATE --note …`"


def keep_decision(
    task: TaskRun, report: Artifact, *, decision: Literal["approve", "reject"], approver: str, note: str
) -> tuple[Artifact, bool]:
    """Write the decision into the registry and keep it as an artifact bound to candidate and report."""
    candidate = report.manifest["candidate"]
    registry = Registry(task.database)
    release = registry.release(task.task, candidate)
    if release is None:
        raise FinetuneError(
            "candidate is not registered", where=f"{task.task}/{STAGE}", mend="materialize validation_report again"
        )
    identity = {"candidate": candidate, "report": report.digest, "decision": decision, "approver": approver}
    key = digest_of(identity)[:20]
    known = task.artifacts.find(STAGE, key)
    act = approvals.approve if decision == "approve" else approvals.reject
    act(
        task.database,
        task.task,
        candidate,
        report.digest,
        approver=approver,
        authenticated=approver != POLICY,
        policy=task.config.release.approval,
        note=note,
    )
    target: ReleaseState = "approved" if decision == "approve" else "rejected"
    # A person may take up a release again that was rolled back; the registry refuses that to a policy.
    if release.state in {"candidate", "validated", "rolled_back"}:
        registry.transition(release.id, target, by=approver, note=note, run_id=task.run_id)
    if known:
        return known, True
    with task.artifacts.create(STAGE, key) as staging:
        write_json_atomic(staging.path / "approval.json", identity)
        return staging.commit({"task": task.task, "note": note, **identity}), False
