"""The artifact store: folders of files that are complete or not there at all.

An artifact is `<root>/<kind>/<key>/` with a `manifest.json` that lists every file with its SHA-256. It is built in
`<root>/.staging/` and appears by one rename. Here belongs nothing that knows what the files mean.
"""

from __future__ import annotations

import errno
import re
import secrets
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune_assets.storage.contents import MANIFEST, compare, content_digest, describe, sync_folders, walk
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.files import (
    explain_full_disk,
    explain_unwritable,
    fsync_directory,
    read_json,
    write_json_atomic,
)
from finetune_assets.storage.processes import ProcessMark, token_has_ended

_STAGING = ".staging"
_TOMBSTONES = ".tombstones"
_NAME = re.compile(r"[0-9a-z_-]{1,100}")
_RESERVED = frozenset({"kind", "key", "files", "digest", "identity", "outside_digest"})
# Staging of a process that we cannot see (another host, another container) is left alone for this long.
_FOREIGN_STAGING_S = 7 * 24 * 3600
_PUBLISH_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Artifact:
    """A complete artifact.

    Attributes:
        path: its folder.
        kind: what it is, for instance `splits`.
        key: its name within the kind, usually a digest of its inputs.
        manifest: what `Staging.commit` wrote, `files` and `digest` among it.
    """

    path: Path
    kind: str
    key: str
    manifest: dict[str, Any] = field(repr=False)

    @property
    def digest(self) -> str:
        """Content digest (64 hex digits): equal content, equal digest, on every machine."""
        return str(self.manifest["digest"])

    def has_file(self, name: str) -> bool:
        """Tell whether the manifest lists a file, given its path inside the artifact."""
        return name in self.manifest["files"]

    def file(self, name: str) -> Path:
        """Return the path of a file that the manifest lists.

        Args:
            name: path inside the artifact, with forward slashes.

        Raises:
            StorageError: when the artifact has no such file.
        """
        if name not in self.manifest["files"]:
            raise StorageError(
                "artifact has no such file",
                where=str(self.path),
                found=name,
                expected=f"one of {', '.join(sorted(self.manifest['files']))}",
            )
        return self.path / name

    def verify(self) -> list[str]:
        """Read every file again and compare it with the manifest.

        Returns:
            One line for each problem: a file that is missing, extra, of another size or of other bytes, or a digest
            that does not follow from the files; empty when the artifact is as it was committed.
        """
        listed: dict[str, dict[str, Any]] = self.manifest["files"]
        found = dict(walk(self.path))
        found.pop(MANIFEST, None)
        problems = [f"{name}: missing" for name in sorted(listed.keys() - found.keys())]
        problems += [f"{name}: not in the manifest" for name in sorted(found.keys() - listed.keys())]
        for name in sorted(listed.keys() & found.keys()):
            problems += compare(name, found[name], listed[name])
        outside = self.manifest.get("outside_digest", [])
        if content_digest(listed, self.manifest.get("identity"), outside) != self.digest:
            problems.append(f"{MANIFEST}: digest does not follow from the files")
        return problems


class Staging:
    """A folder to fill, which becomes an artifact by `commit`; `ArtifactStore.create` makes it.

    Attributes:
        path: the folder; write whatever files belong in the artifact.
    """

    def __init__(self, store: ArtifactStore, kind: str, key: str, path: Path) -> None:
        self.path = path
        self._store = store
        self._kind = kind
        self._key = key

    def commit(
        self,
        manifest: Mapping[str, Any],
        *,
        identity: Mapping[str, Any] | None = None,
        outside_digest: Collection[str] = (),
    ) -> Artifact:
        """Hash and sync the files, write the manifest last, and let the artifact appear by one rename.

        Args:
            manifest: what else is to be kept about the artifact, as JSON; times and run ids are welcome here, for they
                do not enter the digest. The names `files`, `digest`, `identity`, `outside_digest`, `kind` and `key`
                are the store's.
            identity: what besides the files decides the digest, as JSON.
            outside_digest: files that hold times or measurements and so do not enter the digest. Their bytes are
                still listed and verified.

        Returns:
            The artifact. When a complete one of this kind and key is there already, that one; this staging is dropped.

        Raises:
            StorageError: when the disk is full, or the folder holds links or a `manifest.json` of its own.
            ValueError: for a reserved name in `manifest`, or an unknown file in `outside_digest`.
        """
        reserved = _RESERVED & manifest.keys()
        if reserved:
            raise ValueError(f"the manifest's keys {sorted(reserved)} belong to the store")
        with explain_full_disk(self.path):
            files = describe(self.path)
            unknown = set(outside_digest) - files.keys()
            if unknown:
                raise ValueError(f"outside_digest names files that are not there: {sorted(unknown)}")
            entries = {
                "kind": self._kind,
                "key": self._key,
                "files": files,
                "identity": None if identity is None else dict(identity),
                "outside_digest": sorted(set(outside_digest)),
                "digest": content_digest(files, identity, outside_digest),
            }
            write_json_atomic(self.path / MANIFEST, {**manifest, **entries})
            sync_folders(self.path)
            return self._store._publish(self._kind, self._key, self.path)


class ArtifactStore:
    """Artifacts in a local folder.

    Args:
        root: the store's folder; made when the first artifact is.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, kind: str, key: str) -> Artifact | None:
        """Return the complete artifact of this kind and key, or None.

        Raises:
            StorageError: for an illegal name, or a manifest that cannot be read.
        """
        folder = self._folder(kind, key)
        path = folder / MANIFEST
        if not path.is_file():
            return None
        manifest = read_json(path)
        if not isinstance(manifest, dict) or not {"files", "digest"} <= manifest.keys():
            raise StorageError("manifest is damaged", where=str(path), mend=f"remove the folder {folder} and run again")
        return Artifact(folder, kind, key, manifest)

    def open(self, kind: str, key: str) -> Artifact:
        """Return the complete artifact of this kind and key.

        Raises:
            StorageError: when there is none.
        """
        artifact = self.find(kind, key)
        if artifact is None:
            raise StorageError(
                f"artifact {kind}/{key} is missing",
                where=str(self._folder(kind, key)),
                mend="materialize the asset that makes it",
            )
        return artifact

    @contextmanager
    def create(self, kind: str, key: str) -> Iterator[Staging]:
        """Give a folder to fill; it becomes an artifact only by `Staging.commit`.

        Leaving the block without a commit removes the folder. Folders that killed processes left are removed first.

        Args:
            kind: what it is; letters a-z, digits, `_` and `-`.
            key: its name within the kind; the same letters.

        Yields:
            The staging folder.

        Raises:
            StorageError: for an illegal name or a full disk.
        """
        self._folder(kind, key)
        area = self.root / _STAGING
        with explain_unwritable(area):
            area.mkdir(parents=True, exist_ok=True)
            self._sweep()
            path = area / f"{kind}.{key}.{ProcessMark.current().token}.{secrets.token_hex(6)}"
            path.mkdir()
        try:
            with explain_full_disk(path):
                yield Staging(self, kind, key, path)
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def remove(self, kind: str, key: str) -> bool:
        """Remove an artifact, for instance because it holds texts that must go; True when there was one.

        It disappears by one rename, so that nobody ever finds half of it.
        """
        folder = self._folder(kind, key)
        if not folder.exists():
            return False
        self._set_aside(folder)
        return True

    def bury(self, kind: str, key: str, tombstone: Mapping[str, Any]) -> bool:
        """Remove an artifact for good and leave a tombstone that says why; True when there was one to remove.

        The tombstone is written first, so that a killed call is finished by the next one.

        Args:
            kind: what it is.
            key: its name within the kind.
            tombstone: why and when, as JSON; no texts.
        """
        if not self._folder(kind, key).exists():
            return False
        path = self._tombstone(kind, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_json_atomic(path, dict(tombstone))
        return self.remove(kind, key)

    def tombstone(self, kind: str, key: str) -> dict[str, Any] | None:
        """Return what `bury` left of an artifact; None for one that was never buried."""
        path = self._tombstone(kind, key)
        if not path.is_file():
            return None
        found: dict[str, Any] = read_json(path)
        return found

    def keys(self, kind: str) -> list[str]:
        """Return the keys of the complete artifacts of a kind, sorted."""
        folder = self.root / kind
        return sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}")) if folder.is_dir() else []

    def _tombstone(self, kind: str, key: str) -> Path:
        self._folder(kind, key)
        return self.root / _TOMBSTONES / f"{kind}.{key}.json"

    def _folder(self, kind: str, key: str) -> Path:
        for name in (kind, key):
            if not _NAME.fullmatch(name):
                raise StorageError(
                    "artifact name is not allowed", found=repr(name), expected="1 to 100 of the characters 0-9 a-z _ -"
                )
        return self.root / kind / key

    def _publish(self, kind: str, key: str, staged: Path) -> Artifact:
        target = self._folder(kind, key)
        target.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(_PUBLISH_ATTEMPTS):
            try:
                staged.rename(target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            else:
                break
            if self.find(kind, key) is not None:
                break
            # A folder without a manifest is no artifact: somebody removed its manifest, and it is in the way.
            self._set_aside(target)
        fsync_directory(target.parent)
        fsync_directory(self.root)
        return self.open(kind, key)

    def _set_aside(self, folder: Path) -> None:
        """Move a folder out of sight by one rename, then delete it."""
        area = self.root / _STAGING
        area.mkdir(parents=True, exist_ok=True)
        aside = area / f"removed.{folder.name}.{ProcessMark.current().token}.{secrets.token_hex(6)}"
        try:
            folder.rename(aside)
        except FileNotFoundError:  # another process did it first
            return
        shutil.rmtree(aside, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what killed processes left in staging."""
        for entry in (self.root / _STAGING).iterdir():
            if _is_stale(entry):
                shutil.rmtree(entry, ignore_errors=True)


def _is_stale(staged: Path) -> bool:
    token = staged.name.rsplit(".", 2)[1] if staged.name.count(".") >= 2 else ""
    ended = token_has_ended(token)
    if ended is not None:
        return ended
    try:
        return time.time() - staged.stat().st_mtime > _FOREIGN_STAGING_S
    except FileNotFoundError:
        return False
