"""Mutated files of every format: rows add up, nothing but FinetuneError is raised, no other row is spoilt.

The normal test takes a seeded sample of 3,000 mutations a format, `make soak` 100,000 and more.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import resource
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.quarantine import REASONS
from finetune_assets.datasets.reading.ingest import ingest
from finetune_assets.datasets.reading.json_rows import FoundRow
from finetune_assets.datasets.reading.readers import read_rows
from finetune_assets.records.errors import FinetuneError

SAMPLE = 3_000
FULL = 100_000
ROWS = 12
WORDS = ["ana", "né", "“so”", 'said "hi"', "a, b", "x;y", "blocks\nand sand", "🙂", "007", "\\n", "{", "]", "tab\there"]
TOKENS = [b'"', b'""', b'",', b',"', b",", b";", b"\\", b'\\"', b"\\u0000", b"\\ud800", b"\0", b"\xff", b"\xc3", b"NaN"]
TOKENS += [b"{", b"}", b"[", b"]", b":", b"1e999", b"9" * 30, b"\r", b"\x1a", b"\xef\xbb\xbf", b"null", b"<", b"'"]

Records = list[dict[str, str]]


def some_records(chosen: random.Random) -> Records:
    return [
        {"id": f"r{number:03}", "text": f"t{' '.join(chosen.choices(WORDS, k=chosen.randrange(4)))}", "label": "abc"}
        for number in range(ROWS)
    ]


def mutated(chosen: random.Random, content: bytes) -> bytes:
    """Return the content with one to three places cut, put in, swapped or changed by a bit."""
    found = bytearray(content)
    for _ in range(chosen.randrange(1, 4)):
        at = chosen.randrange(len(found) + 1)
        kind = chosen.randrange(4)
        if kind == 0:
            del found[at : at + chosen.randrange(1, 7)]
        elif kind == 1:
            found[at:at] = chosen.choice(TOKENS)
        elif kind == 2:
            found[at : at + 1] = chosen.choice(TOKENS)
        elif at < len(found):
            found[at] ^= 1 << chosen.randrange(8)
    return bytes(found)


def mutations(count: int, name: str) -> Iterator[tuple[random.Random, Records, int]]:
    chosen = random.Random(f"{name} of readers")
    for _ in range(count):
        yield chosen, some_records(chosen), chosen.randrange(ROWS)


def rows_or_error(path: Path, content: bytes, **values: Any) -> list[FoundRow] | FinetuneError:
    path.write_bytes(content)
    try:
        rows = list(read_rows(path, SourceConfig(path=path.name, **values)))
    except FinetuneError as error:
        if "\n" in str(error):
            raise
        return error
    for row in rows:
        assert (row.fault is None) == bool(row.fields) or row.text.strip() == "{}", row
        assert row.fault is None or row.fault.reason in REASONS
    return rows


def add_up(path: Path, out: Path) -> None:
    """Read the file in its folder by way of ingest, and count what was written."""
    try:
        summary = ingest(SourceConfig(path=str(path.parent)), out, {}, out)
    except FinetuneError as error:
        if "holds no record" not in str(error):
            raise
        return
    assert summary.read == summary.accepted + summary.quarantined
    assert (out / "records.jsonl").read_bytes().count(b"\n") == summary.accepted
    assert (out / "quarantine.jsonl").read_bytes().count(b"\n") == summary.quarantined
    assert pq.read_metadata(out / "quarantine.parquet").num_rows == summary.quarantined


def fuzz_lines(path: Path, count: int, check: Callable[[int], None]) -> None:
    for number, (chosen, records, spoilt) in enumerate(mutations(count, "jsonl")):
        lines = [json.dumps(record, ensure_ascii=False).encode() for record in records]
        lines[spoilt] = mutated(chosen, lines[spoilt]).replace(b"\n", b" ")
        rows = rows_or_error(path, b"\n".join(lines) + b"\n")
        check(number)
        if isinstance(rows, FinetuneError):
            # Only the beginning of a file may refuse the whole of it.
            assert spoilt == 0, rows
            continue
        assert len(rows) == ROWS - (not lines[spoilt].strip(b" \t\r\n"))
        assert [row.fields for row in rows if row.line != spoilt + 1] == [
            record for place, record in enumerate(records) if place != spoilt
        ]


def fuzz_csv(path: Path, count: int, check: Callable[[int], None]) -> None:
    for number, (chosen, records, spoilt) in enumerate(mutations(count, "csv")):
        rows = [("id", "text", "label"), *(tuple(record.values()) for record in records)]
        written = []
        for row in rows:
            out = io.StringIO(newline="")
            csv.writer(out, lineterminator="\n", quoting=chosen.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])).writerow(
                row
            )
            written.append(out.getvalue().removesuffix("\n").encode())
        written[spoilt + 1] = mutated(chosen, written[spoilt + 1])
        found = rows_or_error(path, b"\n".join(written) + b"\n", csv={"delimiter": ","})
        check(number)
        assert not isinstance(found, FinetuneError), found
        kept = {row.offset: row.fields for row in found}
        places = list(accumulate(len(row) + 1 for row in written))
        for place, record in enumerate(records):
            assert place == spoilt or kept[places[place]] == record, (written, kept)
        offsets = [row.offset for row in found]
        assert offsets == sorted(set(offsets))


def fuzz_json(path: Path, count: int, check: Callable[[int], None]) -> None:
    for number, (chosen, records, spoilt) in enumerate(mutations(count, "json")):
        values = [json.dumps(record, ensure_ascii=False).encode() for record in records]
        values[spoilt] = mutated(chosen, values[spoilt])
        content = b"[" + b", ".join(values) + b"]"
        rows = rows_or_error(path, content if number % 2 else b'{"data": ' + content + b"}")
        check(number)
        if isinstance(rows, FinetuneError):
            continue
        kept = {row.offset: row.fields for row in rows}
        places = list(accumulate((len(value) + 2 for value in values), initial=1 if number % 2 else 10))
        for place, record in enumerate(records):
            assert place == spoilt or kept[places[place]] == record, (values, kept)


def fuzz_gzip(path: Path, count: int, check: Callable[[int], None]) -> None:
    for number, (chosen, records, _) in enumerate(mutations(count, "gzip")):
        content = "".join(json.dumps(record) + "\n" for record in records).encode()
        packed = mutated(chosen, gzip.compress(content, mtime=0))
        rows = rows_or_error(path, packed)
        check(number)
        # The checksum tells: all rows are as they were, or the file is refused. Bytes that are not even gzip any more
        # are read as text, and no row comes of it.
        if not isinstance(rows, FinetuneError):
            kept = [row.fields for row in rows if not row.fault]
            assert kept == (records if packed.startswith(b"\x1f\x8b") else [])


def fuzz_parquet(path: Path, count: int, check: Callable[[int], None]) -> None:
    for number, (chosen, records, _) in enumerate(mutations(count, "parquet")):
        table = pa.Table.from_pylist([{**record, "n": place, "tags": ["x"]} for place, record in enumerate(records)])
        out = io.BytesIO()
        pq.write_table(table, out, compression="snappy" if number % 2 else "none", row_group_size=5)
        rows = rows_or_error(path, mutated(chosen, out.getvalue()))
        check(number)
        if not isinstance(rows, FinetuneError):
            assert [row.row for row in rows] == list(range(1, len(rows) + 1))


FORMATS = {
    "a.jsonl": fuzz_lines,
    "a.csv": fuzz_csv,
    "a.json": fuzz_json,
    "a.jsonl.gz": fuzz_gzip,
    "a.parquet": fuzz_parquet,
}


def run(tmp_path: Path, name: str, count: int) -> None:
    folder, out = tmp_path / "source", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    path = folder / name
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def check(number: int) -> None:
        if number % 100 == 0:
            add_up(path, out)

    FORMATS[name](path, count, check)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files(tmp_path: Path, name: str) -> None:
    run(tmp_path, name, SAMPLE)


@pytest.mark.soak
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.timeout(7200)
def test_many_mutated_files(tmp_path: Path, name: str) -> None:
    run(tmp_path, name, FULL)
