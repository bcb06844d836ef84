"""What providers accept: sizes of training and validation files, with the date of the documentation that says so.

Limits change without notice; each set names its source and date, and a breach is a warning here, not a refusal. Tokens
per example are checked against `dataset.max_tokens` (Gemini: 131,072 in and out together).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Problem(NamedTuple):
    """One broken limit: the split whose file breaks it, and how."""

    split: str
    text: str


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one row format.

    Attributes:
        source: the documentation.
        dated: when it was last updated, as it says itself.
        max_file_bytes: largest training file; None where none is stated.
        max_train_rows: most training rows of text alone.
        max_train_rows_multimodal: most training rows where some have files.
        max_validation_rows: most validation rows.
        validation_rows_share: beyond `validation_rows_free` rows, the largest share of the training rows.
        validation_rows_free: validation rows for which that share does not matter.
        validation_bytes_share: the largest share of the training file's bytes.
    """

    source: str
    dated: str
    max_file_bytes: int | None = None
    max_train_rows: int | None = None
    max_train_rows_multimodal: int | None = None
    max_validation_rows: int | None = None
    validation_rows_share: float | None = None
    validation_rows_free: int = 0
    validation_bytes_share: float | None = None

    def problems(self, *, train: tuple[int, int], validation: tuple[int, int], multimodal: bool) -> Iterator[Problem]:
        """Yield the limits that files break.

        Args:
            train: rows and bytes of the training file.
            validation: rows and bytes of the validation file.
            multimodal: whether rows name files.
        """
        most = self.max_train_rows_multimodal if multimodal else self.max_train_rows
        for split, what, count, limit in (
            ("train", "bytes", train[1], self.max_file_bytes),
            ("train", "rows", train[0], most),
            ("validation", "rows", validation[0], self.max_validation_rows),
        ):
            if limit is not None and count > limit:
                yield Problem(split, f"{count:,} {what}, at most {limit:,} are taken")
        share = self.validation_rows_share
        if share is not None and validation[0] > self.validation_rows_free and validation[0] > share * train[0]:
            yield Problem("validation", f"{validation[0]:,} rows, at most {share:.0%} of {train[0]:,} training rows")
        share = self.validation_bytes_share
        if share is not None and validation[1] > share * train[1]:
            found = validation[1] / train[1] if train[1] else float("inf")
            yield Problem("validation", f"{found:.1%} of the training file's bytes, at most {share:.0%}; split 90/10")


_GEMINI = Limits(
    source="Google, supervised fine-tuning of Gemini",
    dated="2026-09-25",
    max_file_bytes=1 << 30,
    max_train_rows=10_000_000,
    max_train_rows_multimodal=300_000,
    max_validation_rows=5_000,
    validation_rows_share=0.30,
    validation_rows_free=1_000,
)
# The share is of bytes: 80/20 by rows comes to 25-26 % and is refused.
_OPEN = Limits(
    source="Google, managed tuning of open models",
    dated="2026-09-25",
    max_validation_rows=5_000,
    validation_bytes_share=0.25,
)

LIMITS: Mapping[str, Limits] = {
    "gemini": _GEMINI,
    "preference": _GEMINI,
    "vertex_open": _OPEN,
    "vertex_open_messages": _OPEN,
}
"""The limits of each format that a provider reads."""
