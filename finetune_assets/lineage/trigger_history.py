"""trigger_history: every decision of the task's triggers that is kept, what they come to, and what they waited for.

It stands beside the chain, as `error_cases` does.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from finetune_assets.lineage import show
from finetune_assets.lineage.error_cases import STAGE as CASES
from finetune_assets.lineage.runtime import TaskRun, asset_key, open_task
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.records.digests import digest_of, short
from finetune_assets.resources.platform import Platform, RunOptions

STAGE = "trigger_history"
CODE_VERSION = "1"
HISTORY_DAYS = 365


def build_asset(spec: TaskSpec) -> dg.AssetsDefinition:
    """Return the asset of one task."""

    @dg.asset(
        key=asset_key(spec.name, STAGE),
        deps=[asset_key(spec.name, CASES)],
        group_name=spec.name,
        description="When triggers asked for a run or waited, why, and at what cost; a year back.",
        kinds={"sqlite"},
        owners=spec.config.owners,
        code_version=CODE_VERSION,
    )
    def trigger_history(
        context: dg.AssetExecutionContext, platform: Platform, options: RunOptions
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from finetune_assets.lineage.trigger_runs import settle_ended

        task = open_task(context, spec, platform, options)
        settle_ended(context.instance, task, by=STAGE)
        metadata, digest = describe(task, datetime.now(UTC))
        return dg.MaterializeResult(data_version=dg.DataVersion(digest), metadata=metadata)

    return trigger_history


def describe(task: TaskRun, now: datetime) -> tuple[dict[str, Any], str]:
    """Return what a person wants to see of the task's decisions, and the digest of what is kept.

    Args:
        task: the task.
        now: the end of the year that is shown; aware.
    """
    from finetune_assets.feedback.trigger_log import TriggerLog
    from finetune_assets.feedback.triggers.history import MICRO, summarise

    log = TriggerLog(task.database)
    records = log.records(task.task, now - timedelta(days=HISTORY_DAYS), now)
    summary, standing = summarise(records), log.standing(task.task)
    digest = digest_of([record.to_json() for record in records])
    rows = [
        {
            "at": f"{record.at:%Y-%m-%d %H:%M:%S}",
            "decision": record.kind,
            "by": record.by,
            "why": "; ".join(record.reasons),
            "cost_usd": None if record.cost is None else record.cost / MICRO,
            "run_key": short(record.run_key) if record.run_key else "",
        }
        for record in reversed(records)
    ]
    shown: dict[str, Any] = {
        "digest": short(digest),
        "decisions": summary.decisions,
        "fired": summary.fired,
        "manual": summary.manual,
        "cost_usd": summary.cost_usd,
        "unpriced": summary.unpriced,
        "run_under_way": standing.in_flight,
        "held_when_fired": show.counts(summary.by_rule, name="rule"),
        "waited_for": show.counts(summary.waited_for, name="waited for"),
        "history": show.table(rows),
    }
    if standing.last_fired:
        shown["last_fired"] = standing.last_fired.isoformat()
    return shown, digest
