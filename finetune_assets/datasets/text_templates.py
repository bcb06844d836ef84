"""The shipped text templates: ChatML, Alpaca, Llama 2 and Phi, for models whose tokenizer has no chat template.

ChatML is the embedded model's own; the others are Jinja files in `templates/`. All are rendered by
`render.render_text`, as any model's own. The end of the assistant's turn is part of the template: a model that is never
shown where an answer ends never stops.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from finetune_assets.datasets.formats.alpaca import instruction_and_input
from finetune_assets.datasets.formats.chat import to_chat
from finetune_assets.datasets.render import CHATML, render_text
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example

TemplateName = Literal["chatml", "alpaca", "llama2", "phi"]

_FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """One shipped template.

    Attributes:
        name: its name in the YAML.
        end_of_turn: the token that ends an answer, unless the tokenizer has an `eos_token` of its own.
    """

    name: TemplateName
    end_of_turn: str

    @property
    def source(self) -> str:
        """The Jinja text."""
        return CHATML if self.name == "chatml" else _read(self.name)


TEXT_TEMPLATES: Mapping[str, TextTemplate] = {
    "chatml": TextTemplate("chatml", "<|im_end|>"),
    "alpaca": TextTemplate("alpaca", "</s>"),
    "llama2": TextTemplate("llama2", "</s>"),
    "phi": TextTemplate("phi", "<|endoftext|>"),
}
"""Each template by its name."""


def text_template(name: str) -> TextTemplate:
    """Return a shipped template.

    Raises:
        FinetuneError: for an unknown name.
    """
    if name not in TEXT_TEMPLATES:
        raise FinetuneError(
            "text template is unknown", found=name, expected=", ".join(TEXT_TEMPLATES), mend="use one of these names"
        )
    return TEXT_TEMPLATES[name]


def training_text(example: Example, template: TextTemplate, special_tokens: Mapping[str, str] | None = None) -> str:
    """Return the text that a model is trained on for this example, answer and end of turn included.

    Args:
        example: the example.
        template: a shipped template.
        special_tokens: the tokenizer's own `bos_token` and `eos_token`, which then stand in the text.

    Raises:
        FinetuneError: when the template refuses the turns.
    """
    turns = to_chat(example)["messages"]
    _, given = instruction_and_input(example.messages[-1]["content"], example.facts.get("context"))
    variables = {**(special_tokens or {}), **({"last_input": given} if given else {})}
    return render_text(turns, template.source, add_generation_prompt=False, special_tokens=variables)


@functools.cache
def _read(name: str) -> str:
    return (_FOLDER / f"{name}.jinja").read_text(encoding="utf-8").rstrip("\n")
