"""Single objects: their facts, their listing, and the checksums that both sides are held to."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from finetune_assets.storage.gcs.calls import GcsUri, Patience, Waiting
from finetune_assets.storage.gcs.errors import ObjectMissingError, explain, failures, is_transient

_BLOCK_BYTES = 1 << 20
_T = TypeVar("_T")
SHA256_KEY = "sha256"


@dataclass(frozen=True, slots=True)
class Sums:
    """What decides whether two byte strings are equal.

    Attributes:
        size: bytes.
        crc32c: base64 of its four bytes, big-endian, as Google writes it.
        sha256: 64 hex digits.
    """

    size: int
    crc32c: str
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in a bucket.

    Attributes:
        uri: where it is.
        generation: Google's number of this content under this name.
        size: bytes.
        crc32c: base64, as Google computed it.
        sha256: 64 hex digits, as its writer said; "" where it did not.
        created: False when it was there already.
    """

    uri: GcsUri
    generation: int
    size: int
    crc32c: str
    sha256: str = ""
    created: bool = False

    def holds(self, sums: Sums) -> bool:
        """Tell whether it has these bytes, by crc32c and size."""
        return (self.size, self.crc32c) == (sums.size, sums.crc32c)


def sums_of(source: Path | bytes) -> Sums:
    """Return size and checksums of a file, read in pieces, or of bytes.

    Raises:
        OSError: when the file cannot be read.
    """
    import google_crc32c

    sha, crc, size = hashlib.sha256(), google_crc32c.Checksum(), 0
    for block in _blocks(source):
        sha.update(block)
        crc.update(block)
        size += len(block)
    return Sums(size, base64.b64encode(crc.digest()).decode(), sha.hexdigest())


def _blocks(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block


def stored(uri: GcsUri, blob: Any, *, created: bool = False) -> StoredObject:
    """Return the facts of the client's blob, which has been loaded."""
    said = (blob.metadata or {}).get(SHA256_KEY, "")
    return StoredObject(uri, int(blob.generation), int(blob.size), str(blob.crc32c), str(said), created)


def persist(call: Callable[[], _T], uri: GcsUri, client: Any, patience: Patience) -> _T:
    """Make a call that may be repeated: a read, or a write under a precondition.

    The client's own retries do not see an answer that breaks off while the text of an error is read.

    Raises:
        CloudStorageError: what the last try ended with.
    """
    waiting = Waiting(patience)
    while True:
        try:
            return call()
        except failures() as error:
            if not is_transient(error) or not waiting.again():
                raise explain(error, str(uri), client) from error


def stat(client: Any, uri: GcsUri, patience: Patience) -> StoredObject | None:
    """Return the facts of an object, or None when there is none.

    Raises:
        CloudStorageError: for a missing bucket or permission, or no answer.
    """
    blob = client.bucket(uri.bucket).blob(uri.name)
    try:
        persist(lambda: blob.reload(client=client, **patience.call()), uri, client, patience)
    except ObjectMissingError:
        return None
    return stored(uri, blob)


def list_objects(
    client: Any, prefix: GcsUri, patience: Patience, *, delimiter: str | None = None
) -> Iterator[StoredObject]:
    """Yield the objects whose names begin with a prefix, in the order of their names, once all are listed.

    With a delimiter, names that hold it behind the prefix are left out.

    Raises:
        CloudStorageError: for a missing bucket or permission, or no answer.
    """

    def listed() -> list[StoredObject]:
        found = client.list_blobs(prefix.bucket, prefix=prefix.name or None, delimiter=delimiter, **patience.call())
        return [stored(GcsUri(prefix.bucket, blob.name), blob) for blob in found]

    yield from persist(listed, prefix, client, patience)


def read_bytes(client: Any, uri: GcsUri, patience: Patience) -> tuple[bytes, int] | None:
    """Return a small object's bytes, verified by the client's crc32c, with its generation; None when there is none.

    Raises:
        CloudStorageError: for a missing bucket or permission, or no answer.
    """
    blob = client.bucket(uri.bucket).blob(uri.name)
    try:
        data = persist(
            lambda: blob.download_as_bytes(client=client, checksum="crc32c", raw_download=True, **patience.call()),
            uri,
            client,
            patience,
        )
    except ObjectMissingError:
        return None
    return bytes(data), int(blob.generation)
