"""Photos of a record: which files they are, and whether they can be used.

A photo with a scheme (`gs://`, `https://`) is taken as named; any other is a file within the photo folder.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_assets.records.example import Attachment

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_REMOTE = frozenset({"gs", "http", "https", "s3"})
_MIME_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
_DEFAULT_MIME_TYPE = "image/jpeg"
_HEAD_BYTES = 16
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Photo:
    """A usable photo.

    Attributes:
        attachment: its URI, relative to the photo folder where it is a file, and its mime type.
        identity: what tells it from other photos: `sha256:…` of a file, the URI of a remote one.
    """

    attachment: Attachment
    identity: str


@dataclass(frozen=True, slots=True)
class PhotoFault:
    """Why a photo cannot be used: a quarantine reason, what was found and what was expected."""

    reason: str
    found: str
    expected: str


def read_photos(value: Any, folder: Path | None) -> list[Photo] | PhotoFault:
    """Read a record's photo field.

    Args:
        value: one URI or a list of them; None and blank ones are left out.
        folder: where local files are; None when only remote photos can be used.

    Returns:
        Every photo, in order, or the first fault: `wrong_type`, `lone_surrogate`, `missing_photo`,
        `photo_outside_folder` or `unsupported_photo`.
    """
    photos: list[Photo] = []
    for item in value if isinstance(value, list) else [value]:
        if item is None:
            continue
        if not isinstance(item, str):
            return PhotoFault("wrong_type", type(item).__name__, "the URI of a photo, as text")
        if not item.strip():
            continue
        photo = _read_photo(item.strip(), folder)
        if isinstance(photo, PhotoFault):
            return photo
        photos.append(photo)
    return photos


def _read_photo(uri: str, folder: Path | None) -> Photo | PhotoFault:
    try:
        uri.encode()
    except UnicodeEncodeError:
        return PhotoFault("lone_surrogate", "half of a UTF-16 pair", "text that UTF-8 can hold")
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return _local_photo(uri, folder)
    if scheme[1].lower() not in _REMOTE:
        return PhotoFault("unsupported_photo", f"scheme {scheme[1]}:", f"a file name, or one of {sorted(_REMOTE)}")
    suffix = Path(uri.partition("?")[0]).suffix.lower()
    return Photo(Attachment(uri, _MIME_TYPES.get(suffix, _DEFAULT_MIME_TYPE)), uri)


def _local_photo(uri: str, folder: Path | None) -> Photo | PhotoFault:
    if folder is None:
        return PhotoFault("missing_photo", uri, "a remote photo: no folder of photos is known here")
    try:
        root = folder.resolve()
        path = (root / uri).resolve()
        # A record must not be able to have any file of the machine uploaded.
        if not path.is_relative_to(root):
            return PhotoFault("photo_outside_folder", uri, "a file within the photo folder")
        head, digest = _read_file(path)
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else str(error)
        return PhotoFault("missing_photo", f"{uri}: {problem}", "a file that can be read")
    mime_type = _mime_type_of(head)
    if mime_type is None:
        return PhotoFault("unsupported_photo", uri, "a JPEG, PNG, GIF or WebP file")
    return Photo(Attachment(path.relative_to(root).as_posix(), mime_type), f"sha256:{digest}")


def _read_file(path: Path) -> tuple[bytes, str]:
    """Return the first bytes of a file and the SHA-256 of it all."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
        sha = hashlib.sha256(head)
        while block := stream.read(_BLOCK_BYTES):
            sha.update(block)
    return head, sha.hexdigest()


def _mime_type_of(head: bytes) -> str | None:
    """Tell an image by its first bytes, whatever its name says."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return None
