"""ChoiceTrie: the legal answers as a tree of tokens, so that decoding can only write one of them.

Pure data, no model. A node with one child needs no decision, which is why a label of twenty tokens often costs the
model only the few steps where labels part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from finetune_assets.records.errors import FinetuneError


@dataclass(slots=True)
class TrieNode:
    """One point in the tree.

    Attributes:
        children: token id → next node, in ascending order of the id.
        choice: index of the choice that ends here; None inside the tree.
    """

    children: dict[int, TrieNode] = field(default_factory=dict)
    choice: int | None = None


class ChoiceTrie:
    """A prefix tree over token sequences.

    Args:
        sequences: one sequence of token ids for each choice. None may be empty, equal to another or the beginning of
            another: a closing end-of-answer token sees to that.

    Raises:
        FinetuneError: when there is no sequence, or when two of them cannot be told apart.
    """

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        if not sequences:
            raise FinetuneError(
                "no answer is legal", expected="at least one choice", mend="give the task type's taxonomy a label"
            )
        self.root = TrieNode()
        # Sorted, so that children stand in ascending order and equal scores always give the same token.
        for choice, sequence in sorted(enumerate(sequences), key=lambda item: tuple(item[1])):
            self._insert(sequence, choice)

    def _insert(self, sequence: Sequence[int], choice: int) -> None:
        node = self.root
        for token in sequence:
            if node.choice is not None:
                raise self._clash(node.choice, choice)
            node = node.children.setdefault(token, TrieNode())
        if node.choice is not None or node.children or node is self.root:
            raise self._clash(node.choice if node.choice is not None else choice, choice)
        node.choice = choice

    @staticmethod
    def _clash(first: int, second: int) -> FinetuneError:
        return FinetuneError(
            "two answers cannot be told apart by their tokens",
            where=f"choices {first} and {second}",
            expected="answers that differ and do not begin one another",
            mend="rename one of the labels, or use a tokenizer that keeps their characters apart",
        )


def forced_run(node: TrieNode) -> tuple[list[int], TrieNode]:
    """Follow the tree while there is only one way.

    Args:
        node: where to start.

    Returns:
        The tokens without an alternative, and the node after them: a leaf, or one with at least two children.
    """
    tokens: list[int] = []
    while len(node.children) == 1:
        (token, node), *_ = node.children.items()
        tokens.append(token)
    return tokens, node
