"""How probable a model holds given continuations, many in one pass: teacher forcing without a loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# Limits of one forward pass: padded tokens, and scores kept (rows x answer x vocabulary), 256 MB in float32.
_TOKENS_A_PASS = 8_192
_SCORES_A_PASS = 64_000_000


@dataclass(frozen=True, slots=True)
class Continuation:
    """A prompt and the answer to score after it.

    Attributes:
        prompt: token ids, at least one.
        answer: token ids, at least one, the end mark included.
    """

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


def continuation_nats(model: Any, continuations: Sequence[Continuation]) -> list[float]:
    """Return the natural logarithm of each answer's probability after its prompt.

    Rows are padded on the left and positions count real tokens only, so that a row's value does not depend on its
    company beyond rounding (below 1e-4 nats a token in float32).

    Args:
        model: a causal language model of transformers in evaluation mode.
        continuations: what to score.

    Returns:
        One value at most 0 for each item, in order; minus infinity where the scores are no numbers.
    """
    import torch

    nats = [0.0] * len(continuations)
    with torch.inference_mode():
        for chunk in _chunks(continuations, model.config.vocab_size):
            for index, value in zip(chunk, _pass(model, [continuations[i] for i in chunk]), strict=True):
                nats[index] = value
    return nats


def _chunks(continuations: Sequence[Continuation], vocabulary: int) -> Iterator[list[int]]:
    """Yield positions in groups of like length that fit into one pass."""
    chunk: list[int] = []
    longest_answer = 0
    for index in sorted(range(len(continuations)), key=lambda i: len(continuations[i])):
        item = continuations[index]
        answer = max(longest_answer, len(item.answer))
        rows = len(chunk) + 1
        # In ascending order the last row is the widest.
        if chunk and (rows * len(item) > _TOKENS_A_PASS or rows * answer * vocabulary > _SCORES_A_PASS):
            yield chunk
            chunk, answer = [], len(item.answer)
        chunk.append(index)
        longest_answer = answer
    if chunk:
        yield chunk


def _pass(model: Any, items: Sequence[Continuation]) -> list[float]:
    import torch

    device = model.device
    # The last token of an answer is predicted but never read.
    read = [[*item.prompt, *item.answer[:-1]] for item in items]
    width = max(map(len, read))
    kept = max(len(item.answer) for item in items)
    padding = [width - len(row) for row in read]
    logits = model(
        input_ids=torch.tensor([[0] * pad + row for pad, row in zip(padding, read, strict=True)], device=device),
        attention_mask=torch.tensor([[0] * pad + [1] * (width - pad) for pad in padding], device=device),
        position_ids=torch.tensor([[max(0, i - pad) for i in range(width)] for pad in padding], device=device),
        use_cache=False,
        logits_to_keep=kept,
    ).logits.float()
    answers = torch.tensor([[0] * (kept - len(item.answer)) + list(item.answer) for item in items], device=device)
    chosen = logits.gather(2, answers[:, :, None])[:, :, 0] - logits.logsumexp(dim=2)
    real = torch.tensor([[i >= kept - len(item.answer) for i in range(kept)] for item in items], device=device)
    sums = torch.where(real, chosen, 0.0).double().sum(dim=1)
    return torch.where(sums.isfinite(), sums.clamp(max=0.0), float("-inf")).tolist()  # type: ignore[no-any-return]
