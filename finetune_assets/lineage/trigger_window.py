"""A trigger's window of a task: what its predictions, cases, releases and ledger say now, and what they said before.

Here belongs what surrounds the predictions: the live release, what earlier ones gained, what is spent, and what the
next run would cost.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from finetune_assets.feedback.cases import CaseBook
from finetune_assets.feedback.detected import ingest_detected
from finetune_assets.feedback.happened import happened
from finetune_assets.feedback.prediction_store import FILE_NAME, PredictionStore
from finetune_assets.feedback.pseudonyms import Pseudonyms
from finetune_assets.feedback.trigger_log import TriggerLog
from finetune_assets.feedback.triggers import events
from finetune_assets.feedback.triggers.policy import TriggerPolicy, rules_in
from finetune_assets.feedback.window import Window
from finetune_assets.feedback.windows import Surroundings, read_window
from finetune_assets.lineage.judging import REPORT
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.releases.registry import Registry, Release
from finetune_assets.storage.files import read_json
from finetune_assets.storage.intents import find_intent
from finetune_assets.storage.ledger import ledger_entries, month_of, month_spend, to_usd

_NO_ANSWER = "(no valid answer)"


def policy_of(task: TaskRun) -> TriggerPolicy:
    """Return the task's rules; a task without a section `triggers:` has the defaults, for requests of people."""
    return task.config.triggers or TriggerPolicy()


def predictions_of(task: TaskRun) -> PredictionStore:
    """Return the file of predictions of the task's home."""
    return PredictionStore(task.home.path / FILE_NAME)


def cases_of(task: TaskRun) -> CaseBook:
    """Return the task's error cases."""
    return CaseBook(task.database, task.config.feedback, Pseudonyms.load(task.home.path))


def take_detected(task: TaskRun) -> int:
    """Make error cases of the answers that the detector doubts; return how many it reported."""
    return ingest_detected(cases_of(task), predictions_of(task), task.task)


def window_of(task: TaskRun, policy: TriggerPolicy, now: datetime) -> Window:
    """Return the window that ends now.

    Args:
        task: the task, see `comparing.open_here`.
        policy: says how far the window looks back, and what of the releases it needs.
        now: its end; aware.
    """
    standing = TriggerLog(task.database).standing(task.task)
    live = Registry(task.database).live(task.task)
    around = Surroundings(
        reference_labels=_reference_labels(task, policy, live),
        last_fired=standing.last_fired,
        last_finished=standing.last_finished,
        in_flight=standing.in_flight,
        live_since=live.deployed_at if live else None,
        spent_usd=to_usd(month_spend(task.database, task.task, month_of(now)).total),
        budget_usd=task.config.cloud.budget.monthly_usd,
        estimated_cost_usd=next_cost(task),
        history=tuple(figures for _, figures in _deployed(task, policy) if figures),
    )
    since = now - timedelta(hours=policy.window_h)
    return read_window(task.database, predictions_of(task), task.task, since, now, around)


def past_of(
    task: TaskRun, policy: TriggerPolicy, start: datetime, end: datetime, step: timedelta
) -> Iterator[events.Event]:
    """Yield all that a replay of these rules looks at, releases, spending and the cost of a run included.

    What a run would have cost then is not on record; today's estimate and budget stand in for it.

    Args:
        task: the task, see `comparing.open_here`.
        policy: the rules to be replayed.
        start: the replay's first moment; aware.
        end: its last.
        step: time between two of its decisions.
    """
    yield from happened(task.database, predictions_of(task), task.task, policy, start, end, step)
    length = timedelta(hours=policy.window_h)
    yield events.Costed(start - length, next_cost(task), task.config.cloud.budget.monthly_usd)
    for entry in ledger_entries(task.database, task.task):
        if entry.at < end:
            yield events.Spent(entry.at, to_usd(entry.amount))
    releases = {release.id: release for release in Registry(task.database).releases(task.task)}
    figures = {release.id: found for release, found in _deployed(task, policy)}
    for move in Registry(task.database).history(task.task):
        if move.at < end:
            labels = _reference_labels(task, policy, releases[move.release_id])
            yield events.WentLive(move.at, labels, figures=figures.pop(move.release_id, {}))


def next_cost(task: TaskRun) -> float | None:
    """Return what the task's next run would cost in US dollars, by its newest rows; None when that is unknown.

    A run on this machine costs nothing. Nothing is asked of the cloud.
    """
    variants = task.config.tuning.by_variant()
    if not any(config.is_cloud for config in variants.values()):
        return 0.0
    from finetune_assets.lineage.cloud.doctor import looked_at
    from finetune_assets.lineage.cloud.dry_run import submissions

    total = 0.0
    for submission in submissions(looked_at(task)):
        if not variants[submission.variant].is_cloud:
            continue
        if submission.estimate is None:
            return None
        total += float(submission.estimate["mid"])
    return total


def _reference_labels(task: TaskRun, policy: TriggerPolicy, release: Release | None) -> dict[str, int]:
    """Return how often each label was answered on the rows that a release was judged on.

    The report counts answers by one level of the label; where labels have several, it does not tell, and this is empty.
    """
    if release is None or "label_drift" not in rules_in(policy.fire_when):
        return {}
    report = _report(task, release)
    confusion = report.get("confusion") if report else None
    if not confusion or len(task.task_type().label_levels) != 1:
        return {}
    sums = [sum(row[place] for row in confusion["counts"]) for place in range(len(confusion["columns"]))]
    counts = dict(zip(confusion["columns"], sums, strict=True))
    return {label: count for label, count in counts.items() if count and label != _NO_ANSWER}


def _deployed(task: TaskRun, policy: TriggerPolicy) -> list[tuple[Release, dict[str, float]]]:
    """Return what every release gained that went live, in the order of going live; only where a rule asks for it."""
    if not policy.adaptive.enabled and policy.expected_gain is None:
        return []
    registry = Registry(task.database)
    releases = {release.id: release for release in registry.releases(task.task)}
    order = dict.fromkeys(move.release_id for move in registry.history(task.task))
    return [(releases[number], _figures(task, releases[number])) for number in order]


def _figures(task: TaskRun, release: Release) -> dict[str, float]:
    report = _report(task, release)
    if report is None:
        return {}
    figures: dict[str, float | None] = {
        "gain": report["comparison"]["difference"],
        "accuracy": report["comparison"]["candidate"],
    }
    intent = find_intent(task.database, release.request_key)
    if intent is not None:
        micros = intent.actual_cost if intent.actual_cost is not None else intent.estimate_mid
        figures["cost_usd"] = None if micros is None else to_usd(micros)
    return {name: float(value) for name, value in figures.items() if value is not None}


def _report(task: TaskRun, release: Release) -> dict[str, Any] | None:
    """Return the report that judged a release; None when it is gone."""
    artifact = task.artifacts.find(REPORT, release.report_key)
    return None if artifact is None else read_json(artifact.file("report.json"))
