"""Ingest: a source file becomes raw records under canonical names, and a quarantine of what cannot be read.

Rules, beside those of the readers: of several aliases of one field the first of the list that holds something wins; a
name with spaces around it counts as the name; unknown fields stay. Texts are kept as written: whatever masks, repairs
or strips them would have to be done to live questions too, or training and serving would drift apart. Personal data
and markup in accepted rows are therefore data; they appear in no log, metadata or quarantine.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.json_rows import Fault, FoundRow, encode_row
from finetune_assets.datasets.quarantine import QuarantineWriter
from finetune_assets.datasets.readers import read_rows
from finetune_assets.records.digests import digest_of_file, digest_of_text
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Rejection, SourceRef
from finetune_assets.storage.files import explain_full_disk

# Part of the input key: raise it when the same file would be read differently.
READER_VERSION = 1

_PROGRESS_ROWS = 10_000
_SHOWN_TEXT = 2_000

Aliases = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What was read: read = accepted + quarantined.

    Attributes:
        read: rows found in the source (of the sample, when there was a limit).
        accepted: rows in `records.jsonl`.
        quarantined: rows in `quarantine.jsonl`.
        reasons: quarantined rows by reason code, sorted by code.
        files: name, bytes and rows of each source file.
        notes: what was noticed in accepted rows without being a fault, for instance `mojibake`, with the row count.
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


def source_path(config: SourceConfig, folder: Path) -> Path:
    """Return the source file's absolute path; a relative one starts at the task's folder."""
    return (Path(folder) / Path(config.path).expanduser()).absolute()


def source_identity(config: SourceConfig, folder: Path) -> dict[str, Any]:
    """Return all that decides what `ingest` finds, apart from the task type's aliases and the limit.

    Args:
        config: the source.
        folder: the task's folder.

    Returns:
        JSON: names, sizes and digests of the files, and the configuration that changes how they are read. The place
        of the files is not in it.

    Raises:
        FinetuneError: when the file is missing or unreadable.
    """
    path = source_path(config, folder)
    try:
        files = [{"name": path.name, "bytes": path.stat().st_size, "sha256": digest_of_file(path)}]
    except FileNotFoundError as error:
        raise FinetuneError(
            "source file is missing", where=str(path), mend="correct dataset.source.path, or put the file there"
        ) from error
    except OSError as error:
        raise FinetuneError(
            "source file cannot be read",
            where=str(path),
            found=error.strerror or str(error),
            mend="check its permissions",
        ) from error
    return {
        "reader": READER_VERSION,
        "files": files,
        "format": config.format,
        "aliases": config.aliases,
        "max_line_bytes": config.max_line_bytes,
        "max_nesting": config.max_nesting,
    }


def ingest(
    config: SourceConfig,
    folder: Path,
    aliases: Aliases,
    out: Path,
    *,
    limit: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> IngestSummary:
    """Read the source and write `records.jsonl`, `quarantine.jsonl` and `quarantine.parquet`.

    Args:
        config: the source.
        folder: the task's folder, where a relative path starts.
        aliases: the task type's field names, canonical name to names in the source; `config.aliases` comes over them.
        out: an existing, empty folder.
        limit: read a sample of this many rows, chosen by their content's hash, so that it is the same whatever the
            order of the file and a file sorted by label gives all labels. None or 0 reads all.
        on_progress: called with the rows read so far, every 10,000 rows and at the end.

    Returns:
        The counts. `max_quarantine_share` is not applied here: whoever refuses the dataset keeps the quarantine first,
        so that there is something to look at.

    Raises:
        FinetuneError: when the file as a whole cannot be used, or holds no row.
        StorageError: when the disk is full.
    """
    path = source_path(config, folder)
    names = alias_lookup({**aliases, **config.aliases})
    read = accepted = mojibake = 0
    with (
        explain_full_disk(out),
        (out / "records.jsonl").open("w", encoding="utf-8", newline="\n") as records,
        QuarantineWriter(out) as quarantine,
    ):
        for row in _sampled(path, config, limit):
            read += 1
            line, fault = _record_line(row, path.name, names)
            if fault is None:
                accepted += 1
                mojibake += _looks_double_encoded(line)
                records.write(line)
            else:
                quarantine.add(_rejection(row, path.name, fault))
            if on_progress and read % _PROGRESS_ROWS == 0:
                on_progress(read)
    if not read:
        raise FinetuneError(
            "source holds no record",
            where=str(path),
            found="an empty list",
            expected="at least one record",
            mend="export the data again",
        )
    if on_progress:
        on_progress(read)
    return IngestSummary(
        read=read,
        accepted=accepted,
        quarantined=quarantine.count,
        reasons=dict(sorted(quarantine.reasons.items())),
        files=[{"name": path.name, "bytes": path.stat().st_size, "rows": read}],
        notes={"mojibake": mojibake} if mojibake else {},
    )


def alias_lookup(aliases: Aliases) -> dict[str, tuple[str, int]]:
    """Return, for each name that a source may use, its canonical name and its rank (0 is the best).

    A canonical name is its own alias, after those that are listed.

    Raises:
        FinetuneError: when one name is an alias of two fields.
    """
    lookup: dict[str, tuple[str, int]] = {}
    for canonical, names in aliases.items():
        for rank, name in enumerate(dict.fromkeys([*names, canonical])):
            known = lookup.setdefault(name, (canonical, rank))
            if known[0] != canonical:
                raise FinetuneError(
                    "one source name stands for two fields",
                    where="dataset.source.aliases",
                    found=f"{name!r} in {known[0]!r} and {canonical!r}",
                    expected="each name once",
                    mend="remove it from one of the two lists",
                )
    return lookup


def canonical_fields(raw: Mapping[str, Any], lookup: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    """Return a record's fields under canonical names.

    Args:
        raw: the fields as found.
        lookup: from `alias_lookup`.

    Returns:
        Canonical fields, then unknown ones as they are. Of several names of one field the best-ranked one that is
        neither null nor an empty text wins.
    """
    fields: dict[str, Any] = {}
    ranks: dict[str, tuple[bool, int]] = {}
    unknown: dict[str, Any] = {}
    for name, value in raw.items():
        known = lookup.get(name) or lookup.get(name.strip())
        if known is None:
            unknown[name] = value
            continue
        canonical, rank = known
        standing = (value is None or value == "", rank)
        if canonical not in ranks or standing < ranks[canonical]:
            ranks[canonical] = standing
            fields[canonical] = value
    return fields | unknown if unknown else fields


def _record_line(row: FoundRow, file: str, names: Mapping[str, tuple[str, int]]) -> tuple[str, Fault | None]:
    """Return the line of `records.jsonl`, in the form of `RawRecord.to_json`, or the row's fault."""
    if row.fault:
        return "", row.fault
    fields = canonical_fields(row.fields, names)
    source = {"file": file, "line": row.line, "row": row.row, "offset": row.offset}
    return encode_row({"fields": fields, "source": source}) + "\n", None


def _rejection(row: FoundRow, file: str, fault: Fault) -> Rejection:
    return Rejection(
        reason=fault.reason,
        source=SourceRef(file=file, line=row.line, row=row.row, offset=row.offset),
        found=fault.found,
        expected=fault.expected,
        mend=fault.mend,
        text=row.text[:_SHOWN_TEXT].strip(),
    )


def _looks_double_encoded(line: str) -> bool:
    """True for UTF-8 that was read as Windows-1252 and encoded again: two of its telling pairs are rare in any text."""
    return not line.isascii() and ("â€" in line or "Ã©" in line or "Ã¼" in line or "Ã¤" in line)


def _sampled(path: Path, config: SourceConfig, limit: int | None) -> Iterator[FoundRow]:
    """Yield all rows, or the `limit` rows whose content hash is smallest, in file order."""
    if not limit:
        yield from read_rows(path, config)
        return
    smallest = heapq.nsmallest(limit, _ranks(read_rows(path, config)))
    bound = smallest[-1] if smallest else ""
    taken = 0
    for row in read_rows(path, config):
        if taken < limit and digest_of_row(row) <= bound:
            taken += 1
            yield row


def _ranks(rows: Iterable[FoundRow]) -> Iterator[str]:
    return (digest_of_row(row) for row in rows)


def digest_of_row(row: FoundRow) -> str:
    """Return the hash that decides whether a row is in a sample: of its text, wherever it stands."""
    return digest_of_text(row.text.strip().encode("utf-8", "replace").decode())
