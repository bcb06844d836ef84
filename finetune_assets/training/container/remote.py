"""Cloud Storage as the container uses it: `storage/gcs` with errors that say whether a new start may help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finetune_assets.storage.emulators import storage_emulator
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.gcs.calls import GcsUri, Patience
from finetune_assets.storage.gcs.downloads import Downloader
from finetune_assets.storage.gcs.errors import (
    BucketMissingError,
    ContentChangedError,
    ObjectMissingError,
    explained,
)
from finetune_assets.storage.gcs.objects import StoredObject, list_objects, read_bytes, stat, stored, sums_of
from finetune_assets.storage.gcs.uploads import Uploader
from finetune_assets.training.container.errors import BadJobError, StorageFailedError

# For how long one call is repeated while the service answers 408, 429, 5xx or not at all.
PATIENCE = Patience(deadline_s=600.0)


def make_client(environ: Mapping[str, str]) -> Any:
    """Return the storage client of this machine's own identity, or of an allowed stand-in.

    Raises:
        BadJobError: when the environment points to another host, or there are no credentials.
    """
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import storage

    try:
        if storage_emulator(environ):
            return storage.Client(project="stand-in", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
        return storage.Client()
    except StorageError as error:
        raise BadJobError(error.what, where=error.where, found=error.found, mend=error.mend) from error
    except (GoogleAuthError, OSError) as error:
        raise BadJobError(
            "no credentials for Cloud Storage",
            found=str(error),
            mend="run the job under a service account, or `gcloud auth application-default login` on a desk",
        ) from error


class Remote:
    """Files in Cloud Storage by their gs:// URIs.

    Args:
        client: a `google.cloud.storage.Client`.
        patience: for how long calls are repeated.
    """

    def __init__(self, client: Any, *, patience: Patience = PATIENCE) -> None:
        self.client = client
        self._patience = patience
        self._uploader = Uploader(client, patience=patience)
        self._downloader = Downloader(client, patience=patience)

    def read(self, uri: str) -> bytes:
        """Return the bytes of a small object.

        Raises:
            BadJobError: when there is none.
            StorageFailedError: when it cannot be read.
        """
        with _explained():
            found = read_bytes(self.client, GcsUri.parse(uri), self._patience)
        if found is None:
            raise _missing(uri)
        return found[0]

    def download(self, uri: str, path: Path, sha256: str) -> None:
        """Download an object and hold it against its SHA-256; the file appears only when it is right.

        Raises:
            BadJobError: when there is none, or it is another file.
            StorageFailedError: when it cannot be read, or the disk is full.
        """
        there = self.look(uri)
        if there is None:
            raise _missing(uri)
        part = path.with_name(f"{path.name}.unchecked")
        with _explained():
            found = self._downloader.fetch(there, part).sha256
        if found != sha256:
            part.unlink()
            raise BadJobError(
                "a file is not the one that the job names",
                where=uri,
                found=f"sha256 {found}",
                expected=f"sha256 {sha256}",
                mend="submit the job anew from the files as they are, or restore the file",
            )
        part.replace(path)

    def names(self, folder: str) -> list[str]:
        """Return the names of all objects below a folder, relative to it, sorted.

        Raises:
            StorageFailedError: when the bucket cannot be listed.
        """
        place = GcsUri.parse(folder)
        prefix = GcsUri(place.bucket, f"{place.name.rstrip('/')}/" if place.name else "")
        with _explained():
            found = list_objects(self.client, prefix, self._patience)
            return sorted(entry.uri.name.removeprefix(prefix.name) for entry in found)

    def put(self, path: Path, uri: str, *, replace: bool = False) -> StoredObject:
        """Upload a file; an object of the same bytes that is there already is as good.

        Args:
            path: the file.
            uri: its place.
            replace: take the place of an object with other bytes, which otherwise is an error.

        Raises:
            StorageFailedError: when it cannot be written.
            FileNotFoundError: when the file is gone.
        """
        place = GcsUri.parse(uri)
        with _explained():
            try:
                return self._uploader.put_once(place, path)
            except ContentChangedError:
                there = stat(self.client, place, self._patience)
                if not replace or there is None:
                    raise
                return self._replace(path, there)

    def _replace(self, path: Path, there: StoredObject) -> StoredObject:
        """Write over exactly this generation; somebody else's newer one is left alone."""
        blob = self.client.bucket(there.uri.bucket).blob(there.uri.name)
        blob.crc32c = sums_of(path).crc32c
        with explained(str(there.uri), self.client):
            blob.upload_from_filename(
                str(path), if_generation_match=there.generation, checksum=None, **self._patience.call()
            )
        return stored(there.uri, blob)

    def look(self, uri: str) -> StoredObject | None:
        """Return what lies at a URI, None when nothing does.

        Raises:
            StorageFailedError: when it cannot be asked.
        """
        with _explained():
            return stat(self.client, GcsUri.parse(uri), self._patience)


def _missing(uri: str) -> BadJobError:
    return BadJobError(
        "an object is missing", where=uri, mend="check the name; submit the job anew if its files were deleted"
    )


@contextmanager
def _explained() -> Iterator[None]:
    """Tell what is wrong with the job apart from what a new start may mend."""
    try:
        yield
    except (BucketMissingError, ObjectMissingError) as error:
        raise BadJobError(
            error.what, where=error.where, found=error.found, expected=error.expected, mend=error.mend
        ) from error
    except StorageError as error:
        mend = error.mend or "start the job again; it goes on from its newest checkpoint"
        raise StorageFailedError(
            error.what, where=error.where, found=error.found, expected=error.expected, mend=mend
        ) from error
