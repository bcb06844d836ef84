"""Trivial baselines on the very test rows: what a tuned model must beat, and what it should be held beside.

They learn from the training split alone and give texts, which are read and marked as a model's answers are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAJORITY = "majority"
TFIDF_LOGREG = "tfidf_logreg"
NEAREST = "nearest"
UNCHANGED = "unchanged"
ORIGINAL = "original_transcript"

# A single mark is a token too: then texts without a word do not leave the vocabulary empty.
_WORD_OR_MARK = r"(?u)\b\w+\b|[^\w\s]"
_MAX_FEATURES = 50_000
_MAX_ITERATIONS = 1_000
_INVERSE_REGULARISATION = 10.0
_ASKED_AT_ONCE = 512


def question_text(example: Example) -> str:
    """Return what the user says in an example, turns joined by a line end; the system prompt tells nothing apart."""
    return "\n".join(message["content"] for message in example.messages if message["role"] == "user")


def trivial_answers(train: Sequence[Example], test: Sequence[Example], *, labelled: bool) -> dict[str, list[str]]:
    """Return the texts of every trivial baseline that exists for a task.

    `majority` always; `unchanged` where every question holds a transcript to correct; `tfidf_logreg` where answers are
    labels; `nearest` where they are free text.

    Args:
        train: the training rows.
        test: the rows to answer.
        labelled: answers are labels, not free text.

    Raises:
        FinetuneError: when there are no training rows.
    """
    _need_rows(train)
    found = {MAJORITY: majority_answers(train, test)}
    if labelled:
        found[TFIDF_LOGREG] = tfidf_logreg_answers(train, test)
    else:
        found[NEAREST] = nearest_answers(train, test)
    if test and all(isinstance(example.facts.get(ORIGINAL), str) for example in test):
        found[UNCHANGED] = [example.facts[ORIGINAL] for example in test]
    return found


def majority_answers(train: Sequence[Example], test: Sequence[Example]) -> list[str]:
    """Answer every test row with the commonest answer of the training rows (the first by text on a tie).

    Raises:
        FinetuneError: when there are no training rows.
    """
    _need_rows(train)
    counts = Counter(example.target for example in train)
    commonest = min(counts, key=lambda target: (-counts[target], target))
    return [commonest] * len(test)


def nearest_answers(train: Sequence[Example], test: Sequence[Example]) -> list[str]:
    """Answer with what the training row says whose question is most alike (cosine of TF-IDF; the first on a tie).

    Raises:
        FinetuneError: when there are no training rows.
    """
    _need_rows(train)
    if not test:
        return []
    import numpy as np

    vectoriser = _vectoriser()
    known = vectoriser.fit_transform([question_text(example) for example in train])
    asked = vectoriser.transform([question_text(example) for example in test])
    nearest: list[int] = []
    for start in range(0, asked.shape[0], _ASKED_AT_ONCE):
        likeness = (asked[start : start + _ASKED_AT_ONCE] @ known.T).toarray()
        nearest += np.argmax(likeness, axis=1).tolist()
    return [train[place].target for place in nearest]


def tfidf_logreg_answers(
    train: Sequence[Example],
    test: Sequence[Example],
    *,
    seed: int = 0,
) -> list[str]:
    """Answer by TF-IDF over words and word pairs and one logistic regression for each level of the label.

    The levels' log-probabilities are added up over each label path of the training rows and the best path is the
    answer, so that the baseline never answers an illegal combination. One classifier a level sees every row of each
    of its few classes, where one classifier over whole paths would see a handful: the stronger rival of the two.

    Args:
        train: the training rows.
        test: the rows to answer.
        seed: of the solver.

    Returns:
        One answer for each test row, in order.

    Raises:
        FinetuneError: when there are no training rows, or their labels differ in depth.
    """
    _need_rows(train)
    if not test:
        return []
    import numpy as np

    depths = {len(example.label_path) for example in train}
    if len(depths) != 1:
        raise FinetuneError("training labels differ in depth", found=f"{sorted(depths)} parts", expected="one depth")
    vectoriser = _vectoriser()
    train_vectors = vectoriser.fit_transform([question_text(example) for example in train])
    test_vectors = vectoriser.transform([question_text(example) for example in test])
    targets = {example.label_path: example.target for example in train}
    levels = []
    for index in range(depths.pop()):
        parts = [example.label_path[index] for example in train]
        levels.append(_log_probabilities(train_vectors, parts, test_vectors, seed))
    paths = sorted(targets)
    totals = np.zeros((len(test), len(paths)))
    for index, (columns, values) in enumerate(levels):
        totals += values[:, [columns[path[index]] for path in paths]]
    return [targets[paths[int(choice)]] for choice in np.argmax(totals, axis=1)]


def _vectoriser() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        token_pattern=_WORD_OR_MARK, ngram_range=(1, 2), sublinear_tf=True, max_features=_MAX_FEATURES
    )


def _log_probabilities(
    train_vectors: Any, parts: Sequence[str], test_vectors: Any, seed: int
) -> tuple[dict[str, int], NDArray[np.float64]]:
    """Return {part: column} and [test rows, parts] of log-probabilities for one level."""
    import numpy as np

    names = sorted(set(parts))
    if len(names) == 1:  # nothing to tell apart, and the regression refuses one class
        return {names[0]: 0}, np.zeros((test_vectors.shape[0], 1))
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    model = LogisticRegression(C=_INVERSE_REGULARISATION, max_iter=_MAX_ITERATIONS, random_state=seed)
    # Small matrices: threads of BLAS wait for each other longer than they work (13 s instead of 0.3 s was seen).
    with threadpool_limits(1):
        model.fit(train_vectors, list(parts))
        return {str(name): column for column, name in enumerate(model.classes_)}, model.predict_log_proba(test_vectors)


def _need_rows(train: Sequence[Example]) -> None:
    if not train:
        raise FinetuneError(
            "no training rows for the trivial baselines",
            mend="check the split: every row went to validation or test",
        )
