"""Shared n-grams and tokens against plain counting and sacrebleu."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from finetune_assets.evaluation.metrics import ngrams
from finetune_assets.evaluation.metrics.ngrams import shared_ngrams
from finetune_assets.evaluation.metrics.tokens_13a import tokens_13a

TEXT = st.text("aab cd\U0001f30a海\ud800", max_size=30)
MARKS = st.text("ab 01.,-&;<>\n\t\u00a0é海{~[`!@/'\"", max_size=16)
LIBRARY = Tokenizer13a()


def plainly(one: str, other: str, orders: int) -> list[int]:
    def count(text: str, order: int) -> Counter[str]:
        return Counter(text[place : place + order] for place in range(len(text) - order + 1))

    return [(count(one, order) & count(other, order)).total() for order in range(1, orders + 1)]


@given(st.lists(st.tuples(TEXT, TEXT), max_size=6), st.integers(1, 6))
def test_shared_ngrams_are_counted_exactly(pairs: list[tuple[str, str]], orders: int) -> None:
    expected = [plainly(one, other, orders) for one, other in pairs]
    assert shared_ngrams(pairs, orders) == expected
    assert shared_ngrams([(tuple(one), tuple(other)) for one, other in pairs], orders) == expected


def test_many_pairs_in_small_blocks_and_texts_of_too_many_symbols(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [("abcab" * number, "cabca" * (number % 3)) for number in range(40)]
    expected = [plainly(one, other, 6) for one, other in pairs]
    monkeypatch.setattr(ngrams, "_BLOCK", 50)
    assert shared_ngrams(pairs, 6) == expected
    # 2,000 different symbols take 11 bits, six of which no number of 63 bits holds.
    wide = "".join(map(chr, range(0x4E00, 0x4E00 + 2000)))
    mixed = [(wide, wide[500:1500]), ("ab", "ba"), ("", wide)]
    assert shared_ngrams(mixed, 6) == [plainly(one, other, 6) for one, other in mixed]


@given(st.lists(MARKS | st.sampled_from(["&amp;", "&quot;", "&lt;", "<skipped>", "-\n", "1.5", "x.,y"])).map("".join))
def test_tokens_are_sacrebleus(text: str) -> None:
    assert tokens_13a(text) == tuple(LIBRARY(text.rstrip()).split())
