"""Word and character errors of many transcripts at once.

A corpus' rate is the sum of edits over the sum of reference units, equal to jiwer's on the same normalised texts; a
mean of rates is none. A reference without words has no rate of its own: its row counts the inserted words as edits over
no units, so that they raise the corpus' rate and nothing is divided by zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finetune_assets.records.transcript_text import DEFAULT_NORMALISER, find_normaliser

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Every word becomes one character, of which Unicode has 1,114,112: two texts of this length and the codes in use fit.
_LONGEST = 1_000_000
_MOST_CODES = 100_000


@dataclass(frozen=True, slots=True)
class PairErrors:
    """The errors of pairs of texts; all arrays have the shape [pairs].

    Attributes:
        word_edits: words of a shortest alignment that are substituted, inserted or deleted.
        words: words of the reference.
        character_edits: the same in characters, the single spaces between words included.
        characters: characters of the reference.
        equal: True where the normalised texts are equal.
    """

    word_edits: NDArray[np.int64]
    words: NDArray[np.int64]
    character_edits: NDArray[np.int64]
    characters: NDArray[np.int64]
    equal: NDArray[np.bool_]


def pair_errors(
    references: Sequence[str], hypotheses: Sequence[str], *, normaliser: str = DEFAULT_NORMALISER
) -> PairErrors:
    """Count the errors of each (reference, hypothesis) pair.

    Args:
        references: what was said.
        hypotheses: what was recognised, "" for nothing.
        normaliser: name of the spelling rule, one of `transcript_text.NORMALISERS`.

    Raises:
        FinetuneError: for an unknown normaliser.
        ValueError: when there are not as many hypotheses as references.
    """
    normalise = find_normaliser(normaliser)
    said = list(map(normalise, references))
    heard = [
        known if text == raw else normalise(text) for known, raw, text in zip(said, references, hypotheses, strict=True)
    ]
    return normalised_errors(said, heard)


def normalised_errors(said: Sequence[str], heard: Sequence[str]) -> PairErrors:
    """Count the errors of pairs that are normalised already: words with single spaces between them.

    Args:
        said: the references.
        heard: the hypotheses, as many.
    """
    import numpy as np

    differing = [place for place, (left, right) in enumerate(zip(said, heard, strict=True)) if left != right]
    left, right = [said[place] for place in differing], [heard[place] for place in differing]
    word_edits, character_edits = np.zeros(len(said), dtype=np.int64), np.zeros(len(said), dtype=np.int64)
    word_edits[differing] = _word_distances(left, right)
    character_edits[differing] = pair_distances(left, right)
    equal = np.ones(len(said), dtype=np.bool_)
    equal[differing] = False
    return PairErrors(
        word_edits,
        np.fromiter((text.count(" ") + 1 if text else 0 for text in said), dtype=np.int64, count=len(said)),
        character_edits,
        np.fromiter(map(len, said), dtype=np.int64, count=len(said)),
        equal,
    )


def pair_distances(left: Sequence[str], right: Sequence[str]) -> NDArray[np.int64]:
    """Return the Levenshtein distance of each pair of texts, in characters; shape [pairs]."""
    from rapidfuzz.distance import Levenshtein

    return _cpdist(left, right, Levenshtein.distance)


def _cpdist(left: Sequence[str], right: Sequence[str], scorer: Callable[..., Any]) -> NDArray[np.int64]:
    import numpy as np
    from rapidfuzz.process import cpdist

    if not left:
        return np.zeros(0, dtype=np.int64)
    return cpdist(left, right, scorer=scorer, dtype=np.int64, workers=1)


class _Codes(dict[str, str]):
    """Word → the character that stands for it, given at the first look."""

    def __missing__(self, word: str) -> str:
        code = self[word] = chr(len(self))
        return code


def _word_distances(left: Sequence[str], right: Sequence[str]) -> NDArray[np.int64]:
    """Return the distance of each pair in words."""
    coded_left, coded_right, codes = [], [], _Codes()
    long: dict[int, int] = {}
    for place, (one, other) in enumerate(zip(left, right, strict=True)):
        if len(one) > _LONGEST or len(other) > _LONGEST:
            long[place] = _list_distance(one.split(), other.split())
            one = other = ""
        elif len(codes) > _MOST_CODES:
            codes = _Codes()  # codes need to agree within a pair only
        coded_left.append("".join(map(codes.__getitem__, one.split())))
        coded_right.append("".join(map(codes.__getitem__, other.split())))
    found = pair_distances(coded_left, coded_right)
    for place, edits in long.items():
        found[place] = edits
    return found


def _list_distance(one: list[str], other: list[str]) -> int:
    from rapidfuzz.distance import Levenshtein

    return Levenshtein.distance(one, other)
