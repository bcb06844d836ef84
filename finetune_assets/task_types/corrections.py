"""Corrections: a live input and the right answer that a person gave become a record again, in the task's own form.

Here belongs what a person may write as a correction, for each type of task: the answer as the model should have
written it, or the short form that comes naturally, such as a label's name. The record that comes of it is read by the
task type as any other, and is held against the correction here, so that nothing is learned that nobody said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune_assets.datasets.taxonomies.nodes import tidy
from finetune_assets.records.example import RawRecord, Rejection, SourceRef
from finetune_assets.records.task_type import TaskType
from finetune_assets.task_types.answers import find_list, find_object
from finetune_assets.task_types.classification import ClassificationTask
from finetune_assets.task_types.fields import canonical_fields
from finetune_assets.task_types.question_answering import QuestionAnsweringTask
from finetune_assets.task_types.question_records import LAST_ANSWER_ONLY
from finetune_assets.task_types.routing import RoutingTask
from finetune_assets.task_types.routing_calls import Calls
from finetune_assets.task_types.routing_route import OneRoute
from finetune_assets.task_types.routing_traces import COMPLETION_ONLY
from finetune_assets.task_types.transcription import TranscriptionTask

UNREADABLE = "unreadable_correction"
NO_WAY_BACK = "no_record_of_correction"
_SHOWN = 300
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class CorrectionFault:
    """Why an input with its correction is no record.

    Attributes:
        reason: a code for the quarantine.
        field: the field at fault, "" for the correction.
        found: what was found; never the whole text.
        expected: what would have been right.
        mend: what to do.
    """

    reason: str
    field: str = ""
    found: str = ""
    expected: str = ""
    mend: str = "correct the case again, by its number, with an answer that the task can read"


Fields = dict[str, Any]
Way = Callable[[Any, Fields, str, str], "Fields | CorrectionFault"]


def correction_fault(task: TaskType, correction: str) -> CorrectionFault | None:
    """Return why a correction can be no answer of the task whatever the input was, None when it may be one.

    Cheap: nothing is asked and nothing is read but the correction. Where the input decides, it is not judged.

    Args:
        task: the task type, from YAML or from a release's manifest.
        correction: what a person wrote.
    """
    made: Fields | CorrectionFault | None = None
    if isinstance(task, ClassificationTask):
        made = _label(task, {}, correction, "")
    elif isinstance(task, RoutingTask):
        made = _route_fields(task, correction)
    return made if isinstance(made, CorrectionFault) else None


def record_of_correction(
    task: TaskType, fields: Mapping[str, Any], correction: str, record_id: str
) -> Fields | CorrectionFault:
    """Turn a live input and its right answer into a record of the task. Never raises.

    Args:
        task: the task type.
        fields: the input, as it was asked or as it was kept.
        correction: the right answer, as the model should have written it, or in short where the type allows it.
        record_id: the record's id; an id that the input brought belongs to another record and is left out.

    Returns:
        The record under canonical names, which the task type reads back to an example, or why there is none.
    """
    way = next((way for kind, way in _WAYS if isinstance(task, kind)), None)
    if way is None:
        return CorrectionFault(
            NO_WAY_BACK,
            found=f"a task of type {task.name}",
            expected="a type whose records hold an answer",
            mend=f"records of {task.name} are read from their source; put what is right there, and dismiss the case",
        )
    record = way(task, dict(fields), correction, record_id)
    if isinstance(record, CorrectionFault):
        return record
    return _refused(task, record) or record


def _refused(task: TaskType, record: Fields) -> CorrectionFault | None:
    """Return why the task type does not take a record, None when it gives at least one example."""
    items = task.examples(RawRecord(record, SourceRef("feedback")))
    rejections = [item for item in items if isinstance(item, Rejection)]
    if len(rejections) < len(items):
        return None
    if not rejections:
        return CorrectionFault(NO_WAY_BACK, found="no example", expected="an example")
    first = rejections[0]
    return CorrectionFault(first.reason, first.field, first.found, first.expected, first.mend)


# --- classification


def _label(task: ClassificationTask, fields: Fields, correction: str, record_id: str) -> Fields | CorrectionFault:
    path = _path_in(task, correction)
    if path is None:
        shown = "; ".join(" / ".join(path) for path in _nearest(task, correction))
        return CorrectionFault(
            "unknown_label",
            found="an answer that names no label, or several",
            expected=f"JSON with {', '.join(task.target_keys.values())}, a label's path, or a name that only one has: "
            f"{shown}"[:_SHOWN],
        )
    shape = task.shape
    canonical = canonical_fields(fields, task.aliases)
    stated = {*shape.level_fields, shape.description_field, *shape.stated_fields}
    kept = {name: value for name, value in canonical.items() if name not in stated}
    named = {name for names in task.aliases.values() for name in names}
    others = {name: value for name, value in fields.items() if name not in named and name not in canonical}
    record = {**others, **kept, **dict(zip(shape.level_fields, path, strict=True)), shape.id_field: record_id}
    if task.label_of(record) != path:
        return CorrectionFault("invalid_label", found="a label that `label_map` replaces", expected="its replacement")
    return record


def _path_in(task: ClassificationTask, correction: str) -> tuple[str, ...] | None:
    """Return the one legal label that a correction names: by the JSON answer, a part of it, a path or a name."""
    levels = list(task.target_keys.values())
    answer, _ = find_object(correction, ())
    if answer is not None:
        said = {levels.index(key): tidy(value) for key, value in answer.items() if key in levels and type(value) is str}
        fits = [path for path in task.rules.paths if said and all(path[at] == name for at, name in said.items())]
        return fits[0] if len(fits) == 1 else None
    text = tidy(correction.strip().strip("\"'"))
    for same in (str, str.casefold, _words):
        wanted = [same(tidy(part)) for part in text.split("/")]
        # A name of the taxonomy may hold a slash of its own, so the whole is looked at too.
        fits = [
            path
            for path in task.rules.paths
            if same(path[-1]) == same(text)
            or any([same(part) for part in names[-len(wanted) :]] == wanted for names in _spellings(task, path))
        ]
        if len(fits) == 1:
            return fits[0]
        if fits:
            return None
    replaced = task.rules.replace([*[None] * (len(levels) - 1), text])
    found = None if replaced is None else task.rules.resolve(replaced)
    return found if isinstance(found, tuple) else None


def _spellings(task: ClassificationTask, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return a label's path as it is, and with the domain's name for people where it has one."""
    shown = str(task.taxonomy.describe(path).get("domain_name") or path[0])
    return [path] if shown == path[0] else [path, (shown, *path[1:])]


def _words(text: str) -> str:
    """Return a name's words alone, so that `physical_development` and `Physical Development` are one."""
    return " ".join(_WORD.findall(text.casefold()))


def _nearest(task: ClassificationTask, correction: str) -> list[tuple[str, ...]]:
    """Return the legal labels, those first that share most words with a correction that names none of them."""
    said = set(_words(correction).split())
    shared = {path: len(said.intersection(_words(" ".join(path)).split())) for path in task.rules.paths}
    return sorted(task.rules.paths, key=lambda path: (-shared[path], path))


# --- transcription, questions


def _transcript(task: TranscriptionTask, fields: Fields, correction: str, record_id: str) -> Fields:
    canonical = canonical_fields(fields, task.aliases)
    # Scores and errors that the recogniser's own record states are about its transcript, not about ours.
    kept = {name: value for name, value in canonical.items() if name not in ("error_score", "error_types")}
    return {
        **_undeclared(fields, task.aliases),
        **kept,
        "corrected_transcript": _member(correction, task.aliases["corrected_transcript"]),
        "case_id": record_id,
    }


def _answer(task: QuestionAnsweringTask, fields: Fields, correction: str, record_id: str) -> Fields:
    canonical = canonical_fields(fields, task.aliases)
    kept = {name: value for name, value in canonical.items() if name not in ("answer", "responses", "patterns")}
    answer = _member(correction, task.aliases["answer"])
    record = {**_undeclared(fields, task.aliases), **kept, "record_id": record_id}
    if kept.get("question") is None and isinstance(kept.get("messages"), list):
        # What was answered before was never judged: it is history, and only the last answer is learned.
        turns = [*kept["messages"], {"role": "assistant", "content": answer}]
        return {**record, "messages": turns, LAST_ANSWER_ONLY: True}
    record.pop("messages", None)
    return {**record, "answer": answer}


def _member(correction: str, names: Sequence[str]) -> str:
    """Return the answer within a JSON object that holds nothing else, such as {"answer": "…"}; else the text itself."""
    try:
        value = json.loads(correction)
    except (ValueError, RecursionError):
        return correction
    if isinstance(value, dict) and len(value) == 1:
        ((name, text),) = value.items()
        if name in names and isinstance(text, str):
            return text
    return correction


def _undeclared(fields: Mapping[str, Any], aliases: Mapping[str, Sequence[str]]) -> Fields:
    """Return the fields that no alias knows: a declared leak group or slice may be among them."""
    known = {*aliases, *(name for names in aliases.values() for name in names)}
    return {name: value for name, value in fields.items() if name not in known}


# --- routing


def _routed(task: RoutingTask, fields: Fields, correction: str, record_id: str) -> Fields | CorrectionFault:
    said = _route_fields(task, correction)
    if isinstance(said, CorrectionFault):
        return said
    canonical = canonical_fields(fields, task.aliases)
    return {**_undeclared(fields, task.aliases), **canonical, **said, "id": record_id}


def _route_fields(task: RoutingTask, correction: str) -> Fields | CorrectionFault:
    """Return the fields of a record that a correction fills."""
    form = task.form
    if isinstance(form, Calls):
        calls, problem = find_list(correction)
        return {"route": calls} if calls is not None else _unreadable(problem, "a JSON list of {tool, arguments}")
    if isinstance(form, OneRoute):
        name = correction.strip().strip("\"'")
        answer = form.parse(correction)
        name = answer.value["route"] if answer.valid else name
        known = (*form.tools, form.no_route)
        if name in known:
            return {"route": "" if name == form.no_route else name, "alternate_routes": None}
        expected = f"one of {', '.join(known)}"[:_SHOWN]
        return CorrectionFault("unknown_route", "route", "a name that the catalogue lacks", expected)
    answer = form.parse(correction)
    if not answer.valid:
        return _unreadable(answer.problem, "the whole plan as JSON")
    return {**answer.value, COMPLETION_ONLY: True}


def _unreadable(problem: str, expected: str) -> CorrectionFault:
    return CorrectionFault(UNREADABLE, found=problem, expected=expected)


_WAYS: tuple[tuple[type, Way], ...] = (
    (ClassificationTask, _label),
    (TranscriptionTask, _transcript),
    (QuestionAnsweringTask, _answer),
    (RoutingTask, _routed),
)
