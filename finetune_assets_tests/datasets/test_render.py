from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_assets.datasets.render import CHATML, neutralise, render_text, template_hash, to_chat, to_gemini
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Attachment, Example, Message, SourceRef

# Written after the published templates: Llama 2 folds the system turn into the first user turn, Phi-3 has role tokens.
LLAMA_2 = """{% if messages[0]['role'] == 'system' %}
    {% set loop_messages = messages[1:] %}
    {% set system_message = messages[0]['content'] %}
{% else %}
    {% set loop_messages = messages %}
    {% set system_message = false %}
{% endif %}
{% for message in loop_messages %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {% endif %}
    {% if loop.index0 == 0 and system_message != false %}
        {% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}
    {% else %}
        {% set content = message['content'] %}
    {% endif %}
    {% if message['role'] == 'user' %}
        {{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
    {% elif message['role'] == 'assistant' %}
        {{ ' '  + content.strip() + ' ' + eos_token }}
    {% endif %}
{% endfor %}"""
PHI_3 = """{% for message in messages %}
{% if message['role'] == 'system' %}
{{'<|system|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'user' %}
{{'<|user|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'assistant' %}
{{'<|assistant|>
' + message['content'] + '<|end|>
'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>
' }}{% else %}{{ eos_token }}{% endif %}"""
# What other published templates lean on: namespaces, loop controls, tojson, generation marks, tests on `tools`.
FEATURES = """{%- set state = namespace(turns=0) -%}
{%- if tools is not none %}{{ tools | tojson }}{% endif -%}
{%- for message in messages -%}
    {%- if message.role == 'system' -%}{%- continue -%}{%- endif -%}
    {%- set state.turns = state.turns + 1 -%}
    {%- if message.role == 'assistant' -%}{% generation %}{{ message.content }}{% endgeneration %}
    {%- else -%}{{ dict(a=message.content) | tojson(indent=1) }}{%- endif -%}
{%- endfor -%}
{{ state.turns }}{{ 'x' if documents is none else 'y' }}{{ bos_token }}"""
TEMPLATES = {"chatml": CHATML, "llama-2": LLAMA_2, "phi-3": PHI_3, "features": FEATURES}
SPECIAL = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A byte-level tokenizer of 256 letters and the special tokens of three model families."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    tokenizer.add_special_tokens({"additional_special_tokens": [*SPECIAL[3:], "<|endoftext|>", "[INST]", "[/INST]"]})
    return tokenizer


CONVERSATIONS: list[list[Message]] = [
    [{"role": "user", "content": "Tom stacked nine blocks."}],
    [{"role": "system", "content": "Answer as JSON."}, {"role": "user", "content": "  Ünï \n\n {{ 7 }} <b>&amp;</b> "}],
    [
        {"role": "system", "content": ""},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": '{"label":"x"}'},
        {"role": "user", "content": "b\u2028c"},
    ],
]


@pytest.mark.parametrize("add_generation_prompt", [False, True])
@pytest.mark.parametrize("messages", CONVERSATIONS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_rendering_equals_transformers(
    tokenizer: Any, name: str, messages: list[Message], add_generation_prompt: bool
) -> None:
    expected = tokenizer.apply_chat_template(
        messages, chat_template=TEMPLATES[name], tokenize=False, add_generation_prompt=add_generation_prompt
    )
    found = render_text(
        messages,
        TEMPLATES[name],
        add_generation_prompt=add_generation_prompt,
        special_tokens=tokenizer.special_tokens_map,
    )
    assert found == expected
    # Encoded without further special tokens, the text gives the very ids of transformers.
    ids = tokenizer.apply_chat_template(
        messages, chat_template=TEMPLATES[name], add_generation_prompt=add_generation_prompt, return_dict=False
    )
    assert tokenizer.encode(found, add_special_tokens=False) == ids


def test_chatml_is_as_written_down() -> None:
    messages: list[Message] = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    text = render_text(messages, CHATML, add_generation_prompt=True, special_tokens=None)
    assert text == "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"


@given(st.lists(st.text(max_size=20), min_size=1, max_size=3), st.text(max_size=20))
def test_the_prompt_is_a_prefix_of_the_training_text(contents: list[str], answer: str) -> None:
    messages: list[Message] = [{"role": "user", "content": content} for content in contents]
    prompt = render_text(messages, CHATML, add_generation_prompt=True)
    taught: Message = {"role": "assistant", "content": answer}
    whole = render_text([*messages, taught], CHATML, add_generation_prompt=False)
    assert whole == prompt + answer + "<|im_end|>\n"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ raise_exception('System role not supported') }}", "System role not supported"),
        ("{% for %}", "Expected"),
        ("{{ messages + 1 }}", "concatenate"),
        ("{{ messages[0].content.__class__.mro() }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{% set ns = namespace(_x=1) %}", "_x"),
        ("{% set ns = namespace(a=1) %}{% set ns._x = 1 %}", "_x"),
    ],
)
def test_templates_that_fail_or_reach_out_are_one_line(template: str, said: str) -> None:
    with pytest.raises(FinetuneError) as caught:
        render_text([{"role": "user", "content": "x"}], template, add_generation_prompt=False)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_variables_can_be_pinned() -> None:
    template = "{{ date_string if date_string is defined else strftime_now('%Y') }}"
    messages: list[Message] = [{"role": "user", "content": "x"}]
    assert (
        render_text(messages, template, add_generation_prompt=False, special_tokens={"date_string": "1 May"}) == "1 May"
    )
    assert render_text(messages, template, add_generation_prompt=False).isdecimal()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<|im_start|>system", "< |im_start|>system"),
        ("a<|im_end|>b<|endoftext|>", "a< |im_end|>b< |endoftext|>"),
        ("</s>[INST] x [/INST]<s>", "< /s>[ INST] x [ /INST]< s>"),
        ("<<SYS>>x<</SYS>>", "< <SYS>>x< </SYS>>"),
        ("<start_of_turn><eos></think>", "< start_of_turn>< eos>< /think>"),
        ("<｜begin▁of▁sentence｜>", "< ｜begin▁of▁sentence｜>"),
        ("<<|end|>", "<< |end|>"),
        ("a < b | c > d, [1], <b>bold</b>, x<y", "a < b | c > d, [1], <b>bold</b>, x<y"),
        ("<snack>, <status>, [INSTRUCTIONS]", "<snack>, <status>, [INSTRUCTIONS]"),
        ("<S> Box<S> of(Map<S, Pad> x); <Image>, <s />", "<S> Box<S> of(Map<S, Pad> x); <Image>, <s />"),
        ("x[pad] + y[mask] - z[Inst]; f <| g", "x[pad] + y[mask] - z[Inst]; f <| g"),
        ("<<sys>>, <Think>, <EOS>", "<<sys>>, <Think>, <EOS>"),
        ("<|turn>user<turn|>, <BOS_TOKEN>[gMASK]", "< |turn>user< turn|>, < BOS_TOKEN>[ gMASK]"),
        ("", ""),
    ],
)
def test_control_tokens_are_neutralised(text: str, expected: str) -> None:
    assert neutralise(text) == expected


fragments = st.lists(
    st.sampled_from([*SPECIAL, "[INST]", "<<SYS>>", "<", "|", ">", "[", "]", "<|", "s", "/", " ", "ab"])
)


@given(fragments.map("".join))
def test_neutralising_is_idempotent_and_only_adds_spaces(text: str) -> None:
    once = neutralise(text)
    assert neutralise(once) == once
    assert once.replace(" ", "") == text.replace(" ", "")


@settings(max_examples=50)
@given(fragments.map("".join))
def test_no_special_token_survives_in_the_ids(tokenizer: Any, text: str) -> None:
    ids = tokenizer.encode(neutralise(text), add_special_tokens=False)
    assert not set(ids) & set(tokenizer.all_special_ids)


@pytest.fixture
def example() -> Example:
    return Example(
        record_id="r1",
        content_key="0" * 64,
        messages=({"role": "system", "content": "Sys."}, {"role": "user", "content": "Ana balanced."}),
        target='{"label":"x"}',
        label="x",
        label_path=("x",),
        source=SourceRef("a.jsonl", line=1),
        attachments=(Attachment("gs://b/p9.jpg", "image/jpeg"), Attachment("gs://b/q.png", "image/png")),
    )


def test_chat_rows(example: Example) -> None:
    assert to_chat(example) == {
        "messages": [
            {"role": "system", "content": "Sys."},
            {"role": "user", "content": "Ana balanced."},
            {"role": "assistant", "content": '{"label":"x"}'},
        ]
    }
    assert len(example.messages) == 2


def test_gemini_rows(example: Example) -> None:
    row = to_gemini(example)
    assert row == {
        "systemInstruction": {"role": "system", "parts": [{"text": "Sys."}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"fileData": {"mimeType": "image/jpeg", "fileUri": "gs://b/p9.jpg"}},
                    {"fileData": {"mimeType": "image/png", "fileUri": "gs://b/q.png"}},
                    {"text": "Ana balanced."},
                ],
            },
            {"role": "model", "parts": [{"text": '{"label":"x"}'}]},
        ],
    }
    assert json.loads(json.dumps(row)) == row


def test_gemini_rows_without_system_prompt(example: Example) -> None:
    bare = Example(
        record_id="r1",
        content_key="0" * 64,
        messages=({"role": "user", "content": "Hi."},),
        target="t",
        label="x",
        label_path=("x",),
        source=SourceRef("a.jsonl"),
    )
    assert to_gemini(bare) == {
        "contents": [{"role": "user", "parts": [{"text": "Hi."}]}, {"role": "model", "parts": [{"text": "t"}]}]
    }


def test_the_template_hash_covers_both_halves() -> None:
    first = template_hash({"system": "a"}, CHATML)
    assert first == template_hash({"system": "a"}, CHATML)
    assert len({first, template_hash({"system": "b"}, CHATML), template_hash({"system": "a"}, PHI_3)}) == 3


def test_importing_render_loads_no_jinja() -> None:
    code = "import sys, finetune_assets.datasets.render as r; assert 'jinja2' not in sys.modules; print(len(r.CHATML))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(CHATML)
