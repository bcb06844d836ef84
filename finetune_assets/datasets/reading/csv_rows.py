"""CSV as a stream of rows: texts by column name, and a bad row spoils no other.

Rules: all values are texts as written, `00123` and `NA` included; an empty cell is an absent field. Spaces around
column names are dropped; a header with an empty, repeated or invisible name is refused. Blank lines are no rows; a row
of empty cells is an empty row. Quotes are judged strictly (`CsvScan`); when they are broken, the line where the record
began is the bad row and reading goes on at the next line, so that a quote that is never closed costs one row. A record
over several lines must have the right number of columns and no stray quotes, or it counts as such a case. The end mark
of old systems (Ctrl-Z) as the last line is dropped.
"""

from __future__ import annotations

import csv
import unicodedata
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.csv_dialect import SAMPLE_BYTES, Dialect, detect_dialect
from finetune_assets.datasets.reading.csv_scan import CsvScan
from finetune_assets.datasets.reading.errors import SourceError
from finetune_assets.datasets.reading.json_rows import Fault, FoundRow, too_long
from finetune_assets.datasets.reading.packed_files import open_bytes
from finetune_assets.datasets.reading.text_lines import SHOWN_BYTES, Line, skip_mark, text_lines
from finetune_assets.datasets.reading.wide_text import as_utf8, wide_offsets

_END_MARK = b"\x1a"
_INVISIBLE = frozenset({"Cf", "Cc", "Co", "Cn", "Zl", "Zp"})


def csv_rows(path: Path, config: SourceConfig, report: dict[str, Any]) -> Iterator[FoundRow]:
    """Yield the rows of a CSV file.

    Args:
        path: the file.
        config: its dialect, as far as that is fixed, and the bound on one record.
        report: gets the `dialect`.

    Raises:
        FinetuneError: when the header cannot be used, or most rows do not fit it.
    """
    with csv_table(path, config) as table:
        report["dialect"] = table.dialect.to_json()
        yield from table.rows()


@contextmanager
def csv_table(path: Path, config: SourceConfig) -> Iterator[CsvTable]:
    """Open a CSV file, its dialect detected.

    Args:
        path: the file.
        config: its dialect, as far as that is fixed, and the bound on one record.

    Raises:
        FinetuneError: when most rows do not fit the header.
    """
    stream, _ = open_bytes(path, config)
    with stream:
        sample = stream.read(SAMPLE_BYTES)
        whole = not stream.read(1)
    dialect = detect_dialect(path, sample, whole, config.csv)
    stream, _ = open_bytes(path, config)
    with stream:
        end = dialect.line_end.encode()
        if dialect.encoding == "utf-16":
            lines = wide_offsets(text_lines(as_utf8(stream), config.max_line_bytes, end=end))
        else:
            lines = text_lines(stream, config.max_line_bytes, offset=skip_mark(stream), end=end)
        yield CsvTable(path, lines, dialect, config)


class CsvTable:
    """The rows of one file; lines that a broken record had taken are given back to it.

    Attributes:
        dialect: how the file is written.
        names: the column names, once `rows` gave its first row.
        header: the header's row as it stands in the file; None where the configuration names the columns.
    """

    def __init__(self, path: Path, lines: Iterator[Line], dialect: Dialect, config: SourceConfig) -> None:
        self._path = path
        self._lines = lines
        self.header: FoundRow | None = None
        self._given_back: deque[Line] = deque()
        self.dialect = dialect
        self._max_bytes = config.max_line_bytes
        self._encoding = "utf-8" if dialect.encoding == "utf-16" else dialect.encoding
        self._special = tuple(sign.encode() for sign in (dialect.quotechar, dialect.escapechar) if sign)
        self.names = config.csv.header or []

    def rows(self) -> Iterator[FoundRow]:
        """Yield the rows below the header.

        Raises:
            FinetuneError: when the header cannot be used.
        """
        self.names = self._header()
        names, width, delimiter, encoding = self.names, len(self.names), self.dialect.delimiter, self._encoding
        quote, escape = self._special[0], self._special[-1]
        for line in self._all_lines():
            number, offset, raw, _, whole = line
            if not whole or quote in raw or escape in raw or b"\0" in raw:
                yield self._careful(line)
                continue
            try:
                text = raw.decode(encoding)
            except UnicodeDecodeError as error:
                yield self._undecoded(line, error)
                continue
            cells = text.removesuffix("\r").split(delimiter)
            # Of one column, a line of spaces has the right width and is no row all the same.
            if len(cells) == width and "" not in cells and (width > 1 or not self._is_blank(line)):
                yield FoundRow(number, None, offset, text, dict(zip(names, cells, strict=True)), None)
            elif not self._is_blank(line):
                yield self._row(line, text, cells)

    def _all_lines(self) -> Iterator[Line]:
        while (line := self._next()) is not None:
            yield line

    def _next(self) -> Line | None:
        return self._given_back.popleft() if self._given_back else next(self._lines, None)

    def _is_blank(self, line: Line) -> bool:
        bare = line.raw.strip(b" \r\n") if self.dialect.delimiter == "\t" else line.raw.strip()
        return not bare or (bare == _END_MARK and not line.ended)

    def _header(self) -> list[str]:
        """Return the column names: those of the configuration, or those of the first line that is not blank."""
        if self.names:
            return _checked_names(self._path, self.names)
        for line in self._all_lines():
            if not self._is_blank(line):
                self.names = []
                row = self._careful(line, header=True)
                if row.fault:
                    raise _bad_header(f"{self._path}:{line.number}", f"{row.fault.reason}: {row.fault.found}")
                self.header = row
                return _checked_names(f"{self._path}:{line.number}", list(row.fields["cells"]))
        return []

    def _careful(self, line: Line, *, header: bool = False) -> FoundRow:
        """Return the row that begins at a line with quotes, escapes, zero bytes or too many bytes."""
        if not line.whole:
            return self._bad(line, too_long(self._max_bytes))
        try:
            text = line.raw.decode(self._encoding)
        except UnicodeDecodeError as error:
            if self._special[0] not in line.raw:
                return self._undecoded(line, error)
            text = ""
        cells = self._quick(text) if text else None
        if cells is not None:
            return self._header_row(line, text, cells) if header else self._row(line, text, cells)
        return self._scanned(line, header=header)

    def _quick(self, text: str) -> list[str] | None:
        """Return the cells of a record within one line, by Python's own strict reader; None when it is in doubt."""
        dialect = self.dialect
        if dialect.escapechar is not None:
            return None
        try:
            return next(
                csv.reader(
                    (text.removesuffix("\r"),), delimiter=dialect.delimiter, quotechar=dialect.quotechar, strict=True
                ),
                None,
            )
        except csv.Error:
            return None

    def _scanned(self, first: Line, *, header: bool) -> FoundRow:
        """Take a record apart line by line, and give the lines back that are not its own."""
        dialect = self.dialect
        scan = CsvScan(dialect.delimiter, dialect.quotechar, dialect.escapechar)
        taken = [first]
        texts = [first.raw.decode(self._encoding, "replace")]
        size = len(first.raw)
        state = scan.feed(texts[0], dialect.line_end)
        hopeless = False
        while state == "open":
            # What no further line can mend is not read on for: such lines in a row would cost their number squared.
            hopeless = not header and (scan.stray_quotes or len(scan.cells) >= len(self.names))
            if hopeless:
                break
            line = self._next()
            if line is not None:
                taken.append(line)
                size += len(line.raw) + 1
            if line is None or size > self._max_bytes or not line.whole:
                scan.problem = f"the quote of column {len(scan.cells) + 1} is not closed"
                self._given_back.extendleft(reversed(taken[1:]))
                return self._bad(first, self._quoting(scan, "unclosed_quote", texts[0]))
            texts.append(line.raw.decode(self._encoding, "replace"))
            state = scan.feed(texts[-1], dialect.line_end)
        several = len(taken) > 1 and not header
        if hopeless or (several and (scan.stray_quotes or len(scan.cells) != len(self.names))):
            scan.problem = scan.problem or f"a quote in column {_first_long(scan.cells)} that takes in the next lines"
        if scan.problem:
            self._given_back.extendleft(reversed(taken[1:]))
            return self._bad(first, self._quoting(scan, "bad_quoting", texts[0]))
        text = dialect.line_end.join(texts)
        try:
            dialect.line_end.encode().join(line.raw for line in taken).decode(self._encoding)
        except UnicodeDecodeError as error:
            return self._undecoded(first, error)
        return self._header_row(first, text, scan.cells) if header else self._row(first, text, scan.cells)

    def _row(self, line: Line, text: str, cells: list[str]) -> FoundRow:
        """Return the row of a record, with a fault when it does not fit the header."""
        names = self.names
        if "\0" in text:
            where = next((name for name, cell in zip(names, cells, strict=False) if "\0" in cell), "")
            fault = Fault("nul_character", "U+0000 in a text", "text without it", "remove the character", where)
        elif len(cells) != len(names):
            fault = self._wrong_width(cells)
        else:
            fields = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
            if fields:
                return FoundRow(line.number, None, line.offset, text, fields, None)
            fault = Fault("empty_row", "only empty cells", "a record", "remove the row")
        return FoundRow(line.number, None, line.offset, text, {}, fault)

    def _header_row(self, line: Line, text: str, cells: list[str]) -> FoundRow:
        return FoundRow(line.number, None, line.offset, text, {"cells": cells}, None)

    def _wrong_width(self, cells: list[str]) -> Fault:
        width = len(self.names)
        missing = self.names[len(cells)] if len(cells) < width else ""
        mend = (
            "put quotes around texts that hold the delimiter"
            if len(cells) > width
            else "write every column, empty ones too"
        )
        return Fault("column_count", f"{len(cells)} columns", f"{width} columns", mend, missing)

    def _quoting(self, scan: CsvScan, reason: str, text: str) -> Fault:
        column = len(scan.cells) + (reason == "unclosed_quote")
        name = self.names[column - 1] if 0 < column <= len(self.names) else ""
        escaped = self.dialect.escapechar is None and "\\" + self.dialect.quotechar in text
        mend = (
            "set dataset.source.csv.escapechar: '\\', or write quotes within a text twice"
            if escaped
            else "close the quote, and write quotes within a text twice"
        )
        return Fault(reason, scan.problem, "texts between two quotes, as RFC 4180 has them", mend, name)

    def _undecoded(self, line: Line, error: UnicodeDecodeError) -> FoundRow:
        found = f"byte {error.start} of the row is not {self.dialect.encoding.upper()}"
        expected = self.dialect.encoding.upper()
        mend = "export the file as UTF-8, or set dataset.source.csv.encoding (cp1252 for old Windows programs)"
        return self._bad(line, Fault("bad_encoding", found, expected, mend))

    def _bad(self, line: Line, fault: Fault) -> FoundRow:
        shown = line.raw[:SHOWN_BYTES].decode(self._encoding, "replace")
        return FoundRow(line.number, None, line.offset, shown, {}, fault)


def _first_long(cells: list[str]) -> int:
    """Return the 1-based number of the first cell that holds a line end; one more than the cells for none."""
    return next((number for number, cell in enumerate(cells, 1) if "\n" in cell or "\r" in cell), len(cells) + 1)


def _checked_names(where: object, cells: list[str]) -> list[str]:
    """Return the column names without the spaces around them.

    Raises:
        FinetuneError: for an empty, repeated or partly invisible name.
    """
    names = [cell.strip() for cell in cells]
    for number, name in enumerate(names, 1):
        hidden = next((sign for sign in name if unicodedata.category(sign) in _INVISIBLE), "")
        if not name:
            raise _bad_header(where, f"no name for column {number} of {len(names)}")
        if hidden:
            raise _bad_header(where, f"the invisible character U+{ord(hidden):04X} in the name of column {number}")
        if name in names[: number - 1]:
            raise _bad_header(where, f"the name {name[:40]!r} twice")
    return names


def _bad_header(where: object, found: str) -> SourceError:
    return SourceError(
        "foreign_format",
        "CSV header cannot be used",
        where=str(where),
        found=found,
        expected="one line of different names",
        mend="correct the first line, or give the names in dataset.source.csv.header when the file has none",
    )
