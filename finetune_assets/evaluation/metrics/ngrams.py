"""N-grams that two texts share, counted for many pairs of texts at once.

A pair shares an n-gram as often as both texts hold it. All n-grams of a block of pairs are sorted once, as whole
numbers made of the pair, the symbols and the side; an n-gram's prefixes are then neighbours too, so that one sort
serves every order. The counts are exact: nothing is hashed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

Symbols = str | tuple[str, ...]
"""A text as its characters or as its tokens."""

Pair = tuple[Symbols, Symbols]

# Symbols sorted at once: few enough for the arrays to stay in a processor's cache.
_BLOCK = 50_000
_BITS = 63


def shared_ngrams(pairs: Sequence[Pair], orders: int) -> list[list[int]]:
    """Return how many n-grams both texts of each pair hold, each as often as the text that has it less often.

    Args:
        pairs: two texts each, all of characters or all of tokens.
        orders: n-grams of 1 to this many symbols are counted, 1 or more.

    Returns:
        For each pair the counts by order.
    """
    coder: Callable[[Sequence[Pair]], Numbers] = _characters
    if any(isinstance(text, tuple) for pair in pairs for text in pair):
        coder = _tokens
    return [row for block in _blocks(pairs) for row in _block(block, orders, coder)]


def _blocks(pairs: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
    start = size = 0
    for place, (one, other) in enumerate(pairs):
        if size and size + len(one) + len(other) > _BLOCK:
            yield pairs[start:place]
            start, size = place, 0
        size += len(one) + len(other)
    if start < len(pairs):
        yield pairs[start:]


def _block(pairs: Sequence[Pair], orders: int, coder: Callable[[Sequence[Pair]], Numbers]) -> list[list[int]]:
    codes = coder(pairs)
    bits = int(codes.max(initial=1)).bit_length()
    if len(pairs).bit_length() + orders * bits + 1 <= _BITS:
        found: list[list[int]] = _sorted_counts(pairs, codes, bits, orders).tolist()
        return found
    if len(pairs) == 1:
        return [_plain_counts(pairs[0], orders)]
    # Too many different symbols for one number: half of the pairs have fewer.
    middle = len(pairs) // 2
    return [*_block(pairs[:middle], orders, coder), *_block(pairs[middle:], orders, coder)]


def _characters(pairs: Sequence[Pair]) -> Numbers:
    """Return the characters of all texts as small numbers from 1 on."""
    import numpy as np

    text = "".join([part for pair in pairs for part in pair if isinstance(part, str)])
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    used = np.zeros(int(points.max(initial=0)) + 1, np.bool_)
    used[points] = True
    ranks: Numbers = np.cumsum(used)
    return ranks[points]


def _tokens(pairs: Sequence[Pair]) -> Numbers:
    """Return the tokens of all texts as small numbers from 1 on, which agree within a pair."""
    import numpy as np

    codes: list[int] = []
    for one, other in pairs:
        known = {token: code for code, token in enumerate(dict.fromkeys([*one, *other]), start=1)}
        codes += map(known.__getitem__, one)
        codes += map(known.__getitem__, other)
    return np.array(codes, np.int64)


def _sorted_counts(pairs: Sequence[Pair], codes: Numbers, bits: int, orders: int) -> Numbers:
    """Count the shared n-grams of a block; shape [pairs, orders].

    Args:
        pairs: the block.
        codes: its symbols, one text after the other.
        bits: of the largest code.
        orders: the longest n-gram.
    """
    import numpy as np

    lengths = np.array([len(text) for pair in pairs for text in pair])
    text_of = np.repeat(np.arange(2 * len(pairs)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(codes))  # symbols up to the text's end
    padded = np.concatenate([codes, np.zeros(orders, np.int64)])
    keys = text_of >> 1
    for place in range(orders):
        # 0 stands past the end, so that short n-grams at the end are told from longer ones.
        keys = (keys << bits) | np.where(left > place, padded[place : place + len(codes)], 0)
    keys = (keys << 1) | (text_of & 1)
    keys.sort()
    second = (keys & 1).astype(np.int32)
    first, ngrams = 1 - second, keys >> 1
    counts = np.zeros((len(pairs), orders), np.int64)
    if not len(codes):
        return counts
    for order in range(orders, 0, -1):
        starts = np.flatnonzero(np.concatenate([[True], ngrams[1:] != ngrams[:-1]]))
        ngrams, first, second = ngrams[starts], np.add.reduceat(first, starts), np.add.reduceat(second, starts)
        shared = np.where(ngrams & ((1 << bits) - 1), np.minimum(first, second), 0)
        counts[:, order - 1] = np.bincount(ngrams >> (bits * order), shared, len(pairs))
        ngrams >>= bits
    return counts


def _plain_counts(pair: Pair, orders: int) -> list[int]:
    """Count one pair's shared n-grams without packing them; for texts with more symbols than numbers have room for."""

    def ngrams(text: Any, order: int) -> Counter[Any]:
        return Counter([text[place : place + order] for place in range(len(text) - order + 1)])

    return [(ngrams(pair[0], order) & ngrams(pair[1], order)).total() for order in range(1, orders + 1)]
