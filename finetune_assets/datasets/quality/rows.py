"""What the detectors read: the written examples, one at a time, and the texts within them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from finetune_assets.datasets.split_files import EXAMPLES

Row = dict[str, Any]

_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+|\s*\n\s*")
_PLACE_BYTES = 8


def written_rows(folder: Path) -> Iterator[Row]:
    """Yield the rows of `examples.jsonl`, in file order, apart from augmented ones, which only repeat their origin.

    Raises:
        OSError: when the file cannot be read.
    """
    with (folder / EXAMPLES).open("rb") as lines:
        for line in lines:
            row = orjson.loads(line)
            if row.get("origin") != "augmented":
                yield row


def asked(row: Mapping[str, Any]) -> str:
    """Return what the person said: the user's turns, joined by line feeds; without the system instruction."""
    return "\n".join(turn["content"] for turn in row["messages"] if turn["role"] == "user")


def leaves(target: str) -> list[str]:
    """Return the texts within a target: of JSON its text values at any depth, otherwise the target itself."""
    if target[:1] in "{[":
        try:
            value = orjson.loads(target)
        except orjson.JSONDecodeError:
            return [target]
        return list(_texts(value))
    return [target]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def sentences(text: str) -> list[str]:
    """Return the sentences and lines of a text, stripped; a sentence ends with . ! ? before white space."""
    return [part for piece in _SENTENCE_END.split(text) if (part := piece.strip())]


def short_hash(text: str) -> bytes:
    """Return eight bytes that stand for a text where only equality matters."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_PLACE_BYTES).digest()


def sampled(folder: Path, most: int) -> tuple[list[Row], int]:
    """Return at most `most` rows and how many there are.

    Of more rows those with the smallest example id are taken: a sample by content, the same on every machine and in
    any order of the file.
    """
    import heapq

    total = 0
    kept: list[tuple[int, int, Row]] = []
    for row in written_rows(folder):
        entry = (-int(row["example_id"][:16], 16), -total, row)
        total += 1
        if len(kept) < most:
            heapq.heappush(kept, entry)
        else:
            heapq.heappushpop(kept, entry)
    return [row for _, _, row in sorted(kept, key=lambda entry: -entry[1])], total
