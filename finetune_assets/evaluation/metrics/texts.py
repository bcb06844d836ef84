"""Free text against a reference: exact match, token F1, ROUGE-L, keywords, length, BLEU and chrF.

All figures are in [0, 1]; sacrebleu prints the same BLEU and chrF times 100. BLEU and chrF are figures of a corpus:
rows give statistics that are summed, and `bleu` and `chrf` turn sums into figures. A mean of sentence scores is
neither.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

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
_WORD_CHARACTER = re.compile(r"\w")


def normalised(text: str) -> str:
    """Return a text in the form `lower_space/1`."""
    return " ".join(text.lower().split())


def exact_match(reference: str, answer: str) -> bool:
    """True when both texts are equal in the form `lower_space/1`."""
    return normalised(reference) == normalised(answer)


def token_f1(reference: str, answer: str) -> float:
    """Return the harmonic mean of precision and recall over tokens, each as often as it occurs.

    Tokens are what white space divides in the form `lower_space/1`. Two texts without any token are equal: 1.
    """
    wanted, given = Counter(normalised(reference).split()), Counter(normalised(answer).split())
    if not wanted and not given:
        return 1.0
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

    wanted, given = rouge_tokens(reference), rouge_tokens(answer)
    if not wanted:
        return None
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
    return sum(_holds(text, keyword) for keyword in wanted) / len(wanted)


def _holds(text: str, keyword: str) -> bool:
    if keyword not in text:
        return False
    before = r"(?<!\w)" if _parts_words(keyword[0]) else ""
    after = r"(?!\w)" if _parts_words(keyword[-1]) else ""
    return re.search(f"{before}{re.escape(keyword)}{after}", text) is not None


def _parts_words(character: str) -> bool:
    return _WORD_CHARACTER.match(character) is not None and _UNSPACED.match(character) is None


def length_ratio(reference: str, answer: str) -> float | None:
    """Return the answer's words over the reference's, None where the reference has none."""
    words = len(reference.split())
    return len(answer.split()) / words if words else None


def bleu_statistics(references: Sequence[str], answers: Sequence[str]) -> list[Stats]:
    """Return the statistics of BLEU, row by row: sacrebleu's counts under its default tokeniser `13a`.

    Args:
        references: one right text for each row.
        answers: what was answered, "" for nothing.

    Returns:
        One tuple of `BLEU_WIDTH` numbers for each row.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
    from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

    # The counts are the same with and without effective order; without it, the library warns on every row.
    metric = BLEU(effective_order=True)
    rows: list[Stats] = []
    for reference, answer in zip(references, answers, strict=True):
        found = metric.sentence_score(answer, [reference])
        rows.append(tuple(map(float, (found.sys_len, found.ref_len, *found.counts, *found.totals))))
    # The library's tokenisers remember 65,536 texts each for the life of the process.
    Tokenizer13a.__call__.cache_clear()
    TokenizerRegexp.__call__.cache_clear()
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

    sacrebleu offers no row's counts, so they are counted here, and a test holds them against its figures.

    Args:
        references: one right text for each row.
        answers: what was answered, "" for nothing.

    Returns:
        One tuple of `CHRF_WIDTH` numbers for each row.
    """
    return [_chrf_row(*pair) for pair in zip(references, answers, strict=True)]


def _chrf_row(reference: str, answer: str) -> Stats:
    wanted, given = "".join(reference.split()), "".join(answer.split())
    row: list[float] = []
    shared = 1
    for order in range(1, CHRF_ORDER + 1):
        in_answer, in_reference = max(0, len(given) - order + 1), max(0, len(wanted) - order + 1)
        if wanted == given:
            shared = in_answer
        elif shared:  # what shares no n-gram shares no longer one
            shared = _shared(wanted, given, order)
        # The library counts an order only where the reference has n-grams of it.
        row += [float(in_answer if in_reference else 0), float(in_reference), float(shared)]
    return tuple(row)


def _shared(wanted: str, given: str, order: int) -> int:
    left = Counter([wanted[place : place + order] for place in range(len(wanted) - order + 1)])
    right = Counter([given[place : place + order] for place in range(len(given) - order + 1)])
    both = list(left.keys() & right.keys())
    return sum(map(min, map(left.__getitem__, both), map(right.__getitem__, both)))


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
