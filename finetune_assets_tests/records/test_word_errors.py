from __future__ import annotations

import json
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.records import transcript_text
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.transcript_text import NORMALISERS, basic_english, find_normaliser, white_space
from finetune_assets.records.word_errors import EditCounts, character_edits, corpus_errors, word_edits

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8)
TEXTS = st.text(st.sampled_from("aAbé'’.,-% 1\u0301\u200b\u00a0½ﬁß€_`´İ"), max_size=20) | st.text(max_size=20)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello,  World!", "hello world"),
        ("DON’T 'quote' me", "don't quote me"),
        ("well-known e.g. this", "well known e g this"),
        ("It costs $1,000.50, or 3%", "it costs $1000.50 or 3%"),
        ("10,20 and 1,000,000", "10 20 and 1000000"),
        ("Café\u200b\u00a0Cafe\u0301", "café café"),
        ("two 2", "two 2"),
        ("...", ""),
        ("snake_case", "snake case"),
        ("हिन्दी में", "हिन्दी में"),
    ],
)
def test_basic_english(text: str, expected: str) -> None:
    assert basic_english(text) == expected


@given(TEXTS)
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    for normalise in NORMALISERS.values():
        once = normalise(text)
        assert normalise(once) == once
        assert once == " ".join(once.split())


@given(st.text(st.sampled_from("aZ019'`.,%$ _-\t\x00\x1f"), max_size=12) | st.text(st.characters(max_codepoint=127)))
def test_the_short_way_for_ascii_is_the_whole_rule(text: str) -> None:
    folded = text
    for _ in range(10):
        folded = transcript_text._one_pass(folded)
    assert basic_english(text) == folded


@given(TEXTS)
def test_case_and_white_space_make_no_difference(text: str) -> None:
    assert basic_english(f"  {text}\t\n") == basic_english(text)
    if text.isascii():
        assert basic_english(text.upper()) == basic_english(text.lower())


def test_white_space_keeps_all_else() -> None:
    assert white_space("  Hello,\n World ") == "Hello, World"


def test_unknown_normalisers_are_named() -> None:
    with pytest.raises(FinetuneError, match=r"whisper/1.*expected basic_english/1"):
        find_normaliser("whisper/1")


def shortest(one: list[str], other: list[str]) -> int:
    """Levenshtein's distance by the textbook's table."""
    row = list(range(len(other) + 1))
    for number, left in enumerate(one, start=1):
        new = [number]
        for place, right in enumerate(other, start=1):
            new.append(min(new[-1] + 1, row[place] + 1, row[place - 1] + (left != right)))
        row = new
    return row[-1]


@given(WORDS, WORDS)
def test_edits_are_as_few_as_can_be(reference: list[str], hypothesis: list[str]) -> None:
    found = word_edits(" ".join(reference), " ".join(hypothesis))
    assert found.edits == shortest(reference, hypothesis)
    assert found.reference == len(reference)
    assert len(reference) + found.insertions - found.deletions == len(hypothesis)
    if reference:
        assert found.rate == found.edits / len(reference)
    else:
        assert found.rate is None


@given(st.lists(st.tuples(WORDS, WORDS), max_size=6))
def test_a_corpus_sums_its_edits(pairs: list[tuple[list[str], list[str]]]) -> None:
    texts = [(" ".join(reference), " ".join(hypothesis)) for reference, hypothesis in pairs]
    single = [word_edits(*pair) for pair in texts]
    found = corpus_errors(texts)
    assert found.words == reduce(EditCounts.__add__, single, EditCounts())
    assert found.characters == reduce(EditCounts.__add__, [character_edits(*pair) for pair in texts], EditCounts())
    assert found.rows == len(pairs)
    assert found.rows_with_error == sum(counts.edits > 0 for counts in single)
    assert found.rows_above_one == sum(counts.edits > counts.reference for counts in single)


def test_kinds_of_edit() -> None:
    assert word_edits("the cat sat", "the bat sat").main_kind == "substitution"
    assert word_edits("the cat sat", "the sat").main_kind == "deletion"
    assert word_edits("the cat sat", "well the cat sat").main_kind == "insertion"
    assert word_edits("The cat sat.", "the CAT sat").main_kind == "none"
    assert word_edits("The cat sat.", "the CAT sat", normaliser="white_space/1").edits == 3
    assert word_edits("a b", "").rate == 1.0
    assert character_edits("abcd", "abxd").rate == 0.25


def test_the_real_pairs_have_the_errors_that_were_measured(real_data: Path) -> None:
    lines = (real_data / "speech" / "preschool_whisper_pairs_filtered.jsonl").read_text().splitlines()
    pairs = [(row["reference"], row["hypothesis"]) for row in map(json.loads, lines)]
    raw = corpus_errors(pairs, normaliser="white_space/1")
    assert (raw.rows, raw.rows_with_error, raw.rows_above_one) == (766, 155, 13)
    assert raw.words.rate == pytest.approx(0.1075, abs=5e-5)
    # Case and punctuation are no errors of hearing: 2 rows less, and a rate of their own.
    usual = corpus_errors(pairs)
    assert (usual.rows_with_error, usual.rows_above_one) == (153, 12)
    assert usual.words.rate == pytest.approx(0.1014, abs=5e-5)
    assert len(pairs) - len({reference for reference, _ in pairs}) == 99
