"""Word and character error rates: edits between what was recognised and what was said.

A corpus' rate is the sum of its edits over the sum of its reference lengths, never a mean of rates. The edits are those
of a shortest Levenshtein alignment (rapidfuzz); which of several shortest ones is taken decides how they divide into
kinds, not how many they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from finetune_assets.records.transcript_text import DEFAULT_NORMALISER, find_normaliser

EditKind = Literal["substitution", "insertion", "deletion", "none"]


@dataclass(frozen=True, slots=True)
class EditCounts:
    """Edits that turn the reference into the hypothesis, by kind; `+` adds two counts.

    Attributes:
        reference: units (words or characters) of the reference.
        substitutions: units of the reference that others stand for.
        insertions: units that only the hypothesis has.
        deletions: units that only the reference has.
    """

    reference: int = 0
    substitutions: int = 0
    insertions: int = 0
    deletions: int = 0

    @property
    def edits(self) -> int:
        """All edits."""
        return self.substitutions + self.insertions + self.deletions

    @property
    def rate(self) -> float | None:
        """Edits over reference units: 0 is perfect, more than 1 is possible, None without any reference unit."""
        return self.edits / self.reference if self.reference else None

    @property
    def main_kind(self) -> EditKind:
        """The most frequent kind of edit; among equals substitution before deletion before insertion."""
        if not self.edits:
            return "none"
        kinds: tuple[tuple[int, EditKind], ...] = (
            (self.substitutions, "substitution"),
            (self.deletions, "deletion"),
            (self.insertions, "insertion"),
        )
        most = max(count for count, _ in kinds)
        return next(kind for count, kind in kinds if count == most)

    def __add__(self, other: EditCounts) -> EditCounts:
        return EditCounts(
            self.reference + other.reference,
            self.substitutions + other.substitutions,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
        )


def word_edits(reference: str, hypothesis: str, *, normaliser: str = DEFAULT_NORMALISER) -> EditCounts:
    """Count the word errors of one transcript.

    Args:
        reference: what was said.
        hypothesis: what was recognised.
        normaliser: name of the spelling rule, one of `transcript_text.NORMALISERS`.

    Raises:
        FinetuneError: for an unknown normaliser.
    """
    normalise = find_normaliser(normaliser)
    return _edits(normalise(reference).split(), normalise(hypothesis).split())


def character_edits(reference: str, hypothesis: str, *, normaliser: str = DEFAULT_NORMALISER) -> EditCounts:
    """Count the character errors of one transcript; the single spaces between words are characters too.

    Args:
        reference: what was said.
        hypothesis: what was recognised.
        normaliser: name of the spelling rule, one of `transcript_text.NORMALISERS`.

    Raises:
        FinetuneError: for an unknown normaliser.
    """
    normalise = find_normaliser(normaliser)
    return _edits(normalise(reference), normalise(hypothesis))


def _edits(reference: list[str] | str, hypothesis: list[str] | str) -> EditCounts:
    if reference == hypothesis:
        return EditCounts(len(reference))
    from rapidfuzz.distance import Levenshtein

    kinds = {"replace": 0, "insert": 0, "delete": 0}
    for edit in Levenshtein.editops(reference, hypothesis):
        kinds[edit.tag] += 1
    return EditCounts(len(reference), kinds["replace"], kinds["insert"], kinds["delete"])


@dataclass(frozen=True, slots=True)
class CorpusErrors:
    """The errors of many transcripts.

    Attributes:
        normaliser: the spelling rule by which they were counted.
        rows: transcripts.
        words: their word edits, summed; `words.rate` is the corpus' word error rate.
        characters: their character edits, summed; `characters.rate` is the corpus' character error rate.
        rows_with_error: transcripts with at least one word edit.
        rows_above_one: transcripts with more word edits than reference words.
    """

    normaliser: str
    rows: int
    words: EditCounts
    characters: EditCounts
    rows_with_error: int
    rows_above_one: int


def corpus_errors(pairs: Iterable[tuple[str, str]], *, normaliser: str = DEFAULT_NORMALISER) -> CorpusErrors:
    """Sum the errors of (reference, hypothesis) pairs.

    A missing hypothesis belongs in here as the empty text: it then counts as all deletions instead of leaving the
    denominator.

    Raises:
        FinetuneError: for an unknown normaliser.
    """
    normalise = find_normaliser(normaliser)
    rows = with_error = above_one = 0
    words = characters = EditCounts()
    for reference, hypothesis in pairs:
        said, heard = normalise(reference), normalise(hypothesis)
        found = _edits(said.split(), heard.split())
        rows += 1
        with_error += bool(found.edits)
        above_one += found.edits > found.reference
        words += found
        characters += _edits(said, heard)
    return CorpusErrors(normaliser, rows, words, characters, with_error, above_one)
