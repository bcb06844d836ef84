"""Trivial baselines on the very test rows: what a tuned model must beat, and what it should be held beside.

They are trained on the training split alone and give the same rows as a model's answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from finetune_assets.evaluation.answers import ScoredAnswer, scored
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAJORITY = "majority"
TFIDF_LOGREG = "tfidf_logreg"

# A single mark is a token too: then texts without a word do not leave the vocabulary empty.
_WORD_OR_MARK = r"(?u)\b\w+\b|[^\w\s]"
_MAX_FEATURES = 50_000
_MAX_ITERATIONS = 1_000
_INVERSE_REGULARISATION = 10.0


def question_text(example: Example) -> str:
    """Return what the user says in an example, turns joined by a line end; the system prompt tells nothing apart."""
    return "\n".join(message["content"] for message in example.messages if message["role"] == "user")


def majority_answers(train: Sequence[Example], test: Sequence[Example]) -> list[ScoredAnswer]:
    """Answer every test row with the commonest label path of the training rows (the first by name on a tie).

    Raises:
        FinetuneError: when there are no training rows.
    """
    _need_rows(train)
    counts = Counter(example.label_path for example in train)
    label = min(counts, key=lambda path: (-counts[path], path))
    return [scored(example, label) for example in test]


def tfidf_logreg_answers(
    train: Sequence[Example],
    test: Sequence[Example],
    *,
    legal_paths: Sequence[tuple[str, ...]] | None = None,
    seed: int = 0,
) -> list[ScoredAnswer]:
    """Answer by TF-IDF over words and word pairs and one logistic regression for each level of the label.

    The levels' log-probabilities are added up over each legal label path and the best path is the answer, so that
    the baseline never answers an illegal combination. One classifier a level sees every row of each of its few
    classes, where one classifier over whole paths would see a handful: the stronger rival of the two.

    Args:
        train: the training rows.
        test: the rows to answer.
        legal_paths: label paths that may be answered; those of the training rows when None. A path with a part
            that no training row has cannot be answered.
        seed: of the solver.

    Returns:
        One row for each test row, in order.

    Raises:
        FinetuneError: when there are no training rows, or their labels differ in depth.
    """
    _need_rows(train)
    if not test:
        return []
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    depths = {len(example.label_path) for example in train}
    if len(depths) != 1:
        raise FinetuneError("training labels differ in depth", found=f"{sorted(depths)} parts", expected="one depth")
    vectoriser = TfidfVectorizer(
        token_pattern=_WORD_OR_MARK, ngram_range=(1, 2), sublinear_tf=True, max_features=_MAX_FEATURES
    )
    train_vectors = vectoriser.fit_transform([question_text(example) for example in train])
    test_vectors = vectoriser.transform([question_text(example) for example in test])
    seen = {example.label_path for example in train}
    levels = []
    for index in range(depths.pop()):
        parts = [example.label_path[index] for example in train]
        levels.append(_log_probabilities(train_vectors, parts, test_vectors, seed))
    paths = sorted(path for path in (seen if legal_paths is None else seen | set(legal_paths)) if _known(path, levels))
    totals = np.zeros((len(test), len(paths)))
    for index, (columns, values) in enumerate(levels):
        totals += values[:, [columns[path[index]] for path in paths]]
    best = np.argmax(totals, axis=1)
    return [scored(example, paths[int(choice)]) for example, choice in zip(test, best, strict=True)]


def _log_probabilities(
    train_vectors: Any, parts: Sequence[str], test_vectors: Any, seed: int
) -> tuple[dict[str, int], NDArray[np.float64]]:
    """Return {part: column} and [test rows, parts] of log-probabilities for one level."""
    import numpy as np

    names = sorted(set(parts))
    if len(names) == 1:  # nothing to tell apart, and the regression refuses one class
        return {names[0]: 0}, np.zeros((test_vectors.shape[0], 1))
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=_INVERSE_REGULARISATION, max_iter=_MAX_ITERATIONS, random_state=seed)
    model.fit(train_vectors, list(parts))
    return {str(name): column for column, name in enumerate(model.classes_)}, model.predict_log_proba(test_vectors)


def _known(path: tuple[str, ...], levels: Sequence[tuple[dict[str, int], object]]) -> bool:
    return len(path) == len(levels) and all(part in columns for part, (columns, _) in zip(path, levels, strict=True))


def _need_rows(train: Sequence[Example]) -> None:
    if not train:
        raise FinetuneError(
            "no training rows for the trivial baselines",
            mend="check the split: every row went to validation or test",
        )
