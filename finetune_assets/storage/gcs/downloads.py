"""Fetching objects to files: by generation, verified, resumed where a break left them, and whole or not at all."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.files import explain_unwritable, fsync_directory
from finetune_assets.storage.gcs.calls import USUAL, Patience, Waiting
from finetune_assets.storage.gcs.errors import (
    ObjectMissingError,
    content_changed,
    explain,
    failures,
    is_transient,
)
from finetune_assets.storage.gcs.objects import StoredObject, Sums, sums_of

_PART = ".part"


@dataclass(frozen=True, slots=True)
class Downloader:
    """Fetches objects.

    Attributes:
        client: the storage client.
        patience: how long calls are tried again.
    """

    client: Any
    patience: Patience = USUAL

    def fetch(self, wanted: StoredObject, target: Path) -> Sums:
        """Bring one object to a file, which appears whole and verified, or not at all.

        Args:
            wanted: the object with its generation, size, crc32c and, where known, sha256.
            target: the file; one that has the wanted bytes already is left, another one is replaced.

        Returns:
            The checksums of what was fetched.

        Raises:
            ContentChangedError: when the object has another generation now, or other bytes than it should.
            CloudStorageError: for a missing permission or no answer in time; what came by then is kept beside
                `target`, and a further call goes on there.
            StorageError: when the disk is full or the place cannot be written.
        """
        if target.is_file() and target.stat().st_size == wanted.size:
            found = sums_of(target)
            if _fits(found, wanted):
                return found
        with explain_unwritable(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.{wanted.generation}{_PART}")
            for _ in range(2):  # bytes that a broken disk or proxy damaged are worth one fresh start
                self._fill(wanted, part)
                found = sums_of(part)
                if _fits(found, wanted):
                    break
                part.unlink()
            else:
                raise content_changed(
                    str(wanted.uri),
                    f"{found.size} bytes, crc32c {found.crc32c}, sha256 {found.sha256[:12]}",
                    f"{wanted.size} bytes, crc32c {wanted.crc32c}"
                    + (f", sha256 {wanted.sha256[:12]}" if wanted.sha256 else ""),
                )
            part.replace(target)
            fsync_directory(target.parent)
        return found

    def _fill(self, wanted: StoredObject, part: Path) -> None:
        """Append to `part` what it lacks."""
        blob = self.client.bucket(wanted.uri.bucket).blob(wanted.uri.name, generation=wanted.generation)
        waiting = Waiting(self.patience)
        with part.open("ab") as stream:
            have = stream.tell()
            if have > wanted.size:
                stream.truncate(0)
                have = 0
            while have < wanted.size:
                problem: BaseException | None = None
                try:
                    blob.download_to_file(
                        stream,
                        client=self.client,
                        start=have,
                        raw_download=True,
                        checksum=None,
                        retry=None,
                        timeout=self.patience.timeout_s,
                    )
                except failures() as error:
                    problem = error
                stream.flush()
                before, have = have, os.fstat(stream.fileno()).st_size
                if have > before:
                    waiting.progress()
                if have < wanted.size:
                    self._wait_after(problem or ConnectionError(), wanted, waiting)
            os.fsync(stream.fileno())

    def _wait_after(self, problem: BaseException, wanted: StoredObject, waiting: Waiting) -> None:
        if is_transient(problem) and waiting.again():
            return
        error = explain(problem, str(wanted.uri), self.client)
        if isinstance(error, ObjectMissingError):
            error = content_changed(
                str(wanted.uri),
                "the object is gone, or was replaced",
                f"generation {wanted.generation}",
                "list it again, or restore it",
            )
        raise error from problem


@contextmanager
def folder_to_fill(target: Path) -> Iterator[Path]:
    """Give a folder beside `target` that takes its place by one rename when the block ends well.

    After an error it stays, so that a further call goes on with what it holds.

    Raises:
        StorageError: when another process fills it now, or the place cannot be written.
    """
    part = target.with_name(f".{target.name}{_PART}")
    with explain_unwritable(target):
        part.mkdir(parents=True, exist_ok=True)
    lock = os.open(part, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(
                "another process downloads to this folder",
                where=str(target),
                mend="wait for it, or name another folder",
            ) from error
        yield part
        with explain_unwritable(target):
            part.rename(target)
            fsync_directory(target.parent)
    finally:
        os.close(lock)


def _fits(found: Sums, wanted: StoredObject) -> bool:
    return wanted.holds(found) and wanted.sha256 in {"", found.sha256}
