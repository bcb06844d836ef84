"""Ingest: a source becomes raw records under canonical names, and a quarantine of what cannot be read.

Rules, beside those of the readers: of several aliases of one field the first of the list that holds something wins; a
name with spaces around it or in another case counts as the name, after those that are exact; unknown fields stay. Of
several files, one that cannot be used is one quarantined row, and so is the rest of one that breaks off in the middle;
a single file that cannot be used is an error. Texts are kept as written: whatever masks, repairs or strips them would
have to be done to live questions too, or training and serving would drift apart. Personal data and markup in accepted
rows are therefore data; they appear in no log, metadata or quarantine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from finetune_assets.datasets.batches import SYNTHETIC_FIELD
from finetune_assets.datasets.quarantine import QuarantineWriter
from finetune_assets.datasets.reading.canonical_names import Aliases as Aliases
from finetune_assets.datasets.reading.canonical_names import CanonicalNames, alias_lookup
from finetune_assets.datasets.reading.config import SourceConfig
from finetune_assets.datasets.reading.errors import fault_of_file, unreadable
from finetune_assets.datasets.reading.json_rows import Fault, FoundRow, encode_row
from finetune_assets.datasets.reading.listing import SourceFile, SourceListing, list_source
from finetune_assets.datasets.reading.readers import read_file
from finetune_assets.records.digests import digest_of_file
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import RawRecord, Rejection, SourceRef
from finetune_assets.storage.files import explain_full_disk

# Part of the input key: raise it when the same file would be read differently.
READER_VERSION = 3

_PROGRESS_ROWS = 10_000
_SHOWN_TEXT = 2_000
_WRITE_BYTES = 1 << 20
_NOT_READING = {"path", "include", "exclude", "max_files", "max_quarantine_share", "synthetic", "provenance"}
_DOUBLE_ENCODED = tuple(pair.encode() for pair in ("â€", "Ã©", "Ã¼", "Ã¤"))


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What was read: read = accepted + quarantined.

    Attributes:
        read: rows found in the source.
        accepted: rows in `records.jsonl`.
        quarantined: rows in `quarantine.jsonl`.
        reasons: quarantined rows by reason code, sorted by code.
        files: name, bytes, rows, format and packing of each source file, the dialect of CSV and the fault of a file
            that could not be used.
        notes: what was noticed without being the fault of a row, counted: accepted rows that look double encoded
            (`mojibake`), files passed over (`skipped_files`, `skipped_links`), files that could not be used
            (`unusable_files`).
    """

    read: int
    accepted: int
    quarantined: int
    reasons: dict[str, int]
    files: list[dict[str, Any]]
    notes: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON."""
        return asdict(self)


def source_identity(config: SourceConfig, folder: Path) -> dict[str, Any]:
    """Return all that decides what `ingest` finds, apart from the task type's aliases.

    Args:
        config: the source.
        folder: the task's folder.

    Returns:
        JSON: names, sizes and digests of the files, and the configuration that changes how they are read. The place
        of the source is not in it. A file that cannot be read has null for its digest.

    Raises:
        FinetuneError: when the source is missing, empty, or one unreadable file.
    """
    listing = list_source(config, folder)
    reading = config.model_dump(mode="json", exclude=_NOT_READING)
    return {
        "reader": READER_VERSION,
        "files": [_file_identity(file, single=listing.single) for file in listing.files],
        "skipped": listing.skipped,
        **reading,
    }


def _file_identity(file: SourceFile, *, single: bool) -> dict[str, Any]:
    if file.fault:
        return {"name": file.name, "bytes": None, "sha256": None, "fault": file.fault.reason}
    try:
        # Reading a pipe would wait for its writer.
        if not single and not file.path.is_file():
            return {"name": file.name, "bytes": None, "sha256": None}
        return {"name": file.name, "bytes": file.path.stat().st_size, "sha256": digest_of_file(file.path)}
    except FileNotFoundError as error:
        if not single:
            return {"name": file.name, "bytes": None, "sha256": None}
        raise FinetuneError(
            "source file is missing",
            where=str(file.path),
            mend="correct dataset.source.path, or put the file there",
        ) from error
    except OSError as error:
        if not single:
            return {"name": file.name, "bytes": None, "sha256": None}
        raise unreadable(file.path, error) from error


def ingest(
    config: SourceConfig,
    folder: Path,
    aliases: Aliases,
    out: Path,
    *,
    further: Iterable[RawRecord | Rejection] = (),
    on_progress: Callable[[int], None] | None = None,
) -> IngestSummary:
    """Read the source and write `records.jsonl`, `quarantine.jsonl` and `quarantine.parquet`.

    Args:
        config: the source.
        folder: the task's folder, where a relative path starts.
        aliases: the task type's field names, canonical name to names in the source; `config.aliases` comes over them.
        out: an existing, empty folder.
        further: records that come after those of the source, and rows that cannot be read; both are counted.
        on_progress: called with the rows read so far, every 10,000 rows and at the end.

    Returns:
        The counts. `max_quarantine_share` is not applied here: whoever refuses the dataset keeps the quarantine first,
        so that there is something to look at.

    Raises:
        FinetuneError: when the source is one file that cannot be used as a whole, or holds no row.
        StorageError: when the disk is full.
    """
    listing = list_source(config, folder)
    # The mark of synthetic rows is known whatever the task type: rows that it misses would be judged as observed ones.
    canonical = CanonicalNames(alias_lookup({SYNTHETIC_FIELD: (), **aliases, **config.aliases}))
    reader = _SourceReader(listing, config)
    read = accepted = mojibake = 0
    with (
        explain_full_disk(out),
        (out / "records.jsonl").open("wb", buffering=_WRITE_BYTES) as records,
        QuarantineWriter(out) as quarantine,
    ):
        for row in reader.rows():
            read += 1
            fault = row.fault
            if fault is None:
                accepted += 1
                line = _record_line(row, reader.name, canonical)
                mojibake += not line.isascii() and _looks_double_encoded(line)
                records.write(line)
            else:
                quarantine.add(_rejection(row, reader.name, fault))
            if on_progress and read % _PROGRESS_ROWS == 0:
                on_progress(read)
        found = read
        for item in further:
            read += 1
            if isinstance(item, Rejection):
                quarantine.add(item)
            else:
                accepted += 1
                records.write(_encoded(item.to_json()))
    if not found:
        raise FinetuneError(
            "source holds no record",
            where=str(listing.root),
            found="no row" if listing.single else f"{len(listing.files)} files without a record",
            expected="at least one record",
            mend="export the data again",
        )
    if on_progress:
        on_progress(read)
    notes = {**listing.skipped, "mojibake": mojibake, "unusable_files": reader.unusable}
    return IngestSummary(
        read=read,
        accepted=accepted,
        quarantined=quarantine.count,
        reasons=dict(sorted(quarantine.reasons.items())),
        files=reader.reports(),
        notes={name: count for name, count in sorted(notes.items()) if count},
    )


class _SourceReader:
    """The rows of all files of a source, one after the other.

    Attributes:
        name: name of the file of the row that was given last.
        unusable: files that could not be used, or not to their end.
    """

    def __init__(self, listing: SourceListing, config: SourceConfig) -> None:
        self._listing = listing
        self._config = config
        self._reports: dict[str, dict[str, Any]] = {}
        self.name = ""
        self.unusable = 0

    def rows(self) -> Iterator[FoundRow]:
        """Yield the rows of all files.

        Raises:
            FinetuneError: when the source is one file that cannot be used.
        """
        self.unusable = 0
        for file in self._listing.files:
            self.name = file.name
            report = self._reports[file.name] = {"name": file.name, "bytes": _size(file), "rows": 0}
            yield from self._rows_of(file, report)

    def _rows_of(self, file: SourceFile, report: dict[str, Any]) -> Iterator[FoundRow]:
        fault = file.fault
        if fault is None:
            try:
                for row in read_file(file, self._config, report):
                    report["rows"] += 1
                    yield row
            except FinetuneError as error:
                if self._listing.single:
                    raise
                fault = fault_of_file(error)
        if fault is not None:
            self.unusable += 1
            report["rows"] += 1
            report["fault"] = fault.reason
            yield FoundRow(None, None, None, file.name, {}, fault)

    def reports(self) -> list[dict[str, Any]]:
        """Return what is known of each file: name, bytes, rows, format, packing, dialect of CSV, and its fault."""
        return list(self._reports.values())


def _size(file: SourceFile) -> int:
    try:
        return file.path.stat().st_size if file.fault is None else 0
    except OSError:
        return 0


def _record_line(row: FoundRow, file: str, names: CanonicalNames) -> bytes:
    """Return the line of `records.jsonl`, in the form of `RawRecord.to_json`."""
    source = {"file": file, "line": row.line, "row": row.row, "offset": row.offset}
    return _encoded({"fields": names.fields(row.fields), "source": source})


def _encoded(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        # A whole number of more than 64 bits.
        return (encode_row(record) + "\n").encode()


def _rejection(row: FoundRow, file: str, fault: Fault) -> Rejection:
    return Rejection(
        reason=fault.reason,
        source=SourceRef(file=file, line=row.line, row=row.row, offset=row.offset),
        found=fault.found,
        field=fault.field,
        expected=fault.expected,
        mend=fault.mend,
        text=row.text[:_SHOWN_TEXT].strip(),
    )


def _looks_double_encoded(line: bytes) -> bool:
    """True for UTF-8 that was read as Windows-1252 and encoded again: two of its telling pairs are rare in any text."""
    return any(pair in line for pair in _DOUBLE_ENCODED)
