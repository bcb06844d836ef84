from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.records.similarity import FixedWording, jaccard, shingles, similarity_text, with_attachments

texts = st.text(max_size=40)
PLAIN = FixedWording("")


def test_shingles_are_runs_of_characters() -> None:
    assert shingles("abcab", 3) == {"abc", "bca", "cab"}
    assert shingles("ab", 3) == {"ab"}
    assert shingles("", 3) == frozenset()


@given(texts, texts, st.integers(2, 8))
def test_similarity_is_symmetric_and_1_for_equal_sets(one: str, other: str, size: int) -> None:
    first, second = shingles(one, size), shingles(other, size)
    found = jaccard(first, second)
    assert found == jaccard(second, first)
    assert 0.0 <= found <= 1.0
    assert (found == 1.0) == (first == second and bool(first))


def test_similarity_is_the_share_of_common_shingles() -> None:
    assert jaccard(frozenset("abcd"), frozenset("cdef")) == pytest.approx(2 / 6)
    assert jaccard(frozenset(), frozenset()) == 0.0


def test_the_system_prompt_does_not_count() -> None:
    messages = [
        {"role": "system", "content": "Answer as JSON."},
        {"role": "user", "content": "Who?"},
        {"role": "assistant", "content": "Ana."},
        {"role": "user", "content": "Why?"},
    ]
    assert similarity_text(messages, {}, PLAIN) == "Who?\nAna.\nWhy?"
    assert similarity_text(messages, {"similarity_text": "the words"}, PLAIN) == "the words"


@given(st.text(alphabet="ab c\n{}", max_size=20), st.text(alphabet="ab c\n", max_size=20))
def test_the_fixed_wording_of_a_template_does_not_count(note: str, place: str) -> None:
    wording = FixedWording("An educator wrote: {notes}\nPlace: {place}. Which label?")
    rendered = f"An educator wrote: {note}\nPlace: {place}. Which label?"
    assert wording.without(rendered) == f"{note}\n{place}"
    assert FixedWording.of({"user": "{notes}"}).without(rendered) == rendered
    # A turn of another form is left as it is.
    assert wording.without(f"{note} {place}") == f"{note} {place}"


def test_a_file_counts_like_a_word() -> None:
    one, other = (
        with_attachments("ana builds a tower of blocks", [f"gs://bucket/2024/05/photos/{name}.jpg"]) for name in "ab"
    )
    assert one != other
    assert len(one) == len("ana builds a tower of blocks") + 9
    assert with_attachments("ana", []) == "ana"
