"""RowTable: the examples of one build, their lines on disk and a few numbers each in memory.

Which rows stay is known only after the last one was read. Until then each example waits as text in a spool file, and
memory holds hashes and positions: about 100 bytes a row.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from finetune_assets.datasets.batches import HASH_BYTES, KEY_BYTES, PreparedBatch
from finetune_assets.datasets.settling import (
    ABSENT,
    CONFLICT,
    DUPLICATE,
    DUPLICATE_ID,
    KEPT,
    OVERRULED,
    conflicting_keys,
    lost_by_id,
    numbered,
    overruled,
    settled,
)
from finetune_assets.datasets.splitting.assign import TRAIN
from finetune_assets.datasets.splitting.keys import KeyColumn
from finetune_assets.datasets.splitting.table import SplitTable
from finetune_assets.datasets.traits import Traits
from finetune_assets.records.json_lines import decode_line

__all__ = ["CONFLICT", "DUPLICATE", "DUPLICATE_ID", "KEPT", "OVERRULED", "RowTable", "SpooledRow"]

_SPOOL = ".rows.spool"

T = TypeVar("T")


class SpooledRow(NamedTuple):
    """The lines of one example, each with its line feed: itself, and what it renders to in each format.

    A format that has nothing to say of this example has an empty line.
    """

    example: bytes
    rendered: tuple[bytes, ...]

    def facts(self) -> dict[str, Any]:
        """Return the example's JSON."""
        found: dict[str, Any] = decode_line(self.example)
        return found


class RowTable:
    """Rows in file order; rows with equal content share one key.

    Args:
        folder: where the spool file may stand; it is gone when the table is closed.
        formats: the formats that each example is rendered to, of `render.RENDERERS`.

    Attributes:
        labels: label names; `label_of` holds the number by row.
        label_paths: the parts of each label.
        slice_sets: tuples of slice names; `slices_of` holds the number by row.
        lengths: characters of the user's turns, by row.
        traits: where rows are from and what they are besides their label; `traits_of` holds the number by row.
        official: the official split that each row states, as a bit mask; 0 for none.
        keys: once `settle` was called, content keys (32 bytes) in the order of their first row.
        key_of: once `settle` was called, the number of its key, by row.
        states: once `settle` was called, KEPT, DUPLICATE, CONFLICT, DUPLICATE_ID or OVERRULED by row.
        first: once `settle` was called, the row that is kept, by key; -1 for none.
    """

    def __init__(self, folder: Path, formats: Sequence[str]) -> None:
        self.formats = tuple(formats)
        self.keys = KeyColumn()
        self.key_of = array("i")
        self.states = b""
        self.first = array("i")
        self.labels: list[str] = []
        self.label_paths: dict[str, tuple[str, ...]] = {}
        self.label_of = array("i")
        self.slice_sets: list[tuple[str, ...]] = []
        self.slices_of = array("i")
        self.lengths = array("i")
        self.traits: list[Traits] = []
        self.traits_of = array("i")
        self.official = bytearray()
        # One block each: the system moves large ones by their pages, and takes them back when they are done with.
        self._hashes = {"key": bytearray(), "target": bytearray(), "id": bytearray()}
        self._label_numbers: dict[str, int] = {}
        self._slice_numbers: dict[tuple[str, ...], int] = {}
        self._trait_numbers: dict[Traits, int] = {}
        self._tied_rows = array("i")
        self._tied_groups = array("i")
        self._group_numbers: dict[str, int] = {}
        self._offsets = array("q", [0])
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
        return len(self.label_of)

    def take(self, batch: PreparedBatch) -> None:
        """Take in the next rows."""
        import numpy as np

        begin = len(self)
        for name, path in batch.labels:
            self.label_paths.setdefault(name, path)
        labels = [_number(self._label_numbers, self.labels, name) for name, _ in batch.labels]
        slices = [_number(self._slice_numbers, self.slice_sets, names) for names in batch.slice_sets]
        groups = [self._group_numbers.setdefault(name, len(self._group_numbers)) for name in batch.groups]
        _extend(self.label_of, batch.label_of, labels)
        _extend(self.slices_of, batch.slices_of, slices)
        self.lengths.extend(batch.lengths)
        traits = [_number(self._trait_numbers, self.traits, names) for names in batch.traits]
        _extend(self.traits_of, batch.traits_of, traits)
        self.official += batch.official
        self._tied_rows.frombytes((np.asarray(batch.tied_rows) + np.int32(begin)).tobytes())
        _extend(self._tied_groups, batch.tied_groups, groups)
        self._hashes["key"] += batch.keys
        self._hashes["target"] += batch.targets
        self._hashes["id"] += batch.ids
        self._offsets.frombytes((np.cumsum(batch.sizes, dtype=np.int64) + self._offsets[-1]).tobytes())
        self._spool.write(batch.lines)

    def trait_number(self, traits: Traits) -> int:
        """Return the number of traits, which may be new."""
        return _number(self._trait_numbers, self.traits, traits)

    def settle(self, previous: Mapping[bytes, int], *, keep_first: bool) -> None:
        """Decide each row's state, after the last row, by the rules of `settling`.

        Args:
            previous: earlier assignments.
            keep_first: keep the answer that comes first where answers differ.
        """
        import numpy as np

        self._spool.flush()
        # Hashes are two thirds of the table, and of no use once their equals are known: one column after another goes.
        answer_of, _ = numbered(self._hashes.pop("target"), HASH_BYTES)
        id_of, _ = numbered(self._hashes.pop("id"), HASH_BYTES)
        hashes = self._hashes.pop("key")
        key_of, first_row = numbered(hashes, KEY_BYTES)
        self.keys = KeyColumn(hashes).take(first_row)
        del hashes
        corrected = self._of_origin("feedback")
        yields = None
        if corrected.any():
            # Most datasets have no corrected case; for them nothing is computed.
            judged = np.array([previous.get(key, TRAIN) != TRAIN for key in self.keys], np.bool_)
            yields = overruled(key_of, answer_of, corrected, judged)
        conflicting = conflicting_keys(key_of, first_row, answer_of, yields)
        lost = lost_by_id(key_of, id_of, self.keys, conflicting, previous, keep_first=keep_first)
        if yields is not None:
            lost &= ~yields
        gone = lost if yields is None else lost | yields
        states, first = settled(
            key_of, answer_of, gone, conflicting, self._of_origin("observed"), keep_first=keep_first
        )
        if yields is not None:
            states[yields] = OVERRULED
        self.states = states.tobytes()
        self.key_of, self.first = _column(key_of), _column(first)

    def split_table(self, evaluation_only: frozenset[str]) -> tuple[SplitTable, array[int]]:
        """Return the kept rows as items to split, and the row of each item.

        A duplicate adds its declared groups and its evaluation-only slices to the row that stands for it.
        """
        import numpy as np

        states, key_of = np.frombuffer(self.states, np.uint8), np.asarray(self.key_of)
        kept = np.flatnonzero(states == KEPT)
        item_of = np.full(len(self.keys), ABSENT, np.int64)
        item_of[key_of[kept]] = np.arange(len(kept))
        made = (~self._of_origin("observed")).astype(np.uint8)[kept]
        # A row as found that a person confirmed by a correction of equal content goes where the correction may go.
        confirmed = np.flatnonzero(self._of_origin("feedback") & (states == DUPLICATE))
        made[item_of[key_of[confirmed]]] = 1  # of a duplicate there is always one that is kept
        table = SplitTable(
            keys=self.keys.take(key_of[kept]),
            strata=[self.labels[number] for number in np.asarray(self.label_of)[kept]],
            evaluation_only=bytearray(len(kept)),
            official=bytearray(len(kept)),
            synthetic=bytearray(made),
        )
        self._hold_out(table, _column(item_of), [not evaluation_only.isdisjoint(names) for names in self.slice_sets])
        tied, groups = np.asarray(self._tied_rows), np.asarray(self._tied_groups)
        stands = np.isin(states[tied], (KEPT, DUPLICATE)) if len(tied) else np.zeros(0, np.bool_)
        table.ties.tie_numbered(item_of[key_of[tied[stands]]], groups[stands])
        return table, array("q", kept.tobytes())

    def _of_origin(self, origin: str) -> Any:
        """Return, by row, whether it is of an origin."""
        import numpy as np

        of_traits = np.array([traits.origin == origin for traits in self.traits], np.bool_)
        return of_traits[np.asarray(self.traits_of)] if len(of_traits) else np.zeros(len(self), np.bool_)

    def _hold_out(self, table: SplitTable, item_of: array[int], held_out: Sequence[bool]) -> None:
        """Mark the items of evaluation-only slices and of official splits; most datasets have neither."""
        if not any(held_out) and not any(self.official):
            return
        for row, key in enumerate(self.key_of):
            if self.states[row] in (KEPT, DUPLICATE):
                table.evaluation_only[item_of[key]] |= held_out[self.slices_of[row]]
                table.official[item_of[key]] |= self.official[row]

    def row(self, number: int) -> SpooledRow:
        """Return one row's lines."""
        begin, end = self._offsets[number : number + 2]
        self._spool.seek(begin)
        example, *rendered = self._spool.read(end - begin).splitlines(keepends=True)
        return SpooledRow(example, tuple(rendered))

    def rows(self) -> Iterator[SpooledRow]:
        """Yield all rows in order. `row` may be called in between."""
        with self._path.open("rb", buffering=1 << 20) as stream:
            for example, *rendered in zip(*[stream] * (1 + len(self.formats)), strict=True):
                yield SpooledRow(example, tuple(rendered))


def _column(numbers: Any) -> array[int]:
    """Return whole numbers below 2^31 as an array, whose items are plain `int`."""
    found = array("i")
    found.frombytes(numbers.astype("i4").tobytes())
    return found


def _extend(column: array[int], numbers: array[int], names: Sequence[int]) -> None:
    """Append what the numbers of a batch stand for in the whole table."""
    import numpy as np

    if names:
        column.frombytes(np.asarray(names, np.int32)[np.asarray(numbers)].tobytes())


def _number(numbers: dict[T, int], names: list[T], name: T) -> int:
    number = numbers.get(name)
    if number is None:
        number = numbers[name] = len(names)
        names.append(name)
    return number
