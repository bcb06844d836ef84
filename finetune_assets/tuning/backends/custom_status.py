"""A custom job of Vertex AI in our words, and what its trainer wrote down beside the weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from finetune_assets.tuning.backends.managed_status import STATES, place_of
from finetune_assets.tuning.backends.protocol import RUN_KEY_LABEL, JobResult, JobStatus, Phase
from finetune_assets.tuning.cloud.errors import MissingError, RejectedError
from finetune_assets.tuning.container_job import split_uri

RECORD = "training.json"
MODEL_FOLDER = "model/"
# A pending custom job waits for its machines.
_PHASES: Mapping[str, Phase] = {
    "JOB_STATE_QUEUED": "queued",
    "JOB_STATE_PENDING": "capacity",
    "JOB_STATE_RUNNING": "tuning",
}
_LARGEST_EXPONENT = 700.0


def custom_status(job: Any) -> JobStatus:
    """Return how a `google.cloud.aiplatform_v1.types.CustomJob` stands."""
    coarse = str(getattr(job.state, "name", job.state))
    labels = dict(job.labels)
    return JobStatus(
        handle=str(job.name),
        state=STATES.get(coarse, "unknown"),
        phase=_PHASES.get(coarse, ""),
        provider_state=coarse,
        error=str(job.error.message) if job.error else "",
        error_code=int(job.error.code) if job.error else 0,
        run_key=labels.get(RUN_KEY_LABEL, ""),
        labels=labels,
        created=_moment(job.create_time),
        started=_moment(job.start_time),
        ended=_moment(job.end_time),
        link=_link(str(job.name)),
    )


def custom_result(job: Any, fetch: Callable[[str, str], bytes]) -> JobResult:
    """Return what a custom job gave that succeeded.

    Args:
        job: the job.
        fetch: gives an object's bytes by bucket and name.

    Raises:
        MissingError: when the trainer left no record: then it left no weights either.
        RejectedError: when its record cannot be read.
    """
    # Vertex AI tells the container this folder as AIP_MODEL_DIR.
    weights = f"{job.job_spec.base_output_directory.output_uri_prefix.rstrip('/')}/{MODEL_FOLDER}"
    bucket, folder = split_uri(weights)
    try:
        text = fetch(bucket, f"{folder}{RECORD}")
    except MissingError as error:
        raise MissingError(
            "the job succeeded, but the trainer left no record",
            where=f"{weights}{RECORD}",
            mend="look at the job's log; the image must be this project's own",
        ) from error
    record = _record(text, f"{weights}{RECORD}")
    return JobResult(
        handle=str(job.name),
        weights_uri=weights,
        statistics=_statistics(record),
        losses=_losses(record),
        raw={"record": record},
    )


def _record(text: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except ValueError as error:
        raise RejectedError("the trainer's record cannot be read", where=where, found=str(error)) from error
    if not isinstance(record, dict):
        raise RejectedError("the trainer's record cannot be read", where=where, expected="a JSON object")
    return record


def _statistics(record: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "rows": "rows",
        "truncated_rows": "truncated",
        "dropped_rows": "dropped_count",
        "steps": "steps",
        "tokens": "tokens",
        "answer_tokens": "answer_tokens",
    }
    return {ours: record[theirs] for theirs, ours in names.items() if theirs in record}


def _losses(record: Mapping[str, Any]) -> tuple[Mapping[str, float], ...]:
    """Return training and validation loss by optimizer step, in order."""
    by_step: dict[float, dict[str, float]] = {}
    for name, ours in (("loss", "train_loss"), ("validation_loss", "validation_loss")):
        for step, value in record.get(name) or []:
            by_step.setdefault(float(step), {"step": float(step)})[ours] = float(value)
    for figures in by_step.values():
        if "validation_loss" in figures:
            figures["perplexity"] = math.exp(min(figures["validation_loss"], _LARGEST_EXPONENT))
    return tuple(by_step[step] for step in sorted(by_step))


def _moment(found: Any) -> datetime | None:
    # The client's own class carries nanoseconds; what is not set comes as None or as the year 1970.
    if found is None or found.timestamp() == 0:
        return None
    return datetime.fromtimestamp(found.timestamp(), tz=found.tzinfo)


def _link(handle: str) -> str:
    project, location, number = place_of(handle)
    return f"https://console.cloud.google.com/agent-platform/locations/{location}/training/{number}?project={project}"
