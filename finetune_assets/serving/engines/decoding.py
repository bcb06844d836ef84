"""Greedy decoding of a batch, free or along a tree of legal answers.

Written for answers that do not depend on who else is in the batch: rows are padded on the left, positions count real
tokens only, and where a row's two best tokens lie closer together than arithmetic can be trusted, the row's whole text
is read again alone and that pass decides. Tokens without an alternative are not asked for: they go into the next
forward pass together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from finetune_assets.serving.engines.trie import ChoiceTrie, TrieNode, forced_run

# How far two logits must lie apart to be told apart whatever the batch. Measured differences between batch sizes stay
# below 1e-5 in float32; half precision keeps 8 to 11 bits of numbers around 10.
MARGIN_FLOAT32 = 1e-3
MARGIN_HALF = 0.25


@dataclass(slots=True)
class Decoded:
    """What was written for one row.

    Attributes:
        tokens: the ids written, the closing one included.
        choice: index of the choice, None in free decoding.
        broken: True when the model's scores were no numbers; nothing that was written means anything then.
    """

    tokens: list[int]
    choice: int | None = None
    broken: bool = False


@dataclass(slots=True)
class _Row:
    """One row under way: what the model has yet to read, and what was written."""

    prompt: Sequence[int]
    pending: list[int]
    node: TrieNode | None
    read: int = 0
    written: list[int] = field(default_factory=list)
    done: bool = False
    broken: bool = False

    def follow_tree(self) -> None:
        if self.node is None:
            return
        tokens, self.node = forced_run(self.node)
        self.pending += tokens
        self.written += tokens
        self.done = self.node.choice is not None


class GreedyDecoder:
    """Writes the most probable token at each step.

    Args:
        model: a causal language model of transformers in evaluation mode.
        stop: ids that end an answer in free decoding.
        trie: the legal answers, None for free text.
        max_new_tokens: limit of free decoding, 1 or more.
        context_length: tokens that question and answer may have together; None for no limit.
    """

    def __init__(
        self,
        model: Any,
        *,
        stop: frozenset[int],
        trie: ChoiceTrie | None,
        max_new_tokens: int,
        context_length: int | None = None,
    ) -> None:
        import torch

        self._model = model
        self._stop = stop
        self._trie = trie
        self._limit = max_new_tokens
        self._context = context_length
        self._margin = MARGIN_FLOAT32 if model.dtype == torch.float32 else MARGIN_HALF

    def decode(self, prompts: Sequence[Sequence[int]]) -> list[Decoded]:
        """Answer a batch of prompts.

        Args:
            prompts: token ids, each prompt with at least one.

        Returns:
            One answer for each prompt, in order; the same as if each had been alone.
        """
        import torch

        with torch.inference_mode():
            return [self._decoded(row) for row in self._run(prompts)]

    def _decoded(self, row: _Row) -> Decoded:
        return Decoded(tokens=row.written, choice=row.node.choice if row.node else None, broken=row.broken)

    def _run(self, prompts: Sequence[Sequence[int]]) -> list[_Row]:
        root = self._trie.root if self._trie else None
        rows = [_Row(prompt=prompt, pending=list(prompt), node=root) for prompt in prompts]
        for row in rows:
            row.follow_tree()
        live = [row for row in rows if not row.done]
        state = _State(self._model)
        while live:
            logits = state.read(live)
            for row, (token, lead) in zip(live, self._pick(live, logits), strict=True):
                self._write(row, *(self._pick_alone(row) if lead < self._margin else (token, lead)))
            keep = [i for i, row in enumerate(live) if not row.done]
            if len(keep) < len(live):
                state.keep(keep)
                live = [live[i] for i in keep]
        return rows

    def _write(self, row: _Row, token: int, lead: float) -> None:
        if math.isnan(lead):
            row.broken = row.done = True
            return
        row.pending = [token]
        row.written.append(token)
        if row.node is None:
            row.done = token in self._stop or len(row.written) >= self._limit or self._is_full(row)
            return
        row.node = row.node.children[token]
        row.done = row.node.choice is not None
        if not row.done:
            row.follow_tree()

    def _is_full(self, row: _Row) -> bool:
        return self._context is not None and len(row.prompt) + len(row.written) >= self._context

    def _pick_alone(self, row: _Row) -> tuple[int, float]:
        """Decide a doubtful step by reading the row's text alone, whatever the batch: a function of its tokens only."""
        import torch

        ids = torch.tensor([[*row.prompt, *row.written]], device=self._model.device)
        logits = self._model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1].float()
        return self._pick([row], logits)[0]

    def _pick(self, rows: Sequence[_Row], logits: Any) -> list[tuple[int, float]]:
        """Return (best allowed token, its lead over the second) for each row of `logits` [rows, vocabulary].

        The lead is NaN where the scores are NaN or infinite.
        """
        import torch

        if self._trie is None:
            allowed = None
            scores = logits
        else:
            ways = [list(row.node.children) for row in rows if row.node is not None]
            width = max(len(way) for way in ways)
            filled = torch.tensor([way + [way[0]] * (width - len(way)) for way in ways], device=logits.device)
            allowed = filled
            scores = logits.gather(1, filled)
            lengths = torch.tensor([len(way) for way in ways], device=logits.device)
            scores = scores.masked_fill(torch.arange(width, device=logits.device) >= lengths[:, None], float("-inf"))
        best = scores.argmax(dim=1, keepdim=True)
        top = scores.topk(2, dim=1).values
        tokens = best if allowed is None else allowed.gather(1, best)
        lead = torch.where(top[:, 0].isfinite(), top[:, 0] - top[:, 1], float("nan"))
        return list(zip(tokens[:, 0].tolist(), lead.tolist(), strict=True))


class _State:
    """What the model has read so far: the key-value cache and which of its slots hold real tokens."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache: Any = None
        self._mask: Any = None

    def read(self, rows: Sequence[_Row]) -> Any:
        """Feed each row's pending tokens; return the float32 logits [rows, vocabulary] that follow them."""
        import torch

        device = self._model.device
        width = max(len(row.pending) for row in rows)
        tokens = [[0] * (width - len(row.pending)) + row.pending for row in rows]
        # Padding takes slots of the cache but no position, and no token ever looks at it.
        real = [[0] * (width - len(row.pending)) + [1] * len(row.pending) for row in rows]
        positions = [[max(0, row.read + len(row.pending) - width + i) for i in range(width)] for row in rows]
        step = torch.tensor(real, device=device)
        self._mask = step if self._mask is None else torch.cat([self._mask, step], dim=1)
        output = self._model(
            input_ids=torch.tensor(tokens, device=device),
            attention_mask=self._mask,
            position_ids=torch.tensor(positions, device=device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache = output.past_key_values
        for row in rows:
            row.read += len(row.pending)
        return output.logits[:, -1].float()

    def keep(self, indices: Sequence[int]) -> None:
        """Drop all rows but these."""
        import torch

        if not indices:
            return
        chosen = torch.tensor(list(indices), device=self._mask.device)
        self._cache.batch_select_indices(chosen)
        self._mask = self._mask[chosen]
