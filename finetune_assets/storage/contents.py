"""What an artifact's folder holds: its files described, digested and compared with what a manifest says."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.files import fsync_directory, hash_file

MANIFEST = "manifest.json"


def walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield every entry below `folder` that is not a folder, by its name with forward slashes."""
    for base, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(base) / name).is_symlink()]
        for name in [*names, *links]:
            path = Path(base) / name
            yield path.relative_to(folder).as_posix(), path


def describe(folder: Path) -> dict[str, dict[str, Any]]:
    """Hash and sync the files of a staging folder.

    Returns:
        {name: {"sha256": 64 hex digits, "bytes": size}}, sorted by name.

    Raises:
        StorageError: for a link, a device, or a file with the manifest's name.
    """
    files = {}
    for name, path in sorted(walk(folder)):
        if path.is_symlink() or not path.is_file():
            raise StorageError(
                "an artifact holds plain files only", where=str(path), expected="a file, not a link or device"
            )
        if name == MANIFEST:
            raise StorageError(
                f"{MANIFEST} is the store's own file", where=str(path), mend="give the file another name"
            )
        digest, size = hash_file(path, sync=True)
        files[name] = {"sha256": digest, "bytes": size}
    return files


def content_digest(
    files: Mapping[str, Mapping[str, Any]], identity: Mapping[str, Any] | None, outside: Collection[str]
) -> str:
    """Return SHA-256 over the canonical JSON of {file: sha256}, with the caller's identity where there is one."""
    content: dict[str, Any] = {"files": {name: entry["sha256"] for name, entry in files.items() if name not in outside}}
    if identity is not None:
        content["identity"] = dict(identity)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def compare(name: str, path: Path, entry: Mapping[str, Any]) -> list[str]:
    """Return what differs between a file and its manifest entry, in one line, or nothing."""
    if path.is_symlink() or not path.is_file():
        return [f"{name}: not a plain file"]
    size = path.stat().st_size
    if size != entry["bytes"]:
        return [f"{name}: {size} bytes, the manifest says {entry['bytes']}"]
    digest, _ = hash_file(path)
    if digest != entry["sha256"]:
        return [f"{name}: sha256 {digest[:12]}, the manifest says {entry['sha256'][:12]}"]
    return []


def sync_folders(folder: Path) -> None:
    """Ask the disk to keep the entries of `folder` and of every folder below it."""
    for base, _, _ in os.walk(folder, topdown=False):
        fsync_directory(Path(base))
