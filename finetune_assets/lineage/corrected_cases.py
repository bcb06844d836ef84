"""What a dataset version takes of the corrected cases: its training rows, its regression samples, and the rest.

Here belong the plan, made before the source is read, and the two files that stand beside the raw records: which case
is in this version and where, and the records of the regression samples. The plan holds every corrected case in exactly
one of four: training row, regression sample, set aside with a reason, waiting with a reason.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from finetune_assets.feedback.case_reading import read_cases
from finetune_assets.feedback.division import remember
from finetune_assets.feedback.setting_aside import set_aside
from finetune_assets.lineage.case_records import (
    AsideCase,
    CaseRecord,
    correction_of,
    fields_of,
    read_corrected,
)
from finetune_assets.lineage.case_sides import divided
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.records.digests import digest_of
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import RawRecord, Rejection
from finetune_assets.records.json_lines import encode_line
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.files import read_json, write_atomic, write_json_atomic
from finetune_assets.storage.heads import current_head
from finetune_assets.storage.namespaces import MAIN
from finetune_assets.task_types.corrections import CorrectionFault

CASES_FILE = "cases.json"
SAMPLES_FILE = "corrected_cases.jsonl"
TIED_TO_BOTH = "feedback_tied_to_both_sides"
NOT_LEARNED = "feedback_learn_is_false"
_VERSION = 1
_ATTEMPTS = 5


@dataclass(frozen=True)
class CasePlan:
    """What is made of the corrected cases.

    Attributes:
        train: those that become training rows.
        regression: those that become regression samples.
        aside: those that are in neither; they stay corrected.
        waiting: correction and reason by number, of those that cannot be learned from for want of a text.
        groups: sides that were decided now.
    """

    train: tuple[CaseRecord, ...] = ()
    regression: tuple[CaseRecord, ...] = ()
    aside: tuple[AsideCase, ...] = ()
    waiting: Mapping[int, tuple[int, str]] = field(default_factory=dict)
    groups: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether the version holds nothing of a case, and nothing about one."""
        return not (self.train or self.regression or self.aside)

    def identity(self) -> dict[str, Any]:
        """Return what of the cases decides the raw records; empty without cases, so that nothing changes for these."""
        if self.is_empty:
            return {}
        rows = [(one, place) for place, found in self._places() for one in found]
        taken = [[one.number, one.correction, place, digest_of(one.record.fields)] for one, place in rows]
        aside = [[one.case.case_id, correction_of(one.case), one.fault.reason, ""] for one in self.aside]
        return {"cases": {"code": _VERSION, "taken": sorted([*taken, *aside])}}

    def unusable(self) -> dict[int, tuple[int, str]]:
        """Return the cases that no version can take: number → correction and reason."""
        aside = {one.case.case_id: (correction_of(one.case), one.fault.reason) for one in self.aside}
        return {**aside, **self.waiting}

    def rows(self) -> Iterator[RawRecord | Rejection]:
        """Yield the training rows and the rejections, by rising number of their cases."""
        found: list[tuple[int, RawRecord | Rejection]] = [(one.number, one.record) for one in self.train]
        found += [(one.case.case_id, one.rejection()) for one in self.aside]
        yield from (item for _, item in sorted(found, key=lambda pair: pair[0]))

    def counts(self) -> dict[str, Any]:
        """Return the counts for the summary; empty without cases."""
        if self.is_empty:
            return {}
        reasons = Counter(one.fault.reason for one in self.aside)
        return {
            "feedback": {
                "read": len(self.train) + len(self.aside),
                "accepted": len(self.train),
                "quarantined": len(self.aside),
                "reasons": dict(sorted(reasons.items())),
                "regression": len(self.regression),
            }
        }

    def write(self, staging: Any) -> None:
        """Write the two files into an artifact; none without cases."""
        if self.is_empty:
            return
        cases = [[one.number, one.correction, place] for place, found in self._places() for one in found]
        aside = [[one.case.case_id, correction_of(one.case), one.fault.reason] for one in self.aside]
        write_json_atomic(staging / CASES_FILE, {"version": _VERSION, "cases": sorted(cases), "aside": sorted(aside)})
        if self.regression:
            lines = (encode_line(fields_of(one)) + b"\n" for one in self.regression)
            write_atomic(staging / SAMPLES_FILE, b"".join(lines))

    def _places(self) -> tuple[tuple[str, tuple[CaseRecord, ...]], ...]:
        return ("train", self.train), ("regression", self.regression)


def plan_cases(task: TaskRun) -> CasePlan:
    """Decide where each corrected case goes; a run that is no experiment remembers it for ever.

    Args:
        task: the task in this run. An experiment sees the same cases, and neither takes them nor decides anything.
    """
    for _ in range(_ATTEMPTS):
        plan = _plan(task)
        if task.is_experiment:
            return plan
        try:
            remember(task.database, task.task, plan.groups)
        except FinetuneError:  # another run decided meanwhile; what it decided holds
            continue
        set_aside(task.database, task.task, plan.unusable())
        return plan
    raise FinetuneError("the sides of corrected cases keep changing", where=task.task, mend="run again")


def _plan(task: TaskRun) -> CasePlan:
    cases = read_cases(task.database, task.task, ("corrected", "consumed"))
    if not task.config.feedback.learn:
        return CasePlan()
    task_type = task.task_type()
    found = read_corrected(cases, task_type)
    division = divided(task, task_type, found.records, head_of(task)) if found.records else None
    if division is None:
        return CasePlan(aside=found.aside, waiting=found.waiting)
    by_number = {one.number: one for one in found.records}
    tied = tuple(AsideCase(by_number[number].case, _TIED) for number in division.set_aside)
    return CasePlan(
        train=tuple(by_number[number] for number in division.train),
        regression=tuple(by_number[number] for number in division.regression),
        aside=(*found.aside, *tied),
        waiting=found.waiting,
        groups=division.groups,
    )


_TIED = CorrectionFault(
    TIED_TO_BOTH,
    found="rows, samples or cases of both sides",
    expected="leak groups of one side",
    mend="nothing: whatever it taught would be judged too",
)


def head_of(task: TaskRun) -> Artifact | None:
    """Return the splits that the task's next version is built on; None before the first, or when they are gone."""
    head = current_head(task.database, task.task, MAIN)
    return None if head is None else task.artifacts.find("validated_splits", head.artifact_key)


def cases_in(raw: Artifact) -> dict[int, tuple[int, str]]:
    """Return the cases that raw records hold: number → number of the correction, and `train` or `regression`."""
    if not raw.has_file(CASES_FILE):
        return {}
    written = read_json(raw.file(CASES_FILE))["cases"]
    return {int(number): (int(correction), str(place)) for number, correction, place in written}


def aside_in(raw: Artifact) -> dict[tuple[int, int], str]:
    """Return the cases that raw records set aside: the reason by number of case and correction."""
    if not raw.has_file(CASES_FILE):
        return {}
    return {
        (int(number), int(given)): str(reason) for number, given, reason in read_json(raw.file(CASES_FILE))["aside"]
    }


def samples_in(raw: Artifact) -> int:
    """Return how many regression samples raw records hold."""
    return sum(place == "regression" for _, place in cases_in(raw).values())
