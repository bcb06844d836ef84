"""Where every corrected case stands: training row or regression sample since a version, set aside, or waiting.

Each is in exactly one of the four. Numbers and reasons only; no text of a person is here.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from finetune_assets.feedback.case_reading import ErrorCase, read_cases
from finetune_assets.feedback.division import known_sides
from finetune_assets.lineage.case_consumption import RAW, without_rows
from finetune_assets.lineage.case_records import correction_of, lacks
from finetune_assets.lineage.case_sides import case_group
from finetune_assets.lineage.corrected_cases import NOT_LEARNED, aside_in, cases_in, head_of
from finetune_assets.lineage.runtime import TaskRun

Place = Literal["train", "regression", "set_aside", "waiting"]
NEXT_VERSION = "next_version"
UNTOLD = "before_sides_were_remembered"


@dataclass(frozen=True)
class Standing:
    """Where one corrected case stands.

    Attributes:
        case: its number.
        place: training row, regression sample, set aside, or waiting.
        version: the dataset version that took it; "" where none did.
        reason: why it is set aside or waits; "" for a case that was taken.
    """

    case: int
    place: Place
    version: str = ""
    reason: str = ""


def standings(task: TaskRun) -> list[Standing]:
    """Return where each corrected or consumed case of a task stands, by rising number."""
    sides = known_sides(task.database, task.task)
    reasons = _reasons(task)
    return [
        _taken(case, sides) if case.state == "consumed" else _open(task, case, reasons)
        for case in read_cases(task.database, task.task, ("corrected", "consumed"))
    ]


def _taken(case: ErrorCase, sides: Any) -> Standing:
    side = sides.get(case_group(case.case_id, correction_of(case)))
    if side is None:  # taken by a version of before this platform divided cases: all were rows then
        return Standing(case.case_id, "train", case.dataset_version, UNTOLD)
    return Standing(case.case_id, side, case.dataset_version)


def _open(task: TaskRun, case: ErrorCase, reasons: dict[tuple[int, int], str]) -> Standing:
    if not task.config.feedback.learn:
        return Standing(case.case_id, "waiting", reason=NOT_LEARNED)
    if (missing := lacks(case)) is not None:
        return Standing(case.case_id, "waiting", reason=missing)
    aside = reasons.get((case.case_id, correction_of(case)))
    return Standing(case.case_id, "set_aside" if aside else "waiting", reason=aside or NEXT_VERSION)


def _reasons(task: TaskRun) -> dict[tuple[int, int], str]:
    """Return why the head holds nothing of a case: reason by number and correction."""
    splits = head_of(task)
    raw = None if splits is None else task.artifacts.find(RAW, str(splits.manifest.get("raw", "")))
    if splits is None or raw is None:
        return {}
    held = {number: correction for number, (correction, _) in cases_in(raw).items()}
    lost = without_rows(splits) if held else {}
    found = {(number, held[number]): reason for number, reason in lost.items() if number in held}
    return {**aside_in(raw), **found}


def by_version(found: list[Standing]) -> list[dict[str, Any]]:
    """Return how many cases each version took, newest first, for a table."""
    counts = Counter((one.version, one.place) for one in found if one.version)
    versions = sorted(
        {version for version, _ in counts}, key=lambda name: (-int(name) if name.isdecimal() else 0, name)
    )
    return [
        {
            "version": version,
            "training_rows": counts[version, "train"],
            "regression_samples": counts[version, "regression"],
        }
        for version in versions
    ]


def untaken(found: list[Standing]) -> dict[str, int]:
    """Return how many cases no version took, by place and reason, such as `waiting: next_version`."""
    return dict(sorted(Counter(f"{one.place}: {one.reason}" for one in found if not one.version).items()))
