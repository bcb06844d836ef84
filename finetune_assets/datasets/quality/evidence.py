"""WordEvidence: which label the words of some rows speak for, leaving these rows out of the count."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

# How many rows' worth of the whole dataset's habits each label starts with.
_PRIOR_ROWS = 2.0


class WordEvidence:
    """Naive Bayes over the presence of words, unseen ones as rare as in the whole dataset (an m-estimate with m = 2).

    Words of a single row are left out: without the row itself nothing is known of them.

    Args:
        words: the words of each row.
        labels: the label of each row.
        margin: how many times likelier another label must be before a row speaks against its own.
    """

    def __init__(self, words: Sequence[Iterable[str]], labels: Sequence[str], *, margin: float) -> None:
        import numpy as np
        from scipy.sparse import csr_matrix

        self._margin = math.log(margin)
        own = [sorted(set(row)) for row in words]
        numbers: dict[str, int] = {}
        indices = [numbers.setdefault(word, len(numbers)) for row in own for word in row]
        ends = np.cumsum([0] + [len(row) for row in own])
        present = csr_matrix((np.ones(len(indices)), indices, ends), shape=(len(own), len(numbers)))
        self._rows_with = np.asarray(present.sum(axis=0)).ravel()
        recurring = np.flatnonzero(self._rows_with > 1)
        self._number = numbers
        self._column = {int(word): column for column, word in enumerate(recurring)}
        self._present = present[:, recurring]
        names = sorted(set(labels))
        self._code = {name: code for code, name in enumerate(names)}
        codes = np.array([self._code[label] for label in labels])
        member = csr_matrix((np.ones(len(codes)), (np.arange(len(codes)), codes)), shape=(len(codes), len(names)))
        self._label_rows = np.bincount(codes, minlength=len(names)).astype(float)
        self._counts = (self._present.T @ member).tocsc()
        # m times the word's share of all rows.
        self._usual = _PRIOR_ROWS * self._rows_with[recurring] / len(codes)
        gains = self._counts.tocoo()
        gains.data = np.log1p(gains.data / self._usual[gains.row])
        self._gains = gains.tocsr()

    def rows_with(self, word: str) -> int:
        """Return how many rows hold a word."""
        return int(self._rows_with[self._number[word]]) if word in self._number else 0

    def against(self, label: str, rows: Sequence[int], hidden: Collection[str]) -> int:
        """Return how many rows of one label speak against it, by their words other than `hidden`.

        Args:
            label: the label that all the rows hold.
            rows: their numbers; they are left out of the counts that judge them.
            hidden: words that are not asked.
        """
        import numpy as np

        asked = np.ones(len(self._usual))
        for word in hidden:
            column = self._column.get(self._number.get(word, -1))
            if column is not None:
                asked[column] = 0.0
        present = self._present[list(rows)].multiply(asked).tocsr()
        length = np.asarray(present.sum(axis=1))
        scores = np.asarray((present @ self._gains).todense()) + self._without_words(self._label_rows, length)
        code = self._code[label]
        scores[:, code] = -np.inf
        return int((scores.max(axis=1) - self._own(code, present, length) >= self._margin).sum())

    def _own(self, code: int, present: Any, length: Any) -> Any:
        """Return the label's own score of each row, as if none of the rows were there."""
        import numpy as np

        others = self._label_rows[code : code + 1] - len(length)
        if others[0] <= 0:
            return np.full(len(length), np.inf)
        counts = np.asarray(self._counts[:, [code]].todense()).ravel()
        elsewhere = counts - np.asarray(present.sum(axis=0)).ravel()
        gains = np.log1p(elsewhere / self._usual)
        return present @ gains + self._without_words(others, length).ravel()

    @staticmethod
    def _without_words(rows: Any, length: Any) -> Any:
        import numpy as np

        return np.log(rows) + length * np.log(_PRIOR_ROWS / (rows + _PRIOR_ROWS))
