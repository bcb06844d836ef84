"""Parquet as a stream of rows, a batch at a time.

Rules: numbers, truth values, texts, null, lists, structs and maps become JSON; a date, time, timestamp (in UTC) or
decimal becomes its text, for instance `2024-05-01T09:30:00.000Z`; a value that JSON has not (bytes, durations, NaN) is
the fault of its row. A row has a number and no byte offset.

Memory: texts are read as a dictionary and indices, so that one long text repeated a million times is held once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.errors import SourceError
from finetune_assets.datasets.reading.json_rows import Fault, FoundRow, too_long
from finetune_assets.datasets.reading.parquet_values import ColumnReader, type_depth

_BATCH_BYTES = 1 << 25
_MOST_BATCH_ROWS = 1 << 16
_SLICE_ROWS = 1024
_RATIO_FROM_BYTES = 1 << 24


def parquet_rows(path: Path, config: SourceConfig) -> Iterator[FoundRow]:
    """Yield the rows of a Parquet file.

    Args:
        path: the file.
        config: the bounds on a record and on what the file unpacks to.

    Raises:
        FinetuneError: when the file is broken or no Parquet, has unusable column names, or unpacks to too much.
    """
    with explained(path):
        file = _open(path)
        schema = file.schema_arrow
        expected = file.metadata.num_rows
    with contextlib.closing(file):
        names = _checked_names(path, schema, config)
        row = produced = 0
        packed = path.stat().st_size
        for found in _found_rows(path, file, names, config):
            row += 1
            produced += len(found.text)
            if produced > config.max_unpacked_bytes or (
                produced > _RATIO_FROM_BYTES and produced > config.max_unpack_ratio * packed
            ):
                raise _explodes(path, produced, packed)
            yield found._replace(row=row)
    if row != expected:
        raise _broken(path, f"{row} rows where its end says {expected}")


def _open(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pa.OSFile(str(path), "rb") as source:
        leaves = pq.ParquetFile(source).schema
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY" and leaf.logical_type.type != "DECIMAL"]
    # No thread of its own: other work shares the machine. pre_buffer would hold whole row groups.
    return pq.ParquetFile(
        pa.OSFile(str(path), "rb"), read_dictionary=texts, page_checksum_verification=True, pre_buffer=False
    )


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what pyarrow says of a broken file into one line."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError, MemoryError) as error:
        raise _broken(path, " ".join(str(error).split())[:160]) from error


def _batches(file: Any, path: Path) -> Iterator[Any]:
    """Yield record batches of about 32 MiB; each copies its dictionaries, so more rows are cheaper."""
    for group in range(file.num_row_groups):
        with explained(path):
            facts = file.metadata.row_group(group)
            width = max(1, facts.total_byte_size // max(1, facts.num_rows))
            rows = min(max(16, _BATCH_BYTES // width), _MOST_BATCH_ROWS)
            batches = file.iter_batches(batch_size=rows, row_groups=[group], use_threads=False)
        while True:
            with explained(path):
                batch = next(batches, None)
            if batch is None:
                break
            yield batch


def _found_rows(path: Path, file: Any, names: list[str], config: SourceConfig) -> Iterator[FoundRow]:
    for batch in _batches(file, path):
        readers = [ColumnReader(column, config.max_line_bytes) for column in batch.columns]
        for start in range(0, batch.num_rows, _SLICE_ROWS):
            rows = min(_SLICE_ROWS, batch.num_rows - start)
            with explained(path):
                columns = [reader.values(start, rows) for reader in readers]
            for cells in zip(*columns, strict=True) if columns else [()] * rows:
                yield _row(names, cells, config.max_line_bytes)


def _row(names: list[str], cells: tuple[Any, ...], max_bytes: int) -> FoundRow:
    fault = next(
        (cell._replace(field=name) for name, cell in zip(names, cells, strict=True) if type(cell) is Fault), None
    )
    # Before the row is written out: a short dictionary may stand behind many long texts.
    if fault is None and sum([len(cell) for cell in cells if type(cell) is str]) > max_bytes:
        fault = too_long(max_bytes)
    if fault is not None:
        return FoundRow(None, None, None, "", {}, fault)
    fields = dict(zip(names, cells, strict=True))
    text = orjson.dumps(fields)
    if len(text) > max_bytes:
        return FoundRow(None, None, None, text[:2000].decode("utf-8", "ignore"), {}, too_long(max_bytes))
    return FoundRow(None, None, None, text.decode(), fields, None)


def _checked_names(path: Path, schema: Any, config: SourceConfig) -> list[str]:
    names: list[str] = list(schema.names)
    twice = next((name for name in names if not name.strip() or names.count(name) > 1), None)
    if twice is not None:
        raise SourceError(
            "foreign_format",
            "Parquet columns cannot be told apart",
            where=str(path),
            found=f"the name {twice!r} is empty or there twice",
            expected="different names",
            mend="rename the columns",
        )
    if any(type_depth(kind) >= config.max_nesting for kind in schema.types):
        raise SourceError(
            "foreign_format",
            "Parquet columns are nested too deep",
            where=str(path),
            expected=f"at most {config.max_nesting} levels (dataset.source.max_nesting)",
            mend="flatten the columns",
        )
    return names


def _broken(path: Path, found: str) -> SourceError:
    return SourceError(
        "unreadable_file",
        "Parquet file is broken",
        where=str(path),
        found=found,
        expected="a whole Parquet file",
        mend="copy or export it again",
    )


def _explodes(path: Path, produced: int, packed: int) -> SourceError:
    return SourceError(
        "unpacks_too_large",
        "Parquet file unpacks to too much",
        where=str(path),
        found=f"more than {produced - 1} bytes from {packed}",
        expected="what dataset.source.max_unpacked_bytes and max_unpack_ratio allow",
        mend="look at what it holds; raise the bound when it is right",
    )
