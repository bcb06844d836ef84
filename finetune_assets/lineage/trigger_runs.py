"""Triggers and Dagster's runs: which run came of a decision, how it ended, and what is decided at one moment.

The log of triggers is the truth about what was asked for; Dagster's records are the truth about runs. They are held
against each other whenever somebody looks, so that no event need ever arrive.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from finetune_assets.feedback.trigger_log import TriggerLog
from finetune_assets.feedback.triggers.cursor import Asked, tick
from finetune_assets.feedback.triggers.decision import Decision, ManualRequest
from finetune_assets.feedback.triggers.history import POLICY, record_of
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.trigger_window import policy_of, take_detected, window_of

KEY_TAG = "finetune/trigger_key"
WILL_RETRY_TAG = "dagster/will_retry"
PATIENCE = timedelta(minutes=5)
"""How long a run that was asked for may take to appear, and a crashed one to be started again."""
NEVER_STARTED = "never started"
_OUTCOMES = {
    dg.DagsterRunStatus.SUCCESS: "success",
    dg.DagsterRunStatus.FAILURE: "failure",
    dg.DagsterRunStatus.CANCELED: "canceled",
}


@dataclass(frozen=True)
class Decided:
    """What was decided.

    Attributes:
        decision: the decision.
        cursor: what the sensor remembers.
        is_held: whether the log holds it; a run may be asked for only then.
    """

    decision: Decision
    cursor: str
    is_held: bool

    @property
    def asks(self) -> bool:
        """Whether a run is to be asked for now."""
        return self.decision.fires and self.is_held

    @property
    def sentence(self) -> str:
        """Why, or what it waits for."""
        if self.decision.fires and not self.is_held:
            return "another run was asked for meanwhile"
        return self.decision.sentence


def settle_ended(instance: dg.DagsterInstance, task: TaskRun, *, by: str) -> list[str]:
    """Write down how runs ended that triggers asked for.

    Args:
        instance: the shared instance.
        task: the task.
        by: who looks.

    Returns:
        A line for each.
    """
    log, told = TriggerLog(task.database), []
    for asked in _open(log, task):
        run = _run_of(instance, asked.key)
        outcome = None if run is None else _outcome(run)
        if run is not None and outcome is not None and log.end(asked.key, outcome, by=by, at=_ended_at(run)):
            told.append(f"run {run.dagster_run.run_id[:8]} ended: {outcome}")
    return told


def give_up_unstarted(
    instance: dg.DagsterInstance, task: TaskRun, now: datetime, *, by: str, only: str | None = None
) -> list[str]:
    """Write down of runs that nobody started that they never will be.

    Args:
        instance: the shared instance.
        task: the task.
        now: the present moment; aware.
        by: who says so.
        only: the key of the one run that the caller was to start and will not; None looks at all of them that were
            asked for longer than `PATIENCE` ago.

    Returns:
        Their keys.
    """
    log = TriggerLog(task.database)
    late = [one.key for one in _open(log, task) if only == one.key or (only is None and one.at <= now - PATIENCE)]
    gone = [key for key in late if _run_of(instance, key) is None]
    return [key for key in gone if log.end(key, NEVER_STARTED, by=by, at=now)]


def decide_now(
    instance: dg.DagsterInstance,
    task: TaskRun,
    cursor: str | None,
    now: datetime,
    *,
    manual: ManualRequest | None = None,
) -> Decided:
    """Look at the evidence, decide, and write the decision down.

    Args:
        instance: the shared instance.
        task: the task, see `comparing.open_here`.
        cursor: the sensor's cursor, None where there is none.
        now: the window's end; aware.
        manual: a person's request.
    """
    policy, log = policy_of(task), TriggerLog(task.database)
    take_detected(task)
    seen = window_of(task, policy, now)
    known = log.asked(task.task, _started(instance, log, task, now))
    text, decision = tick(cursor, seen, policy, known, manual=manual)
    return Decided(decision, text, log.write(record_of(decision)))


def _started(instance: dg.DagsterInstance, log: TriggerLog, task: TaskRun, now: datetime) -> set[str]:
    """Return keys of open decisions that have a run, or whose person is just about to start it."""
    started = {asked.key for asked in _open(log, task) if _run_of(instance, asked.key) is not None}
    # The command writes its decision down some seconds before its run exists; no second run may come of that.
    latest = log.records(task.task, now - PATIENCE, now + PATIENCE)
    return started | {str(record.run_key) for record in latest if record.kind == "fire" and record.by != POLICY}


def _open(log: TriggerLog, task: TaskRun) -> Iterator[Asked]:
    """Yield the decisions whose run has not ended, as far as the log knows."""
    yield from (asked for asked in log.asked(task.task, frozenset()) if asked.unlaunched is not None)


def _run_of(instance: dg.DagsterInstance, key: str) -> dg.RunRecord | None:
    """Return the newest run that a decision led to; a crashed one may have been started again."""
    found = instance.get_run_records(filters=dg.RunsFilter(tags={KEY_TAG: key}), limit=1)
    return found[0] if found else None


def _outcome(record: dg.RunRecord) -> str | None:
    run = record.dagster_run
    outcome = _OUTCOMES.get(run.status)
    waits = run.tags.get(WILL_RETRY_TAG) == "true" and datetime.now(UTC) - _ended_at(record) < PATIENCE
    return None if waits else outcome


def _ended_at(record: dg.RunRecord) -> datetime:
    if record.end_time is None:
        return record.update_timestamp.astimezone(UTC)
    return datetime.fromtimestamp(record.end_time, UTC)
