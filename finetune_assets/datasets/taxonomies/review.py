"""The review of a migration: rows whose new label only a person knows, out as JSONL and CSV, and back as decisions.

The CSV names rows by their place and id; what a person said about somebody stands in the JSONL beside it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from types import TracebackType
from typing import Any, Self

from finetune_assets.datasets.reading.json_rows import encode_row
from finetune_assets.datasets.taxonomies.rules import SEPARATOR, Verdict, read_path
from finetune_assets.datasets.taxonomies.taxonomy import Taxonomy
from finetune_assets.datasets.taxonomies.tree import Path
from finetune_assets.records.errors import FinetuneError

REVIEW_CSV = "review.csv"
REVIEW_JSONL = "review.jsonl"
LEAVE_OUT = ("leave out",)
COLUMNS = ("place", "record_id", "old_label", "why", "candidates", "decision")
# A spreadsheet runs a cell that begins so as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One row that waits for a decision.

    Attributes:
        place: where it stands in the old source, `rows.jsonl:12`; unique.
        record_id: its id, "" for none.
        old_label: its label.
        verdict: why nothing could be decided, and the candidates.
        fields: the record.
    """

    place: str
    record_id: str
    old_label: Path
    verdict: Verdict
    fields: Mapping[str, Any] = field(repr=False)


class ReviewWriter:
    """Writes both files in `folder`, and moves them to their place when all went well."""

    def __init__(self, folder: FilePath, text_field: str) -> None:
        self._folder = folder
        self._text_field = text_field
        self._csv_file = (folder / REVIEW_CSV).open("w", encoding="utf-8", newline="")
        self._jsonl = (folder / REVIEW_JSONL).open("w", encoding="utf-8", newline="\n")
        self._csv = csv.writer(self._csv_file, lineterminator="\n")
        self._csv.writerow(COLUMNS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._csv_file.close()
        self._jsonl.close()

    def add(self, item: ReviewItem, decision: Path | None) -> None:
        """Write one row; a decision that was made stays with it."""
        candidates = "; ".join(SEPARATOR.join(path) for path in item.verdict.candidates)
        row = {
            "place": item.place,
            "record_id": item.record_id,
            "old_label": SEPARATOR.join(item.old_label),
            "why": item.verdict.rule,
            "candidates": candidates,
            "decision": SEPARATOR.join(decision or ()),
        }
        self._csv.writerow(_safe(value) for value in row.values())
        self._jsonl.write(
            encode_row({**row, "text": item.fields.get(self._text_field), "record": dict(item.fields)}) + "\n"
        )

    def publish(self, out: FilePath) -> None:
        """Move both files into `out`."""
        for name in (REVIEW_CSV, REVIEW_JSONL):
            (self._folder / name).replace(out / name)


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


class Decisions:
    """What a person decided, by place.

    Args:
        by_place: place → new label path, or `LEAVE_OUT`.
        name: the file, for errors.
    """

    def __init__(self, by_place: Mapping[str, Path], name: str) -> None:
        self._by_place = dict(by_place)
        self._unused = set(by_place)
        self._name = name

    @classmethod
    def none(cls) -> Decisions:
        """Return no decisions."""
        return cls({}, "")

    @classmethod
    def read(cls, path: FilePath) -> Decisions:
        """Read an edited `review.csv`; rows without a decision are left waiting.

        Raises:
            FinetuneError: when the file is missing, no CSV with `place` and `decision`, or names a place twice.
        """
        by_place: dict[str, Path] = {}
        for number, row in enumerate(_read_csv(path), start=2):
            place, decision = (row["place"] or "").removeprefix("'"), (row["decision"] or "").strip().removeprefix("'")
            if place in by_place:
                raise FinetuneError(
                    "a row is decided twice", where=f"{path}:{number}", found=place, mend="keep one line"
                )
            if decision:
                parsed = read_path(decision)
                by_place[place] = LEAVE_OUT if decision.casefold() == LEAVE_OUT[0] else tuple(parsed)  # type: ignore[arg-type]
        return cls(by_place, str(path))

    def checked(self, taxonomy: Taxonomy) -> Decisions:
        """Return these decisions when each names a legal label.

        Raises:
            FinetuneError: for one that does not.
        """
        legal = frozenset(taxonomy.paths)
        for place, decision in sorted(self._by_place.items()):
            if decision != LEAVE_OUT and decision not in legal:
                raise FinetuneError(
                    "a decision names no label of the new taxonomy",
                    where=f"{self._name}, {place}",
                    found=SEPARATOR.join(decision),
                    expected=f"a path such as {SEPARATOR.join(taxonomy.paths[0])}, or `{LEAVE_OUT[0]}`",
                    mend="correct the cell",
                )
        return self

    def take(self, place: str) -> Path | None:
        """Return the decision about a row, None when there is none."""
        self._unused.discard(place)
        return self._by_place.get(place)

    def require_used(self) -> None:
        """Refuse decisions that were about no waiting row.

        Raises:
            FinetuneError: when there are some; they were made for another source, taxonomy or map.
        """
        if self._unused:
            raise FinetuneError(
                "decisions fit no waiting row",
                where=self._name,
                found=f"{len(self._unused)}, such as {min(self._unused)}",
                expected="places that review.csv lists",
                mend="decide on the review.csv of this very source, taxonomy and map",
            )


def has_decisions(path: FilePath) -> bool:
    """Return True when a review.csv holds a decision, which must not be overwritten unread."""
    return path.is_file() and any((row.get("decision") or "").strip() for row in _read_csv(path))


def _read_csv(path: FilePath) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            sample = stream.readline()
            stream.seek(0)
            # Spreadsheets of some countries write semicolons.
            delimiter = ";" if sample.count(";") > sample.count(",") else ","
            reader = csv.DictReader(stream, delimiter=delimiter)
            rows = list(reader)
    except FileNotFoundError:
        raise FinetuneError("review is missing", where=str(path), mend="name the edited review.csv") from None
    except OSError as error:
        raise FinetuneError(
            "review cannot be read", where=str(path), found=error.strerror or str(error), mend="name a readable file"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise FinetuneError("review is no CSV in UTF-8", where=str(path), found=str(error), mend="save it so") from None
    missing = {"place", "decision"} - set(reader.fieldnames or ())
    if missing:
        raise FinetuneError(
            "review lacks a column",
            where=str(path),
            found=", ".join(reader.fieldnames or ()),
            expected=", ".join(sorted(missing)),
        )
    return rows
