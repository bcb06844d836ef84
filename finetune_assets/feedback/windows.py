"""Reads a window out of the databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from finetune_assets.feedback.counting import case_counts, errors_in, kept_since
from finetune_assets.feedback.prediction_store import PredictionStore
from finetune_assets.feedback.window import Window
from finetune_assets.storage.database import Database


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a window tells of a task besides its predictions and cases; the caller knows it.

    The fields are those of `Window`.
    """

    reference_labels: Mapping[str, int] = field(default_factory=dict)
    reference_inputs: Mapping[str, Sequence[float]] = field(default_factory=dict)
    last_fired: datetime | None = None
    last_finished: datetime | None = None
    in_flight: bool = False
    live_since: datetime | None = None
    spent_usd: float = 0.0
    budget_usd: float | None = None
    estimated_cost_usd: float | None = None
    history: tuple[Mapping[str, float], ...] = ()


def read_window(
    db: Database,
    store: PredictionStore,
    task: str,
    since: datetime,
    until: datetime,
    surroundings: Surroundings | None = None,
) -> Window:
    """Return what happened between two moments.

    Args:
        db: the main database.
        store: the file of predictions.
        task: the task.
        since: where the window begins, included; no earlier than the predictions that are still kept.
        until: where it ends, not included.
        surroundings: what else the window tells.
    """
    around = surroundings or Surroundings()
    begin = kept_since(store, task, since, until)
    # Errors first: an answer that arrives between the two readings may add to the predictions alone.
    errors = errors_in(db, task, begin, until)
    counts = case_counts(db, task)
    facts = store.facts(task, begin, until)
    return Window(
        task=task,
        since=begin,
        until=until,
        predictions=facts.predictions,
        errors=errors,
        open_cases=counts.open_clusters,
        corrected_cases=counts.corrected_clusters,
        labels=facts.labels,
        reference_labels=around.reference_labels,
        inputs=facts.inputs,
        reference_inputs=around.reference_inputs,
        last_fired=around.last_fired,
        last_finished=around.last_finished,
        in_flight=around.in_flight,
        live_since=around.live_since,
        spent_usd=around.spent_usd,
        budget_usd=around.budget_usd,
        estimated_cost_usd=around.estimated_cost_usd,
        history=around.history,
    )
