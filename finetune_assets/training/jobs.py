"""What the trainers' entry points share: the job file, the run record, and how a failure is told.

Here belongs nothing that knows what is trained.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from finetune_assets.records.errors import FinetuneError
from finetune_assets.training.report import Reporter, open_reporter

Job = TypeVar("Job", bound=BaseModel)

FAILED_EXIT = 1


def read_job(path: Path, model: type[Job]) -> Job:
    """Read and validate a job file.

    Raises:
        FinetuneError: when it is missing, no JSON, or a field is wrong (the first one is named).
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise FinetuneError("job file cannot be read", where=str(path), found=error.strerror or str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "(the whole file)"
        raise FinetuneError("job file is not valid", where=f"{path}: {place}", found=first["msg"]) from error


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a run record as JSON, completely or not at all."""
    staged = path.with_name(path.name + ".part")
    with staged.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    staged.replace(path)


def run_reported(body: Callable[[Reporter], int]) -> int:
    """Run a trainer with a reporter; tell an error that the user can mend as one line.

    Args:
        body: does the work and returns the exit code.

    Returns:
        What `body` returned, or 1 after a `FinetuneError`, whose line goes to stderr and, as a message of kind
        `failed`, to the launcher.
    """
    with open_reporter() as reporter:
        try:
            return body(reporter)
        except FinetuneError as error:
            reporter.message({"kind": "failed", "line": str(error)})
            print(str(error), file=sys.stderr)  # noqa: T201 - the trainer's own stderr
            return FAILED_EXIT
