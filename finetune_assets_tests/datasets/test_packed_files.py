from __future__ import annotations

import gzip
import io
import json
import random
import resource
import tarfile
import zlib
from pathlib import Path
from typing import Any

import pytest
import zstandard

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.reading.errors import SourceError
from finetune_assets.datasets.reading.json_rows import FoundRow
from finetune_assets.datasets.reading.readers import read_rows
from finetune_assets.records.errors import FinetuneError

RECORDS = [{"id": f"{number:05}", "text": f"né {number}"} for number in range(3_000)]
LINES = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS).encode()
DOCUMENT = json.dumps(RECORDS, ensure_ascii=False).encode()
TABLE = ("id,text\n" + "".join(f"{record['id']},{record['text']}\n" for record in RECORDS)).encode()
PACKERS = {".gz": gzip.compress, ".zst": zstandard.compress}


def rows_of(folder: Path, name: str, content: bytes, **values: Any) -> list[FoundRow]:
    (folder / name).write_bytes(content)
    return list(read_rows(folder / name, SourceConfig(path=name, **values)))


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize(("name", "content"), [("a.jsonl", LINES), ("a.json", DOCUMENT), ("a.csv", TABLE)])
def test_packed_text_is_read_as_plain_text_is(tmp_path: Path, ending: str, name: str, content: bytes) -> None:
    packed = PACKERS[ending](content)
    plain = rows_of(tmp_path, name, content)
    assert [row.fields for row in plain] == RECORDS
    assert rows_of(tmp_path, name + ending, packed) == plain
    # The first bytes decide, not the ending; and parts in a row are one file, as `cat` makes them.
    assert rows_of(tmp_path, name, packed) == plain
    half = content.index(b"\n", len(content) // 2) + 1 if b"\n" in content else len(content) // 2
    pack = PACKERS[ending]
    assert rows_of(tmp_path, name + ending, pack(content[:half]) + pack(b"") + pack(content[half:])) == plain


def test_gzip_may_be_padded_with_zero_bytes(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "a.jsonl.gz", gzip.compress(LINES) + b"\0" * 100_000)
    assert len(rows) == len(RECORDS)


@pytest.mark.parametrize("ending", PACKERS)
def test_a_broken_packed_file_is_refused_in_one_line(tmp_path: Path, ending: str) -> None:
    packed = PACKERS[ending](LINES)
    middle = len(packed) // 2
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.jsonl"))
    contents = {
        packed[:-1]: "end of the file|broken",
        packed[:middle]: "end of the file within",
        packed + b"and more": "packed file is broken",
        packed[:middle] + b"\xff\x00\xff" + packed[middle + 3 :]: "packed file is broken",
        PACKERS[ending](packed): "gzip within|zstd within",
        PACKERS[ending](tar.getvalue()): "tar archive",
        PACKERS[ending](b""): "is empty",
    }
    for content, says in contents.items():
        if ending == ".zst" and says == "packed file is broken" and not content.endswith(b"more"):
            # zstd as Python's library writes it has no checksum; a changed byte may pass, and then rows are bad.
            continue
        with pytest.raises(FinetuneError, match=says) as caught:
            rows_of(tmp_path, "a.jsonl" + ending, content)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize(
    ("name", "start", "row"),
    [("a.jsonl", b"", b'{"a": "%s"}\n'), ("a.json", b'[{"a": 1}', b', {"a": "%s"}'), ("a.csv", b"id,t\n", b"1,%s\n")],
)
def test_a_bomb_is_refused_before_it_fills_the_memory(
    tmp_path: Path, ending: str, name: str, start: bytes, row: bytes
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # 100 MB from 0.1 MB of gzip, 400 MB from some KB of zstd.
    block = row.replace(b"%s", b"x" * 1_000_000)
    packer: Any = zlib.compressobj(wbits=31) if ending == ".gz" else zstandard.ZstdCompressor().compressobj()
    bomb = packer.compress(start) + b"".join(packer.compress(block) for _ in range(100 if ending == ".gz" else 400))
    with pytest.raises(SourceError, match="unpacks to too much") as caught:
        rows_of(tmp_path, name + ending, bomb + packer.flush())
    assert caught.value.reason == "unpacks_too_large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024


def test_the_bounds_are_those_of_the_configuration(tmp_path: Path) -> None:
    packed = gzip.compress(LINES)
    with pytest.raises(FinetuneError, match=r"more than 100000 bytes.*max_unpacked_bytes"):
        rows_of(tmp_path, "a.jsonl.gz", packed, max_unpacked_bytes=100_000)
    assert len(rows_of(tmp_path, "a.jsonl", LINES, max_unpacked_bytes=1_024)) == len(RECORDS)
    chosen = random.Random(0)
    usual = b"".join(b'{"a": "%s"}\n' % chosen.randbytes(4_000).hex().encode() for _ in range(2_500))
    assert len(rows_of(tmp_path, "b.jsonl.gz", gzip.compress(usual))) == 2_500
    with pytest.raises(FinetuneError, match=r"at most 1.5 for one \(source.max_unpack_ratio"):
        rows_of(tmp_path, "b.jsonl.gz", gzip.compress(usual), max_unpack_ratio=1.5)
