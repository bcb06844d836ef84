"""Uploads in pieces, as the Cloud Storage stand-in takes them: resumable ones, and multipart ones of the XML API.

Both survive the end of the server: bytes are synced before they are acknowledged. A resumable upload keeps multiples of
256 KiB until it is finished, as Google does, and is invisible until then.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from finetune_assets_tests.fakes.gcs_state import (
    BLOCK,
    ApiError,
    GcsState,
    check_conditions,
    checksums,
    not_found,
)

QUANTUM = 256 << 10
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
_XMLNS = "http://s3.amazonaws.com/doc/2006-03-01/"
CONDITIONS = (
    "ifGenerationMatch",
    "ifGenerationNotMatch",
    "ifMetagenerationMatch",
    "ifMetagenerationNotMatch",
    "ifMetaGenerationNotMatch",
)


@dataclass(frozen=True)
class Progress:
    """Where an upload stands: the finished object, or the bytes kept so far."""

    resource: dict[str, Any] | None
    kept: int = 0


def start_resumable(state: GcsState, bucket: str, metadata: dict[str, Any], query: Mapping[str, str]) -> str:
    """Begin a resumable upload and return its id; preconditions are looked at now, and again at its end."""
    state.bucket(bucket)
    found = state.find(bucket, metadata["name"])
    conditions = {name: query[name] for name in CONDITIONS if name in query}
    check_conditions(conditions, found[0] if found else None)
    upload = uuid.uuid4().hex
    file = state.keep(b"")
    with state.transaction() as database:
        database.execute(
            "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, NULL)",
            (upload, bucket, metadata["name"], json.dumps(metadata), json.dumps(conditions), file),
        )
    return upload


def resume(
    state: GcsState, upload: str, content_range: str, blocks: Iterable[bytes], hashes: Mapping[str, str]
) -> Progress:
    """Take a chunk, or a question for the status (`bytes */*`).

    Args:
        state: the server's.
        upload: its id.
        content_range: the header; empty means the whole object in one request.
        blocks: the request's body; it may break off.
        hashes: `crc32c` and `md5Hash` that the request's x-goog-hash header names.
    """
    bucket, metadata, conditions, file, done = _upload(state, upload)
    if done is not None:
        _drain(blocks)
        return Progress(done)
    first, total = _parse(content_range)
    path = state.data / file
    kept = _whole_quanta(path.stat().st_size)
    if first is None:
        _drain(blocks)
    elif first > kept:
        _drain(blocks)
        raise ApiError(503, f"Upload is missing bytes {kept}-{first}.", "backendError")
    else:
        kept = _append(path, first, kept, blocks)
    if total == -1:
        total = kept
    if total is None or kept != total:
        return Progress(None, _whole_quanta(kept))
    with path.open("r+b") as stream:
        stream.truncate(total)
        os.fsync(stream.fileno())
    return Progress(state.commit(bucket, {**metadata, **hashes}, file, conditions, upload=upload))


def cancel(state: GcsState, upload: str) -> None:
    _, _, _, file, done = _upload(state, upload)
    with state.transaction() as database:
        database.execute("DELETE FROM uploads WHERE id = ?", (upload,))
    if done is None:
        state.drop(file)


def _upload(state: GcsState, upload: str) -> tuple[str, dict[str, Any], dict[str, str], str, dict[str, Any] | None]:
    rows = state.rows("SELECT bucket, resource, conditions, file, done FROM uploads WHERE id = ?", upload)
    if not rows:
        raise not_found("Upload session not found or expired.")
    bucket, metadata, conditions, file, done = rows[0]
    return bucket, json.loads(metadata), json.loads(conditions), file, json.loads(done) if done else None


def _parse(content_range: str) -> tuple[int | None, int | None]:
    """Return the first byte (None for a mere question) and the total size (None: unknown, -1: what the body has)."""
    if not content_range:
        return 0, -1
    match = _RANGE.fullmatch(content_range.strip())
    if match is None:
        raise ApiError(400, f"Failed to parse Content-Range header: {content_range}", "badRequest")
    total = None if match[3] == "*" else int(match[3])
    return (None if match[1] is None else int(match[1])), total


def _whole_quanta(size: int) -> int:
    return size - size % QUANTUM


def _append(path: Any, first: int, kept: int, blocks: Iterable[bytes]) -> int:
    """Write the body where it belongs and return the size of the file; what came before a break is kept."""
    with path.open("r+b") as stream:
        stream.truncate(kept)
        stream.seek(first)
        try:
            for block in blocks:
                stream.write(block)
        finally:
            stream.flush()
            os.fsync(stream.fileno())
        return int(stream.tell())


def _drain(blocks: Iterable[bytes]) -> None:
    for _ in blocks:
        pass


# The XML API's multipart uploads, which `transfer_manager.upload_chunks_concurrently` speaks.


def start_parts(state: GcsState, bucket: str, metadata: dict[str, Any], conditions: Mapping[str, str]) -> bytes:
    state.bucket(bucket)
    upload = uuid.uuid4().hex
    with state.transaction() as database:
        database.execute(
            "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, '', NULL)",
            (upload, bucket, metadata["name"], json.dumps(metadata), json.dumps(dict(conditions))),
        )
    return _xml("InitiateMultipartUploadResult", Bucket=bucket, Key=metadata["name"], UploadId=upload)


def put_part(state: GcsState, upload: str, number: int, data: bytes) -> tuple[str, str, str]:
    """Keep one part; return its etag, crc32c and md5."""
    _upload(state, upload)
    file = state.keep(data)
    sums = checksums(state.data / file)
    etag = f'"{hashlib.md5(data).hexdigest()}"'
    with state.transaction() as database:
        old = database.execute("SELECT file FROM parts WHERE upload = ? AND number = ?", (upload, number)).fetchone()
        database.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?)", (upload, number, file, etag))
    if old:
        state.drop(old[0])
    return etag, sums.crc32c, sums.md5


def finish_parts(state: GcsState, upload: str, body: bytes) -> tuple[bytes, dict[str, Any]]:
    bucket, metadata, conditions, _, done = _upload(state, upload)
    if done is None:
        asked = [
            (int(part.findtext("PartNumber", "0")), part.findtext("ETag", ""))
            for part in ElementTree.fromstring(body).iter("Part")
        ]
        kept = {
            number: (file, etag)
            for number, file, etag in state.rows("SELECT number, file, etag FROM parts WHERE upload = ?", upload)
        }
        if not asked or any(number not in kept or kept[number][1] != etag for number, etag in asked):
            raise ApiError(400, "InvalidPart", "InvalidPart")
        files = [kept[number][0] for number, _ in sorted(asked)]
        joined = join(state, files)
        done = state.commit(bucket, metadata, joined, conditions, components=len(files), upload=upload)
        state.drop(*(file for file, _ in kept.values()))
    return _xml("CompleteMultipartUploadResult", Bucket=bucket, Key=done["name"], ETag=f'"{done["etag"]}"'), done


def abort_parts(state: GcsState, upload: str) -> None:
    _upload(state, upload)
    files = [row[0] for row in state.rows("SELECT file FROM parts WHERE upload = ?", upload)]
    with state.transaction() as database:
        database.execute("DELETE FROM parts WHERE upload = ?", (upload,))
        database.execute("DELETE FROM uploads WHERE id = ?", (upload,))
    state.drop(*files)


def join(state: GcsState, files: list[str]) -> str:
    """Write the bytes of several files one after the other into a new one, synced."""
    name = state.new_file()
    with (state.data / name).open("xb") as target:
        for file in files:
            with (state.data / file).open("rb") as source:
                shutil.copyfileobj(source, target, BLOCK)
        target.flush()
        os.fsync(target.fileno())
    return name


def _xml(tag: str, **fields: str) -> bytes:
    root = ElementTree.Element(tag, xmlns=_XMLNS)
    for name, text in fields.items():
        ElementTree.SubElement(root, name).text = text
    return b"<?xml version='1.0' encoding='UTF-8'?>" + ElementTree.tostring(root)
