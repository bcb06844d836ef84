from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein
from sklearn.metrics import accuracy_score

from finetune_assets.evaluation.metrics.code import (
    covered,
    edit_similarities,
    identifiers_in_code,
    identifiers_in_prose,
    word_similarity,
)
from finetune_assets.evaluation.metrics.labels import levels_right, path_right
from finetune_assets.evaluation.metrics.references import constant_references, reference_note
from finetune_assets.records.measure import Marks, share

JAVA = """
/** Never `counted`. */
public int settle(String who, int... cents) { // nor this
    String text = "a \\" quoted {name}";
    return sums.get(who) + 'x' + maxSize_1;
}
"""


def test_identifiers_of_code() -> None:
    assert identifiers_in_code(JAVA) == {"settle", "String", "who", "cents", "text", "sums", "get", "maxSize_1"}
    python = "# don't count\ndef total(items):\n    '''Nor this.'''\n    return sum(items)  # the sum"
    assert identifiers_in_code(python) == {"total", "items", "sum"}
    assert identifiers_in_code("") == frozenset()


def test_identifiers_of_prose() -> None:
    text = "Returns the `size` of `Map<String, T>` by getName or max_size; HashMap, size2 and close() too. E.g. This."
    assert identifiers_in_prose(text) == {
        *("size", "Map", "String", "T", "getName", "max_size", "HashMap", "size2", "close"),
    }
    assert identifiers_in_prose("It returns null.") == frozenset()


@given(st.text(max_size=60))
def test_a_text_covers_its_own_identifiers(text: str) -> None:
    for identifiers in (identifiers_in_code(text), identifiers_in_prose(text)):
        assert covered(identifiers, text) == (1.0 if identifiers else None)
        assert covered(identifiers, "") == (0.0 if identifiers else None)


def test_identifiers_are_covered_as_whole_words() -> None:
    assert covered(["getName", "size"], "calls getNames() and `size`") == 0.5


def test_similarities() -> None:
    # The source's own: Jaccard of lower-cased words.
    assert word_similarity("The quick fox", "the slow fox") == 0.5
    assert word_similarity("a", "") == 0.0
    assert word_similarity(" ", "") == 1.0
    assert edit_similarities(["a  b", "abc", ""], ["a\nb", "", ""]) == [1.0, 0.0, 1.0]
    assert edit_similarities([], []) == []
    with pytest.raises(ValueError, match="1 references and 0 answers"):
        edit_similarities(["a"], [])


@given(st.text(max_size=15), st.text(max_size=15))
def test_edit_similarity_is_that_of_rapidfuzz(reference: str, answer: str) -> None:
    one, other = " ".join(reference.split()), " ".join(answer.split())
    assert edit_similarities([reference], [answer]) == [Levenshtein.normalized_similarity(one, other)]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("ab")), min_size=1, max_size=20))
def test_label_hits_add_up_to_scikit_learns_accuracy(pairs: list[tuple[str, str]]) -> None:
    right = [path_right((truth, "x"), (guess, "x")) for truth, guess in pairs]
    assert sum(right) / len(right) == pytest.approx(accuracy_score(*zip(*pairs, strict=True)))


def test_levels_stand_by_themselves() -> None:
    assert levels_right(("a", "b", "c"), ("a", "x", "c")) == (True, False, True)
    assert levels_right(("a", "b"), ()) == (False, False)
    assert not path_right((), ())


def marks(measure: str, reference: object, *, applies: bool = True) -> Marks:
    stats = {measure: share(False)} if applies else {measure: (0.0, 0.0)}
    return Marks(False, stats, reference_note("whole", **{measure: reference}))


def test_a_reference_that_never_changes_is_told() -> None:
    # The filler sentence of the source stood in 605 of 605 rows, and its measure was counted.
    filler = [marks("primary_nonempty", ["Define at least one metric."]) for _ in range(3)]
    assert constant_references("primary_nonempty", filler)
    assert not constant_references("primary_nonempty", [*filler, marks("primary_nonempty", ["another"])])
    assert constant_references("primary_nonempty", [*filler, marks("primary_nonempty", ["x"], applies=False)])
    assert not constant_references("primary_nonempty", filler[:1])
    assert not constant_references("json_valid", [marks("json_valid", None)] * 3)
    assert not constant_references("exact", filler)
    # Without an entry of its own a measure is held against the whole.
    assert constant_references("exact", [Marks(True, {"exact": share(True)}, reference_note("whole"))] * 2)
    assert not constant_references("exact", [Marks(True, {"exact": share(True)})] * 2)


def test_notes_hold_no_text() -> None:
    note = reference_note("a secret", exact=["another \ud800", 10**30])
    assert all(len(digest or "") == 12 for digest in note["references"].values())
