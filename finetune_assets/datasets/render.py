"""Rendering: from messages to the very text a model reads.

Training, judging and serving all go through `render_text`, so that a model is asked as it was taught. Here too is
`neutralise`, which keeps text of people from posing as the template's own control tokens. The rows that providers read
are the business of `formats/`; their registry is also to be had from here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.datasets.formats import FORMAT_READERS as FORMAT_READERS
from finetune_assets.datasets.formats import RENDERERS as RENDERERS
from finetune_assets.datasets.formats.chat import to_chat as to_chat
from finetune_assets.datasets.formats.gemini import to_gemini as to_gemini
from finetune_assets.records.digests import digest_of
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message

CHATML = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
"""Chat template of the embedded model: one `<|im_start|>role … <|im_end|>` block a turn."""

NEUTRALISE_RULE = "space-after-opening/2"
"""Name of the rule that `neutralise` follows; part of the template's hash."""

# Tokenizers tell capitals from small letters: `<S>` is a type parameter of Java, `<s>` a start of text.
_ANGLE_NAMES = (
    r"s|unk|pad|bos|eos|mask|cls|sep|think|image|audio|video|tool_call|tool_response|tools|"
    r"(?:start|end)_of_(?:turn|text|image|audio|utterance)|begin_of_text|extra_id_\d+|unused\d+|"
    r"PAD|UNK|CLS|SEP|(?:BOS|EOS|EOP|MASK)_TOKEN"
)
_SQUARE_NAMES = (
    r"INST|SYSTEM_PROMPT|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|AVAILABLE_TOOLS|IMG|IMG_BREAK|IMG_END|"
    r"CLS|SEP|PAD|MASK|UNK|gMASK|sMASK|THINK"
)
_CONTROL_TOKEN = re.compile(
    r"[<＜](?=[|｜]\S)"  # <|im_start|>, <|assistant|>, <|end|>, <|endoftext|> and the full-width kind
    r"|[<＜](?=\w+[|｜][>＞])"  # <turn|>, which closes what <|turn> opens
    r"|[<＜](?=[<＜]/?SYS[>＞]{2})"
    rf"|[<＜](?=/?(?:{_ANGLE_NAMES})[>＞])"
    rf"|\[(?=/?(?:{_SQUARE_NAMES})\])"
)


def neutralise(text: str) -> str:
    """Make chat control tokens in a text harmless by a visible space after their first character.

    `<|im_end|>` becomes `< |im_end|>`, `[INST]` becomes `[ INST]`, `</s>` becomes `< /s>`; other text stays as it
    is, `<S>` and `[inst]` too: tokens are spelt exactly. Applied to what people wrote, before it is put into a prompt,
    in training and in serving alike. Applying it twice changes nothing more.

    Args:
        text: any text.

    Returns:
        The text in which no tokenizer finds a control token of the known families (ChatML, Llama 2 and 3, Phi-3,
        Mistral, Gemma, Qwen, DeepSeek, Cohere, BERT, T5).
    """
    # Every rule begins with one of these; most texts hold none, and three searches cost a twentieth of the pattern.
    if "<" not in text and "[" not in text and "＜" not in text:
        return text
    return _CONTROL_TOKEN.sub(r"\g<0> ", text)


def render_text(
    messages: Sequence[Message],
    chat_template: str,
    *,
    add_generation_prompt: bool,
    special_tokens: Mapping[str, str] | None = None,
) -> str:
    """Render messages by a chat template, exactly as transformers' `apply_chat_template(tokenize=False)` does.

    The result holds whatever start token the template writes: encode it with `add_special_tokens=False`.

    Args:
        messages: the turns, oldest first.
        chat_template: Jinja text, as in a model's `chat_template.jinja`.
        add_generation_prompt: True to end with the opening of the assistant's turn.
        special_tokens: the tokenizer's `special_tokens_map` (`bos_token`, `eos_token`, …) and any other variable that
            the template reads, for instance a fixed `date_string`.

    Returns:
        The prompt's text.

    Raises:
        FinetuneError: when the template is not valid Jinja, or refuses these messages.
    """
    import jinja2

    from finetune_assets.datasets.chat_template import compile_template

    turns = [{"role": str(turn["role"]), "content": str(turn["content"])} for turn in messages]
    try:
        return compile_template(chat_template).render(
            messages=turns,
            tools=None,
            documents=None,
            add_generation_prompt=add_generation_prompt,
            **dict(special_tokens or {}),
        )
    except (jinja2.TemplateError, TypeError) as error:
        raise FinetuneError(
            "chat template cannot render the messages",
            where=f"chat template {digest_of(chat_template)[:12]}, roles {', '.join(turn['role'] for turn in turns)}",
            found=str(error),
            mend="use a template that takes these roles, or leave the system prompt empty (`prompt.system: ''`)",
        ) from error


def template_hash(prompt_manifest: Mapping[str, Any], chat_template: str) -> str:
    """Return the digest of all that turns a record into a prompt; it travels with the adapter.

    Args:
        prompt_manifest: the task type's part: prompts, defaults, target keys.
        chat_template: the model's part.

    Returns:
        SHA-256, 64 hex digits.
    """
    return digest_of({"prompt": dict(prompt_manifest), "chat_template": chat_template, "neutralise": NEUTRALISE_RULE})
