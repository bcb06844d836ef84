"""Tokens: counted with a model's own tokenizer where one is at hand, else estimated, and said so.

Here too is the check that every example fits the model, with what a trainer would cut off one that does not.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from finetune_assets.datasets.findings import SchemaFindings
from finetune_assets.datasets.formats.chat import to_chat
from finetune_assets.datasets.render import render_text
from finetune_assets.datasets.split_files import read_rows
from finetune_assets.datasets.text_templates import TextTemplate
from finetune_assets.records.example import SPLITS, Example, Message

BYTES_PER_TOKEN = 4
ESTIMATE = (
    f"UTF-8 bytes / {BYTES_PER_TOKEN}, control tokens included: near for English; a Greek letter has 2 bytes and a "
    "Japanese one 3, so it counts as 0.5 or 0.75 tokens, while real tokenizers differ most there"
)

_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


class TokenCounter(Protocol):
    """Counts the tokens of turns."""

    @property
    def method(self) -> str:
        """How it counts, for people."""

    @property
    def estimated(self) -> bool:
        """True when no tokenizer was at hand."""

    def count(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> int:
        """Return the tokens of these turns, rendered as for training.

        Raises:
            FinetuneError: when the template refuses the turns.
        """


@dataclass(frozen=True, slots=True)
class EstimatedCounter:
    """Estimates from the length of the rendered text.

    Attributes:
        chat_template: Jinja text.
    """

    chat_template: str
    method: str = ESTIMATE
    estimated: bool = True

    def count(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> int:
        """Return a quarter of the bytes, rounded up."""
        text = render_text(messages, self.chat_template, add_generation_prompt=add_generation_prompt)
        return -(-len(text.encode()) // BYTES_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class TokenizerCounter:
    """Counts with a tokenizer.

    Attributes:
        tokenizer: a `tokenizers.Tokenizer`.
        chat_template: Jinja text.
        special_tokens: what the template may read, such as `eos_token`.
        method: how it counts, for people.
    """

    tokenizer: Any
    chat_template: str
    special_tokens: Mapping[str, str]
    method: str
    estimated: bool = False

    def count(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> int:
        """Return the tokens of the rendered text; the template writes the start token where the model wants one."""
        text = render_text(
            messages,
            self.chat_template,
            add_generation_prompt=add_generation_prompt,
            special_tokens=self.special_tokens,
        )
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)


def estimated_counter(template: TextTemplate) -> EstimatedCounter:
    """Return a counter that needs no tokenizer; it renders by a shipped template."""
    return EstimatedCounter(template.source, method=f"{ESTIMATE}; template {template.name}")


def tokenizer_counter(folder: Path, chat_template: str, *, name: str) -> TokenizerCounter | None:
    """Return a counter with the tokenizer of a model's folder; None when it has no `tokenizer.json`.

    Args:
        folder: a model's files.
        chat_template: Jinja text that renders the turns.
        name: what a person calls the model and the template.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    return TokenizerCounter(tokenizer, chat_template, special_tokens_of(folder), method=f"the tokenizer of {name}")


def special_tokens_of(folder: Path) -> dict[str, str]:
    """Return the special tokens that a model's `tokenizer_config.json` names, by their names."""
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return {}
    config = json.loads(path.read_text(encoding="utf-8"))
    found = {name: config.get(name) for name in _SPECIAL_TOKENS}
    texts = {name: value.get("content") if isinstance(value, dict) else value for name, value in found.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def token_findings(folder: Path, *, counter: TokenCounter, max_tokens: int) -> SchemaFindings:
    """Check that every example fits the model; nothing is cut here.

    Args:
        folder: the split dataset.
        counter: counts a whole conversation, answer included, rendered as for training.
        max_tokens: the most that an example may have.

    Returns:
        The findings. A failure says how much of the answer a trainer would cut, which cuts at the end. Facts hold
        `longest`, `mean`, `p95` and `total` tokens of each split, `estimated`, `method`, and `attachments`: files whose
        tokens are not counted.

    Raises:
        FinetuneError: when the template refuses an example's turns.
        OSError: when `examples.jsonl` cannot be read.
    """
    findings = SchemaFindings()
    counts = {name: array("q") for name in SPLITS}
    attachments = 0
    for row in read_rows(folder):
        findings.rows += 1
        example = Example.from_json(row)
        attachments += len(example.attachments)
        tokens = counter.count(to_chat(example)["messages"])
        counts[row["split"]].append(tokens)
        if tokens > max_tokens:
            findings.fail(row, "messages", _overlong(example, tokens, max_tokens, counter))
    findings.facts = {
        "splits": {name: _spread(found) for name, found in counts.items()},
        "estimated": counter.estimated,
        "method": counter.method,
        "attachments": attachments,
    }
    return findings


def _overlong(example: Example, tokens: int, max_tokens: int, counter: TokenCounter) -> str:
    answer = tokens - counter.count(example.messages, add_generation_prompt=True)
    cut = tokens - max_tokens
    lost = f"{cut} of the answer's {answer}" if cut < answer else f"the whole answer of {answer}"
    about = "about " if counter.estimated else ""
    return f"{about}{tokens} tokens, at most {max_tokens} allowed; a trainer would cut {lost}"


def _spread(counts: array[int]) -> dict[str, float]:
    ordered = sorted(counts)
    if not ordered:
        return {"longest": 0, "mean": 0.0, "p95": 0, "total": 0}
    total = sum(ordered)
    return {
        "longest": ordered[-1],
        "mean": round(total / len(ordered), 1),
        "p95": ordered[round(0.95 * (len(ordered) - 1))],
        "total": total,
    }
