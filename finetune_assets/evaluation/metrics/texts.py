"""Free text against a reference: exact match, token F1, ROUGE-L, keywords, length, BLEU and chrF.

All figures are in [0, 1]; sacrebleu prints the same BLEU and chrF times 100. BLEU and chrF are figures of a corpus:
rows give statistics that are summed, and `bleu` and `chrf` turn sums into figures. A mean of sentence scores is
neither.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from finetune_assets.evaluation.metrics.ngrams import Pair, shared_ngrams
from finetune_assets.evaluation.metrics.tokens_13a import tokens_13a

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from finetune_assets.records.measure import Stats

NORMAL_FORM = "lower_space/1"
"""The spelling by which `exact_match`, `token_f1` and keywords compare: lower case, white space folded and trimmed."""

BLEU_WIDTH = 10
"""Statistics of a row for BLEU: answer's tokens, reference's tokens, 4 counts of shared n-grams, 4 of the answer's."""

CHRF_ORDER = 6
CHRF_WIDTH = 3 * CHRF_ORDER
"""Statistics of a row for chrF2: for each order the n-grams of the answer, of the reference, and the shared ones."""

_BLEU_ORDER = 4
_BETA = 2
_ROUGE_TOKEN = re.compile(r"[a-z0-9]+")
# Scripts that are written without blanks between words: Thai, Lao, Burmese, Khmer, kana, Han.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


def normalised(text: str) -> str:
    """Return a text in the form `lower_space/1`."""
    return " ".join(text.lower().split())


def exact_match(reference: str, answer: str) -> bool:
    """True when both texts are equal in the form `lower_space/1`."""
    return reference == answer or normalised(reference) == normalised(answer)


def token_f1(reference: str, answer: str) -> float:
    """Return the harmonic mean of precision and recall over tokens, each as often as it occurs.

    Tokens are what white space divides in the form `lower_space/1`. Two texts without any token are equal: 1.
    """
    if reference == answer:
        return 1.0
    right, answered = reference.lower().split(), answer.lower().split()
    if right == answered:
        return 1.0
    wanted, given = Counter(right), Counter(answered)
    shared = (wanted & given).total()
    if not shared:
        return 0.0
    precision, recall = shared / given.total(), shared / wanted.total()
    return 2 * precision * recall / (precision + recall)


def rouge_tokens(text: str) -> list[str]:
    """Return the tokens of rouge_score without stemming: runs of a-z and 0-9 in the lower-cased text."""
    return _ROUGE_TOKEN.findall(text.lower())


def rouge_l(reference: str, answer: str) -> float | None:
    """Return ROUGE-L's F measure, equal to `rouge_score` without stemming.

    Returns:
        A value in [0, 1]; None where the reference has no token (another script), for no answer could score there.
    """
    from rapidfuzz.distance import LCSseq

    wanted = rouge_tokens(reference)
    given = wanted if reference == answer else rouge_tokens(answer)
    if not wanted:
        return None
    if wanted == given:
        return 1.0
    shared = LCSseq.similarity(wanted, given) if given else 0
    if not shared:
        return 0.0
    precision, recall = shared / len(given), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


def keyword_share(keywords: Sequence[str], answer: str) -> float | None:
    """Return the share of the keywords that the answer holds as whole words.

    Case and white space make no difference. In scripts that part no words a keyword counts wherever it stands.

    Returns:
        A value in [0, 1]; None without any keyword.
    """
    wanted = dict.fromkeys(word for keyword in keywords if (word := normalised(keyword)))
    if not wanted:
        return None
    text = normalised(answer)
    return sum([_holds(text, keyword) for keyword in wanted]) / len(wanted)


def _holds(text: str, keyword: str) -> bool:
    # A pattern for each keyword would be compiled for each row: ten times as dear.
    start = text.find(keyword)
    while start >= 0:
        end = start + len(keyword)
        before = start > 0 and _in_word(text[start - 1]) and _parts_words(keyword[0])
        if not before and not (end < len(text) and _in_word(text[end]) and _parts_words(keyword[-1])):
            return True
        start = text.find(keyword, start + 1)
    return False


def _parts_words(character: str) -> bool:
    return _in_word(character) and _UNSPACED.match(character) is None


def _in_word(character: str) -> bool:
    """True for a letter, a digit or a low line: what a pattern counts to a word."""
    return character.isalnum() or character == "_"


def length_ratio(reference: str, answer: str) -> float | None:
    """Return the answer's words over the reference's, None where the reference has none."""
    words = len(reference.split())
    if reference == answer:
        return 1.0 if words else None
    return len(answer.split()) / words if words else None


def bleu_statistics(references: Sequence[str], answers: Sequence[str]) -> list[Stats]:
    """Return the statistics of BLEU, row by row: sacrebleu's counts under its default tokeniser `13a`.

    They are counted here, many rows at once, and a test holds them against sacrebleu's own.

    Args:
        references: one right text for each row.
        answers: what was answered, "" for nothing.

    Returns:
        One tuple of `BLEU_WIDTH` numbers for each row.
    """
    tokens = {text: tokens_13a(text) for text in dict.fromkeys([*references, *answers])}
    pairs = [(tokens[reference], tokens[answer]) for reference, answer in zip(references, answers, strict=True)]
    return [
        tuple([float(part) for part in (len(given), len(wanted), *shared, *_totals(len(given), _BLEU_ORDER))])
        for (wanted, given), shared in zip(pairs, _shared(pairs, _BLEU_ORDER), strict=True)
    ]


@lru_cache(maxsize=4096)
def _totals(symbols: int, orders: int) -> tuple[int, ...]:
    """Return how many n-grams a text of so many symbols has, by order."""
    return tuple(max(0, symbols - order) for order in range(orders))


def _shared(pairs: Sequence[Pair], orders: int) -> list[Sequence[int]]:
    """Return the n-grams that each pair shares, by order; two equal texts share all."""
    counted = iter(shared_ngrams([pair for pair in pairs if pair[0] != pair[1]], orders))
    rows: list[Sequence[int]] = []
    for one, other in pairs:
        rows.append(next(counted) if one != other else _totals(len(one), orders))
    return rows


def bleu(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the corpus BLEU of summed statistics, equal to sacrebleu's `corpus_bleu` / 100 (exp smoothing).

    Args:
        sums: shape [..., 10].

    Returns:
        Shape [...], in [0, 1]; nan where no row was summed.
    """
    import numpy as np

    sums = np.asarray(sums, dtype=np.float64)
    given, wanted = sums[..., 0], sums[..., 1]
    correct, total = sums[..., 2 : 2 + _BLEU_ORDER], sums[..., 2 + _BLEU_ORDER :]
    # The k-th order without a shared n-gram counts as 1 / 2^k of one (mteval's smoothing).
    smoothed = np.where(correct > 0, correct, 0.5 ** np.cumsum(correct == 0, axis=-1))
    logs = np.log(smoothed / np.where(total > 0, total, 1.0)).mean(axis=-1)
    penalty = np.where(given < wanted, 1.0 - wanted / np.where(given > 0, given, 1.0), 0.0)
    usable = (total > 0).all(axis=-1) & (correct > 0).any(axis=-1)
    figures: NDArray[np.float64] = np.where(usable, np.exp(np.minimum(logs + penalty, 0.0)), 0.0)
    return np.where(given + wanted > 0, figures, np.nan)


def chrf_statistics(references: Sequence[str], answers: Sequence[str]) -> list[Stats]:
    """Return the statistics of chrF2, row by row: character n-grams of orders 1 to 6, white space left out.

    They are counted here, many rows at once, and a test holds them against sacrebleu's figures.

    Args:
        references: one right text for each row.
        answers: what was answered, "" for nothing.

    Returns:
        One tuple of `CHRF_WIDTH` numbers for each row.
    """
    bare = {text: "".join(text.split()) for text in dict.fromkeys([*references, *answers])}
    pairs = [(bare[reference], bare[answer]) for reference, answer in zip(references, answers, strict=True)]
    rows: list[Stats] = []
    for (wanted, given), shared in zip(pairs, _shared(pairs, CHRF_ORDER), strict=True):
        row = [0.0] * CHRF_WIDTH
        totals, right = _totals(len(given), CHRF_ORDER), _totals(len(wanted), CHRF_ORDER)
        # The library counts an order only where the reference has n-grams of it.
        row[0::3] = [float(mine if there else 0) for mine, there in zip(totals, right, strict=True)]
        row[1::3], row[2::3] = map(float, right), map(float, shared)
        rows.append(tuple(row))
    return rows


def chrf(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the corpus chrF2 of summed statistics, equal to sacrebleu's `corpus_chrf` / 100 with its defaults.

    Args:
        sums: shape [..., 18].

    Returns:
        Shape [...], in [0, 1]; nan where no row was summed.
    """
    import numpy as np

    sums = np.asarray(sums, dtype=np.float64)
    parts = sums.reshape(*sums.shape[:-1], CHRF_ORDER, 3)
    given, wanted, shared = parts[..., 0], parts[..., 1], parts[..., 2]
    counts = (given > 0) & (wanted > 0)
    orders = np.maximum(counts.sum(axis=-1), 1)
    precision = np.where(counts, shared / np.where(counts, given, 1.0), 0.0).sum(axis=-1) / orders
    recall = np.where(counts, shared / np.where(counts, wanted, 1.0), 0.0).sum(axis=-1) / orders
    below = _BETA**2 * precision + recall
    figures = (1 + _BETA**2) * precision * recall / np.where(below > 0, below, 1.0)
    return np.where(sums.sum(axis=-1) > 0, figures, np.nan)
