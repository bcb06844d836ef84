"""Answers about code against a reference: words and edits in common, and identifiers covered.

Whether code parses is for its grammar to say, which the task type knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"[A-Za-z_$][\w$]*")
_COMMENT_OR_TEXT = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`",
    re.DOTALL,
)
_HASH_COMMENT = re.compile(r"(?m)(?<!\S)#[^\n]*")
_TICKED = re.compile(r"`+([^`\n]+)`+")
# Looks like code amid prose: camelCase, PascalCase of two words, snake_case.
_CODE_LIKE = re.compile(r"[a-z$_]+[A-Z0-9]|[A-Z][a-z0-9]+[A-Z]|[A-Za-z][A-Za-z0-9]*_\w")
_CALLED = re.compile(r"([A-Za-z_$][\w$]*)\(\)")

# Words of Java, Python and TypeScript that name nothing; answering them is no merit.
_KEYWORD_LIST = """
abstract and any as assert async await boolean break byte case catch char class const continue declare def
default del do double elif else enum except export extends false False final finally float for from function
global goto if implements import in instanceof int interface is keyof lambda let long module namespace
native never new None nonlocal not null number object or package pass permits private protected public raise
readonly record return sealed self short static strictfp string super switch synchronized this throw throws
transient true True try type typeof undefined unknown var void volatile while with yield
"""
_KEYWORDS = frozenset(_KEYWORD_LIST.split())


def identifiers_in_code(code: str) -> frozenset[str]:
    """Return the names in a piece of code: words outside comments and literal texts that are no keywords.

    A plain reading by words that needs no grammar, the same for every language.
    """
    # A Python comment may hold a quote, so it goes first; a `#` behind anything but white space opens none.
    bare = _COMMENT_OR_TEXT.sub(" ", _HASH_COMMENT.sub(" ", code))
    return frozenset(_WORD.findall(bare)) - _KEYWORDS


def identifiers_in_prose(text: str) -> frozenset[str]:
    """Return the names of code that a text about code mentions: in backticks, or written as names are.

    `getName`, `max_size` and `size()` are names wherever they stand; `size` is one only in backticks.
    """
    ticked = (word for part in _TICKED.findall(text) for word in _WORD.findall(part))
    written = (word for word in _WORD.findall(text) if _CODE_LIKE.match(word))
    return frozenset([*ticked, *written, *_CALLED.findall(text)]) - _KEYWORDS


def covered(identifiers: Iterable[str], answer: str) -> float | None:
    """Return the share of the identifiers that the answer holds as whole words, spelt exactly.

    Returns:
        A value in [0, 1]; None without any identifier.
    """
    wanted = set(identifiers)
    return len(wanted & set(_WORD.findall(answer))) / len(wanted) if wanted else None


def word_similarity(reference: str, answer: str) -> float:
    """Return the Jaccard similarity of the sets of lower-cased words that white space divides; 1 for two blanks."""
    wanted, given = set(reference.lower().split()), set(answer.lower().split())
    return len(wanted & given) / len(wanted | given) if wanted or given else 1.0


def edit_similarities(references: Sequence[str], answers: Sequence[str]) -> list[float]:
    """Return 1 - Levenshtein distance / longer length of each pair, with white space folded; 1 for two blanks."""
    import numpy as np
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cpdist

    if len(references) != len(answers):
        raise ValueError(f"{len(references)} references and {len(answers)} answers")
    if not references:
        return []
    left, right = (list(map(_folded, texts)) for texts in (references, answers))
    found = cpdist(left, right, scorer=Levenshtein.normalized_similarity, dtype=np.float64, workers=1)
    return [float(value) for value in found]


def _folded(text: str) -> str:
    return " ".join(text.split())
