"""The sensor that goes on where people approved over the gateway: it asks for the run that the last of them brought on.

An approval on the command line or in the Launchpad is a run already. One over the gateway is a row in the database,
which the graph has yet to see. The sensor decides nothing and a run it asks for does not either: the approvals are
counted again there, by the policy in YAML.
"""

import dagster as dg

from finetune_assets.lineage.instance import NAMESPACE_TAG, TASK_TAG
from finetune_assets.lineage.release_approval import STAGE as APPROVAL
from finetune_assets.lineage.runtime import asset_key
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.records.digests import short
from finetune_assets.records.errors import FinetuneError
from finetune_assets.resources.platform import Platform
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.namespaces import MAIN

EVERY_SECONDS = 30
APPROVAL_TAG = "finetune/approval_key"
ENDPOINT = "deployed_endpoint"
NOTHING = "no report waits to be released"
_DONE = frozenset({"live", "retired", "shadow", "canary"})


def sensor_name(task: str) -> str:
    """Return the name of a task's sensor."""
    return f"{task}_approvals"


def build_approval_sensors(spec: TaskSpec) -> list[dg.SensorDefinition]:
    """Return the sensor of a task that people approve; none where the policy does."""
    if spec.config.release.approval != "manual":
        return []

    @dg.sensor(
        name=sensor_name(spec.name),
        target=dg.AssetSelection.assets(asset_key(spec.name, APPROVAL), asset_key(spec.name, ENDPOINT)),
        minimum_interval_seconds=EVERY_SECONDS,
        # It spends nothing of its own accord: a person approved that very deployment.
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Deploys a release that enough people approved, the last of them over the gateway.",
    )
    def approvals(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
        try:
            return approval_result(spec, platform, context.cursor)
        except (FinetuneError, StorageError) as problem:
            return dg.SensorResult(skip_reason=f"the approvals cannot be looked at: {problem}", cursor=context.cursor)

    return [approvals]


def approval_result(spec: TaskSpec, platform: Platform, cursor: str | None) -> dg.SensorResult:
    """Look once, and ask for the run of a release that was approved over the gateway and is not live.

    Args:
        spec: the task.
        platform: where the platform keeps its things.
        cursor: the key of the approval for which a run was asked last; a lost one asks for the same run key again.
    """
    from dataclasses import replace

    from finetune_assets.releases.deciding import decision_key, standing_of
    from finetune_assets.releases.registry import Registry
    from finetune_assets.releases.review import newest_review

    database, policy = platform.database(), spec.config.release
    review = newest_review(database, spec.name)
    if review is None:
        return dg.SensorResult(skip_reason=NOTHING, cursor=cursor)
    review = replace(review, policy=policy)
    release = Registry(database).release(spec.name, review.candidate)
    if release is None or release.state in _DONE:
        return dg.SensorResult(skip_reason=NOTHING, cursor=cursor)
    standing = standing_of(database, spec.name, review.candidate, review.report_digest, policy)
    where = f"version {release.version}, candidate {short(release.candidate)}"
    if standing.outcome != "approve":
        return dg.SensorResult(skip_reason=f"{where}: {standing.sentence}", cursor=cursor)
    if standing.approvals[-1].channel != "api":
        return dg.SensorResult(skip_reason=f"{where}: whoever approved last deploys it", cursor=cursor)
    key = decision_key(review, standing)
    if key == cursor:
        told = f"{where}: its run was asked for; after a failure: finetune approve"
        return dg.SensorResult(skip_reason=told, cursor=cursor)
    form = {"candidate": review.candidate, "decision": "approve", "note": "", "code": ""}
    request = dg.RunRequest(
        run_key=key,
        run_config={"ops": {"__".join(asset_key(spec.name, APPROVAL).path): {"config": form}}},
        tags={APPROVAL_TAG: key, TASK_TAG: spec.name, NAMESPACE_TAG: MAIN},
    )
    return dg.SensorResult(run_requests=[request], cursor=key)
