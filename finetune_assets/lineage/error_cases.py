"""error_cases: what went wrong in live traffic, counted by state and cluster, with the error rate and its trend.

It stands beside the chain and feeds it: raw observations take the corrected cases. No run of the task makes it, and
nothing in it is a text of a person.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from finetune_assets.lineage import show
from finetune_assets.lineage.runtime import TaskRun, asset_key, open_task
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.records.digests import digest_of, short
from finetune_assets.resources.platform import Platform, RunOptions

STAGE = "error_cases"
CODE_VERSION = "1"
TREND_DAYS = 28
LARGEST_CLUSTERS = 20


def build_asset(spec: TaskSpec) -> dg.AssetsDefinition:
    """Return the asset of one task."""

    @dg.asset(
        key=asset_key(spec.name, STAGE),
        group_name=spec.name,
        description="Wrong answers of live releases: by state, the error rate with its interval, clusters, the trend.",
        kinds={"sqlite"},
        owners=spec.config.owners,
        code_version=CODE_VERSION,
    )
    def error_cases(context: dg.AssetExecutionContext, platform: Platform, options: RunOptions) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from finetune_assets.lineage.case_consumption import finish_consumption
        from finetune_assets.lineage.trigger_window import take_detected

        task = open_task(context, spec, platform, options)
        context.log.info(f"{take_detected(task)} answers that the detector doubts were reported")
        finish_consumption(task)
        metadata, digest = describe(task, datetime.now(UTC))
        return dg.MaterializeResult(data_version=dg.DataVersion(digest), metadata=metadata)

    return error_cases


def describe(task: TaskRun, now: datetime) -> tuple[dict[str, Any], str]:
    """Return what a person wants to see of the task's error cases, and the digest of its counts.

    Args:
        task: the task.
        now: the end of the window, which is as long as the triggers' one; aware.
    """
    from finetune_assets.evaluation.report.charts import trend_png
    from finetune_assets.feedback.counting import case_counts, rate_in
    from finetune_assets.lineage.case_standing import by_version, standings, untaken
    from finetune_assets.lineage.trigger_window import policy_of, predictions_of

    counts, store = case_counts(task.database, task.task), predictions_of(task)
    hours = policy_of(task).window_h
    rate = rate_in(task.database, store, task.task, now - timedelta(hours=hours), now)
    days = trend(task, now)
    clusters = largest_clusters(task)
    stand = standings(task)
    digest = digest_of([dict(counts.states), counts.open_clusters, counts.corrected_clusters, clusters])
    shown: dict[str, Any] = {
        "digest": short(digest),
        **{f"{state}_cases": count for state, count in counts.states.items()},
        "opened_cases": counts.opened,
        "open_clusters": counts.open_clusters,
        "corrected_clusters": counts.corrected_clusters,
        "window_hours": hours,
        "window_predictions": rate.predictions,
        "window_errors": rate.errors,
        "by_source": show.counts(counts.sources, name="source"),
        "taken_by_version": show.table(by_version(stand)),
        "corrected_not_taken": show.counts(untaken(stand), name="corrected cases"),
        "clusters": show.table(clusters),
        "trend": show.table([row for row in days if row["predictions"]]),
    }
    if rate.rate is not None:
        shown |= {"error_rate": rate.rate, "error_rate_low": rate.lower, "error_rate_high": rate.upper}
        points = [(row["day"], row["rate"], row["low"], row["high"]) for row in days if row["predictions"]]
        shown["trend_chart"] = show.picture(trend_png(points, title="Error rate by day"), "error rate by day")
    return shown, digest


def trend(task: TaskRun, now: datetime) -> list[dict[str, Any]]:
    """Return the error rate of each of the last `TREND_DAYS` days (UTC), oldest first; intervals hold 90 %."""
    from finetune_assets.feedback.counting import rate_in
    from finetune_assets.lineage.trigger_window import predictions_of

    store = predictions_of(task)
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = []
    for back in range(TREND_DAYS - 1, -1, -1):
        day = midnight - timedelta(days=back)
        found = rate_in(task.database, store, task.task, day, min(day + timedelta(days=1), now))
        rows.append(
            {
                "day": f"{day:%Y-%m-%d}",
                "predictions": found.predictions,
                "errors": found.errors,
                "rate": found.rate or 0.0,
                "low": found.lower,
                "high": found.upper,
            }
        )
    return rows


def largest_clusters(task: TaskRun) -> list[dict[str, Any]]:
    """Return the clusters with most open cases, at most `LARGEST_CLUSTERS`; their texts stay in the database."""
    from finetune_assets.lineage.trigger_window import cases_of

    copies: Counter[int] = Counter()
    corrected: Counter[int] = Counter()
    labels: dict[int, Counter[str]] = {}
    for case in cases_of(task).cases(task.task, ("new", "corrected")):
        copies[case.cluster] += 1
        corrected[case.cluster] += case.state == "corrected"
        labels.setdefault(case.cluster, Counter())[case.label] += 1
    ordered = sorted(copies, key=lambda cluster: (-copies[cluster], cluster))[:LARGEST_CLUSTERS]
    return [
        {
            "cluster": cluster,
            "open_cases": copies[cluster],
            "corrected": corrected[cluster],
            "answered": _most(labels[cluster].items()),
        }
        for cluster in ordered
    ]


def _most(counted: Iterable[tuple[str, int]]) -> str:
    return min(counted, key=lambda item: (-item[1], item[0]))[0]
