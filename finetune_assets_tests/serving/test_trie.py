from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.records.errors import FinetuneError
from finetune_assets.serving.engines.trie import ChoiceTrie, forced_run

END = 99
choices = st.lists(st.lists(st.integers(0, 4), max_size=6).map(tuple), min_size=1, max_size=20, unique=True)


def leaves(node, written=()):
    if node.choice is not None:
        yield written, node.choice
    for token, child in node.children.items():
        yield from leaves(child, (*written, token))


@given(choices)
def test_the_leaves_are_exactly_the_choices(sequences):
    closed = [[*sequence, END] for sequence in sequences]
    assert {choice: list(written) for written, choice in leaves(ChoiceTrie(closed).root)} == dict(enumerate(closed))


@given(choices, st.randoms())
def test_the_order_of_choices_does_not_order_the_children(sequences, random):
    closed = [(*sequence, END) for sequence in sequences]
    shuffled = random.sample(closed, len(closed))

    def shape(node):
        return [(token, shape(child)) for token, child in node.children.items()]

    assert shape(ChoiceTrie(closed).root) == shape(ChoiceTrie(shuffled).root)


@given(choices)
def test_a_forced_run_ends_at_a_leaf_or_where_there_is_a_choice(sequences):
    tokens, node = forced_run(ChoiceTrie([[*sequence, END] for sequence in sequences]).root)
    assert node.choice is not None or len(node.children) > 1
    assert all([*sequence, END][: len(tokens)] == tokens for sequence in sequences)


@pytest.mark.parametrize("sequences", [[[1, 2], [1, 2]], [[1], [1, 2]], [[1, 2], [1]], [[]]])
def test_answers_that_tokens_cannot_tell_apart_are_refused(sequences):
    with pytest.raises(FinetuneError, match="cannot be told apart"):
        ChoiceTrie(sequences)


def test_no_answer_at_all_is_refused():
    with pytest.raises(FinetuneError, match="no answer is legal"):
        ChoiceTrie([])
