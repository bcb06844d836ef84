"""What a manifest in a bucket says, read with care: whoever may write to the bucket may have written it."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

from finetune_assets.storage.contents import MANIFEST
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.gcs.calls import GcsUri
from finetune_assets.storage.gcs.objects import StoredObject


def read_manifest(data: bytes, folder: GcsUri) -> dict[str, Any]:
    """Read a manifest; whoever may write to the bucket may have written it, so that its names are looked at.

    Raises:
        StorageError: when it is no manifest, or names a file outside of its folder.
    """
    try:
        manifest = json.loads(data)
        complete = {"files", "digest"} <= manifest.keys() and all(
            {"sha256", "bytes", "crc32c", "generation"} <= facts.keys() for facts in manifest["files"].values()
        )
    except (ValueError, AttributeError, TypeError):
        complete = False
    if not complete:
        raise StorageError(
            "manifest is damaged", where=str(folder.child(MANIFEST)), mend=f"remove {folder} and run again"
        )
    for name in manifest["files"]:
        safe_name(name, str(folder))
    return dict(manifest)


def safe_name(name: str, where: str) -> str:
    """Return a name that stays below its folder, on every machine.

    Raises:
        StorageError: when it does not.
    """
    parts = PurePosixPath(name).parts
    plain = name == "/".join(parts) and not {"..", ".", "/"} & set(parts)
    if not plain or not name or any(sign in name for sign in "\\\0\r\n") or len(name.encode()) > 900:
        raise StorageError(
            "a file's name leaves its folder", where=where, found=repr(name), expected="a plain relative path"
        )
    return name


def differences(name: str, found: StoredObject, listed: StoredObject) -> list[str]:
    """Return what differs between an object and what the manifest says of it, one line each."""
    pairs = (
        ("bytes", found.size, listed.size),
        ("crc32c", found.crc32c, listed.crc32c),
        ("generation", found.generation, listed.generation),
    )
    return [f"{name}: {what} {is_}, the manifest says {said}" for what, is_, said in pairs if is_ != said]
