"""CSV, mended in place: only the bytes of changed records, and of a header whose names change, differ."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.reading.csv_dialect import Dialect
from finetune_assets.datasets.reading.csv_rows import csv_table
from finetune_assets.datasets.reading.csv_scan import CsvScan
from finetune_assets.datasets.reading.json_rows import FoundRow
from finetune_assets.datasets.repair.files import Replacement, Splice
from finetune_assets.datasets.repair.mends import Change, MendRules, new_names
from finetune_assets.records.errors import FinetuneError

_LINE_END = "\r\n"
_STYLES = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)


class CsvFile:
    """A CSV file; see `MendableFile`.

    Args:
        path: the file.
        config: its dialect, as far as that is fixed.
        rules: what the task type says of the columns.
        part: the new file; None only counts.
        rename: whether the header's names are mended too.

    Raises:
        FinetuneError: when the file is in UTF-16, or its header cannot be used.
    """

    is_table = True

    def __init__(self, path: Path, config: SourceConfig, rules: MendRules, part: Path | None, *, rename: bool) -> None:
        self._path = path
        self._config = config
        with csv_table(path, config) as table:
            next(table.rows(), None)
            self._dialect, self._names, header = table.dialect, list(table.names), table.header
        if self._dialect.encoding == "utf-16":
            raise FinetuneError(
                "a CSV file in UTF-16 is not repaired", where=str(path), expected="UTF-8", mend="convert it to UTF-8"
            )
        self.columns: Sequence[str] = new_names(self._names, rules)
        self.head_changes: Sequence[Change] = ()
        self._splice = Splice(path, part)
        if rename and header is not None and list(self.columns) != self._names:
            self._rename(header)

    def _rename(self, header: FoundRow) -> None:
        item = self._replacement(header, header.fields["cells"], list(self.columns))
        if item is None:
            return
        self._splice.replace(item)
        pairs = zip(self._names, self.columns, strict=True)
        self.head_changes = [Change("rename", new, old, new) for old, new in pairs if old != new]

    def rows(self) -> Iterator[tuple[FoundRow, dict[str, Any]]]:
        """Yield the readable records; a cell without a text is no field."""
        column = dict(zip(self._names, self.columns, strict=True))
        with csv_table(self._path, self._config) as table:
            for row in table.rows():
                if row.fault is None:
                    yield row, {column[name]: value for name, value in row.fields.items()}

    def put(self, row: FoundRow, fields: dict[str, Any]) -> bool:
        """Write a record with quotes as it had them; False when its encoding lacks a sign of the new text."""
        old = [row.fields.get(name, "") for name in self._names]
        item = self._replacement(row, old, [str(fields.get(name, "")) for name in self.columns])
        if item is None:
            return False
        self._splice.replace(item)
        return True

    def finish(self) -> bool:
        """Write what is left."""
        return self._splice.finish()

    def close(self) -> None:
        """Close the files."""
        self._splice.close()

    def _replacement(self, row: FoundRow, old: list[str], new: list[str]) -> Replacement | None:
        encoding = self._dialect.encoding
        bare = row.text.removesuffix("\r") if self._dialect.line_end == "\n" else row.text
        held = bare.encode(encoding)
        if row.offset is None or not self._splice.holds(row.offset, held):
            return None
        style = next((style for style in _STYLES if _written(self._dialect, old, style) == bare), csv.QUOTE_MINIMAL)
        text = _written(self._dialect, new, style)
        if _read(self._dialect, text) != new:
            return None
        try:
            return Replacement(row.offset, len(held), text.encode(encoding))
        except UnicodeEncodeError:
            return None


def _written(dialect: Dialect, cells: list[str], style: int) -> str:
    text = io.StringIO()
    csv.writer(
        text,
        delimiter=dialect.delimiter,
        quotechar=dialect.quotechar,
        escapechar=dialect.escapechar,
        doublequote=dialect.escapechar is None,
        lineterminator=_LINE_END,  # Python puts quotes around what holds one of its signs
        quoting=style,  # type: ignore[arg-type]
    ).writerow(cells)
    return text.getvalue().removesuffix(_LINE_END)


def _read(dialect: Dialect, text: str) -> list[str]:
    """Return the cells of a written record, as the reader takes them apart; none when it would not."""
    scan = CsvScan(dialect.delimiter, dialect.quotechar, dialect.escapechar)
    states = [scan.feed(line, dialect.line_end) for line in text.split(dialect.line_end)]
    return scan.cells if set(states[:-1]) <= {"open"} and states[-1] == "whole" else []
