"""Single files: written whole or not at all, and read with errors that a person can act on."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.processes import ProcessMark, token_has_ended

_BLOCK_BYTES = 1 << 20
_TEMPORARY = ".tmp."
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR})


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file so that a reader, or a crash at any moment, sees the old content or the new and nothing between.

    The bytes go to a temporary file in the same folder, are synced, and take the place of `path` by one rename.
    Missing parent folders are made, and temporary files that killed processes left in the folder are removed.

    Args:
        path: the file to write or replace.
        data: its bytes, or text that is written as UTF-8.

    Raises:
        StorageError: when the disk is full or the place cannot be written; `path` is then as it was.
    """
    content = data.encode() if isinstance(data, str) else data
    with explain_unwritable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        temporary = path.parent / f"{_TEMPORARY}{ProcessMark.current().token}.{secrets.token_hex(6)}"
        try:
            with temporary.open("xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        fsync_directory(path.parent)


def write_json_atomic(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, as `write_atomic` does.

    Raises:
        StorageError: as `write_atomic`.
        ValueError: for NaN or Infinity, which JSON does not have.
    """
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomic(path, text + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        StorageError: when it is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise StorageError(
            "file is missing", where=str(path), mend="run the step that writes it, or restore it"
        ) from error
    except OSError as error:
        raise StorageError(
            "file cannot be read", where=str(path), found=error.strerror or str(error), mend="check its permissions"
        ) from error
    except ValueError as error:
        raise StorageError(
            "file is not JSON", where=str(path), found=str(error), mend="restore it, or remove it and run again"
        ) from error


def hash_file(path: Path, *, sync: bool = False) -> tuple[str, int]:
    """Return a file's SHA-256 (64 hex digits) and size in bytes.

    Args:
        path: the file.
        sync: also ask the disk to keep the bytes, so that they survive a power cut.

    Raises:
        OSError: when it cannot be read or synced.
    """
    sha = hashlib.sha256()
    size = 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            sha.update(block)
            size += len(block)
        if sync:
            os.fsync(stream.fileno())
    return sha.hexdigest(), size


def fsync_directory(folder: Path) -> None:
    """Ask the disk to keep a folder's entries: a rename survives a power cut only after this."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explain_full_disk(place: Path) -> Iterator[None]:
    """Turn "no space left" and "quota exceeded" into one line; let every other error pass.

    Args:
        place: what was being written.

    Raises:
        StorageError: when the block failed because the disk or the quota is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(place) from error
        raise


@contextmanager
def explain_unwritable(place: Path) -> Iterator[None]:
    """Like `explain_full_disk`, and for a place that refuses to be written (permissions, read-only, in the way).

    Raises:
        StorageError: when the block failed for one of these reasons.
    """
    with explain_full_disk(place):
        try:
            yield
        except OSError as error:
            if error.errno in _REFUSED:
                raise StorageError(
                    "cannot write",
                    where=str(place),
                    found=error.strerror or str(error),
                    mend="make the folder writable for this user, or set FINETUNE_HOME to one that is",
                ) from error
            raise


def disk_full(place: Path) -> StorageError:
    """Return the error for a full disk: which disk, how much is left, and what to do."""
    disk, room = _disk_of(place)
    return StorageError(
        "the disk is full",
        where=str(place),
        found=room,
        mend=f"free some space on the disk mounted at {disk} and run again; finished work is kept",
    )


def _sweep(folder: Path) -> None:
    for entry in folder.glob(f"{_TEMPORARY}*"):
        token = entry.name.removeprefix(_TEMPORARY).partition(".")[0]
        if token_has_ended(token):
            entry.unlink(missing_ok=True)


def _disk_of(place: Path) -> tuple[Path, str]:
    """Return the mount point that holds `place`, and the room on it in words."""
    folder = place.absolute()
    while folder != folder.parent and not (folder.exists() and folder.is_mount()):
        folder = folder.parent
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return folder, "no room left"
    return folder, f"{usage.free:,} of {usage.total:,} bytes free"
