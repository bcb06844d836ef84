"""release_approval: the decision that a candidate may go live.

With the policy `automatic` a PASS is the decision. With `manual` people decide: from the command line, which knows who
is logged in, over the gateway with an API key, or in the Launchpad with a single-use code that the command line gave
out. Dagster's UI has no users and a web page can post to a loopback address, so a typed name is never a decision. Where
several people have to approve, nothing is materialized before the last of them has.
"""

from collections.abc import Iterator
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from finetune_assets.lineage import show
from finetune_assets.lineage.judging import REPORT
from finetune_assets.lineage.report_files import rules_digest
from finetune_assets.lineage.runtime import TaskRun, asset_key, materialized, open_task
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.records.digests import digest_of, short
from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases import approvals
from finetune_assets.releases.deciding import Decided, decide, settle
from finetune_assets.releases.review import Review
from finetune_assets.releases.tally import POLICY, Tally
from finetune_assets.resources.platform import Platform, RunOptions
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import write_json_atomic

STAGE = "release_approval"
CODE_VERSION = "1"
_KINDS = {"approval"}


class Decision(dg.Config):
    """What a person decides in the Launchpad, with the code that proves who it is."""

    candidate: str = Field(description="The candidate, as the report and `finetune status` show it (12 digits do).")
    decision: Literal["approve", "reject"] = Field(description="approve or reject.")
    note: str = Field(description="Why; kept with the decision.")
    code: str = Field(
        description="Single-use code from `finetune approve-code TASK CANDIDATE DECISION`. Empty only where enough "
        "people have approved already, from the command line or over the gateway."
    )


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
        decided = decide(
            task.database,
            review_of(task, report),
            "approve",
            approver=POLICY,
            channel="policy",
            note="every gate passed",
            run_id=task.run_id,
        )
        return _result(task, report, decided.tally)

    return release_approval


def _manual(spec: TaskSpec) -> dg.AssetsDefinition:
    @dg.asset(
        key=asset_key(spec.name, STAGE),
        deps=[asset_key(spec.name, REPORT)],
        group_name=spec.name,
        kinds=_KINDS,
        owners=spec.config.owners,
        code_version=CODE_VERSION,
        description="People's approval of the candidate; Materialize opens its form. A rejection makes nothing, nor "
        "does an approval while others are missing.",
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
        if not config.code:
            yield _result(task, report, _decided_already(task, report, config))
            return
        decided = _decide(task, report, config)
        context.log.info(f"{decided.approval.approver}: {config.decision}; {decided.tally.sentence}")
        if config.decision == "approve" and decided.tally.outcome == "approve":
            yield _result(task, report, decided.tally)
        else:
            yield dg.AssetObservation(asset_key(spec.name, STAGE), metadata=_told(report, decided))

    return release_approval


def _decide(task: TaskRun, report: Artifact, config: Decision) -> Decided:
    """Spend the code, and decide as whom it was given to."""
    # The code is spent only on a decision that is otherwise in order.
    candidate = report.manifest["candidate"]
    redeemed = approvals.redeem_code(task.database, config.code, task.task, candidate, config.decision)
    return decide(
        task.database,
        review_of(task, report),
        config.decision,
        approver=redeemed.approver,
        channel=redeemed.channel,
        note=config.note,
        run_id=task.run_id,
    )


def _decided_already(task: TaskRun, report: Artifact, config: Decision) -> Tally:
    """Return how the candidate stands where people have approved it before; an empty code decides nothing itself.

    Raises:
        FinetuneError: when they have not.
    """
    review = review_of(task, report)
    standing, _ = settle(task.database, review, by=STAGE, run_id=task.run_id)
    if config.decision != "approve" or standing.outcome != "approve":
        raise FinetuneError(
            "the approval code is missing",
            where=f"{task.task}, candidate {short(review.candidate)}",
            found=standing.sentence,
            expected="a code, or enough approvals",
            mend=f"ask for a code: `finetune approve-code {task.task} {short(review.candidate)} {config.decision}`",
        )
    return standing


def _told(report: Artifact, decided: Decided) -> dict[str, Any]:
    said = decided.approval
    return {
        "decision": said.decision,
        "candidate": short(report.manifest["candidate"]),
        "approver": said.approver,
        "channel": said.channel,
        "note": said.note,
        "standing": decided.tally.sentence,
        "state": decided.release.state,
    }


def _result(task: TaskRun, report: Artifact, standing: Tally) -> dg.MaterializeResult:  # type: ignore[type-arg]
    artifact, reused = _keep(task, report, standing)
    task.record(STAGE, artifact, reused=reused)
    rows = [
        {"at": f"{said.at:%Y-%m-%d %H:%M:%S}", "approver": said.approver, "channel": said.channel, "note": said.note}
        for said in standing.approvals
    ]
    last = standing.approvals[-1]
    return materialized(
        artifact,
        reused=reused,
        namespace=task.namespace,
        metadata={
            "decision": "approve",
            "approver": standing.approvers,
            "note": last.note,
            "candidate": short(report.manifest["candidate"]),
            "report": short(report.digest),
            "approvals": show.table(rows),
        },
    )


def _keep(task: TaskRun, report: Artifact, standing: Tally) -> tuple[Artifact, bool]:
    """Keep the approval as an artifact bound to candidate, report and approvers."""
    identity = {
        "candidate": report.manifest["candidate"],
        "report": report.digest,
        "decision": "approve",
        "approver": standing.approvers,
    }
    key = digest_of(identity)[:20]
    known = task.artifacts.find(STAGE, key)
    if known:
        return known, True
    with task.artifacts.create(STAGE, key) as staging:
        write_json_atomic(staging.path / "approval.json", identity)
        notes = [{"approver": said.approver, "channel": said.channel, "note": said.note} for said in standing.approvals]
        return staging.commit({"task": task.task, "approvals": notes, **identity}), False


def review_of(task: TaskRun, report: Artifact) -> Review:
    """Return what a decision about a report is about, by the policy that holds now."""
    return Review(
        task=task.task,
        candidate=report.manifest["candidate"],
        report_digest=report.digest,
        verdict=report.manifest["verdict"],
        policy=task.config.release,
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
    review_of(task, report).refuse_unfit("approve" if need_pass else "reject", by_person=by_person)
    return report
