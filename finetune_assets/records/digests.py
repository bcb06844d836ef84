"""Content digests: the identity of everything that the platform keeps.

A digest leaves out times, run ids, paths and hosts, so that equal content has an equal name on every machine.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_CHUNK_BYTES = 1 << 20


def canonical_json(value: Any) -> str:
    """Return `value` as JSON with one spelling: sorted keys, no spaces, UTF-8 text, no NaN or Infinity.

    Args:
        value: anything that JSON can hold (dict keys must be strings).

    Returns:
        The text; equal values give equal text.

    Raises:
        ValueError: for NaN or Infinity, which JSON does not have.
        TypeError: for a value that JSON cannot hold.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """Return the SHA-256 (64 hex digits) of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digest_of_text(text: str) -> str:
    """Return the SHA-256 (64 hex digits) of the UTF-8 bytes of `text`."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 (64 hex digits) of a file's bytes, read in blocks of 1 MiB.

    Raises:
        OSError: when the file cannot be read.
    """
    sha = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK_BYTES):
            sha.update(block)
    return sha.hexdigest()


def short(digest: str) -> str:
    """Return the first 12 hex digits: enough for a person to tell two digests apart."""
    return digest[:12]


def unit_interval(digest: str) -> float:
    """Map a hex digest to a number in [0, 1) by its first 52 bits (the mantissa of a double)."""
    return int(digest[:13], 16) / float(1 << 52)
