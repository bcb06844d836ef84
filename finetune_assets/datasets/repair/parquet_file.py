"""Parquet, written anew with mended texts: columns, types and compression stay; row groups may be cut elsewhere.

Mended are columns of plain text and the columns' names. A number stays one, so a record whose id is a number that
another record has too is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.reading.json_rows import FoundRow
from finetune_assets.datasets.reading.parquet_rows import explained, parquet_rows
from finetune_assets.datasets.reading.parquet_values import is_text
from finetune_assets.datasets.repair.mends import Change, MendRules, new_names

_BATCH_BYTES = 1 << 25
_MOST_BATCH_ROWS = 1 << 16
# What pandas and Hugging Face note about columns by name, which is wrong once a name changed.
_NOTES_BY_NAME = (b"pandas", b"huggingface")


class ParquetFile:
    """A Parquet file; see `MendableFile`.

    Args:
        path: the file.
        config: the bounds on a record.
        rules: what the task type says of the columns.
        part: the new file; None only counts.
        rename: whether the columns' names are mended too.
    """

    is_table = True

    def __init__(self, path: Path, config: SourceConfig, rules: MendRules, part: Path | None, *, rename: bool) -> None:
        import pyarrow.parquet as pq

        self._path = path
        self._config = config
        self._part = part
        with explained(path):
            self._file = pq.ParquetFile(path, pre_buffer=False)
        self._schema = self._file.schema_arrow
        self._names = list(self._schema.names)
        self.columns: Sequence[str] = new_names(self._names, rules)
        pairs = list(zip(self._names, self.columns, strict=True)) if rename else []
        self.head_changes: Sequence[Change] = [Change("rename", new, old, new) for old, new in pairs if old != new]
        self._texts = {
            new: number for number, new in enumerate(self.columns) if is_text(self._schema.field(number).type)
        }
        self._changed = bool(self.head_changes) and self._file.metadata.num_rows > 0
        self._writer: Any = None
        self._batches = self._all_batches()
        self._batch: Any = None
        self._begin = 0  # rows before the batch in hand
        self._patches: dict[int, dict[int, str]] = {}  # column → place in the batch → text

    def rows(self) -> Iterator[tuple[FoundRow, dict[str, Any]]]:
        """Yield the readable records; null is no field."""
        for row in parquet_rows(self._path, self._config):
            if row.fault is None:
                pairs = zip(self.columns, row.fields.values(), strict=True)
                yield row, {name: value for name, value in pairs if value is not None}

    def put(self, row: FoundRow, fields: dict[str, Any]) -> bool:
        """Write a record's texts; False when something else than a text would have to change."""
        old = dict(zip(self.columns, row.fields.values(), strict=True))
        changed = {name: value for name, value in fields.items() if value != old.get(name)}
        if row.row is None or not changed.keys() <= self._texts.keys():
            return False
        self._changed = True
        if self._part is not None:
            self._go_to(row.row - 1)
            for name, value in changed.items():
                self._patches.setdefault(self._texts[name], {})[row.row - 1 - self._begin] = str(value)
        return True

    def finish(self) -> bool:
        """Write the rows that are left."""
        if self._changed and self._part is not None:
            self._go_to(self._file.metadata.num_rows)
            self._writer.close()
        return self._changed

    def close(self) -> None:
        """Close the files."""
        if self._writer is not None:
            self._writer.close()
        self._file.close()

    def _all_batches(self) -> Iterator[Any]:
        sizes = self._file.metadata
        packed = sum(sizes.row_group(group).total_byte_size for group in range(sizes.num_row_groups))
        width = max(1, packed // max(1, sizes.num_rows))
        rows = min(max(16, _BATCH_BYTES // width), _MOST_BATCH_ROWS)
        return iter(self._file.iter_batches(batch_size=rows, use_threads=False))

    def _go_to(self, row: int) -> None:
        """Write batches until the one that holds this 0-based row is in hand."""
        while self._batch is None or row >= self._begin + self._batch.num_rows:
            if self._batch is not None:
                self._write()
                self._begin += self._batch.num_rows
            with explained(self._path):
                self._batch = next(self._batches, None)
            if self._batch is None:
                return

    def _write(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            self._writer = pq.ParquetWriter(self._part, self._new_schema(), compression=self._compression())
        columns = list(self._batch.columns)
        for number, patches in self._patches.items():
            values = columns[number].to_pylist()
            for place, text in patches.items():
                values[place] = text
            columns[number] = pa.array(values, type=columns[number].type)
        self._patches.clear()
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._new_schema()))

    def _new_schema(self) -> Any:
        import pyarrow as pa

        if not self.head_changes:
            return self._schema
        fields = [field.with_name(name) for field, name in zip(self._schema, self.columns, strict=True)]
        notes = {name: value for name, value in (self._schema.metadata or {}).items() if name not in _NOTES_BY_NAME}
        return pa.schema(fields, metadata=notes or None)

    def _compression(self) -> str:
        group = self._file.metadata.row_group(0)
        codecs: set[str] = {group.column(number).compression for number in range(group.num_columns)}
        # Of several the first in the alphabet: files with different codecs by column are hardly ever met.
        return {"UNCOMPRESSED": "none", "LZ4_RAW": "lz4"}.get(min(codecs), min(codecs).lower())
