"""From rendered chat rows to token ids and labels.

Here belongs how a row is split into prompt and answer, what is masked, and what happens to rows that are too long.
Prompts are rendered by `datasets/render`, as serving renders them; the loss sees the answer and its end mark only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune_assets.datasets.render import render_text
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message

IGNORED = -100
"""Label of a position that the loss does not see (PyTorch's `ignore_index`)."""


@dataclass(slots=True)
class Rows:
    """Rows ready for training.

    Attributes:
        input_ids: for each row its token ids.
        labels: for each row as many labels, -100 on the prompt.
        read: rows that the file held.
        truncated: rows whose prompt was cut to fit.
        dropped: rows whose answer alone is too long; they are not among `input_ids`.
    """

    input_ids: list[list[int]] = field(default_factory=list)
    labels: list[list[int]] = field(default_factory=list)
    read: int = 0
    truncated: int = 0
    dropped: int = 0

    @property
    def tokens(self) -> int:
        """Tokens in all kept rows, without padding."""
        return sum(map(len, self.input_ids))

    @property
    def answer_tokens(self) -> int:
        """Tokens that the loss sees."""
        return sum(label != IGNORED for labels in self.labels for label in labels)

    @property
    def longest(self) -> int:
        """Tokens of the longest kept row; 0 without rows."""
        return max(map(len, self.input_ids), default=0)


class RowEncoder:
    """Turns conversations into token ids and labels.

    Args:
        tokenizer: a transformers tokenizer with an EOS token.
        chat_template: the Jinja template that serving will use.
        max_length: longest row in tokens.
        stop_ids: further tokens that end an answer (the model's generation configuration).
    """

    def __init__(self, tokenizer: Any, chat_template: str, max_length: int, stop_ids: Iterable[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._template = chat_template
        self._max_length = max_length
        self._special = {
            name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)
        }
        self._stop = frozenset(stop_ids) | {tokenizer.eos_token_id} | self._end_mark()

    def encode(self, conversations: Iterable[Sequence[Message]]) -> Rows:
        """Encode conversations whose last turn is the assistant's answer.

        Raises:
            FinetuneError: when the template does not continue its own prompt.
        """
        heads: list[str] = []
        openings: list[str] = []
        wholes: list[str] = []
        for messages in conversations:
            head = self._render(messages[:-1], opening=True)
            closed = self._render(messages[:-1], opening=False)
            whole = self._render(messages, opening=False)
            if not whole.startswith(head):
                raise FinetuneError(
                    "chat template does not continue its own prompt",
                    found=whole[:80],
                    expected=f"text that begins with {head[:80]!r}",
                    mend="make the template's generation prompt equal to what precedes an assistant's answer",
                )
            heads.append(head)
            openings.append(head[len(closed) :] if head.startswith(closed) else "")
            wholes.append(whole)
        rows = Rows(read=len(wholes))
        head_ids, whole_ids = self._tokens(heads), self._tokens(wholes)
        for index, prompt in enumerate(head_ids):
            answer = self._answer(prompt, whole_ids[index], wholes[index][len(heads[index]) :])
            self._add(rows, prompt, answer, openings[index])
        return rows

    def _render(self, messages: Sequence[Message], *, opening: bool) -> str:
        return render_text(list(messages), self._template, add_generation_prompt=opening, special_tokens=self._special)

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        # The template writes every special token itself, so the tokenizer must not add its own.
        ids: list[list[int]] = self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        return ids

    def _end_mark(self) -> frozenset[int]:
        """Return the special token that the template writes after an answer, if it writes one."""
        question: Message = {"role": "user", "content": "-"}
        whole = self._render([question, {"role": "assistant", "content": "?"}], opening=False)
        after = self._tokens([whole[whole.rindex("?") + 1 :]])[0]
        return frozenset(after[:1]) & frozenset(self._tokenizer.all_special_ids)

    def _answer(self, head: list[int], whole: list[int], tail_text: str) -> list[int]:
        """Return the answer's tokens up to its end mark; one is added where the template writes none."""
        tail = whole[len(head) :] if whole[: len(head)] == head else self._tokens([tail_text])[0]
        for position, token in enumerate(tail):
            if token in self._stop:
                return tail[: position + 1]
        return [*tail, self._tokenizer.eos_token_id]

    def _add(self, rows: Rows, head: list[int], answer: list[int], opening: str) -> None:
        room = self._max_length - len(answer)
        if len(head) > room:
            kept_end = len(self._tokens([opening])[0]) if opening else 0
            if room <= kept_end:
                rows.dropped += 1
                return
            # The end of the question goes; the system prompt, and the mark that the answer begins, stay.
            head = head[: room - kept_end] + head[len(head) - kept_end :]
            rows.truncated += 1
        rows.input_ids.append(head + answer)
        rows.labels.append([IGNORED] * len(head) + answer)


def read_conversations(path: Path) -> Iterator[list[Message]]:
    """Yield the conversations of a chat file: one `{"messages": […, {"role": "assistant", …}]}` a line.

    Raises:
        FinetuneError: for a file that cannot be read, a line that is no such object, or one without an answer.
    """
    try:
        stream = path.open(encoding="utf-8")
    except OSError as error:
        raise FinetuneError(
            "training rows cannot be read",
            where=str(path),
            found=error.strerror or str(error),
            mend="materialize the dataset again",
        ) from error
    with stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield _conversation(line, f"{path}:{number}")


def _conversation(line: str, where: str) -> list[Message]:
    try:
        messages = json.loads(line)["messages"]
        roles = [(turn["role"], isinstance(turn["content"], str)) for turn in messages]
    except (ValueError, KeyError, TypeError) as error:
        raise _bad_row(where, line) from error
    if len(roles) < 2 or roles[-1][0] != "assistant" or not all(is_text for _, is_text in roles):
        raise _bad_row(where, line)
    return list(messages)


def _bad_row(where: str, line: str) -> FinetuneError:
    return FinetuneError(
        "training row is not a conversation",
        where=where,
        found=f"{len(line)} characters of another shape",
        expected='{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}',
        mend="render the dataset again, or correct the row",
    )
