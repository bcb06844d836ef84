"""Quarantine: rejected records with a reason code, a pointer into the source and the redacted text.

Here belong the reason codes and the writer. Who rejects a record, and why, is the business of the readers, the task
types and the build.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from finetune_assets.datasets.filters import REASONS as FILTER_REASONS
from finetune_assets.datasets.traces.names import RULES as TRACE_RULES
from finetune_assets.records.example import Rejection
from finetune_assets.records.redaction import redact

# The known codes and what each says. A task type may add its own; the writer takes any snake_case word.
REASONS: Mapping[str, str] = {
    # readers: the row cannot be read
    "invalid_json": "the row is not JSON",
    "truncated_row": "the file ends within the row",
    "bad_encoding": "the row is not in the encoding that it should have",
    "line_too_long": "the row is longer than source.max_line_bytes",
    "nested_too_deep": "lists and objects are nested deeper than source.max_nesting",
    "not_an_object": "the row is JSON, but no object",
    "duplicate_key": "an object has the same key twice",
    "not_finite": "NaN, Infinity or a number beyond a double: JSON has none of them",
    "number_too_large": "a whole number of more than 4,300 digits",
    "lone_surrogate": "half of a UTF-16 pair: not a character, cannot be written",
    "nul_character": "U+0000 in a text: databases and C libraries cut the text there",
    "column_count": "the row has more or fewer columns than the header",
    "bad_quoting": "quotes in the row do not stand around whole texts",
    "unclosed_quote": "a quote in the row is never closed",
    "empty_row": "the row has only empty cells",
    "not_json_value": "a value of a type that JSON has not, such as bytes",
    # readers: the file cannot be read
    "unreadable_file": "the file, or what is left of it, cannot be read",
    "foreign_format": "the file is not of the format that it should have",
    "empty_file": "the file is empty",
    "unpacks_too_large": "the packed file holds more than source.max_unpacked_bytes, max_unpack_ratio or "
    "max_packed_members allow",
    "link_outside": "the file is a symbolic link that leads out of the source's folder",
    "file_too_large": "the source code file is larger than source.max_file_bytes",
    "binary_file": "the file is binary, not source code",
    # task types: the record says nothing that can be learned
    "missing_field": "a required field is absent or blank",
    "wrong_type": "a field holds another type than expected",
    "unknown_label": "the label is not in the taxonomy",
    "invalid_label": "the label's parts do not belong together",
    "wrong_description": "the description is none of that level's descriptions",
    "label_excluded": "the configuration leaves this label out",
    "missing_photo": "a local photo does not exist",
    # transcription
    "out_of_range": "a number lies outside of its legal range",
    "text_too_long": "a text is longer than the configuration allows",
    "empty_transcript": "the recogniser heard nothing: there is no text to correct",
    "unknown_error_type": "the error type is not among those that the configuration names",
    "missing_audio": "a local recording does not exist",
    "unsupported_audio": "the recording's name does not end as that of a known format does",
    "uncorrected": "nobody corrected the transcript: what was said is unknown",
    "low_error_score": "the record's error score is below the configured minimum",
    # routing; the rules of traces are listed beside their checks
    **TRACE_RULES,
    "invalid_tool": "a tool has no name, two have one name, or its parameters are no JSON Schema",
    "invalid_call": "a call is not a tool with its arguments",
    "invalid_arguments": "the arguments do not fit the tool's parameters",
    "unknown_route": "the route is not in the catalogue",
    "several_turns": "the conversation is more than one question",
    # question_answering
    "unknown_role": "a turn's speaker is neither system, user nor assistant",
    "turn_order": "the turns of a conversation do not follow each other as turns do",
    "blank_turn": "somebody in the conversation says nothing",
    "unanswered": "the conversation holds no question with an answer",
    "placeholder_target": "the text only keeps a place for one",
    "other_language": "the text is in a language that the configuration leaves out",
    # filters and balancing: sound rows that the configuration leaves out
    **FILTER_REASONS,
    "balanced_away": "the label has more training rows than dataset.balance.max_per_class",
    # source_code
    "unknown_language": "no grammar is configured for the file's language",
    "syntax_error": "a part of the source file does not parse",
    "secret": "the code holds a key, token or password",
    "bidi_control": "a bidirectional control character shows the code in another order than it runs",
    "look_alike_name": "a name mixes letters of scripts that look alike",
    "control_token": "the answer holds a control token of chat templates",
    "not_reproducible": "the answer cannot be derived again from the code as shown",
    "no_declaration": "the source file declares nothing that can be asked about",
    "no_documentation": "the code has no documentation that an answer could be made of",
    "no_finding": "a review has nothing to say: the code is within all limits",
    "code_too_short": "the code is shorter than the configuration asks for",
    "code_too_long": "the code is longer than the configuration allows",
    "accessor": "the method only returns or sets a field",
    "private_code": "the code is private, and the configuration leaves such code out",
    "licence_excluded": "the configuration leaves files of this licence out",
    # build: the example cannot stand beside the others
    "no_example": "the task type made nothing of the record, and gave no reason",
    "duplicate_id": "another record with this id and other content is kept",
    "label_conflict": "equal inputs have different answers",
    "would_tie_splits": "the new row shares leak groups with rows of different splits",
    "tied_across_splits": "the row shares a leak group with a row of a split nearer to training",
    "synthetic_tied_to_evaluation": "the row was made, and shares a leak group with an evaluation row",
    # corrected cases
    "corrected_by_feedback": "a corrected case with an equal input has another answer",
    "feedback_tied_to_evaluation": "the corrected case shares a leak group with an evaluation row",
    "feedback_tied_to_both_sides": "the corrected case shares leak groups with training and with regression samples",
    "unreadable_correction": "the correction cannot be read as an answer of the task",
    "no_record_of_correction": "the task's records are not made of an input and an answer",
    "superseded_correction": "a newer correction of an equal input counts",
}

# Rows that the configuration itself leaves out say nothing about the quality of the source.
UNCOUNTED_REASONS = frozenset(
    {"label_excluded", "low_error_score", "other_language", "uncorrected", "balanced_away", *FILTER_REASONS}
    | {"no_declaration", "no_documentation", "no_finding", "code_too_short", "code_too_long", "accessor"}
    | {"private_code", "licence_excluded"}
    # What feedback sets right, or may not touch, is no fault of the source.
    | {"corrected_by_feedback", "feedback_tied_to_evaluation", "feedback_tied_to_both_sides", "superseded_correction"}
)

_COLUMNS = ("reason", "file", "line", "row", "offset", "record_id", "field", "found", "expected", "mend", "text")
_WHOLE_NUMBERS = frozenset({"line", "row", "offset"})
_BATCH_ROWS = 5_000
_MAX_FOUND = 200
_MAX_TEXT = 500

_encode = json.JSONEncoder(ensure_ascii=False).encode


def quarantine_share(read: int, reasons: Mapping[str, int]) -> float:
    """Return the share (0 to 1) of rows that were rejected for a fault; 0 when nothing was read.

    Args:
        read: rows that went in.
        reasons: rows by reason code. The codes in `UNCOUNTED_REASONS` count neither as rejected nor as read.
    """
    left_out = sum(count for reason, count in reasons.items() if reason in UNCOUNTED_REASONS)
    counted = read - left_out
    return (sum(reasons.values()) - left_out) / counted if counted else 0.0


class QuarantineWriter:
    """Writes `quarantine.jsonl` and `quarantine.parquet` row by row, in bounded memory.

    Both files exist after `close`, even without a row, with the same columns. What a rejection shows of a record
    (`found`, `text`) is redacted and shortened here, so that no caller can forget it.

    Args:
        folder: an existing folder for the two files.
    """

    def __init__(self, folder: Path) -> None:
        self.reasons: Counter[str] = Counter()
        self._parquet_path = folder / "quarantine.parquet"
        self._jsonl = (folder / "quarantine.jsonl").open("w", encoding="utf-8", newline="\n")
        self._rows: list[dict[str, Any]] = []
        self._parquet: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def count(self) -> int:
        """Rows written so far."""
        return self.reasons.total()

    def add(self, rejection: Rejection) -> None:
        """Write one rejected record.

        Raises:
            ValueError: when the reason is not a snake_case word, which is a mistake in the caller.
        """
        if not rejection.reason.replace("_", "").isalnum() or not rejection.reason.islower():
            raise ValueError(f"a quarantine reason is a snake_case word, not {rejection.reason!r}")
        row = safe_rejection(rejection).to_json()
        self.reasons[rejection.reason] += 1
        self._jsonl.write(_encode(row) + "\n")
        self._rows.append(row)
        if len(self._rows) >= _BATCH_ROWS:
            self._flush()

    def close(self) -> None:
        """Finish both files; a second call does nothing."""
        if self._jsonl.closed:
            return
        self._jsonl.close()
        self._flush()
        self._parquet.close()

    def _flush(self) -> None:
        # pyarrow loads in a third of a second: only when there is something to write.
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([(name, pa.int64() if name in _WHOLE_NUMBERS else pa.string()) for name in _COLUMNS])
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(self._parquet_path, schema)
        self._parquet.write_table(pa.Table.from_pylist(self._rows, schema=schema))
        self._rows.clear()


def safe_rejection(rejection: Rejection) -> Rejection:
    """Return the rejection with its texts redacted, writable as UTF-8 and shortened to 200 and 500 characters."""
    return replace(
        rejection,
        record_id=_writable(rejection.record_id)[:_MAX_FOUND],
        field=_writable(rejection.field)[:_MAX_FOUND],
        found=_shown(rejection.found, _MAX_FOUND),
        text=_shown(rejection.text, _MAX_TEXT),
    )


def shown_text(text: str) -> str:
    """Return a text as files for people show it: redacted, writable as UTF-8, at most 500 characters."""
    return _shown(text, _MAX_TEXT)


def _shown(text: str, limit: int) -> str:
    """Return the redacted beginning of `text`, at most `limit` characters."""
    # The patterns are quadratic on long words, so they see twice what is shown; the end of a cut text may hold half
    # an address that no pattern knows, so it goes.
    head = redact(_writable(text[: 2 * limit]))
    return (head if len(text) <= 2 * limit else head[: -limit // 4])[:limit]


def _writable(text: str) -> str:
    """Replace lone surrogates and NUL, which UTF-8 files and Parquet readers cannot take."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
