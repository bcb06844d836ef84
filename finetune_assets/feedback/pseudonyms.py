"""Pseudonyms: keyed hashes, equal for equal values and unguessable without the installation's own key.

A plain hash of a name or of a short text is found again by trying; this one is not, as long as the key stays where it
is. Whoever deletes the key makes every pseudonym of the installation anonymous.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.files import explain_unwritable, fsync_directory

KEY_FILE = "feedback.key"
_KEY_BYTES = 32
_DIGEST_BYTES = 16


class Pseudonyms:
    """Names things by a key.

    Args:
        key: 32 secret bytes.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise FinetuneError("the key of pseudonyms has the wrong length", expected=f"{_KEY_BYTES} bytes")
        self._key = key

    @classmethod
    def load(cls, folder: Path) -> Pseudonyms:
        """Read the installation's key, making it at the first time; several processes may do so at once.

        Args:
            folder: the home folder.

        Raises:
            FinetuneError: when the file does not hold a key.
            StorageError: when it cannot be made.
        """
        path = folder / KEY_FILE
        if not path.exists():
            _make(path)
        key = path.read_bytes()
        if len(key) != _KEY_BYTES:
            raise FinetuneError(
                "the key of pseudonyms is damaged", where=str(path), mend="restore it from a backup of the home folder"
            )
        return cls(key)

    def of(self, text: str, *, kind: str) -> str:
        """Return the pseudonym of a text, 32 hex digits; "" for the empty text.

        Args:
            text: what is to be named.
            kind: what it is (`subject`, `input`, …): equal texts of two kinds have different pseudonyms.
        """
        if not text:
            return ""
        named = f"{kind}\0{text}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(named, digest_size=_DIGEST_BYTES, key=self._key).hexdigest()

    def subject(self, person: str) -> str:
        """Return the pseudonym of a person, whether an input is about them or they rated one."""
        return self.of(person, kind="person")

    def derived(self, purpose: str) -> bytes:
        """Return a key of eight bytes for another keyed hash, such as the sketches of near-equal inputs."""
        return hashlib.blake2b(purpose.encode(), digest_size=8, key=self._key).digest()


def _make(path: Path) -> None:
    """Write a new key whole; where two processes do so at once, the first one's stays."""
    with explain_unwritable(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.parent / f"{path.name}.{secrets.token_hex(6)}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(secrets.token_bytes(_KEY_BYTES))
                stream.flush()
                os.fsync(stream.fileno())
            with suppress(FileExistsError):
                path.hardlink_to(temporary)
        finally:
            temporary.unlink()
        fsync_directory(path.parent)
