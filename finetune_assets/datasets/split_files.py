"""The files of a split dataset: reading them back, and the memory of assignments.

`examples.jsonl` holds every example with its split, `assignments.jsonl` every content key ever assigned, sorted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import SPLITS, Example

EXAMPLES = "examples.jsonl"
ASSIGNMENTS = "assignments.jsonl"
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
    prefix = split_prefix(split) if split else "{"
    with (folder / EXAMPLES).open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            if line.startswith(prefix):
                yield json.loads(line)


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
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                found[bytes.fromhex(row["content_key"])] = _SPLIT_NUMBER[row["split"]]
            except (ValueError, KeyError, TypeError) as error:
                raise FinetuneError(
                    "earlier assignments cannot be read",
                    where=f"{path}:{number}",
                    expected='{"content_key": 64 hex digits, "split": train, validation or test}',
                    mend="restore the dataset version that holds this file from a backup",
                ) from error
    return found


def write_assignments(path: Path, assignments: Mapping[bytes, int]) -> None:
    """Write assignments sorted by key: equal assignments give equal bytes."""
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for key in sorted(assignments):
            out.write(f'{{"content_key":"{key.hex()}","split":"{SPLITS[assignments[key]]}"}}\n')
