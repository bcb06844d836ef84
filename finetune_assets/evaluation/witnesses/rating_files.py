"""Reading the small tables that people write by hand: CSV or JSONL of ratings and verdicts.

Here belong rows and what is wrong with the file as a table. A bad row becomes a finding with its number and the mend,
and never stops the reading; findings quote nothing, since a comment may stand in the wrong column.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune_assets.records.errors import FinetuneError

_MOST_BYTES = 64 * 1024 * 1024
Row = tuple[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class RatingFinding:
    """What is wrong with one row.

    Attributes:
        row: 1-based number of the line in a JSONL file, of the record (its heading is 1) in a CSV file.
        code: `not_a_row`, `not_unicode`, `missing`, `bad_value`, `out_of_scale`, `unknown_id`, `unknown_model`,
            `unknown_column`, `ambiguous_id`, `duplicate`.
        field: the column at fault, "" for the whole row.
        mend: what to do.
    """

    row: int
    code: str
    field: str
    mend: str

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def read_rows(path: Path, known: Collection[str], needed: Sequence[str]) -> tuple[list[Row], list[RatingFinding]]:
    """Read the rows of a CSV or JSONL file.

    Args:
        path: the file; `.csv` is read as CSV, anything else as JSON Lines.
        known: columns that may stand in it; others are findings, once each.
        needed: columns without which no row means anything.

    Returns:
        (row number, its values by column) and the findings. Column names are stripped and in lower case; values of a
        CSV file are texts, those of JSONL whatever JSON holds.

    Raises:
        FinetuneError: when the file cannot be read, is larger than 64 MiB, or a CSV file lacks a needed column.
    """
    data = _bytes(path)
    findings: list[RatingFinding] = []
    rows = list(_csv_rows(path, data, needed, findings) if path.suffix.lower() == ".csv" else _lines(data, findings))
    foreign: set[str] = set()
    for number, row in rows:
        for name in row:
            if name not in known and name not in foreign:
                foreign.add(name)
                findings.append(
                    RatingFinding(number, "unknown_column", "", "remove the column, or give it one of the known names")
                )
    return rows, findings


def _bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise FinetuneError(
                "the file of ratings is too large",
                where=str(path),
                found=f"{size} bytes",
                expected=f"at most {_MOST_BYTES}",
                mend="check that it is the right file, or take a sample of it",
            )
        return path.read_bytes()
    except OSError as error:
        raise FinetuneError(
            "the file of ratings cannot be read",
            where=str(path),
            found=error.strerror or type(error).__name__,
            mend="correct the path in defs.yaml, or remove the entry",
        ) from error


def _lines(data: bytes, findings: list[RatingFinding]) -> Iterator[Row]:
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode())
        except UnicodeDecodeError:
            findings.append(RatingFinding(number, "not_unicode", "", "save the file as UTF-8"))
            continue
        except (ValueError, RecursionError):
            findings.append(RatingFinding(number, "not_a_row", "", "write one JSON object on each line"))
            continue
        if not isinstance(value, Mapping):
            findings.append(RatingFinding(number, "not_a_row", "", "write one JSON object on each line"))
            continue
        yield number, {_name(name): item for name, item in value.items() if item is not None}


def _csv_rows(path: Path, data: bytes, needed: Sequence[str], findings: list[RatingFinding]) -> Iterator[Row]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # One bad byte must not cost the other rows; its own row is found by the sign that stands in its place.
        text = data.decode("utf-8-sig", "replace")
    reader = csv.reader(io.StringIO(text, newline=""))
    header: list[str] = []
    number = 0
    while True:
        try:
            row = next(reader, None)
        except csv.Error:
            number += 1
            findings.append(RatingFinding(number, "not_a_row", "", "close the quotes, and keep a cell below 128 KiB"))
            continue
        if row is None:
            return
        number += 1
        if number == 1:
            header = _header(path, row, needed)
        elif any(cell.strip() for cell in row):
            yield from _csv_row(number, row, header, findings)


def _header(path: Path, row: Sequence[str], needed: Sequence[str]) -> list[str]:
    header = [_name(name) for name in row]
    missing = [name for name in needed if name not in header]
    if missing or len(set(header)) < len(header):
        raise FinetuneError(
            "the heading of the file of ratings is wrong",
            where=str(path),
            found=f"no column {', '.join(missing)}" if missing else "a column name that stands twice",
            expected=f"each of {', '.join(needed)} once" if needed else "each name once",
            mend="correct the first line",
        )
    return header


def _csv_row(number: int, row: list[str], header: Sequence[str], findings: list[RatingFinding]) -> Iterator[Row]:
    if any("\ufffd" in cell for cell in row):
        findings.append(RatingFinding(number, "not_unicode", "", "save the file as UTF-8"))
    elif len(row) != len(header):
        findings.append(RatingFinding(number, "not_a_row", "", "give each row as many cells as the heading has"))
    else:
        yield number, {name: cell for name, cell in zip(header, row, strict=True) if cell.strip()}


def _name(name: str) -> str:
    return name.strip().lower()
