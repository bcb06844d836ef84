"""The files of a split dataset: reading them back, and the memory of assignments.

`examples.jsonl` holds every example with its split, `assignments.jsonl` every content key ever assigned, sorted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import SPLITS, Example
from finetune_assets.records.json_lines import decode_line

EXAMPLES = "examples.jsonl"
ASSIGNMENTS = "assignments.jsonl"
NEAR_DUPLICATES = "near_duplicates.jsonl"
CHAT = "chat"
GEMINI = "gemini"

_SPLIT_NUMBER = {name: number for number, name in enumerate(SPLITS)}


def split_prefix(split: str) -> str:
    """Return how a line of `examples.jsonl` begins, so that a split can be picked without parsing the others."""
    return f'{{"split":"{split}",'


def read_rows(folder: Path, split: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of `examples.jsonl` as they stand, `split` included.

    Args:
        folder: a split dataset.
        split: yield only this split.

    Raises:
        FinetuneError: for an unknown split.
        OSError: when the file cannot be read.
    """
    if split is not None and split not in SPLITS:
        raise FinetuneError("split is unknown", found=split, expected=", ".join(SPLITS), mend="use one of these names")
    prefix = split_prefix(split).encode() if split else b"{"
    with (folder / EXAMPLES).open("rb", buffering=1 << 20) as lines:
        for line in lines:
            if line.startswith(prefix):
                yield decode_line(line)


def read_examples(folder: Path, split: str | None = None) -> Iterator[Example]:
    """Yield the examples of a split dataset in file order.

    Args:
        folder: a split dataset, as `build_splits` wrote it.
        split: `train`, `validation` or `test`; None yields all.

    Raises:
        FinetuneError: for an unknown split.
        OSError: when the file cannot be read.
    """
    return (Example.from_json(row) for row in read_rows(folder, split))


def read_assignments(path: Path | None) -> dict[bytes, int]:
    """Return earlier assignments, content key (32 bytes) to split number; empty without a file.

    Raises:
        FinetuneError: when the file is damaged: guessing would move test rows into training.
    """
    found: dict[bytes, int] = {}
    if path is None:
        return found
    with path.open("rb", buffering=1 << 20) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = decode_line(line)
                found[bytes.fromhex(row["content_key"])] = _SPLIT_NUMBER[row["split"]]
            except (ValueError, KeyError, TypeError) as error:
                raise FinetuneError(
                    "earlier assignments cannot be read",
                    where=f"{path}:{number}",
                    expected='{"content_key": 64 hex digits, "split": train, validation or test}',
                    mend="restore the dataset version that holds this file from a backup",
                ) from error
    return found


def write_assignments(path: Path, assignments: Iterable[tuple[bytes, int]]) -> None:
    """Write assignments, key and split, which come in the order of their keys: equal assignments give equal bytes."""
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for key, split in assignments:
            out.write(f'{{"content_key":"{key.hex()}","split":"{SPLITS[split]}"}}\n')


def write_near_pairs(path: Path, pairs: Iterable[tuple[bytes, bytes, float]]) -> None:
    """Write pairs of near-duplicates: two content keys and their similarity."""
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for one, other, similarity in pairs:
            out.write(f'{{"content_keys":["{one.hex()}","{other.hex()}"],"similarity":{similarity:.6f}}}\n')


def read_near_pairs(folder: Path) -> Iterator[tuple[str, str, float]]:
    """Yield the pairs of near-duplicates of a split dataset: two content keys (64 hex digits) and their similarity.

    Rows that were set aside are among them.

    Raises:
        OSError: when the file cannot be read.
    """
    with (folder / NEAR_DUPLICATES).open("rb") as lines:
        for line in lines:
            row = decode_line(line)
            one, other = row["content_keys"]
            yield one, other, row["similarity"]
