"""Imports feedback from files: JSON Lines or CSV, and the forms that the speech source writes.

A line that cannot be taken goes to the quarantine with its number and the reason; the others are taken. Importing a
file again changes nothing, for each content is taken once.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune_assets.feedback.case_moves import Method
from finetune_assets.feedback.giving import VERDICTS, FeedbackDesk, FeedbackItem, FeedbackRefusedError
from finetune_assets.records.errors import FinetuneError

_PAGE = 300
_LONGEST_LINE = 1 << 20
_METHODS: Mapping[str, Method] = {
    "manual": "manual",
    "auto": "auto",
    "feedback": "feedback",
    "user_feedback": "feedback",
}


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was not taken.

    Attributes:
        line: its number, from 1.
        reason: a code in snake_case.
        detail: what is wrong, without texts of people.
    """

    line: int
    reason: str
    detail: str


@dataclass(slots=True)
class Imported:
    """What became of a file: `lines` = `taken` + `repeated` + the quarantined ones.

    Attributes:
        lines: lines that are not blank.
        taken: pieces of feedback that are new.
        repeated: those that were known already.
        cases: error cases that they speak of.
        bad: the quarantine.
    """

    lines: int = 0
    taken: int = 0
    repeated: int = 0
    cases: set[int] = field(default_factory=set)
    bad: list[BadLine] = field(default_factory=list)

    @property
    def reasons(self) -> dict[str, int]:
        """How often each reason occurs, by name."""
        return dict(sorted(Counter(line.reason for line in self.bad).items()))


def import_file(desk: FeedbackDesk, task: str, path: Path) -> Imported:
    """Import a file of feedback.

    Args:
        desk: what takes the feedback.
        task: the task that it is about.
        path: `.csv`, or JSON Lines under any other name. Keys: `verdict`, `request_id` or `input` (an object, or a text
            that becomes the field `text`), `answer`, `correction`, `comment`, `rater`, `at`; or those of the speech
            source's `failed_cases.jsonl` and `corrections.jsonl`.

    Returns:
        The counts and the quarantine.

    Raises:
        FinetuneError: when the file is missing or cannot be read as UTF-8.
    """
    result = Imported()
    page: list[tuple[int, FeedbackItem]] = []
    for number, found in _items(task, path):
        result.lines += 1
        if isinstance(found, BadLine):
            result.bad.append(found)
            continue
        page.append((number, found))
        if len(page) == _PAGE:
            _give(desk, page, path.name, result)
            page = []
    _give(desk, page, path.name, result)
    result.bad.sort(key=lambda line: line.line)
    return result


def item_of(task: str, row: Mapping[str, Any]) -> FeedbackItem:
    """Read one piece of feedback from its named values.

    Raises:
        FeedbackRefusedError: for a value of the wrong kind, or a missing one.
    """
    if "original_transcript" in row:
        return _failed_case(task, row)
    if "corrected_transcript" in row and "case_id" in row:
        return _correction(task, row)
    unknown = sorted(set(row) - _KEYS)
    if unknown:
        raise FeedbackRefusedError("unknown_key", "a key is unknown", found=", ".join(unknown)[:80])
    if row.get("task") not in (None, "", task):
        raise FeedbackRefusedError("other_task", "the line is another task's")
    verdict: Any = _text(row, "verdict").casefold() or ("wrong" if _text(row, "correction") else "")
    if verdict not in VERDICTS:
        raise FeedbackRefusedError("unknown_verdict", "the verdict is none of right, wrong, demonstration")
    return FeedbackItem(
        task=task,
        verdict=verdict,
        request_id=_text(row, "request_id"),
        fields=_fields(row),
        answer=_text(row, "answer") or None,
        correction=_text(row, "correction") or None,
        comment=_text(row, "comment"),
        rater=_text(row, "rater"),
        said_at=_text(row, "at"),
    )


_KEYS = frozenset(
    {"task", "verdict", "request_id", "input", "answer", "correction", "comment", "rater", "at"},
)


def _failed_case(task: str, row: Mapping[str, Any]) -> FeedbackItem:
    """Read a line of the speech source's `failed_cases.jsonl`: the transcript is the answer."""
    corrected = _text(row, "corrected_transcript") or None
    metadata = row.get("metadata")
    method = metadata.get("correction_method") if isinstance(metadata, Mapping) else None
    return FeedbackItem(
        task=task,
        verdict="wrong",
        fields={"audio_path": _needed(row, "audio_path")},
        answer=_text(row, "original_transcript"),
        correction=corrected,
        key=_needed(row, "case_id"),
        method=_METHODS.get(str(method), "manual"),
        rater=_text(row, "rater"),
        said_at=_text(row, "timestamp"),
        score=_share(row, "error_score"),
    )


def _correction(task: str, row: Mapping[str, Any]) -> FeedbackItem:
    """Read a line of the speech source's `corrections.jsonl`, which names the case only."""
    method = _METHODS.get(_text(row, "correction_method") or "manual")
    if method is None:
        raise FeedbackRefusedError("unknown_method", "the correction's method is unknown", expected=", ".join(_METHODS))
    return FeedbackItem(
        task=task,
        verdict="wrong",
        correction=_needed(row, "corrected_transcript"),
        key=_needed(row, "case_id"),
        method=method,
        rater=_text(row, "rater"),
        said_at=_text(row, "timestamp"),
    )


def _give(desk: FeedbackDesk, page: list[tuple[int, FeedbackItem]], origin: str, result: Imported) -> None:
    done = desk.give_all([item for _, item in page], origin=origin)
    for (number, _), given in zip(page, done, strict=True):
        if isinstance(given, FeedbackRefusedError):
            result.bad.append(BadLine(number, given.reason, given.what))
            continue
        result.repeated += given.repeated
        result.taken += not given.repeated
        if given.case_id is not None:
            result.cases.add(given.case_id)


def _items(task: str, path: Path) -> Iterator[tuple[int, FeedbackItem | BadLine]]:
    read = _csv_rows if path.suffix.casefold() == ".csv" else _json_rows
    for number, row in _opened(path, read):
        if isinstance(row, BadLine):
            yield number, row
            continue
        try:
            yield number, item_of(task, row)
        except FeedbackRefusedError as error:
            yield number, BadLine(number, error.reason, error.what)


_Rows = Iterator[tuple[int, Mapping[str, Any] | BadLine]]


def _opened(path: Path, read: Callable[[Path], _Rows]) -> _Rows:
    try:
        yield from read(path)
    except OSError as error:
        raise FinetuneError("file of feedback cannot be read", where=str(path), found=error.strerror or "") from error
    except UnicodeDecodeError as error:
        raise FinetuneError("file of feedback is not UTF-8", where=str(path), mend="save it as UTF-8") from error


def _json_rows(path: Path) -> _Rows:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if text.strip():
                yield number, _json_row(number, text)


def _json_row(number: int, line: bytes) -> Mapping[str, Any] | BadLine:
    if len(line) > _LONGEST_LINE:
        return BadLine(number, "line_too_long", f"at most {_LONGEST_LINE} bytes")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return BadLine(number, "not_json", "the line is no JSON")
    return row if isinstance(row, Mapping) else BadLine(number, "not_an_object", "the line is no JSON object")


def _csv_rows(path: Path) -> _Rows:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, restkey="")
        try:
            for row in reader:
                if "" in row:
                    yield reader.line_num, BadLine(reader.line_num, "too_many_cells", "more cells than the head names")
                else:
                    yield reader.line_num, {name: value for name, value in row.items() if value not in (None, "")}
        except csv.Error:
            yield reader.line_num, BadLine(reader.line_num, "not_csv", "the file is no CSV from here on")


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise FeedbackRefusedError("not_a_text", f"{name} is no text", found=type(value).__name__)
    if not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
        raise FeedbackRefusedError("not_a_text", f"{name} holds half of a character")
    return value


def _needed(row: Mapping[str, Any], name: str) -> str:
    value = _text(row, name)
    if not value.strip():
        raise FeedbackRefusedError("missing_key", f"{name} is missing or blank")
    return value


def _share(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name, 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise FeedbackRefusedError("not_a_share", f"{name} is no number from 0 to 1")
    return float(value)


def _fields(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    value = row.get("input")
    if value in (None, ""):
        return None
    if isinstance(value, str):
        try:
            read = json.loads(value) if value.lstrip().startswith("{") else None
        except ValueError:
            read = None
        return read if isinstance(read, Mapping) else {"text": value}
    if not isinstance(value, Mapping):
        raise FeedbackRefusedError("not_an_object", "input is neither an object nor a text")
    return value
