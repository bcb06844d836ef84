"""The second pass of a build: every spooled row goes to a split, to quarantine or to the duplicates."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from finetune_assets.datasets.balance import BALANCED_AWAY
from finetune_assets.datasets.conflict_lines import conflict_line
from finetune_assets.datasets.copies import Copy, with_origin_group
from finetune_assets.datasets.quarantine import QuarantineWriter
from finetune_assets.datasets.row_table import CONFLICT, DUPLICATE, DUPLICATE_ID, OVERRULED, RowTable, SpooledRow
from finetune_assets.datasets.split_files import EXAMPLES, split_prefix
from finetune_assets.datasets.splitting.assign import NOWHERE, TRAIN
from finetune_assets.datasets.statistics import SplitStatistics
from finetune_assets.records.example import SPLITS, Rejection, SourceRef

CORRECTED = "corrected_by_feedback"
TIED_FEEDBACK = "feedback_tied_to_evaluation"

# A format that has nothing to say of an example.
_NOTHING = b"\n"

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class SplitWriter:
    """Writes the files of a split dataset from settled rows.

    Args:
        rows: all rows, settled.
        quarantine: takes the rows that have no place.
        split_of: the split's number, by row; NOWHERE for rows without a split.
        set_aside: why a kept row has no split, by row.
        augmenting: True when copies of training rows follow; the rows then say that they share a leak group with them.

    Attributes:
        statistics: counts of the rows written.
        duplicates: rows written to `duplicates.jsonl`.
        conflicts: inputs written to `conflicts.jsonl`.
        outside_limit: sound rows that are neither in a split nor set aside: outside of a smoke subset.
        augmented: copies among the training rows.
    """

    def __init__(
        self,
        rows: RowTable,
        quarantine: QuarantineWriter,
        split_of: bytearray,
        set_aside: Mapping[int, str],
        *,
        augmenting: bool = False,
    ) -> None:
        self.statistics = SplitStatistics(rows.labels, rows.label_paths, rows.slice_sets, rows.traits)
        self.duplicates = 0
        self.conflicts = 0
        self.outside_limit = 0
        self.augmented = 0
        self._augmenting = augmenting
        self._rows = rows
        self._quarantine = quarantine
        self._split_of = split_of
        self._set_aside = set_aside
        self._conflicting: dict[int, list[dict[str, Any]]] = defaultdict(list)

    def write(self, out: Path, copies: Iterable[Copy] = ()) -> None:
        """Write all files but the assignments, the statistics and the certificate; copies come last."""
        with ExitStack() as stack:
            examples = stack.enter_context((out / EXAMPLES).open("wb", buffering=1 << 20))
            duplicates = stack.enter_context(_text_file(out / "duplicates.jsonl"))
            rendered = [_rendered_files(stack, out / form) for form in self._rows.formats]
            prefixes = [split_prefix(split).encode() for split in SPLITS]
            for number, row in enumerate(self._rows.rows()):
                split = self._split_of[number]
                if split == NOWHERE:
                    self._write_other(number, row, duplicates)
                    continue
                line = with_origin_group(row.example) if self._augmenting and split == TRAIN else row.example
                examples.write(prefixes[split] + line[1:])
                _write_rendered(rendered, split, row)
                self._count(number, split)
            for copy in copies:
                examples.write(prefixes[TRAIN] + copy.row.example[1:])
                _write_rendered(rendered, TRAIN, copy.row)
                self._count_copy(copy)
        self._write_conflicts(out / "conflicts.jsonl")

    def _count(self, number: int, split: int) -> None:
        rows = self._rows
        self.statistics.add(
            split, rows.label_of[number], rows.slices_of[number], rows.lengths[number], rows.traits_of[number]
        )

    def _count_copy(self, copy: Copy) -> None:
        rows = self._rows
        traits = rows.traits[rows.traits_of[copy.origin]]._replace(origin="augmented")
        label, slices = rows.label_of[copy.origin], rows.slices_of[copy.origin]
        self.statistics.add(TRAIN, label, slices, copy.length, rows.trait_number(traits))
        self.augmented += 1

    def _write_other(self, number: int, row: SpooledRow, duplicates: TextIO) -> None:
        facts = row.facts()
        state = self._rows.states[number]
        if state == DUPLICATE:
            self.duplicates += 1
            duplicates.write(_encode(self._duplicate(number, facts)) + "\n")
        elif state == CONFLICT:
            key = self._rows.key_of[number]
            self._conflicting[key].append(facts)
            self._reject(facts, "label_conflict", facts["label"], "one answer for equal inputs", "see conflicts.jsonl")
        elif state == DUPLICATE_ID:
            mend = "give each record an id of its own, or remove the outdated record"
            self._reject(facts, "duplicate_id", facts["record_id"], "an id of its own", mend)
        elif state == OVERRULED:
            self._overrule(facts)
        elif number not in self._set_aside:
            self.outside_limit += 1
        else:
            reason = self._set_aside[number]
            if reason == BALANCED_AWAY:
                mend = "nothing, or raise dataset.balance.max_per_class"
                self._reject(facts, reason, facts["label"], "fewer training rows of this label", mend)
                return
            if reason == "synthetic_tied_to_evaluation" and facts["origin"] != "synthetic":
                reason = TIED_FEEDBACK
            ties = ", ".join([*facts["groups"], *facts["slices"]])
            mend = "nothing, unless the group or slice is wrong; moving a row would leak it into the scores"
            self._reject(facts, reason, ties, "leak groups within one split", mend)

    def _overrule(self, facts: Mapping[str, Any]) -> None:
        if facts["origin"] == "feedback":
            mend = "nothing: what a model is judged on is never trained on"
            self._reject(facts, TIED_FEEDBACK, facts["label"], "a question that no evaluation split holds", mend)
            return
        mend = "correct the record at its source, or dismiss the case whose correction is wrong"
        self._reject(facts, CORRECTED, facts["label"], "the answer of a corrected case with an equal input", mend)

    def _duplicate(self, number: int, facts: Mapping[str, Any]) -> dict[str, Any]:
        kept = self._rows.row(self._rows.first[self._rows.key_of[number]]).facts()
        return {
            "record_id": facts["record_id"],
            "source": facts["source"],
            "duplicate_of": kept["record_id"],
            "duplicate_of_source": kept["source"],
            "content_key": facts["content_key"],
        }

    def _reject(self, facts: Mapping[str, Any], reason: str, found: str, expected: str, mend: str) -> None:
        asked = [turn["content"] for turn in facts["messages"] if turn["role"] == "user"]
        self._quarantine.add(
            Rejection(
                reason=reason,
                source=SourceRef(**facts["source"]),
                record_id=facts["record_id"],
                found=found,
                expected=expected,
                mend=mend,
                text=asked[-1] if asked else "",
            )
        )

    def _write_conflicts(self, path: Path) -> None:
        """Write one line for each input that has different answers."""
        with _text_file(path) as out:
            for key, rejected in self._conflicting.items():
                kept_row = self._rows.first[key]
                kept = self._rows.row(kept_row).facts() if kept_row >= 0 else None
                line = conflict_line(self._rows.keys[key].hex(), kept, rejected)
                out.write(_encode(line) + "\n")
                self.conflicts += 1


def _text_file(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="\n")


def _write_rendered(rendered: Sequence[Sequence[BinaryIO]], split: int, row: SpooledRow) -> None:
    for files, line in zip(rendered, row.rendered, strict=True):
        if line != _NOTHING:
            files[split].write(line)


def _rendered_files(stack: ExitStack, folder: Path) -> list[BinaryIO]:
    folder.mkdir()
    return [stack.enter_context((folder / f"{split}.jsonl").open("wb", buffering=1 << 18)) for split in SPLITS]
