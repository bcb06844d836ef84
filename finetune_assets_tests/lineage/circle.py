"""A small task whose live answers people correct: what tests of the circle share, and what their workers run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from finetune_assets.component import read_task_folder
from finetune_assets.feedback.error_report import ErrorReport
from finetune_assets.lineage.comparing import open_here
from finetune_assets.lineage.raw_observations import STAGE as RAW
from finetune_assets.lineage.raw_observations import read_source
from finetune_assets.lineage.runtime import TaskRun, namespace_of
from finetune_assets.lineage.trigger_window import cases_of
from finetune_assets.lineage.validated_splits import STAGE as SPLITS
from finetune_assets.lineage.validated_splits import split_examples
from finetune_assets.resources.platform import RunOptions
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.home import Home

TASK = "tools"
THINGS = ("ladder", "candle", "basket", "violin", "pepper", "marble", "saddle", "curtain", "lantern", "blanket")


def words(number: int) -> str:
    """A live text of its own: no two are near-equal, and none is like a row of the source."""
    return " ".join(f"{THINGS[(number * (step + 3) + step) % 10]}{number * 77 + step}" for step in range(8))


def open_circle(folder: Path, home: Path) -> TaskRun:
    """Open the task of a folder."""
    return open_here(read_task_folder(folder), Home(home).ensure())


def experiment(task: TaskRun, limit: int) -> TaskRun:
    """Return the task as a run with a limit sees it."""
    options = RunOptions(limit=limit)
    return replace(task, options=options, namespace=namespace_of(options))


def correct(task: TaskRun, text: str, correction: str = "kitchen / oven", **more: Any) -> int:
    """Report a wrong answer to a text, with the right one; return the case."""
    given: dict[str, Any] = {"answer": f"wrong about {text}", "input": {"text": text}, "correction": correction}
    (number,) = cases_of(task).report([ErrorReport(TASK, "feedback", **(given | more))])
    return number


def run(task: TaskRun) -> tuple[Artifact, Artifact, bool]:
    """Make the raw records and the splits; say whether both were reused."""
    raw, raw_reused = read_source(task, lambda _: None)
    task.record(RAW, raw, reused=raw_reused)
    splits, reused = split_examples(task, lambda _: None)
    task.record(SPLITS, splits, reused=reused)
    return raw, splits, raw_reused and reused


def states(task: TaskRun) -> dict[int, tuple[str, str]]:
    """Return state and version of every case."""
    return {case.case_id: (case.state, case.dataset_version) for case in cases_of(task).cases(TASK)}
