"""The artifact store in a bucket: the kinds, keys and manifests of `storage.artifacts`, manifest last.

An artifact is `<prefix>/<kind>/<key>/` with a `manifest.json` that is written when every file is there; without it
there is no artifact. The manifest is that of the local artifact, and of each file also the crc32c and the generation,
so that a reader gets these very bytes. Nothing is ever overwritten.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.contents import MANIFEST, content_digest
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.files import write_atomic
from finetune_assets.storage.gcs.calls import GcsUri, Patience
from finetune_assets.storage.gcs.downloads import Downloader, folder_to_fill
from finetune_assets.storage.gcs.errors import BucketElsewhereError, ContentChangedError, content_changed
from finetune_assets.storage.gcs.manifests import differences, read_manifest, safe_name
from finetune_assets.storage.gcs.objects import StoredObject, list_objects, persist, read_bytes, stat
from finetune_assets.storage.gcs.uploads import Uploader

_NAME = re.compile(r"[0-9a-z_-]{1,100}")
_LABEL = re.compile(r"[0-9A-Za-z_.-]{1,100}(/[0-9A-Za-z_.-]{1,100}){0,5}")
INDEX = "index"


@dataclass(frozen=True)
class RemoteArtifact:
    """A complete artifact in a bucket.

    Attributes:
        uri: its folder.
        kind: what it is, for instance `uploaded_dataset`.
        key: its name within the kind.
        manifest: that of the local artifact; each entry of `files` has `crc32c` and `generation` too.
        store: where it was found.
    """

    uri: GcsUri
    kind: str
    key: str
    manifest: dict[str, Any] = field(repr=False)
    store: GcsStore = field(repr=False, compare=False)

    @property
    def digest(self) -> str:
        """Content digest (64 hex digits), equal to that of the local artifact."""
        return str(self.manifest["digest"])

    def has_file(self, name: str) -> bool:
        """Tell whether the manifest lists a file."""
        return name in self.manifest["files"]

    def uri_of(self, name: str) -> str:
        """Return the gs:// URI of a file that the manifest lists.

        Raises:
            StorageError: when the artifact has no such file.
        """
        return str(self.object(name).uri)

    def object(self, name: str) -> StoredObject:
        """Return what the manifest says of a file.

        Raises:
            StorageError: when the artifact has no such file.
        """
        facts = self.manifest["files"].get(name)
        if facts is None:
            raise StorageError(
                "artifact has no such file",
                where=str(self.uri),
                found=name,
                expected=f"one of {', '.join(sorted(self.manifest['files']))}",
            )
        generation, size = int(facts["generation"]), int(facts["bytes"])
        return StoredObject(self.uri.child(name), generation, size, facts["crc32c"], facts["sha256"])

    def verify(self) -> list[str]:
        """List the bucket and compare sizes, crc32c and generations with the manifest; no bytes are read.

        Returns:
            One line for each problem; empty when everything is as it was published.

        Raises:
            CloudStorageError: when it cannot be listed.
        """
        prefix = GcsUri(self.uri.bucket, f"{self.uri.name}/")
        found = {
            item.uri.name.removeprefix(prefix.name): item
            for item in list_objects(self.store.client, prefix, self.store.patience)
        }
        found.pop(MANIFEST, None)
        names: set[str] = set(self.manifest["files"])
        problems = [f"{name}: missing" for name in sorted(names - found.keys())]
        problems += [f"{name}: not in the manifest" for name in sorted(found.keys() - names)]
        for name in sorted(names & found.keys()):
            problems += differences(name, found[name], self.object(name))
        outside = self.manifest.get("outside_digest", [])
        if content_digest(self.manifest["files"], self.manifest.get("identity"), outside) != self.digest:
            problems.append(f"{MANIFEST}: digest does not follow from the files")
        return problems


class GcsStore:
    """Artifacts below a prefix of a bucket.

    Args:
        client: a `google.cloud.storage.Client`.
        uri_prefix: `gs://bucket/prefix`.
        work: private folder where large uploads are noted, so that another process goes on with them.
        patience: how long calls are tried again.
    """

    def __init__(
        self, client: Any, uri_prefix: str, *, work: Path | None = None, patience: Patience | None = None
    ) -> None:
        self.client = client
        self.root = GcsUri.parse(uri_prefix.rstrip("/"))
        self.patience = patience or Patience()
        self._uploader = Uploader(client, work, self.patience)

    def uri_of(self, kind: str, key: str, name: str = "") -> str:
        """Return where a file of an artifact is, or would be.

        Raises:
            StorageError: for an illegal kind or key.
        """
        return str(self._folder(kind, key).child(name))

    def put_once(self, name: str, source: Path | bytes) -> StoredObject:
        """Write an object below the prefix once; see `Uploader.put_once`."""
        return self._uploader.put_once(self.root.child(safe_name(name, str(self.root))), source)

    def publish(self, artifact: Artifact) -> RemoteArtifact:
        """Bring a local artifact here, manifest last, or take over an equal one.

        Files that are here already from an attempt that broke off are taken over. Of a file that does not enter the
        digest (times, measurements) the one that came first stays.

        Raises:
            ContentChangedError: when other content is under this kind and key, or a local file has changed.
            CloudStorageError: for a missing bucket, permission or quota, or no answer in time; a further call goes on.
        """
        known = self.find(artifact.kind, artifact.key)
        if known is None:
            folder = self._folder(artifact.kind, artifact.key)
            outside = set(artifact.manifest.get("outside_digest", []))
            files = {
                name: self._put_file(folder, artifact, name, free=name in outside)
                for name in sorted(artifact.manifest["files"])
            }
            text = json.dumps(
                {**artifact.manifest, "files": files}, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False
            )
            try:
                self._uploader.put_once(folder.child(MANIFEST), f"{text}\n".encode())
            except ContentChangedError:
                # Another process was first. Its manifest may hold other times; the digest decides.
                if self.find(artifact.kind, artifact.key) is None:
                    raise
            known = self.open(artifact.kind, artifact.key)
        if known.digest != artifact.digest:
            raise content_changed(
                str(known.uri),
                f"an artifact of digest {known.digest[:12]}",
                f"digest {artifact.digest[:12]}",
                "choose another prefix, or remove the folder if it is in the way by mistake",
            )
        return known

    def find(self, kind: str, key: str) -> RemoteArtifact | None:
        """Return the complete artifact of this kind and key, or None.

        Raises:
            StorageError: for an illegal name or a damaged manifest.
            CloudStorageError: for a missing bucket or permission, or no answer in time.
        """
        folder = self._folder(kind, key)
        found = read_bytes(self.client, folder.child(MANIFEST), self.patience)
        return None if found is None else RemoteArtifact(folder, kind, key, read_manifest(found[0], folder), self)

    def open(self, kind: str, key: str) -> RemoteArtifact:
        """Return the complete artifact of this kind and key.

        Raises:
            StorageError: when there is none; and as `find`.
        """
        found = self.find(kind, key)
        if found is None:
            raise StorageError(
                f"artifact {kind}/{key} is missing",
                where=self.uri_of(kind, key),
                mend="materialize the asset that makes it",
            )
        return found

    def download(self, kind: str, key: str, target: Path) -> dict[str, Any]:
        """Bring an artifact to a folder, every file verified by crc32c and SHA-256.

        The folder appears by one rename. After a break the next call goes on where this one stopped.

        Args:
            kind: what it is.
            key: its name within the kind.
            target: the folder; it must not exist, be empty, or hold this very artifact.

        Returns:
            The manifest, which is in `target/manifest.json` too.

        Raises:
            StorageError: when there is no such artifact, something else is in the way, or the disk is full.
            CloudStorageError: when bytes are not as they were published, or Cloud Storage refuses or does not answer.
        """
        artifact = self.open(kind, key)
        if target.exists() and not _is_empty_folder(target):
            _require_same(artifact, target)
            return artifact.manifest
        downloader = Downloader(self.client, self.patience)
        with folder_to_fill(target) as part:
            for name in sorted(artifact.manifest["files"]):
                downloader.fetch(artifact.object(name), part / name)
            text = json.dumps(artifact.manifest, sort_keys=True, indent=2, ensure_ascii=False)
            write_atomic(part / MANIFEST, f"{text}\n")
        return artifact.manifest

    def index(self, label: str, artifact: RemoteArtifact) -> str:
        """Write a small object for people that says which artifact a version is, and return its URI.

        Args:
            label: such as `router/000012`; the digest is added, so that nothing is ever overwritten.
            artifact: the artifact.

        Raises:
            StorageError: for an illegal label.
            CloudStorageError: as `put_once`.
        """
        if not _LABEL.fullmatch(label) or ".." in label:
            raise StorageError("index label is not allowed", found=repr(label), expected="names divided by slashes")
        files = artifact.manifest["files"]
        facts = {
            "artifact": str(artifact.uri),
            "digest": artifact.digest,
            "files": {name: {key: files[name][key] for key in ("bytes", "sha256")} for name in sorted(files)},
        }
        text = json.dumps(facts, sort_keys=True, indent=2, ensure_ascii=False)
        return str(self.put_once(f"{INDEX}/{label}-{artifact.digest[:12]}.json", f"{text}\n".encode()).uri)

    def check_bucket(self, region: str = "") -> str:
        """Return the bucket's location, in Google's capital letters.

        Args:
            region: where it must be, such as `us-central1`; empty for anywhere.

        Raises:
            BucketElsewhereError: when it is somewhere else.
            CloudStorageError: when the bucket is missing, or `storage.buckets.get` is.
        """
        where, call = GcsUri(self.root.bucket), self.patience.call()
        bucket = persist(lambda: self.client.get_bucket(where.bucket, **call), where, self.client, self.patience)
        location = str(bucket.location)
        if region and location != region.upper():
            raise BucketElsewhereError(
                "the bucket is in another region",
                where=str(where),
                found=location,
                expected=region.upper(),
                mend=f"name a bucket in {region}, or set the region of the configuration to {location.lower()}",
            )
        return location

    def missing_permissions(self, wanted: list[str]) -> list[str]:
        """Return which of these permissions on the bucket are not held; nothing is written.

        Raises:
            CloudStorageError: when the bucket is missing, or there are no credentials.
        """
        where, call = GcsUri(self.root.bucket), self.patience.call()
        bucket = self.client.bucket(where.bucket)
        held = persist(lambda: bucket.test_iam_permissions(wanted, **call), where, self.client, self.patience)
        return [name for name in wanted if name not in held]

    def _folder(self, kind: str, key: str) -> GcsUri:
        for name in (kind, key):
            if not _NAME.fullmatch(name):
                raise StorageError(
                    "artifact name is not allowed", found=repr(name), expected="1 to 100 of the characters 0-9 a-z _ -"
                )
        return self.root.child(kind, key)

    def _put_file(self, folder: GcsUri, artifact: Artifact, name: str, *, free: bool) -> dict[str, Any]:
        """Upload one file and return its entry in the manifest."""
        uri = folder.child(safe_name(name, str(artifact.path)))
        try:
            found = self._uploader.put_once(uri, artifact.file(name), sha256=artifact.manifest["files"][name]["sha256"])
        except ContentChangedError:
            there = stat(self.client, uri, self.patience) if free else None
            if there is None or not there.sha256:
                raise
            found = there
        return {"sha256": found.sha256, "bytes": found.size, "crc32c": found.crc32c, "generation": found.generation}


def _require_same(artifact: RemoteArtifact, target: Path) -> None:
    """Refuse a folder that holds something else than the artifact."""
    problems = Artifact(target, artifact.kind, artifact.key, artifact.manifest).verify()
    if problems:
        raise StorageError(
            "the folder is in the way",
            where=str(target),
            found=problems[0],
            expected=f"nothing, or {artifact.kind} {artifact.digest[:12]}",
            mend="name another folder, or move this one away",
        )


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
