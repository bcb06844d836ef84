"""Rules for files that rows name: only from allowed buckets, with a kind that the model takes.

A row comes from data, and data must not decide what the service reads: a URI outside the allowed places is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from finetune_assets.tuning.cloud.catalogue import Modality, ModelEntry
from finetune_assets.tuning.preflight.rows import FileRef, Problem

# Google, "Supported input files" of Gemini, and the formats of open models' images; as of 2026-09-25.
_MODALITIES: dict[str, Modality] = {
    "image/png": "image",
    "image/jpeg": "image",
    "image/webp": "image",
    "image/heic": "image",
    "image/heif": "image",
    "audio/mpeg": "audio",
    "audio/mp3": "audio",
    "audio/wav": "audio",
    "audio/x-wav": "audio",
    "audio/flac": "audio",
    "audio/aac": "audio",
    "audio/ogg": "audio",
    "audio/opus": "audio",
    "audio/m4a": "audio",
    "audio/mp4": "audio",
    "audio/webm": "audio",
    "video/mp4": "video",
    "video/mpeg": "video",
    "video/quicktime": "video",
    "video/webm": "video",
    "video/x-flv": "video",
    "video/wmv": "video",
    "video/3gpp": "video",
    "application/pdf": "document",
    "text/plain": "document",
}
_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
_INLINE_IMAGES = ("data:image/png;base64,", "data:image/jpeg;base64,", "data:image/webp;base64,")


def attachment_problems(files: Iterable[FileRef], entry: ModelEntry, allowed: Sequence[str]) -> Iterator[Problem]:
    """Yield what is wrong with the files of a row.

    Args:
        files: the files.
        entry: the model.
        allowed: gs:// buckets or prefixes; a prefix ends at a slash, whether it is written or not.
    """
    for file in files:
        yield from _kind_problems(file, entry)
        if not file.mime and file.uri.startswith(_INLINE_IMAGES):
            continue
        if not file.uri.startswith("gs://"):
            scheme = file.uri.split(":", 1)[0] if ":" in file.uri else "no scheme"
            shown = scheme if scheme.isidentifier() and len(scheme) <= 10 else "another scheme"
            yield Problem("file_uri", file.pointer, f"{shown}, {len(file.uri)} characters", "gs://…", "upload the file")
        elif not any(is_below(file.uri, place) for place in allowed):
            places = ", ".join(allowed) or "no bucket is allowed"
            mend = "name its bucket in cloud.media if it may be read, or move the file"
            yield Problem("file_uri", file.pointer, f"bucket {_bucket(file.uri)}", places, mend)


def is_below(uri: str, place: str) -> bool:
    """Whether a URI lies below a gs:// bucket or prefix; gs://photos does not allow gs://photos-of-others."""
    inside = place.rstrip("/") + "/"
    return place.startswith("gs://") and uri.startswith(inside) and len(uri) > len(inside)


def _kind_problems(file: FileRef, entry: ModelEntry) -> Iterator[Problem]:
    kind = _MODALITIES.get(file.mime.lower()) if file.mime else _by_ending(file.uri)
    told = ", ".join(entry.modalities)
    if kind is None:
        found = f"mime type {file.mime}" if file.mime and len(file.mime) <= 60 else "a file of unknown kind"
        yield Problem("mime_type", file.pointer, found, f"a kind of {told}", "convert the file")
    elif kind not in entry.modalities:
        yield Problem("modality", file.pointer, kind, told, "leave the file out, or take a model that reads it")


def _by_ending(uri: str) -> Modality | None:
    if uri.startswith(_INLINE_IMAGES) or uri.lower().endswith(_IMAGE_ENDINGS):
        return "image"
    return None


def _bucket(uri: str) -> str:
    name = uri.removeprefix("gs://").split("/", 1)[0]
    return name if 0 < len(name) <= 63 else f"({len(name)} characters)"
