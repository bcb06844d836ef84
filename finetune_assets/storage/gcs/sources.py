"""Sources in a bucket: the objects that a pattern names, fetched once for each generation, laid out as local files.

A listing becomes a folder that holds exactly its objects, by links to a cache; the same listing gives the same folder,
and an object that changes gives another one. Whoever reads the folder therefore reads one moment of the bucket.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.files import explain_unwritable
from finetune_assets.storage.gcs.calls import USUAL, GcsUri, Patience
from finetune_assets.storage.gcs.downloads import Downloader, folder_to_fill
from finetune_assets.storage.gcs.manifests import safe_name
from finetune_assets.storage.gcs.objects import StoredObject, list_objects, stat
from finetune_assets.storage.globs import MAGIC, translate


@dataclass(frozen=True, slots=True)
class SourceObject:
    """One object of a source.

    Attributes:
        path: where its bytes lie on this machine.
        name: its name below the source's root, with slashes; of a single object its last part.
        uri: `gs://bucket/name`.
        generation: which content of that name it is.
        size: bytes.
        crc32c: base64, as Google computed it; the local bytes have it.
    """

    path: Path
    name: str
    uri: str
    generation: int
    size: int
    crc32c: str


@dataclass(frozen=True, slots=True)
class FetchedSource:
    """A source on this machine.

    Attributes:
        root: the single file, or the folder that names are relative to.
        glob: the part of the pattern from its first wildcard on; "" for a file or a folder.
        single: True when the pattern names one object.
        objects: in sorted order of their names.
    """

    root: Path
    glob: str
    single: bool
    objects: tuple[SourceObject, ...]


def fetch_sources(
    client: Any,
    pattern: str,
    cache: Path,
    *,
    wanted: Callable[[str], bool] | None = None,
    max_files: int = 100_000,
    patience: Patience = USUAL,
) -> FetchedSource:
    """Fetch the objects that a pattern names, each verified by crc32c; what the cache has is not fetched again.

    Args:
        client: the storage client.
        pattern: `gs://bucket/name` of one object, of a folder (with all below), or with wildcards (`*`, `?`, `[a-z]`
            within one part of the name, `**` across parts).
        cache: private folder; it grows by the bytes of each new generation.
        wanted: tells by its name below the root whether an object is fetched; all are without it. Names of which a
            part begins with a dot never are.
        max_files: most objects.
        patience: how long calls are tried again.

    Raises:
        StorageError: when nothing fits, too much does, or a name cannot be a file's.
        CloudStorageError: for a missing bucket or permission, changed content, or no answer in time; what was fetched
            by then is kept.
    """
    found, base, glob = _listing(client, GcsUri.parse(pattern), patience)
    single = base is None
    named = [(_name(item, base), item) for item in found]
    if not single:
        named = [(name, item) for name, item in named if _is_file(name) and (wanted is None or wanted(name))]
    if not named:
        raise StorageError(
            "source holds no object to read",
            where=pattern,
            found=f"{len(found)} objects that are left out" if found else "no object",
            expected="objects that fit dataset.source.path, format, include and exclude",
            mend="correct dataset.source.path, or upload the data",
        )
    if len(named) > max_files:
        raise StorageError(
            "source holds too many objects",
            where=pattern,
            found=f"{len(named)}",
            expected=f"at most {max_files}",
            mend="name a smaller folder, use include and exclude, or raise max_files",
        )
    folder = _laid_out(Downloader(client, patience), cache, named)
    objects = tuple(
        SourceObject(folder / name, name, str(item.uri), item.generation, item.size, item.crc32c)
        for name, item in sorted(named, key=lambda pair: pair[0])
    )
    return FetchedSource(objects[0].path if single else folder, glob, single, objects)


def _listing(client: Any, uri: GcsUri, patience: Patience) -> tuple[list[StoredObject], str | None, str]:
    """Return the objects, the prefix that names are relative to (None for one object), and the glob."""
    match = MAGIC.search(uri.name)
    if match is None:
        one = stat(client, uri, patience) if uri.name and not uri.name.endswith("/") else None
        if one is not None:
            return [one], None, ""
        base, glob = (f"{uri.name.rstrip('/')}/" if uri.name else ""), ""
        return list(list_objects(client, GcsUri(uri.bucket, base), patience)), base, glob
    cut = uri.name.rfind("/", 0, match.start()) + 1
    base, glob = uri.name[:cut], uri.name[cut:]
    delimiter = None if "/" in glob or "**" in glob else "/"
    fits = _pattern(glob)
    found = list_objects(client, GcsUri(uri.bucket, base), patience, delimiter=delimiter)
    return [item for item in found if fits.fullmatch(item.uri.name.removeprefix(base))], base, glob


def _pattern(glob: str) -> re.Pattern[str]:
    """Return what fully matches a glob's names.

    Raises:
        StorageError: when its brackets are broken.
    """
    try:
        return translate(glob)
    except re.error as error:
        raise StorageError(
            "a file pattern is broken",
            where="dataset.source.path",
            found=f"{glob!r}: {error}",
            expected="a glob such as **/*.jsonl",
            mend="correct the brackets",
        ) from error


def _name(item: StoredObject, base: str | None) -> str:
    return item.uri.name.rsplit("/", 1)[-1] if base is None else item.uri.name.removeprefix(base)


def _is_file(name: str) -> bool:
    """Tell whether a name is that of a file to read: no placeholder of a folder, nothing hidden."""
    return bool(name) and not name.endswith("/") and not any(part.startswith(".") for part in name.split("/"))


def _laid_out(downloader: Downloader, cache: Path, named: list[tuple[str, StoredObject]]) -> Path:
    """Return the folder of a listing, filled when it was not there yet."""
    facts = sorted((name, str(item.uri), item.generation) for name, item in named)
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    folder = cache / "listings" / digest
    if folder.is_dir():
        return folder
    kept = []
    for name, item in named:
        safe_name(name, str(item.uri))
        key = hashlib.sha256(f"{item.uri}#{item.generation}".encode()).hexdigest()[:40]
        path = cache / "objects" / key
        downloader.fetch(item, path)
        path.chmod(0o400)  # what is linked to it must not change it
        kept.append((name, path))
    with folder_to_fill(folder) as part:
        for name, path in kept:
            _link(path, part / name)
    return folder


def _link(source: Path, target: Path) -> None:
    with explain_unwritable(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            target.unlink()
        try:
            os.link(source, target)
        except OSError:  # a file system without links
            shutil.copyfile(source, target)
