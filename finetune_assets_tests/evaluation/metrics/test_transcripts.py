from __future__ import annotations

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.evaluation.metrics import transcripts
from finetune_assets.evaluation.metrics.transcripts import normalised_errors, pair_errors
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.transcript_text import DEFAULT_NORMALISER, NORMALISERS
from finetune_assets.records.word_errors import character_edits, word_edits

WORD = st.sampled_from(["a", "to", "too", "don't", "1,000", "Zoë", "日本", "$5", "end."])
TEXT = st.lists(WORD, max_size=9).map(" ".join) | st.text(max_size=12) | st.just("\ud800 a")
SPOKEN = st.lists(WORD, min_size=1, max_size=9).map(" ".join)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=5), st.sampled_from(sorted(NORMALISERS)))
def test_many_pairs_count_as_single_ones(pairs: list[tuple[str, str]], normaliser: str) -> None:
    found = pair_errors([pair[0] for pair in pairs], [pair[1] for pair in pairs], normaliser=normaliser)
    words = [word_edits(*pair, normaliser=normaliser) for pair in pairs]
    characters = [character_edits(*pair, normaliser=normaliser) for pair in pairs]
    assert found.word_edits.tolist() == [count.edits for count in words]
    assert found.words.tolist() == [count.reference for count in words]
    assert found.character_edits.tolist() == [count.edits for count in characters]
    assert found.characters.tolist() == [count.reference for count in characters]
    assert found.equal.tolist() == [count.edits == 0 for count in characters]


@given(st.lists(st.tuples(SPOKEN, TEXT), min_size=1, max_size=6))
def test_rates_are_those_of_jiwer(pairs: list[tuple[str, str]]) -> None:
    normalise = NORMALISERS[DEFAULT_NORMALISER]
    said, heard = ([normalise(pair[place]) for pair in pairs] for place in (0, 1))
    found = normalised_errors(said, heard)
    assert found.word_edits.sum() / found.words.sum() == pytest.approx(jiwer.wer(said, heard), abs=1e-12)
    assert found.character_edits.sum() / found.characters.sum() == pytest.approx(jiwer.cer(said, heard), abs=1e-12)


def test_a_reference_without_words_counts_what_was_inserted() -> None:
    found = pair_errors(["...", "a b", "-"], ["well then", "a", "?"])
    assert found.word_edits.tolist() == [2, 1, 0]
    assert found.words.tolist() == [0, 2, 0]
    assert found.equal.tolist() == [False, False, True]
    # jiwer's own rule for such a pair alone is the number of insertions, which is what is summed here.
    assert jiwer.wer("", "well then") == 2


def test_a_rate_is_no_mean_of_rates() -> None:
    # The source averaged: one bad word of one and none of nine made 0.5.
    found = pair_errors(
        ["yes", "one two three four five six seven eight nine"], ["no", "one two three four five six seven eight nine"]
    )
    assert found.word_edits.sum() / found.words.sum() == 0.1


def test_case_and_points_are_no_errors_of_hearing() -> None:
    # Without a normaliser, case alone made a WER of 0.83 in the source.
    found = pair_errors(["The cat sat, on the mat."], ["THE CAT SAT ON THE MAT"])
    assert found.word_edits.tolist() == [0]
    assert pair_errors(["The cat"], ["THE CAT"], normaliser="white_space/1").word_edits.tolist() == [2]


def test_long_texts_and_many_words(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [" ".join(f"w{place}" for place in range(start, start + 40)) for start in range(0, 400, 40)]
    heard = [f"{text} more" for text in said]
    plain = normalised_errors(said, heard)
    monkeypatch.setattr(transcripts, "_MOST_CODES", 50)
    monkeypatch.setattr(transcripts, "_LONGEST", len(said[-1]) - 1)
    few = normalised_errors(said, heard)
    assert plain.word_edits.tolist() == few.word_edits.tolist() == [1] * 10


def test_nothing_at_all() -> None:
    assert pair_errors([], []).word_edits.shape == (0,)
    assert pair_errors([""], [""]).equal.tolist() == [True]
    with pytest.raises(ValueError, match="shorter"):
        pair_errors(["a"], [])
    with pytest.raises(FinetuneError, match="whisper/1"):
        pair_errors(["a"], ["b"], normaliser="whisper/1")


@pytest.mark.soak
def test_many_random_pairs_as_jiwer() -> None:
    generator = np.random.default_rng(0)
    words = [f"w{number}" for number in range(200)]
    said = [" ".join(generator.choice(words, size=size)) for size in generator.integers(1, 30, size=20_000)]
    heard = [
        " ".join(word for word in text.split() if generator.random() > 0.2) + generator.choice(["", " w1 w2"])
        for text in said
    ]
    found = normalised_errors(said, [" ".join(text.split()) for text in heard])
    assert found.word_edits.sum() / found.words.sum() == pytest.approx(jiwer.wer(said, heard), abs=1e-12)
