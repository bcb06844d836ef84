"""A dataset version that became the head takes its corrected cases: exactly those whose rows it holds.

The taking is done right after the head moved. A run that was killed in between has it finished by the next one.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from finetune_assets.feedback.case_reading import ErrorCase, read_cases
from finetune_assets.feedback.consuming import Consumed, consume, finished, unfinished
from finetune_assets.feedback.setting_aside import set_aside
from finetune_assets.lineage.case_records import case_of
from finetune_assets.lineage.corrected_cases import cases_in
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.records.example import FEEDBACK_FILE
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.heads import Head, version_history
from finetune_assets.storage.namespaces import MAIN

RAW = "raw_observations"
SPLITS = "validated_splits"


def finish_consumption(task: TaskRun) -> list[tuple[int, Consumed]]:
    """Take the cases of the head, and of every version whose taking was stopped half-way; experiments take none.

    Calling it again changes nothing.

    Args:
        task: the task in this run.

    Returns:
        Version and what it took, of versions whose taking was not finished yet.
    """
    if task.is_experiment or task.namespace != MAIN:
        return []
    history = version_history(task.database, task.task, MAIN)
    stopped, done = set(unfinished(task.database, task.task)), finished(task.database, task.task)
    found = []
    for head in history:
        name = version_name(head)
        if name in stopped or (head is history[-1] and name not in done):
            wanted, lacking = _wanted(task, head)
            set_aside(task.database, task.task, lacking)
            if wanted:
                found.append((head.number, consume(task.database, task.task, name, wanted)))
    return found


def version_name(head: Head) -> str:
    """Return the name under which a version takes cases: its number in the task's own line of versions."""
    return str(head.number)


def _wanted(task: TaskRun, head: Head) -> tuple[dict[int, int], dict[int, tuple[int, str]]]:
    """Return the cases that a version takes, case → correction: those that it holds, less what others took.

    Beside them those of which it holds no row after all, case → correction and reason.
    """
    splits = task.artifacts.find(SPLITS, head.artifact_key)
    raw = None if splits is None else task.artifacts.find(RAW, str(splits.manifest.get("raw", "")))
    held = {} if raw is None else cases_in(raw)
    if splits is None or not held:
        return {}, {}
    taken = _of_others(task, head)
    held = {number: found for number, found in held.items() if number not in taken}
    lost = without_rows(splits) if held else {}
    lacking = {number: (held[number][0], reason) for number, reason in lost.items() if number in held}
    return {number: correction for number, (correction, _) in held.items() if number not in lacking}, lacking


def _of_others(task: TaskRun, head: Head) -> set[int]:
    cases: Iterable[ErrorCase] = read_cases(task.database, task.task, ("consumed",))
    return {case.case_id for case in cases if case.dataset_version != version_name(head)}


def without_rows(splits: Artifact) -> dict[int, str]:
    """Return the cases of which a version holds no row at all, with the reason of the first row in quarantine."""
    rejected: dict[int, str] = {}
    for line in _lines_of_cases(splits.file("quarantine.jsonl")):
        row = json.loads(line)
        number = case_of(row["file"])
        if number is not None:
            rejected.setdefault(number, row["reason"])
    if not rejected:
        return {}
    for name in ("examples.jsonl", "duplicates.jsonl"):
        for line in _lines_of_cases(splits.file(name)):
            number = case_of(json.loads(line)["source"]["file"])
            if number is not None:
                rejected.pop(number, None)
    return rejected


def _lines_of_cases(path: Path) -> Iterable[bytes]:
    """Yield the lines that speak of corrected cases, and perhaps a few others."""
    mark = FEEDBACK_FILE.encode()
    with path.open("rb", buffering=1 << 20) as lines:
        yield from (line for line in lines if mark in line)
