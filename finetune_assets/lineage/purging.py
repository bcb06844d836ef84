"""Purging: artifacts that hold rows of corrected cases whose texts were forgotten are removed, and a tombstone stays.

Whose texts are gone from the database is forgotten; what versions hold of them is found by the numbers of the cases, so
that a purge that was killed, or that comes later, finds the same. The newest version is never purged, for the next one
remembers by it which rows were in which split: a run without the forgotten rows comes first. What was trained on them
is named and left to people.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from finetune_assets.feedback.case_reading import read_cases
from finetune_assets.lineage.case_consumption import RAW, SPLITS
from finetune_assets.lineage.corrected_cases import SAMPLES_FILE, cases_in
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.suite_rows import suite_rows
from finetune_assets.releases.registry import Registry
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.heads import current_head, version_history
from finetune_assets.storage.namespaces import MAIN

REASON = "it held rows of somebody who was forgotten"
UPLOADED = "uploaded_dataset"
ANSWERS = "answers"
ADAPTERS = "tuned_adapter"


@dataclass(frozen=True)
class Holdings:
    """What holds rows of forgotten cases.

    Attributes:
        task: the task.
        cases: the forgotten cases that artifacts hold.
        versions: numbers of the task's own versions among them.
        artifacts: kind and key of what can be purged.
        head: number of the newest version, where it is among them: it cannot be purged yet; 0 where it is not.
        releases: versions of releases that were tuned on these rows.
        adapters: keys of adapters that were.
        in_the_bucket: keys of uploaded datasets that stand in Cloud Storage too, where YAML names a bucket.
    """

    task: str
    cases: tuple[int, ...]
    versions: tuple[int, ...]
    artifacts: tuple[tuple[str, str], ...]
    head: int
    releases: tuple[int, ...]
    adapters: tuple[str, ...]
    in_the_bucket: tuple[str, ...]


def holdings(task: TaskRun) -> Holdings:
    """Look for what holds rows of forgotten cases; nothing is changed.

    Args:
        task: the task, see `comparing.open_here`.
    """
    gone = _forgotten(task)
    raws = {one.key: held for one in _all(task, RAW) if (held := sorted(gone.intersection(cases_in(one))))}
    splits = [one for one in _all(task, SPLITS) if one.manifest.get("raw") in raws]
    uploaded = [one for one in _all(task, UPLOADED) if any(_is_of(one, made) for made in splits)]
    head = current_head(task.database, task.task, MAIN)
    is_held = head is not None and head.artifact_key in {one.key for one in splits}
    kept_splits = {head.artifact_key} if head is not None and is_held else set()
    kept_raws = {str(one.manifest["raw"]) for one in splits if one.key in kept_splits}
    kept_uploads = {one.key for one in uploaded for made in splits if made.key in kept_splits and _is_of(one, made)}
    keys = {one.key for one in splits}
    digests, sent = {one.digest for one in splits}, {one.digest for one in uploaded}
    found = [(UPLOADED, one.key) for one in uploaded if one.key not in kept_uploads]
    found += [(ANSWERS, key) for key in _answers(task, set(raws) - kept_raws)]
    found += [(SPLITS, key) for key in sorted(keys - kept_splits)]
    # Last, for by these the others are found: a killed purge finds them again.
    found += [(RAW, key) for key in sorted(set(raws) - kept_raws)]
    return Holdings(
        task=task.task,
        cases=tuple(sorted({number for held in raws.values() for number in held})),
        versions=tuple(
            one.number for one in version_history(task.database, task.task, MAIN) if one.artifact_key in keys
        ),
        artifacts=tuple(found),
        head=head.number if head is not None and is_held else 0,
        releases=tuple(
            one.version for one in Registry(task.database).releases(task.task) if one.dataset_digest in digests
        ),
        adapters=tuple(one.key for one in _all(task, ADAPTERS) if _dataset_of(one) in sent),
        in_the_bucket=tuple(one.key for one in uploaded) if task.config.cloud.bucket else (),
    )


def purge(task: TaskRun, found: Holdings, *, by: str, at: datetime) -> int:
    """Remove what holds rows of forgotten cases; calling it again finishes what was stopped.

    Args:
        task: the task.
        found: what `holdings` found.
        by: who asked.
        at: now.

    Returns:
        How many artifacts were removed now.
    """
    tombstone = {"reason": REASON, "at": at.isoformat(), "by": by}
    return sum(task.artifacts.bury(kind, key, tombstone) for kind, key in found.artifacts)


def _forgotten(task: TaskRun) -> set[int]:
    """Return the cases whose texts are gone, or never were there: what holds a row of such a case had its texts."""
    return {
        case.case_id
        for case in read_cases(task.database, task.task)
        if case.input is None or (case.correction_id is not None and case.correction is None)
    }


def _all(task: TaskRun, kind: str) -> Iterator[Artifact]:
    """Yield the task's artifacts of a kind, those of experiments among them."""
    for key in task.artifacts.keys(kind):
        found = task.artifacts.find(kind, key)
        if found is not None and found.manifest.get("task") == task.task:
            yield found


def _is_of(uploaded: Artifact, splits: Artifact) -> bool:
    """Return whether an uploaded dataset holds the files of a version."""
    expected = uploaded.manifest.get("expected", {})
    files = splits.manifest["files"]
    return bool(expected) and all(files.get(name, {}).get("sha256") == digest for name, digest in expected.items())


def _dataset_of(adapter: Artifact) -> str:
    request = adapter.manifest.get("request")
    return str(request.get("dataset_digest", "")) if isinstance(request, dict) else ""


def _answers(task: TaskRun, raws: set[str]) -> list[str]:
    """Return the kept answers to regression samples of raw records that are to go."""
    asked: set[str] = set()
    for key in sorted(raws):
        raw = task.artifacts.find(RAW, key)
        if raw is not None and raw.has_file(SAMPLES_FILE):
            rows = suite_rows(task, task.task_type(), str(raw.file(SAMPLES_FILE)))
            asked |= {row.example_id for row in rows.examples}
    if not asked:
        return []
    return [one.key for one in _all(task, ANSWERS) if asked & _asked(one.file("answers.parquet"))]


def _asked(path: Path) -> set[str]:
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["example_id"])
    return set(table.column("example_id").to_pylist())
