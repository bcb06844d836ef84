"""A tuning job of Vertex AI in our words: its state and phase, what it gave, and what it says of the data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from finetune_assets.tuning.backends.protocol import (
    RUN_KEY_LABEL,
    Checkpoint,
    JobResult,
    JobState,
    JobStatus,
    Phase,
)

# JobState of Vertex AI (v1beta1, read 2026-11-21); a word that is not here means "not ended".
STATES: Mapping[str, JobState] = {
    "JOB_STATE_QUEUED": "waiting",
    "JOB_STATE_PENDING": "waiting",
    "JOB_STATE_RUNNING": "running",
    "JOB_STATE_PAUSED": "waiting",
    "JOB_STATE_UPDATING": "running",
    "JOB_STATE_CANCELLING": "cancelling",
    "JOB_STATE_SUCCEEDED": "succeeded",
    "JOB_STATE_FAILED": "failed",
    # Some results are missing: what is there cannot be told from a whole model.
    "JOB_STATE_PARTIALLY_SUCCEEDED": "failed",
    "JOB_STATE_CANCELLED": "cancelled",
    "JOB_STATE_EXPIRED": "expired",
}
_FINE: Mapping[str, Phase] = {
    "TUNING_JOB_STATE_WAITING_FOR_QUOTA": "quota",
    "TUNING_JOB_STATE_PROCESSING_DATASET": "preparing",
    "TUNING_JOB_STATE_WAITING_FOR_CAPACITY": "capacity",
    "TUNING_JOB_STATE_TUNING": "tuning",
    "TUNING_JOB_STATE_POST_PROCESSING": "finishing",
}
_COARSE: Mapping[str, Phase] = {
    "JOB_STATE_QUEUED": "queued",
    "JOB_STATE_PENDING": "preparing",
    "JOB_STATE_RUNNING": "tuning",
}
_PARTLY = "JOB_STATE_PARTIALLY_SUCCEEDED"
_WAITING: frozenset[Phase] = frozenset({"quota", "capacity"})
CONSOLE = "https://console.cloud.google.com/vertex-ai"


def word(value: Any) -> str:
    """Return an enum's own word; values that the client does not know come as strings."""
    return str(getattr(value, "value", value) or "")


def place_of(handle: str) -> tuple[str, str, str]:
    """Return project, location and id of `projects/P/locations/L/<kind>/ID`, "" for what is not there."""
    parts = handle.split("/")
    named = dict(zip(parts[::2], parts[1::2], strict=False))
    return named.get("projects", ""), named.get("locations", ""), parts[-1]


def console_link(handle: str) -> str:
    """Return the console's page of a tuning job."""
    project, location, number = place_of(handle)
    return f"{CONSOLE}/generative/language/locations/{location}/tuning/tuningJob/{number}?project={project}"


def status_of(job: Any) -> JobStatus:
    """Return how a `google.genai.types.TuningJob` stands."""
    coarse, fine = word(job.state), word(job.tuning_job_state)
    state: JobState = STATES.get(coarse, "unknown")
    phase = _phase(state, coarse, fine)
    if state == "running" and phase in _WAITING:
        state = "waiting"
    labels = dict(job.labels or {})
    error = job.error
    text = str(getattr(error, "message", "") or "") if error is not None else ""
    if coarse == _PARTLY and not text:
        text = "the service says that only a part succeeded"
    return JobStatus(
        handle=str(job.name),
        state=state,
        phase=phase,
        provider_state=" ".join(part for part in (coarse, fine) if part),
        error=text,
        error_code=int(getattr(error, "code", 0) or 0) if error is not None else 0,
        run_key=labels.get(RUN_KEY_LABEL, ""),
        labels=labels,
        created=job.create_time,
        started=job.start_time,
        ended=job.end_time,
        link=console_link(str(job.name)),
        progress=_progress(job),
    )


def _phase(state: JobState, coarse: str, fine: str) -> Phase:
    if state in ("waiting", "running"):
        return _FINE.get(fine) or _COARSE.get(coarse, "")
    return ""


def _progress(job: Any) -> dict[str, float]:
    done = job.tuning_job_metadata
    figures = {
        "epochs": getattr(done, "completed_epoch_count", None),
        "steps": getattr(done, "completed_step_count", None),
    }
    return {name: float(value) for name, value in figures.items() if value is not None}


def result_of(job: Any) -> JobResult:
    """Return what a `google.genai.types.TuningJob` gave that succeeded.

    An open model's job may name no tuned model: its weights lie under its output folder.
    """
    tuned = job.tuned_model
    statistics = _statistics(job.tuning_data_stats)
    return JobResult(
        handle=str(job.name),
        model=str(getattr(tuned, "model", "") or ""),
        endpoint=str(getattr(tuned, "endpoint", "") or ""),
        weights_uri=weights_folder(job.output_uri or ""),
        checkpoints=tuple(_checkpoint(entry) for entry in getattr(tuned, "checkpoints", None) or ()),
        billable_tokens=statistics.pop("billable_tokens", None),
        statistics=statistics,
        losses=(),
        raw=job.model_dump(mode="json", exclude_none=True, exclude={"sdk_http_response"}),
    )


def weights_folder(output_uri: str) -> str:
    """Return where the service puts an open model's final weights under the job's output folder."""
    return f"{output_uri.rstrip('/')}/postprocess/node-0/checkpoints/final/" if output_uri else ""


def _checkpoint(entry: Any) -> Checkpoint:
    return Checkpoint(
        id=str(entry.checkpoint_id or ""),
        epoch=float(entry.epoch or 0),
        step=int(entry.step or 0),
        endpoint=str(entry.endpoint or ""),
    )


def _statistics(found: Any) -> dict[str, Any]:
    """Return what the service says of the data under one set of names, whatever the method."""
    if found is None:
        return {}
    distilled = found.distillation_data_stats
    stats = (
        found.supervised_tuning_data_stats
        or found.preference_optimization_data_stats
        or (distilled.training_dataset_stats if distilled is not None else None)
    )
    if stats is None:
        return {}
    indices = getattr(stats, "truncated_example_indices", None) or getattr(stats, "dropped_example_indices", None) or []
    reasons = list(stats.dropped_example_reasons or [])
    figures = {
        "rows": stats.tuning_dataset_example_count,
        "truncated": _left_out(stats, indices, reasons),
        # The service counts rows from 1, we from 0.
        "truncated_rows": [int(index) - 1 for index in indices],
        "dropped": reasons,
        "steps": stats.tuning_step_count,
        "billable_tokens": getattr(stats, "total_billable_token_count", None),
        "input_tokens": _distribution(stats.user_input_token_distribution),
        "output_tokens": _distribution(stats.user_output_token_distribution),
    }
    return {name: value for name, value in figures.items() if value is not None}


def _left_out(stats: Any, indices: list[int], reasons: list[str]) -> int:
    counted = getattr(stats, "total_truncated_example_count", None)
    return int(counted) if counted is not None else max(len(indices), len(reasons))


def _distribution(found: Any) -> dict[str, float] | None:
    if found is None:
        return None
    names = ("sum", "min", "max", "mean", "median", "p5", "p95")
    values = {name: getattr(found, name, None) for name in names}
    return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}
