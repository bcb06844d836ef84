"""The file of synthetic rows: appended row by row, resumed after any end, sorted when all is done."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from finetune_assets.datasets.batches import SYNTHETIC_FIELD
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.files import explain_unwritable, write_atomic

ORIGIN_FIELD = "synthesis"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who wrote a row.

    Attributes:
        generator: `endpoint` or `template`, with its version.
        model: the model's name, "" for a template.
        seed: the seed of the whole file.
        number: the row's number in it, from 0.
        prompt: SHA-256 of the first prompt.
        attempts: answers that it took.
    """

    generator: str
    model: str
    seed: int
    number: int
    prompt: str
    attempts: int = 1


class RowsFile:
    """Rows as JSON Lines; each carries `synthetic: true` and its origin.

    Args:
        path: the file; made when missing. Half a line at its end, which a killed run left, is dropped.
        generator: who writes.
        model: the model's name.
        seed: the seed.
        durable: ask the disk to keep each row at once: an answer may have cost money.

    Raises:
        FinetuneError: when the file holds rows of somebody else, or other data.
        StorageError: when it cannot be written.
    """

    def __init__(self, path: Path, *, generator: str, model: str, seed: int, durable: bool = True) -> None:
        self._path = path
        self._generator, self._model, self._seed = generator, model, seed
        self._expected = {"generator": generator, "model": model, "seed": seed}
        self._durable = durable
        self._lock = threading.Lock()
        with explain_unwritable(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            whole = self._whole_lines()
            self.numbers = {self._number(place, line) for place, line in enumerate(whole, start=1)}
            write_atomic(path, b"".join(whole))
            self._stream = path.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def add(self, row: Mapping[str, Any], *, number: int, prompt: str, attempts: int = 1) -> None:
        """Append one row."""
        origin = asdict(Origin(self._generator, self._model, self._seed, number, prompt, attempts))
        line = json.dumps({**row, SYNTHETIC_FIELD: True, ORIGIN_FIELD: origin}, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()
            if self._durable:
                os.fsync(self._stream.fileno())
            self.numbers.add(number)

    def finish(self) -> None:
        """Sort the rows by number, so that the file does not tell which answer came first."""
        self._stream.close()
        lines = self._path.read_bytes().splitlines(keepends=True)
        ordered = sorted(lines, key=lambda line: int(json.loads(line)[ORIGIN_FIELD]["number"]))
        if ordered != lines:
            write_atomic(self._path, b"".join(ordered))

    def _whole_lines(self) -> list[bytes]:
        if not self._path.exists():
            return []
        return [line for line in self._path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]

    def _number(self, place: int, line: bytes) -> int:
        try:
            origin = json.loads(line)[ORIGIN_FIELD]
            found = {name: origin[name] for name in self._expected}
            number = int(origin["number"])
        except (ValueError, KeyError, TypeError):
            found, number = {}, -1
        if found != self._expected:
            raise FinetuneError(
                "the file holds other rows",
                where=f"{self._path}:{place}",
                found=", ".join(f"{name} {value}" for name, value in found.items()) or "a row without an origin",
                expected=", ".join(f"{name} {value}" for name, value in self._expected.items()),
                mend="name another file with --out",
            )
        return number
