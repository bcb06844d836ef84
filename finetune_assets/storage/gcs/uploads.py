"""Writing an object once: never over another one, verified, and for large files resumable by another process.

The lost answer: a write under `ifGenerationMatch=0` whose answer is lost is repeated, and then refused with 412
although it was done. It counts as done when what is there has the same crc32c and size.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.files import explain_unwritable, read_json, write_json_atomic
from finetune_assets.storage.gcs.calls import USUAL, GcsUri, Patience, Waiting
from finetune_assets.storage.gcs.errors import (
    RETRYABLE,
    ContentChangedError,
    content_changed,
    explain,
    failures,
    is_transient,
)
from finetune_assets.storage.gcs.objects import SHA256_KEY, StoredObject, Sums, persist, stat, stored, sums_of

LARGE_BYTES = 8 << 20
CHUNK_BYTES = 8 << 20
CONTENT_TYPE = "application/octet-stream"
_RANGE = re.compile(r"bytes=0-(\d+)")
_SESSIONS = 3
# A session lives for a week; a note that is older is of no use.
_SESSION_LIFE_S = 8 * 24 * 3600


class _SessionGoneError(Exception):
    """The upload session has expired, or was cancelled."""


class _TakenError(Exception):
    """Something is under the name already."""


@dataclass(frozen=True, slots=True)
class Uploader:
    """Writes objects once.

    Attributes:
        client: the storage client.
        work: folder where the sessions of large uploads are noted, so that another process takes them up; None: they
            end with this one. A session's URL lets whoever reads it write this one object: keep the folder private.
        patience: how long calls are tried again.
    """

    client: Any
    work: Path | None = None
    patience: Patience = USUAL

    def put_once(self, uri: GcsUri, source: Path | bytes, *, sha256: str = "") -> StoredObject:
        """Write an object that is not there yet, or take over one of the same bytes.

        Args:
            uri: the object.
            source: a file or bytes.
            sha256: what the bytes must have, where the caller knows it.

        Raises:
            ContentChangedError: when other bytes are under this name, or the source is not what it should be.
            CloudStorageError: for a missing bucket, permission or quota, or no answer in time; what has been uploaded
                by then is kept, and a further call goes on there.
        """
        sums = sums_of(source)
        if sha256 and sums.sha256 != sha256:
            raise content_changed(str(source), f"sha256 {sums.sha256[:12]}", f"sha256 {sha256[:12]}", "make it again")
        if sums.size > LARGE_BYTES:
            there = stat(self.client, uri, self.patience)
            if there is not None:
                return _same(there, sums)
        try:
            if sums.size > LARGE_BYTES and isinstance(source, Path):
                return self._put_large(uri, source, sums)
            return self._put_small(uri, source, sums)
        except _TakenError:
            there = stat(self.client, uri, self.patience)
        if there is None:
            raise content_changed(str(uri), "an object that came and went", "nobody else writes here")
        return _same(there, sums)

    def _blob(self, uri: GcsUri, sums: Sums) -> Any:
        blob = self.client.bucket(uri.bucket).blob(uri.name)
        # Sent with the request: the server refuses bytes that do not fit, so that a damaged object never appears.
        blob.crc32c = sums.crc32c
        blob.metadata = {SHA256_KEY: sums.sha256}
        return blob

    def _put_small(self, uri: GcsUri, source: Path | bytes, sums: Sums) -> StoredObject:
        data = source if isinstance(source, bytes) else source.read_bytes()
        blob = self._blob(uri, sums)

        def put() -> None:
            with _taken():
                blob.upload_from_string(
                    data,
                    content_type=CONTENT_TYPE,
                    client=self.client,
                    if_generation_match=0,
                    checksum=None,
                    **self.patience.call(),
                )

        persist(put, uri, self.client, self.patience)
        return _verified(stored(uri, blob, created=True), sums)

    def _put_large(self, uri: GcsUri, path: Path, sums: Sums) -> StoredObject:
        with _note_of(self.work, uri, sums) as note:
            for _ in range(_SESSIONS):
                url = note.url() or note.keep(self._session(uri, sums))
                try:
                    resource = _Sending(self.client, uri, url, path, sums, self.patience).run()
                except _SessionGoneError:
                    note.forget()
                    continue
                except (_TakenError, ContentChangedError):
                    note.forget()
                    raise
                note.forget()
                found = StoredObject(
                    uri,
                    int(resource["generation"]),
                    int(resource["size"]),
                    str(resource["crc32c"]),
                    sums.sha256,
                    created=True,
                )
                return _verified(found, sums)
        raise explain(ConnectionError(), str(uri), self.client)

    def _session(self, uri: GcsUri, sums: Sums) -> str:
        def start() -> Any:
            with _taken():
                return self._blob(uri, sums).create_resumable_upload_session(
                    content_type=CONTENT_TYPE,
                    size=sums.size,
                    client=self.client,
                    if_generation_match=0,
                    checksum=None,
                    **self.patience.call(),
                )

        return str(persist(start, uri, self.client, self.patience))


@contextmanager
def _taken() -> Iterator[None]:
    from google.api_core.exceptions import PreconditionFailed

    try:
        yield
    except PreconditionFailed as error:
        raise _TakenError from error


class _Sending:
    """The chunks of one session."""

    def __init__(self, client: Any, uri: GcsUri, url: str, path: Path, sums: Sums, patience: Patience) -> None:
        self._client = client
        self._uri = uri
        self._url = url
        self._path = path
        self._size = sums.size
        self._patience = patience
        self._waiting = Waiting(patience)

    def run(self) -> dict[str, Any]:
        """Send what the server does not have yet and return the finished object's resource."""
        offset: int | None = None  # unknown: ask first
        furthest = -1
        with self._path.open("rb") as stream:
            while True:
                asked = offset is None
                try:
                    answer = self._ask() if offset is None else self._chunk(stream, offset)
                except failures() as error:
                    self._wait_after(error)
                    offset = None
                    continue
                if answer.status_code in {200, 201}:
                    return dict(answer.json())
                offset = self._kept(answer)
                if offset is None:
                    self._wait_after(_failure(answer))
                elif offset > furthest:
                    furthest = offset
                    self._waiting.progress()
                elif not asked:
                    self._wait_after(ConnectionError("no byte of the chunk was kept"))

    def _ask(self) -> Any:
        return self._put(None, f"bytes */{self._size}")

    def _chunk(self, stream: Any, offset: int) -> Any:
        stream.seek(offset)
        data = stream.read(CHUNK_BYTES)
        if not data:
            raise content_changed(
                str(self._path), f"{offset} bytes", f"{self._size} bytes, as before the upload", "upload again"
            )
        return self._put(data, f"bytes {offset}-{offset + len(data) - 1}/{self._size}")

    def _put(self, data: bytes | None, content_range: str) -> Any:
        return self._client._http.request(
            "PUT",
            self._url,
            data=data,
            headers={"Content-Range": content_range, "Content-Type": CONTENT_TYPE},
            timeout=self._patience.timeout_s,
        )

    def _kept(self, answer: Any) -> int | None:
        """Return how many bytes the server has, or None when it could not say now."""
        status = answer.status_code
        if status == 308:
            match = _RANGE.fullmatch(answer.headers.get("Range", ""))
            return int(match[1]) + 1 if match else 0
        if status in {404, 410, 499}:
            raise _SessionGoneError
        if status == 412:
            raise _TakenError
        if status not in RETRYABLE:
            raise explain(_failure(answer), str(self._uri), self._client)
        return None

    def _wait_after(self, error: BaseException) -> None:
        if not is_transient(error) or not self._waiting.again():
            raise explain(error, str(self._uri), self._client) from error


class _Note:
    """Where the URL of a session is kept; without a path nowhere."""

    def __init__(self, path: Path | None, facts: dict[str, Any]) -> None:
        self._path = path
        self._facts = facts

    def url(self) -> str:
        """Return the URL of the session that is under way, or ""."""
        if self._path is None or not self._path.is_file():
            return ""
        try:
            found = read_json(self._path)
        except StorageError:  # a note that cannot be read costs a fresh start, no more
            return ""
        same = isinstance(found, dict) and {**found, "url": ""} == {**self._facts, "url": ""}
        return str(found["url"]) if same else ""

    def keep(self, url: str) -> str:
        """Note the URL, readable for the owner only, and return it."""
        if self._path is not None:
            write_json_atomic(self._path, {**self._facts, "url": url})
            self._path.chmod(0o600)
        return url

    def forget(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)


@contextmanager
def _note_of(work: Path | None, uri: GcsUri, sums: Sums) -> Iterator[_Note]:
    """Give the note of an upload; a second process at the same upload gets none, and a session of its own."""
    facts = {"uri": str(uri), "size": sums.size, "crc32c": sums.crc32c, "sha256": sums.sha256}
    if work is None:
        yield _Note(None, facts)
        return
    with explain_unwritable(work):
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in work.glob("upload-*"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > _SESSION_LIFE_S:
                old.unlink()
    path = work / f"upload-{hashlib.sha256(repr(sorted(facts.items())).encode()).hexdigest()[:32]}.json"
    lock = path.with_suffix(".lock")
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield _Note(None, facts)
            return
        yield _Note(path, facts)
        with suppress(OSError):
            lock.unlink()


def _failure(answer: Any) -> Exception:
    from google.api_core.exceptions import from_http_response

    error: Exception = from_http_response(answer)  # type: ignore[no-untyped-call]
    return error


def _same(there: StoredObject, sums: Sums) -> StoredObject:
    """Return the object that is there, when it has the bytes that were to be written."""
    if there.holds(sums):
        return replace(there, sha256=sums.sha256)
    raise content_changed(
        str(there.uri),
        f"{there.size} bytes, crc32c {there.crc32c}",
        f"{sums.size} bytes, crc32c {sums.crc32c}",
        "choose another prefix, or remove the object if it is in the way by mistake",
    )


def _verified(found: StoredObject, sums: Sums) -> StoredObject:
    """Return what the answer says was written, when it is what was sent."""
    if found.holds(sums):
        return replace(found, sha256=sums.sha256)
    raise content_changed(
        str(found.uri), f"crc32c {found.crc32c}, {found.size} bytes", f"crc32c {sums.crc32c}, {sums.size} bytes"
    )
