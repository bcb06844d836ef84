"""Sketches for the search of near-duplicates: a few numbers for each text, by which alike texts meet. No files.

MinHash by rensa, a function of a text and of nothing else, so that batches may be sketched in any process. The
signature is cut into bands (LSH): two texts whose similarity is `s` share at least one of `b` bands of `r` values
with the probability `1 - (1 - s**r)**b` (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, section 3.4).
"""

from __future__ import annotations

import hashlib
import math
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from finetune_assets.datasets.normalise import normalise_texts
from finetune_assets.datasets.splitting.config import NearDuplicateConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The chance that a pair exactly at the threshold shares a band; pairs above it have a better one.
_RECALL_AT_THRESHOLD = 0.999
_MAX_HASHES = 128
_MAX_BAND_ROWS = 8
_UNPACKED_ROWS = 128
_MIXER = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, odd: multiplication by it loses nothing
SEED = 3


@dataclass(frozen=True, slots=True)
class Banding:
    """How a MinHash signature is cut.

    Attributes:
        bands: number of bands.
        rows: values in a band.
    """

    bands: int
    rows: int

    @property
    def hashes(self) -> int:
        """Values in a signature."""
        return self.bands * self.rows

    def chance(self, similarity: float) -> float:
        """Return the probability that two texts of this similarity share a band."""
        return float(1 - (1 - similarity**self.rows) ** self.bands)


def banding_for(threshold: float) -> Banding:
    """Return the longest bands that find pairs at the threshold with a probability of at least 0.999.

    Long bands bring fewer pairs together that are not alike; at most 128 values are computed for a text.

    Args:
        threshold: similarity from 0.5 to 1.
    """
    for rows in range(_MAX_BAND_ROWS, 1, -1):
        shared = min(threshold**rows, 1 - 1e-12)
        bands = max(2, math.ceil(math.log(1 - _RECALL_AT_THRESHOLD) / math.log(1 - shared)))
        if bands * rows <= _MAX_HASHES:
            return Banding(bands, rows)
    return Banding(_MAX_HASHES // 2, 2)


@dataclass(slots=True)
class SketchBlock:
    """The sketches of some texts, in their order; nothing but plain bytes, so that it travels between processes.

    Attributes:
        bands: 32-bit band keys, row by row.
        marks: the lowest 8 bits of every MinHash value, row by row; they estimate similarity.
        names: 64-bit hashes of the texts: equal texts have equal ones. 0 stands for an empty text.
        texts: the normalised texts in UTF-8, one after another.
        sizes: bytes of each text.
    """

    bands: bytes = b""
    marks: bytes = b""
    names: bytes = b""
    texts: bytes = b""
    sizes: array[int] = field(default_factory=lambda: array("i"))

    def __len__(self) -> int:
        return len(self.sizes)


def sketch_texts(texts: Sequence[str], config: NearDuplicateConfig) -> SketchBlock:
    """Sketch texts.

    Args:
        texts: what is compared, as written; normalised here.
        config: the size of the shingles and the threshold, which decides the bands.

    Returns:
        The block, about 240 bytes a row and the text itself.
    """
    import numpy as np

    banding = banding_for(config.threshold)
    normalised = normalise_texts(texts)
    encoded = [text.encode("utf-8", "surrogatepass") for text in normalised]
    if not encoded:
        return SketchBlock()
    signatures = _signatures(normalised, config.shingle, banding.hashes)
    keys = np.zeros((len(texts), banding.bands), np.uint64)
    for place in range(banding.rows):
        keys = keys * np.uint64(_MIXER) + signatures[:, place :: banding.rows]
    return SketchBlock(
        bands=(keys >> np.uint64(32)).astype("<u4").tobytes(),
        marks=(signatures & np.uint32(0xFF)).astype(np.uint8).tobytes(),
        names=b"".join([hashlib.blake2b(text, digest_size=8).digest() if text else bytes(8) for text in encoded]),
        texts=b"".join(encoded),
        sizes=array("i", map(len, encoded)),
    )


def _signatures(texts: Sequence[str], size: int, hashes: int) -> NDArray[np.uint32]:
    """Return the MinHash signature of each text, one row each."""
    import numpy as np
    import rensa

    tokens, begins = shingle_hashes(texts, size)
    pack = struct.Struct(f"<{hashes}I").pack
    packed: list[bytes] = []
    # The library gives the values as Python's whole numbers only: those of a few rows stay in the processor's cache.
    for first in range(0, len(texts), _UNPACKED_ROWS):
        some = begins[first : first + _UNPACKED_ROWS + 1]
        matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
            tokens[int(some[0]) : int(some[-1])], some - some[0], hashes, SEED
        )
        packed.extend([pack(*row) for row in matrix.to_rows()])
    return np.frombuffer(b"".join(packed), "<u4").reshape(len(texts), hashes)


def shingle_hashes(texts: Sequence[str], size: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return 64-bit hashes of all shingles, text after text, repetitions included.

    Args:
        texts: normalised texts.
        size: characters of a shingle; a text that is shorter is one by itself, filled with NUL.

    Returns:
        The hashes, and where each text's begin and the last ends.
    """
    import numpy as np

    # A text that is shorter than a shingle is a shingle by itself.
    joined = "".join([text if len(text) >= size else text.ljust(size, "\0") for text in texts])
    if joined.isascii():
        codes = np.frombuffer(joined.encode(), np.uint8).astype(np.uint64)
    else:
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    counts = np.maximum(np.fromiter(map(len, texts), np.int64, len(texts)) - size + 1, 1)
    ends = np.cumsum(counts + size - 1)
    found = codes[: len(codes) - size + 1]
    for place in range(1, size):
        found = found * np.uint64(_MIXER) + codes[place : len(codes) - size + 1 + place]
    whole = np.ones(len(codes), np.bool_)
    for place in range(1, size):
        whole[ends - place] = False
    shingles = found[whole[: len(found)]] * np.uint64(_MIXER)
    return shingles, np.concatenate(([0], np.cumsum(counts))).astype(np.uint64)
