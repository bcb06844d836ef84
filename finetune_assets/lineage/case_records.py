"""Corrected cases as records of their task: which can be read back, which newer ones replace, and which must wait."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from finetune_assets.feedback.case_reading import ErrorCase
from finetune_assets.records.example import FEEDBACK_FILE, Example, RawRecord, Rejection, SourceRef
from finetune_assets.records.task_type import TaskType
from finetune_assets.task_types.corrections import CorrectionFault, record_of_correction

SUPERSEDED = "superseded_correction"
NO_INPUT = "input_not_kept"
NO_CORRECTION = "correction_not_kept"


@dataclass(frozen=True)
class CaseRecord:
    """A corrected case that its task can read.

    Attributes:
        case: the case.
        record: its record.
        examples: what the record gives, at least one.
    """

    case: ErrorCase
    record: RawRecord
    examples: tuple[Example, ...]

    @property
    def number(self) -> int:
        """The case's number."""
        return self.case.case_id

    @property
    def correction(self) -> int:
        """The number of the correction that the record was made of."""
        return correction_of(self.case)


@dataclass(frozen=True)
class AsideCase:
    """A corrected case that is in neither training nor a suite, and why.

    Attributes:
        case: the case.
        fault: the reason, for the quarantine.
    """

    case: ErrorCase
    fault: CorrectionFault

    def rejection(self) -> Rejection:
        """Return it as a row of quarantine."""
        fault = self.fault
        return Rejection(
            reason=fault.reason,
            source=source_of(self.case),
            record_id=str(source_of(self.case)),
            field=fault.field,
            found=fault.found,
            expected=fault.expected,
            mend=fault.mend,
        )


@dataclass(frozen=True)
class CaseRecords:
    """Corrected cases, read; each is in exactly one of the three.

    Attributes:
        records: those that can be read.
        aside: those that cannot, or that a newer correction replaces.
        waiting: correction and reason by number, of cases without a text that could be learned from.
    """

    records: tuple[CaseRecord, ...]
    aside: tuple[AsideCase, ...]
    waiting: Mapping[int, tuple[int, str]]


def source_of(case: ErrorCase) -> SourceRef:
    """Return where a case's record says that it is from."""
    return SourceRef(f"{FEEDBACK_FILE}{case.case_id}")


def case_of(file: str) -> int | None:
    """Return the number of the case that a source file's name states; None for any other file."""
    number = file.removeprefix(FEEDBACK_FILE)
    return int(number) if number != file and number.isdecimal() else None


def correction_of(case: ErrorCase) -> int:
    """Return the number of the correction that counts; 0 for none."""
    return case.correction_id or 0


def read_corrected(cases: Iterable[ErrorCase], task_type: TaskType) -> CaseRecords:
    """Read corrected cases as records of their task.

    Of equal inputs with different corrections the newest counts: a consumed case that was corrected again is followed
    by another case, and both must not be taught. A consumed case that is replaced, or whose texts were forgotten, is
    in none of the three: there is nothing left to do about it. One that the task can no longer read is told.

    Args:
        cases: corrected and consumed ones.
        task_type: reads them.
    """
    records: list[CaseRecord] = []
    aside: list[AsideCase] = []
    waiting: dict[int, tuple[int, str]] = {}
    for case in cases:
        if (reason := lacks(case)) is not None:
            if case.state == "corrected":
                waiting[case.case_id] = correction_of(case), reason
            continue
        found = _read(case, task_type)
        if isinstance(found, CaseRecord):
            records.append(found)
        else:
            aside.append(AsideCase(case, found))
    newest = _newest(records)
    old = [one for one in records if newest[one.case.input_digest].case.correction != one.case.correction]
    aside += [AsideCase(one.case, _replaced_by(newest[one.case.input_digest])) for one in old if not _is_done(one)]
    gone = {one.number for one in old}
    kept = tuple(one for one in records if one.number not in gone)
    return CaseRecords(kept, tuple(sorted(aside, key=lambda one: one.case.case_id)), waiting)


def lacks(case: ErrorCase) -> str | None:
    """Return why nothing could be learned from a corrected case, None when it holds all that is needed."""
    if case.input is None:
        return NO_INPUT
    return NO_CORRECTION if case.correction is None or case.correction_id is None else None


def _read(case: ErrorCase, task_type: TaskType) -> CaseRecord | CorrectionFault:
    source = source_of(case)
    fields = record_of_correction(task_type, case.input or {}, case.correction or "", str(source))
    if isinstance(fields, CorrectionFault):
        return fields
    record = RawRecord(fields, source)
    return CaseRecord(case, record, tuple(item for item in task_type.examples(record) if isinstance(item, Example)))


def _newest(records: Iterable[CaseRecord]) -> dict[str, CaseRecord]:
    alike: dict[str, list[CaseRecord]] = defaultdict(list)
    for one in records:
        alike[one.case.input_digest].append(one)
    return {digest: max(found, key=lambda one: one.correction) for digest, found in alike.items()}


def _is_done(one: CaseRecord) -> bool:
    return one.case.state == "consumed"


def _replaced_by(newest: CaseRecord) -> CorrectionFault:
    return CorrectionFault(
        SUPERSEDED,
        found="an older correction",
        expected=f"that of case {newest.number}",
        mend="nothing, or correct the case again, which makes its correction the newest",
    )


def fields_of(record: CaseRecord) -> dict[str, Any]:
    """Return the record's fields, as a suite's file holds them."""
    return dict(record.record.fields)
