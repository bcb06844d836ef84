"""Suspect labels: what a model of the other rows, and the most similar rows, both hold to be wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune_assets.datasets.quality.config import SuspectLabelsConfig
from finetune_assets.datasets.quality.finding import QualityFinding, not_applicable, unmeasured
from finetune_assets.datasets.quality.rows import Row, asked, sampled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Strength and number of passes of the logistic regression; its seed decides the order of the rows only.
_REGULARISATION = 1e-4
_PASSES = 20
# Words of one letter count too: digits and CJK signs are such.
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class _Level:
    """One level of the labels, judged.

    Attributes:
        codes: each row's value at this level, as a number; -1 where the value is too rare.
        confidence: what the model of the other rows gives the row's own value; 1 where it was not judged.
        relative: `confidence` over what the model gives its own answer.
        answers: the model's answer.
    """

    codes: NDArray[np.int64]
    confidence: NDArray[np.float64]
    relative: NDArray[np.float64]
    answers: NDArray[np.int64]


def suspect_labels(
    folder: Path, config: SuspectLabelsConfig, levels: Sequence[str], *, free_text: bool
) -> QualityFinding:
    """Rank the rows by how little the other rows support their label.

    For each level of the label, words and pairs of words (TF-IDF) go into a logistic regression by cross-validation,
    so that no row speaks for itself; a row's self-confidence is what it gives the row's own label (Northcutt, Jiang and
    Chuang, JAIR 70, 2021). Rows below both limits are held against their most similar rows, and stay suspect where
    fewer than half of those hold the label. Levels are judged one by one: many rows share a level, few share a path.

    Args:
        folder: the split dataset.
        config: the limits.
        levels: names of the label's parts, outermost first.
        free_text: True where targets are no labels; then nothing is judged.

    Returns:
        The share of suspect rows, and the rows, the most suspect first, with the level at fault.

    Raises:
        OSError: when the file cannot be read.
    """
    if free_text:
        return not_applicable("the targets are free text")
    rows, total = sampled(folder, config.max_rows)
    if len(rows) < config.min_rows:
        return unmeasured(f"{len(rows)} rows, at least {config.min_rows} are needed (suspect_labels.min_rows)")
    from threadpoolctl import threadpool_limits

    # More threads than one wait for one another on problems of this size: measured 40 times slower on two cores.
    with threadpool_limits(limits=1):
        features = _features(rows)
        judged = {
            name: level
            for number, name in enumerate(levels)
            if (level := _judge(features, [row["label_path"][number] for row in rows], config)) is not None
        }
        if not judged:
            return unmeasured(f"no level has two labels of {config.min_rows_per_label} rows")
        suspects = _suspects(features, judged, config)
    return _finding(rows, total, suspects, config)


def _features(rows: Sequence[Row]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectoriser = TfidfVectorizer(sublinear_tf=True, min_df=2, analyzer=_terms)
    try:
        return vectoriser.fit_transform([asked(row) for row in rows])
    except ValueError:
        # No word stands in two rows: sklearn refuses an empty vocabulary.
        from scipy.sparse import csr_matrix

        return csr_matrix((len(rows), 1))


def _terms(text: str) -> list[str]:
    """Return the words of a text and its pairs of neighbouring words."""
    words = _WORD.findall(text.lower())
    return words + [" ".join(pair) for pair in pairwise(words)]


def _judge(features: Any, values: Sequence[str], config: SuspectLabelsConfig) -> _Level | None:
    """Return each row's out-of-fold self-confidence at one level; None where there are not two labels to tell apart."""
    import numpy as np

    counts = Counter(values)
    usual = sorted(value for value, count in counts.items() if count >= config.min_rows_per_label)
    if len(usual) < 2:
        return None
    number = {value: code for code, value in enumerate(usual)}
    codes = np.array([number.get(value, -1) for value in values])
    members = np.flatnonzero(codes >= 0)
    shares = _out_of_fold(features[members], codes[members], len(usual), config.folds)
    confidence, relative = np.ones(len(values)), np.ones(len(values))
    answers = codes.copy()
    own = shares[np.arange(len(members)), codes[members]]
    confidence[members] = own
    relative[members] = own / np.maximum(shares.max(axis=1), 1e-12)
    answers[members] = shares.argmax(axis=1)
    return _Level(codes, confidence, relative, answers)


def _out_of_fold(features: Any, codes: Any, labels: int, folds: int) -> NDArray[np.float64]:
    """Return each row's probabilities by a model that never saw it; every label is spread evenly over the folds."""
    import numpy as np
    from sklearn.linear_model import SGDClassifier

    fold = np.empty(len(codes), dtype=np.int64)
    for code in range(labels):
        members = np.flatnonzero(codes == code)
        fold[members] = np.arange(len(members)) % folds
    shares = np.zeros((len(codes), labels))
    for part in range(folds):
        held_out = np.flatnonzero(fold == part)
        others = np.flatnonzero(fold != part)
        if not len(held_out) or len(np.unique(codes[others])) < 2:
            continue
        model = SGDClassifier(loss="log_loss", alpha=_REGULARISATION, max_iter=_PASSES, tol=1e-3, random_state=0)
        model.fit(features[others], codes[others])
        shares[np.ix_(held_out, model.classes_)] = model.predict_proba(features[held_out])
    return shares


@dataclass(frozen=True, slots=True)
class _Suspect:
    row: int
    level: str
    confidence: float
    relative: float
    agreeing: float


def _suspects(features: Any, judged: dict[str, _Level], config: SuspectLabelsConfig) -> list[_Suspect]:
    import numpy as np

    found: dict[int, _Suspect] = {}
    for name, level in judged.items():
        doubtful = np.flatnonzero(
            (level.confidence <= config.max_confidence) & (level.relative <= config.max_relative_confidence)
        )
        for row, agreeing in zip(doubtful.tolist(), _agreeing(features, level.codes, doubtful, config), strict=True):
            suspect = _Suspect(row, name, float(level.confidence[row]), float(level.relative[row]), agreeing)
            known = found.get(row)
            if agreeing < 0.5 and (known is None or suspect.relative < known.relative):
                found[row] = suspect
    return sorted(found.values(), key=lambda suspect: (suspect.relative, suspect.row))


def _agreeing(features: Any, codes: Any, doubtful: Any, config: SuspectLabelsConfig) -> list[float]:
    """Return the share of each doubtful row's most similar rows (cosine) that hold its label."""
    import numpy as np

    shares: list[float] = []
    for start in range(0, len(doubtful), 256):
        chunk = doubtful[start : start + 256]
        similarity = (features[chunk] @ features.T).toarray()
        similarity[np.arange(len(chunk)), chunk] = -1.0
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, : config.neighbours]
        shares.extend((codes[nearest] == codes[chunk][:, None]).mean(axis=1).tolist())
    return shares


def _finding(
    rows: Sequence[Row], total: int, suspects: Sequence[_Suspect], config: SuspectLabelsConfig
) -> QualityFinding:
    finding = QualityFinding()
    for suspect in suspects:
        finding.note(
            rows[suspect.row],
            field=suspect.level,
            self_confidence=round(suspect.confidence, 4),
            of_best=round(suspect.relative, 4),
            neighbours_agreeing=round(suspect.agreeing, 2),
        )
    share = len(suspects) / len(rows)
    finding.passed = share <= config.max_share
    finding.numbers = {"judged": len(rows), "suspect_labels": len(suspects), "suspect_share": round(share, 6)}
    judged = f"{len(rows)} rows" if len(rows) == total else f"{len(rows)} of {total} rows, drawn by content"
    finding.summary = (
        f"{len(suspects)} labels of {judged} are suspect ({share:.1%}; at most {config.max_share:.0%}), "
        "by cross-validation and by their most similar rows"
    )
    return finding
