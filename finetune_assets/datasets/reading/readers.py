"""Readers: one source file as a stream of rows, in memory that does not grow with the file.

A row that cannot be read is yielded with its fault and reading goes on; a file that cannot be trusted as a whole
(another encoding, a web page, a Git LFS pointer, a half-resolved merge, broken JSON) is refused with one line. The
rules of each format stand in the module that reads it, and all together in docs/reading.md.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from finetune_assets.datasets.reading.code_files import code_file
from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.csv_rows import csv_rows
from finetune_assets.datasets.reading.errors import unreadable
from finetune_assets.datasets.reading.foreign_files import PARQUET_MARK, read_head, refuse_foreign
from finetune_assets.datasets.reading.json_documents import WRAPPERS, json_document
from finetune_assets.datasets.reading.json_lines import json_lines
from finetune_assets.datasets.reading.json_rows import FoundRow
from finetune_assets.datasets.reading.listing import (
    CSV_ENDINGS,
    JSON_ENDINGS,
    LINE_ENDINGS,
    PARQUET_ENDINGS,
    SourceFile,
    file_ending,
    writable_name,
)
from finetune_assets.datasets.reading.parquet_rows import parquet_rows

_FORMAT_OF_ENDING = {
    **dict.fromkeys(JSON_ENDINGS, "json"),
    **dict.fromkeys(LINE_ENDINGS, "jsonl"),
    **dict.fromkeys(CSV_ENDINGS, "csv"),
    **dict.fromkeys(PARQUET_ENDINGS, "parquet"),
}
Report = dict[str, Any]
_READERS: dict[str, Callable[[Path, SourceConfig, Report], Iterator[FoundRow]]] = {
    "json": lambda path, config, _: json_document(path, config),
    "jsonl": lambda path, config, _: json_lines(path, config),
    "csv": csv_rows,
    "parquet": lambda path, config, _: parquet_rows(path, config),
}


def read_rows(path: Path, config: SourceConfig) -> Iterator[FoundRow]:
    """Yield the rows of one source file in their order.

    Args:
        path: the file.
        config: its format and the bounds on one record.

    Yields:
        Each row, readable or not. Memory holds a few records of `max_line_bytes` at most.

    Raises:
        FinetuneError: when the file is missing, empty, unreadable or not what it should be as a whole.
    """
    return read_file(SourceFile(path, writable_name(path.name)), config, {})


def read_file(file: SourceFile, config: SourceConfig, report: Report) -> Iterator[FoundRow]:
    """Yield the rows of one file of a source, as `read_rows` does.

    Args:
        file: the file, under its name within the source.
        config: its format and the bounds on one record.
        report: gets what was found out about the file: `format`, `packing` and, of CSV, `dialect`.

    Raises:
        FinetuneError: when the file cannot be used as a whole; rows before the place may have been yielded.
    """
    try:
        if config.format == "code":
            report.update(format="code", packing="")
            yield code_file(file, config)
            return
        head, packing = read_head(file.path, config)
        form = detect_format(file.path, head, config)
        report.update(format=form, packing=packing)
        if form != "parquet":
            refuse_foreign(file.path, head, utf16=form == "csv" and config.csv.encoding in ("auto", "utf-16"))
        yield from _READERS[form](file.path, config, report)
    except OSError as error:
        # A disk or network share that fails in the middle.
        raise unreadable(file.path, error) from error


def detect_format(path: Path, head: bytes, config: SourceConfig) -> str:
    """Return `json`, `jsonl`, `csv` or `parquet`: by configuration, else by content and ending.

    Parquet is known by its mark. Else the ending decides (without that of gzip or zstd), and without a known one the
    first line: an object is JSON Lines, another bracket JSON, and a line with a comma, semicolon, tab or pipe CSV.

    Args:
        path: the file, for its ending.
        head: the first bytes of the file, unpacked.
        config: names the format, or auto.
    """
    if config.format != "auto":
        return config.format
    if head.startswith(PARQUET_MARK):
        return "parquet"
    return _FORMAT_OF_ENDING.get(file_ending(path.name)) or _format_of_content(head)


def _format_of_content(head: bytes) -> str:
    first = head.removeprefix(codecs.BOM_UTF8).lstrip().split(b"\n", 1)[0].strip()
    if first.startswith(b"{"):
        names = any(b'"%s"' % name.encode() in first for name in WRAPPERS)
        return "jsonl" if first.endswith(b"}") and not names else "json"
    letters = first[:1].isalpha() or first[:1] in (b'"', b"_")
    return "csv" if letters and any(sign in first for sign in (b",", b";", b"\t", b"|")) else "json"
