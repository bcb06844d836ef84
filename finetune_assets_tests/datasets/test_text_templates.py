from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.render import render_text
from finetune_assets.datasets.text_templates import TEXT_TEMPLATES, text_template, training_text
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example, Message, SourceRef

SYSTEM: Message = {"role": "system", "content": "S."}


def example(*messages: Message, target: str = "ans", context: str = "") -> Example:
    facts = {"context": context} if context else {}
    return Example("r", "0" * 64, messages, target, "x", ("x",), SourceRef("a"), facts=facts)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "chatml",
            "<|im_start|>system\nS.<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\nans<|im_end|>\n",
        ),
        ("alpaca", "S.\n\n### Instruction:\nQ\n\n### Response:\nans</s>"),
        ("llama2", "<s>[INST] <<SYS>>\nS.\n<</SYS>>\n\nQ [/INST] ans </s>"),
        ("phi", "S.\n\nInstruct: Q\nOutput: ans<|endoftext|>"),
    ],
)
def test_templates_are_as_written_down(name: str, expected: str) -> None:
    assert training_text(example(SYSTEM, {"role": "user", "content": "Q"}), text_template(name)) == expected


def test_alpaca_tells_the_input_from_the_instruction() -> None:
    asked: Message = {"role": "user", "content": "Shorten.\n\nA long text.\n\nOf two parts."}
    text = training_text(example(asked, context="A long text.\n\nOf two parts."), text_template("alpaca"))
    assert text == (
        "Below is an instruction that describes a task, with an input that it works on. Write a response that "
        "completes it.\n\n"
        "### Instruction:\nShorten.\n\n### Input:\nA long text.\n\nOf two parts.\n\n### Response:\nans</s>"
    )
    assert "### Input" not in training_text(example(asked), text_template("alpaca"))


texts = st.text(min_size=1, max_size=30)


@pytest.mark.parametrize("name", TEXT_TEMPLATES)
@given(st.lists(texts, min_size=1, max_size=5).filter(lambda said: len(said) % 2 == 1), texts, st.booleans())
def test_every_answer_ends_with_its_end_of_turn_and_the_prompt_is_a_prefix(
    name: str, said: list[str], answer: str, with_system: bool
) -> None:
    template = text_template(name)
    turns: list[Message] = [SYSTEM] if with_system else []
    for number, content in enumerate(said):
        turns.append({"role": "user" if number % 2 == 0 else "assistant", "content": content})
    whole = training_text(example(*turns, target=answer), template)
    prompt = render_text(turns, template.source, add_generation_prompt=True)
    assert whole.startswith(prompt)
    assert whole[len(prompt) :].strip("\n ").endswith(template.end_of_turn)
    assert whole[len(prompt) :].strip() == f"{answer}{' ' if name == 'llama2' else ''}{template.end_of_turn}".strip()
    # Earlier answers end as well: one end for each assistant turn.
    assert whole.count(template.end_of_turn) >= 1 + len(said) // 2


def test_a_tokenizers_own_tokens_take_the_place_of_the_usual_ones() -> None:
    asked = example({"role": "user", "content": "Q"})
    special = {"bos_token": "<|begin|>", "eos_token": "<|stop|>"}
    assert training_text(asked, text_template("llama2"), special) == "<|begin|>[INST] Q [/INST] ans <|stop|>"
    assert training_text(asked, text_template("phi"), special).endswith("ans<|stop|>")


def test_unknown_templates_are_refused_by_name() -> None:
    with pytest.raises(FinetuneError, match="chatml, alpaca, llama2, phi"):
        text_template("vicuna")
