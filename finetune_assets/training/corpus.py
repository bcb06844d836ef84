"""The text from which the embedded base learns to read and write before any task tunes it.

Here belongs what the corpus holds: observations without labels, label names without observations, copying exercises
in chat form, and plain English. No document, and no training window (windows are cut within one kind), holds both an
observation and a label, so the base cannot know the answer to any task's question.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from finetune_assets.datasets.synthetic.texts import Draw
from finetune_assets.records.example import Message
from finetune_assets.training.prose import KEYS, PROSE, WORDS

Kind = Literal["observation", "text_echo", "label", "label_echo", "form", "prose"]


class Document(NamedTuple):
    """One text of the corpus.

    Attributes:
        kind: what it holds; windows never mix kinds.
        text: the text, chat documents with their markers.
    """

    kind: Kind
    text: str


class CorpusConfig(BaseModel):
    """How much of which text the corpus holds, and which label names it shows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(default=20_000, ge=0, description="Seed of the observation texts and of all random choices.")
    observations: int = Field(default=6000, ge=0, description="Unlabelled observation texts.")
    text_echoes: int = Field(default=700, ge=0, description="Chats in which the answer repeats an observation.")
    labels: int = Field(default=1500, ge=0, description="JSON lines of label names, paired at random.")
    label_echoes: int = Field(default=1000, ge=0, description="Chats in which the answer repeats such a line.")
    forms: int = Field(default=800, ge=0, description="Chats that repeat a JSON line of unrelated words.")
    prose_copies: int = Field(default=8, ge=0, description="How often the plain English is repeated, in random order.")
    label_keys: tuple[str, ...] = Field(
        default=("domain_key", "attribute_name", "progression_title"), min_length=1, description="Keys of the JSON."
    )
    label_values: tuple[tuple[str, ...], ...] = Field(
        min_length=1, description="For each key the names that it may take, from the taxonomy."
    )

    @model_validator(mode="after")
    def _one_list_a_key(self) -> CorpusConfig:
        if len(self.label_keys) != len(self.label_values):
            raise ValueError(f"label_values: {len(self.label_values)} lists for {len(self.label_keys)} label_keys")
        if not all(self.label_values):
            raise ValueError("label_values: every key needs at least one name")
        return self


def _json_line(keys: Sequence[str], values: Sequence[str]) -> str:
    return json.dumps(dict(zip(keys, values, strict=True)), separators=(",", ":"), ensure_ascii=False)


def _random_labels(config: CorpusConfig, draw: Draw, count: int) -> Iterator[str]:
    """Yield label lines whose parts are drawn independently: no true path is likelier than a false one."""
    for _ in range(count):
        yield _json_line(config.label_keys, [draw.one(names) for names in config.label_values])


def _random_forms(draw: Draw, count: int) -> Iterator[str]:
    for _ in range(count):
        keys = draw.shuffled(KEYS)[: draw.between(1, 3)]
        joint = draw.one((" ", "_"))
        yield _json_line(keys, [joint.join(draw.shuffled(WORDS)[: draw.between(1, 3)]) for _ in keys])


def _echo(text: str) -> str:
    """Return a chat in which the assistant repeats the user's text."""
    from finetune_assets.datasets.render import CHATML, render_text

    messages: list[Message] = [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
    return render_text(messages, CHATML, add_generation_prompt=False, special_tokens=None)


def build_corpus(config: CorpusConfig, texts: Sequence[str] | None = None) -> list[Document]:
    """Make the corpus; equal settings give an equal corpus on every machine.

    Args:
        config: sizes, seed and label names.
        texts: at least `observations + text_echoes` observation texts; None takes the project's own generator.

    Returns:
        The documents, grouped by kind.

    Raises:
        ValueError: when `texts` holds too few.
    """
    wanted = config.observations + config.text_echoes
    if texts is None:
        from finetune_assets.datasets.synthetic.childcare import unlabelled_texts

        texts = list(unlabelled_texts(config.seed, wanted))
    if len(texts) < wanted:
        raise ValueError(f"{len(texts)} observation texts for a corpus of {wanted}")
    draw = Draw(f"corpus-{config.seed}")
    documents = [Document("observation", text) for text in texts[: config.observations]]
    documents += [Document("text_echo", _echo(text)) for text in texts[config.observations : wanted]]
    documents += [Document("label", line) for line in _random_labels(config, draw, config.labels)]
    documents += [Document("label_echo", _echo(line)) for line in _random_labels(config, draw, config.label_echoes)]
    documents += [Document("form", _echo(line)) for line in _random_forms(draw, config.forms)]
    for _ in range(config.prose_copies):
        documents += [Document("prose", text) for text in draw.shuffled(PROSE)]
    return documents


def corpus_digest(documents: Sequence[Document]) -> str:
    """Return the SHA-256 (64 hex digits) over kinds and texts in order."""
    sha = hashlib.sha256()
    for document in documents:
        sha.update(f"{document.kind}\0{document.text}\0".encode())
    return sha.hexdigest()
