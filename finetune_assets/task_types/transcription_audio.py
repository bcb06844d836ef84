"""Recordings as attachments: the mime type by the name's ending, and whether a local one is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from finetune_assets.records.example import Attachment
from finetune_assets.task_types.prompts import FieldFault

FIELD = "audio_path"
MIME_TYPES: Mapping[str, str] = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".webm": "audio/webm",
}


def read_audio(path: str, folder: Path | None) -> Attachment | FieldFault:
    """Return a recording as an attachment.

    Args:
        path: a path within `folder`, or a URI such as `gs://…`; "" for none.
        folder: where local recordings are; None where only URIs can be used.

    Returns:
        The attachment, or why it cannot be used.
    """
    if not path:
        return FieldFault(FIELD, "missing_field", "nothing", "a recording, since `transcription.attach_audio` is on")
    is_uri = "://" in path
    name = _path_of(path) if is_uri else path
    mime_type = MIME_TYPES.get(PurePosixPath(name).suffix.lower())
    if mime_type is None:
        return FieldFault(FIELD, "unsupported_audio", PurePosixPath(name).suffix, f"one of {', '.join(MIME_TYPES)}")
    if not is_uri and not _is_there(path, folder):
        return FieldFault(FIELD, "missing_audio", path, "a file within the folder of recordings, or a URI")
    return Attachment(path, mime_type)


def _path_of(uri: str) -> str:
    try:
        return urlsplit(uri).path
    except ValueError:
        return ""


def _is_there(path: str, folder: Path | None) -> bool:
    if folder is None or "\0" in path:
        return False
    home = folder.resolve()
    try:
        file = (home / path).resolve()
        return file.is_relative_to(home) and file.is_file()
    except (OSError, RuntimeError):  # a name that the file system does not take, or links in a circle
        return False
