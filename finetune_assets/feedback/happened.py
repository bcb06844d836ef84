"""Reads from the databases what happened to a task, as the events from which replay builds its windows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import select

from finetune_assets.feedback.prediction_rows import micros, moment_of
from finetune_assets.feedback.prediction_store import PredictionStore
from finetune_assets.feedback.triggers import events
from finetune_assets.feedback.triggers.policy import TriggerPolicy, rules_in
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import CaseEventRow, ErrorCaseRow, TriggerEventRow

_MICROSECOND = timedelta(microseconds=1)


def happened(
    db: Database,
    store: PredictionStore,
    task: str,
    policy: TriggerPolicy,
    start: datetime,
    end: datetime,
    step: timedelta,
) -> Iterator[events.Event]:
    """Yield the predictions, cases and runs of a task that a replay of this stretch looks at.

    Releases, spending and prices are the caller's to add: they are no part of feedback.

    Args:
        db: the main database.
        store: the file of predictions; what was pruned there is gone.
        task: the task.
        policy: the rules to be replayed.
        start: the replay's first moment; aware.
        end: its last.
        step: time between two of its decisions.
    """
    length = timedelta(hours=policy.window_h)
    if "input_drift" in rules_in(policy.fire_when):
        yield from _each(store, task, start - length, end)
    else:
        yield from _grouped(store, task, start - length, end, _bucket(length, step))
    yield from _cases(db, task, end)
    yield from _runs(db, task, end)


def _bucket(length: timedelta, step: timedelta) -> int:
    """Return the longest stretch, in microseconds, that no window's end ever cuts."""
    return math.gcd(length // _MICROSECOND, step // _MICROSECOND)


def _grouped(
    store: PredictionStore, task: str, since: datetime, until: datetime, bucket: int
) -> Iterator[events.Predicted]:
    """Yield answers counted by label and stretch, each at its stretch's beginning: windows come out the same."""
    origin = micros(since)
    query = (
        "SELECT (at - ?) / ? AS stretch, label, COUNT(*) FROM predictions "
        "WHERE task = ? AND at >= ? AND at < ? GROUP BY stretch, label ORDER BY stretch, label"
    )
    with store.connected() as connection:
        for stretch, label, count in connection.execute(query, (origin, bucket, task, origin, micros(until))):
            yield events.Predicted(moment_of(origin + stretch * bucket), label, count)


def _each(store: PredictionStore, task: str, since: datetime, until: datetime) -> Iterator[events.Predicted]:
    query = (
        "SELECT at, label, characters, words, place FROM predictions "
        "WHERE task = ? AND at >= ? AND at < ? ORDER BY at, place"
    )
    with store.connected() as connection:
        for at, label, characters, words, place in connection.execute(query, (task, micros(since), micros(until))):
            inputs = {"characters": characters, "words": words}
            yield events.Predicted(moment_of(at), label, inputs=inputs, sample=f"{place:010d}")


def _cases(db: Database, task: str, until: datetime) -> Iterator[events.Event]:
    query = (
        select(CaseEventRow, ErrorCaseRow)
        .join(ErrorCaseRow, ErrorCaseRow.id == CaseEventRow.case_id)
        .where(ErrorCaseRow.task == task, CaseEventRow.at < until, CaseEventRow.from_state != CaseEventRow.to_state)
        .order_by(CaseEventRow.id)
        .execution_options(yield_per=1_000)
    )
    with db.reading() as session:
        for event, case in session.execute(query):
            yield from _moves(event, case)


def _moves(event: CaseEventRow, case: ErrorCaseRow) -> Iterator[events.Event]:
    name = str(case.id)
    if event.from_state == "":
        shown = case.source == "demonstration"  # shows a better answer; nobody said that the one given was wrong
        yield events.Reported(event.at, name, str(case.cluster_id), None if shown else case.predicted_at)
    if event.to_state == "corrected":
        yield events.Corrected(event.at, name)
    elif event.to_state == "consumed":
        yield events.Consumed(event.at, (name,))
    elif event.to_state == "dismissed":
        yield events.Dismissed(event.at, name, no_error=case.dismissed_for == "not_an_error")


def _runs(db: Database, task: str, until: datetime) -> Iterator[events.Event]:
    query = (
        select(TriggerEventRow.kind, TriggerEventRow.at)
        .where(TriggerEventRow.task == task, TriggerEventRow.kind != "wait", TriggerEventRow.at < until)
        .order_by(TriggerEventRow.id)
    )
    with db.reading() as session:
        rows = session.execute(query).all()
    for kind, at in rows:
        yield events.RunAsked(at) if kind == "fire" else events.RunEnded(at)
