"""RowTable: the examples of one build, their lines on disk and a few numbers each in memory.

Which rows stay is known only after the last one was read. Until then each example waits as text in a spool file, and
memory holds hashes and positions: about 500 bytes a row at its peak.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self, TypeVar

from finetune_assets.datasets.render import RENDERERS
from finetune_assets.datasets.splitting import SplitTable
from finetune_assets.records.example import Example

KEPT, DUPLICATE, CONFLICT, DUPLICATE_ID = range(4)

_SPOOL = ".rows.spool"
_HASH_BYTES = 16
_ABSENT = -1

T = TypeVar("T")

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class SpooledRow(NamedTuple):
    """The lines of one example, each without its line feed: itself, and what it renders to in each format."""

    example: bytes
    rendered: tuple[bytes, ...]

    def facts(self) -> dict[str, Any]:
        """Return the example's JSON."""
        found: dict[str, Any] = json.loads(self.example)
        return found


class RowTable:
    """Rows in file order; rows with equal content share one key.

    Args:
        folder: where the spool file may stand; it is gone when the table is closed.
        formats: the formats that each example is rendered to, of `render.RENDERERS`.

    Attributes:
        keys: content keys (32 bytes) in the order of their first row.
        key_of: number of its key, by row.
        states: KEPT, DUPLICATE, CONFLICT or DUPLICATE_ID by row, once `settle` was called.
        first: the row that is kept, by key; -1 for none.
        labels: label names; `label_of` holds the number by row.
        label_paths: the parts of each label.
        slice_sets: tuples of slice names; `slices_of` holds the number by row.
        lengths: characters of the user's turns, by row.
    """

    def __init__(self, folder: Path, formats: Sequence[str]) -> None:
        self.formats = tuple(formats)
        self._renderers = [RENDERERS[name] for name in self.formats]
        self.keys: list[bytes] = []
        self.key_of = array("q")
        self.states = bytearray()
        self.first = array("q")
        self.labels: list[str] = []
        self.label_paths: dict[str, tuple[str, ...]] = {}
        self.label_of = array("q")
        self.slice_sets: list[tuple[str, ...]] = []
        self.slices_of = array("q")
        self.lengths = array("q")
        self._key_numbers: dict[bytes, int] = {}
        self._label_numbers: dict[str, int] = {}
        self._slice_numbers: dict[tuple[str, ...], int] = {}
        self._targets = bytearray()
        self._conflicting: set[int] = set()
        self._ids: dict[bytes, int] = {}
        self._shared_ids: dict[bytes, set[int]] = defaultdict(set)
        self._tied_rows = array("q")
        self._tied_groups = array("q")
        self._group_numbers: dict[str, int] = {}
        self._offsets = array("q")
        self._end = 0
        self._path = folder / _SPOOL
        self._spool = self._path.open("w+b", buffering=1 << 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()
        self._path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self.key_of)

    def add(self, example: Example) -> None:
        """Take in the next row."""
        row = len(self.key_of)
        key = self._key(bytes.fromhex(example.content_key), example.target)
        self.key_of.append(key)
        self.label_of.append(_number(self._label_numbers, self.labels, example.label))
        self.label_paths.setdefault(example.label, example.label_path)
        self.slices_of.append(_number(self._slice_numbers, self.slice_sets, example.slices))
        self.lengths.append(sum(len(turn["content"]) for turn in example.messages if turn["role"] == "user"))
        self._note_id(_hash(example.record_id), key)
        for group in example.groups:
            self._tied_rows.append(row)
            self._tied_groups.append(self._group_numbers.setdefault(group, len(self._group_numbers)))
        self._spool_lines(example)

    def settle(self, previous: Mapping[bytes, int], *, keep_first: bool) -> None:
        """Decide each row's state, after the last row.

        Of equal rows the first in file order is kept. Rows with equal input and different answers all go, unless
        `keep_first`. Of rows with one record id and different inputs, those stay whose content key was assigned
        earlier, else those with the smallest key: a choice that does not depend on the order of the file.

        Args:
            previous: earlier assignments.
            keep_first: keep the answer that comes first where answers differ.
        """
        self._spool.flush()
        lost = self._lost_by_id(previous, keep_first=keep_first)
        # A third of the memory, and of no use once the last row was read.
        for finished in (self._ids, self._shared_ids, self._key_numbers, self._targets):
            finished.clear()
        self.first = array("q", [_ABSENT]) * len(self.keys)
        self.states = bytearray(len(self))
        kept_targets: dict[int, str] = {}
        for row, key in enumerate(self.key_of):
            if row in lost:
                self.states[row] = DUPLICATE_ID
            elif key not in self._conflicting:
                self.states[row] = self._keep_or_duplicate(row, key)
            elif not keep_first:
                self.states[row] = CONFLICT
            else:
                target = self.row(row).facts()["target"]
                same = kept_targets.setdefault(key, target) == target
                self.states[row] = self._keep_or_duplicate(row, key) if same else CONFLICT

    def split_table(self, evaluation_only: frozenset[str]) -> tuple[SplitTable, array[int]]:
        """Return the kept rows as items to split, and the row of each item.

        A duplicate adds its declared groups and its evaluation-only slices to the row that stands for it.
        """
        held_out = [not evaluation_only.isdisjoint(names) for names in self.slice_sets]
        table = SplitTable()
        rows = array("q")
        item_of = array("q", [_ABSENT]) * len(self.keys)
        for row, key in enumerate(self.key_of):
            if self.states[row] == KEPT:
                item_of[key] = table.add(self.keys[key], self.labels[self.label_of[row]])
                rows.append(row)
        for row, key in enumerate(self.key_of):
            if self.states[row] in (KEPT, DUPLICATE) and held_out[self.slices_of[row]]:
                table.evaluation_only[item_of[key]] = 1
        names = list(self._group_numbers)
        for row, group in zip(self._tied_rows, self._tied_groups, strict=True):
            if self.states[row] in (KEPT, DUPLICATE):
                table.ties.tie(item_of[self.key_of[row]], names[group])
        return table, rows

    def row(self, number: int) -> SpooledRow:
        """Return one row's lines."""
        self._spool.seek(self._offsets[number])
        return self._next_row()

    def rows(self) -> Iterator[SpooledRow]:
        """Yield all rows in order. `row` may be called in between."""
        with self._path.open("rb", buffering=1 << 20) as stream:
            for _ in range(len(self)):
                yield self._read_row(stream)

    def _next_row(self) -> SpooledRow:
        return self._read_row(self._spool)

    def _read_row(self, stream: BinaryIO) -> SpooledRow:
        return SpooledRow(stream.readline()[:-1], tuple(stream.readline()[:-1] for _ in self.formats))

    def _key(self, content_key: bytes, target: str) -> int:
        key = self._key_numbers.get(content_key)
        answer = _hash(target)
        if key is None:
            key = self._key_numbers[content_key] = len(self.keys)
            self.keys.append(content_key)
            self._targets += answer
        elif self._targets[key * _HASH_BYTES : (key + 1) * _HASH_BYTES] != answer:
            self._conflicting.add(key)
        return key

    def _note_id(self, record_id: bytes, key: int) -> None:
        known = self._ids.setdefault(record_id, key)
        if known != key:
            self._shared_ids[record_id] |= {known, key}

    def _lost_by_id(self, previous: Mapping[bytes, int], *, keep_first: bool) -> set[int]:
        """Return the rows whose record id belongs to another row with other content."""
        losers: dict[int, set[bytes]] = defaultdict(set)
        for record_id, sharing in self._shared_ids.items():
            alive = sharing if keep_first else sharing - self._conflicting
            for key in sorted(alive, key=lambda number: (self.keys[number] not in previous, self.keys[number]))[1:]:
                losers[key].add(record_id)
        if not losers:
            return set()
        return {
            row
            for row, key in enumerate(self.key_of)
            if key in losers and _hash(self.row(row).facts()["record_id"]) in losers[key]
        }

    def _keep_or_duplicate(self, row: int, key: int) -> int:
        if self.first[key] != _ABSENT:
            return DUPLICATE
        self.first[key] = row
        return KEPT

    def _spool_lines(self, example: Example) -> None:
        lines = (example.to_json(), *(render(example) for render in self._renderers))
        data = "".join(_encode(line) + "\n" for line in lines).encode()
        self._offsets.append(self._end)
        self._spool.write(data)
        self._end += len(data)


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=_HASH_BYTES).digest()


def _number(numbers: dict[T, int], names: list[T], name: T) -> int:
    number = numbers.get(name)
    if number is None:
        number = numbers[name] = len(names)
        names.append(name)
    return number
