"""CSV dialects: detected from the beginning of a file, checked against it, and reported; nothing is guessed in silence.

The delimiter is the one of comma, semicolon, tab and pipe that cuts most rows of the sample into as many columns as the
header has. The encoding is UTF-8, or UTF-16 where a byte order mark says so; any other must be declared, because bytes
of one encoding mostly are bytes of another too. Lines end with a line feed (a carriage return before it is dropped), or
with a carriage return where the sample has no line feed at all.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune_assets.datasets.reading.config import CsvConfig
from finetune_assets.datasets.reading.errors import SourceError

SAMPLE_BYTES = 1 << 16
_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_ROWS = 500
# Fewer rows say little; below this share the header cannot belong to the rows.
_JUDGED_ROWS = 20
_LEAST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        delimiter: between two columns.
        quotechar: around a text.
        escapechar: before a quote within a text, or None where quotes are doubled.
        encoding: Python's name of it.
        line_end: a line feed or a carriage return.
        columns: columns of the header.
        sample_rows: rows of the sample, the header not counted.
        consistent_share: share (0 to 1) of them that have as many columns as the header.
    """

    delimiter: str
    quotechar: str
    escapechar: str | None
    encoding: str
    line_end: str
    columns: int
    sample_rows: int
    consistent_share: float

    def to_json(self) -> dict[str, Any]:
        """Return the dialect as JSON."""
        return asdict(self)


def detect_dialect(path: Path, sample: bytes, whole: bool, config: CsvConfig) -> Dialect:
    """Return the dialect of a file.

    Args:
        path: the file, for its ending and for errors.
        sample: its first bytes, unpacked.
        whole: True when that is the whole file.
        config: what is fixed.

    Raises:
        FinetuneError: when most rows of the sample have other columns than the header.
    """
    encoding = _encoding(sample, config)
    text = sample.decode(encoding, "replace").removeprefix("\ufeff")
    line_end = "\n" if "\n" in text or "\r" not in text else "\r"
    if not whole and line_end in text:
        text = text[: text.rindex(line_end) + 1]
    found = [_tried(text, sign, encoding, line_end, config) for sign in _candidates(path, text, line_end, config)]
    best = max(found, key=lambda dialect: (dialect.columns > 1, dialect.consistent_share, dialect.columns))
    if best.sample_rows >= _JUDGED_ROWS and best.consistent_share < _LEAST_SHARE:
        raise SourceError(
            "foreign_format",
            "CSV rows do not fit their header",
            where=str(path),
            found=f"{best.consistent_share:.0%} of the first {best.sample_rows} rows have {best.columns} columns "
            f"between {best.delimiter!r}",
            expected="rows with as many columns as the header",
            mend="set dataset.source.csv (delimiter, quotechar, escapechar, header), or export the file again",
        )
    return best


def _encoding(sample: bytes, config: CsvConfig) -> str:
    if config.encoding != "auto":
        return config.encoding
    return "utf-16" if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"


def _candidates(path: Path, text: str, line_end: str, config: CsvConfig) -> tuple[str, ...]:
    if config.delimiter is not None:
        return (config.delimiter,)
    first = text.lstrip().split(line_end, 1)[0]
    if ".tsv" in path.suffixes and "\t" in first:
        return ("\t",)
    return _DELIMITERS


def _tried(text: str, delimiter: str, encoding: str, line_end: str, config: CsvConfig) -> Dialect:
    """Return the dialect with this delimiter, and how well it fits the sample."""
    widths = list(_widths(text, delimiter, line_end, config))
    columns = len(config.header) if config.header else (widths.pop(0) if widths else 1)
    fitting = sum(width == columns for width in widths)
    return Dialect(
        delimiter=delimiter,
        quotechar=config.quotechar,
        escapechar=config.escapechar,
        encoding=encoding,
        line_end=line_end,
        columns=columns,
        sample_rows=len(widths),
        consistent_share=round(fitting / len(widths), 4) if widths else 1.0,
    )


def _widths(text: str, delimiter: str, line_end: str, config: CsvConfig) -> Iterator[int]:
    """Yield the number of columns of each row of the sample that is not blank, as far as Python's own reader gets."""
    rows = csv.reader(
        io.StringIO(text if line_end == "\n" else text.replace("\r", "\n"), newline=""),
        delimiter=delimiter,
        quotechar=config.quotechar,
        escapechar=config.escapechar,
        doublequote=config.escapechar is None,
    )
    found = 0
    try:
        for row in rows:
            if row and found <= _SAMPLE_ROWS:
                found += 1
                yield len(row)
    except csv.Error:
        # A lone carriage return or the like: the reader proper names the row.
        return
