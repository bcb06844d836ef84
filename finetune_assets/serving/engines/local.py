"""LocalEngine: a base model with a LoRA adapter, answering in this process.

Judging and the gateway use the same engine, so that a release answers live what it answered in its report.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from finetune_assets.datasets.render import render_text
from finetune_assets.evaluation.engine import Completion, Likelihood
from finetune_assets.records.digests import digest_of, digest_of_text
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message
from finetune_assets.serving.engines.decoding import Decoded, GreedyDecoder
from finetune_assets.serving.engines.likelihood import Continuation, continuation_nats
from finetune_assets.serving.engines.trie import ChoiceTrie
from finetune_assets.serving.engines.weights import base_folder, load_model, weights_digest

# Tokens that a free answer must find room for; a prompt that leaves fewer is refused.
_LEAST_ANSWER = 16
_QUESTION: tuple[Message, ...] = ({"role": "user", "content": "-"},)


class LocalEngine:
    """Answers conversations by greedy decoding; with `choices`, the answer is always one of them.

    Args:
        base: a folder in transformers' layout, or a hub id.
        adapter: folder of a LoRA adapter that is merged in memory; None answers with the bare base.
        choices: every legal answer; None decodes free text.
        chat_template: the Jinja template that the adapter was trained with.
        revision: branch, tag or commit of a hub id.
        threads: CPU threads of torch, 1 or more; holds for the whole process.
        batch_size: conversations in one forward pass, 1 or more.
        max_new_tokens: longest free answer in tokens, 1 or more; with `choices` their own length counts.

    Raises:
        FinetuneError: when weights, tokenizer or template do not fit together; nothing is half-loaded.
    """

    def __init__(
        self,
        base: Path | str,
        adapter: Path | None,
        choices: tuple[str, ...] | None,
        chat_template: str,
        *,
        revision: str | None = None,
        threads: int = 1,
        batch_size: int = 32,
        max_new_tokens: int = 256,
    ) -> None:
        if threads < 1 or batch_size < 1 or max_new_tokens < 1:
            raise ValueError("threads, batch_size and max_new_tokens must be 1 or more")
        import torch

        torch.set_num_threads(threads)
        self._base = base
        self._adapter = adapter
        self._choices = choices
        self._template = chat_template
        self._batch_size = batch_size
        self._max_new_tokens = max_new_tokens
        self._model, self._tokenizer = load_model(base, adapter, revision)
        self._special_tokens = _special_tokens(self._tokenizer)
        self._stop = _stop_tokens(self._model, self._tokenizer) | self._end_mark()
        sequences = None if choices is None else self._choice_tokens(choices)
        self._longest_answer = max_new_tokens if sequences is None else max(map(len, sequences), default=0)
        self._decoder = GreedyDecoder(
            self._model,
            stop=self._stop,
            trie=None if sequences is None else ChoiceTrie(sequences),
            max_new_tokens=max_new_tokens,
            context_length=self.context_length,
        )

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What decides the answers: digests of weights, template and choices, and how they are decoded."""
        folder = base_folder(self._base)
        return {
            "engine": "local",
            "base": weights_digest(folder) if folder else f"{self._base}@{self._model.config._commit_hash}",
            "adapter": weights_digest(self._adapter) if self._adapter else None,
            "chat_template": digest_of_text(self._template),
            "choices": None if self._choices is None else digest_of(sorted(self._choices)),
            "max_new_tokens": self._max_new_tokens if self._choices is None else None,
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "device": self._model.device.type,
            "context_length": self.context_length,
        }

    @property
    def context_length(self) -> int | None:
        """Longest conversation in tokens, its answer included, as the model's configuration says."""
        limit = getattr(self._model.config, "max_position_embeddings", None)
        return limit if isinstance(limit, int) else None

    def prompt(self, messages: Sequence[Message]) -> str:
        """Return the text that the model reads for a conversation, up to where its answer begins."""
        return render_text(
            list(messages), self._template, add_generation_prompt=True, special_tokens=self._special_tokens
        )

    def complete(self, batch: Sequence[Sequence[Message]]) -> list[Completion]:
        """Answer a batch of conversations; see `evaluation.engine.Engine`.

        The answers do not depend on the batch or its order. A conversation that cannot be answered has one of these
        problems: `template_refused`, `not_unicode`, `prompt_too_long`, `scores_not_finite`.

        Raises:
            FinetuneError: when the chat template refuses every conversation of the batch.
        """
        answers, prompts = self._prepare(batch)
        # Neighbours of like length share a pass, so that little of it is padding.
        order = sorted(prompts, key=lambda index: len(prompts[index]))
        for start in range(0, len(order), self._batch_size):
            chunk = order[start : start + self._batch_size]
            began = time.perf_counter()
            decoded = self._decoder.decode([prompts[index] for index in chunk])
            took = time.perf_counter() - began
            for index, answer in zip(chunk, decoded, strict=True):
                answers[index] = self._completion(answer, len(prompts[index]), took)
        return [answers[index] for index in range(len(batch))]

    def _prepare(self, batch: Sequence[Sequence[Message]]) -> tuple[dict[int, Completion], dict[int, list[int]]]:
        """Return the refusals and, for the other conversations, their prompts' tokens, by position in the batch."""
        refused: dict[int, Completion] = {}
        prompts: dict[int, list[int]] = {}
        template_error: FinetuneError | None = None
        for index, messages in enumerate(batch):
            try:
                text = self.prompt(messages)
            except FinetuneError as error:
                template_error = error
                refused[index] = Completion.failed("template_refused")
                continue
            tokens, problem = self._encode(text)
            if problem:
                refused[index] = Completion.failed(problem)
            else:
                prompts[index] = tokens
        if template_error is not None and not prompts:
            raise template_error
        return refused, prompts

    def _encode(self, text: str) -> tuple[list[int], str]:
        try:
            text.encode()
        except UnicodeEncodeError:
            return [], "not_unicode"
        tokens = self._tokens(text)
        limit = self.context_length
        # A choice must fit whole; of free text the context cuts off what is too long, and says so.
        needed = self._longest_answer if self._choices is not None else min(self._longest_answer, _LEAST_ANSWER)
        if limit is not None and len(tokens) + needed > limit:
            return [], "prompt_too_long"
        return tokens, ""

    def _completion(self, answer: Decoded, prompt_tokens: int, took: float) -> Completion:
        if answer.broken:
            return Completion.failed("scores_not_finite", latency_s=took)
        if answer.choice is not None and self._choices is not None:
            text = self._choices[answer.choice]
        else:
            text = self._tokenizer.decode(answer.tokens, skip_special_tokens=True).strip()
        return Completion(
            text=text,
            latency_s=took,
            prompt_tokens=prompt_tokens,
            completion_tokens=len(answer.tokens),
            finish="stop" if answer.choice is not None or answer.tokens[-1] in self._stop else "length",
        )

    def log_likelihood(self, batch: Sequence[tuple[Sequence[Message], str]]) -> list[Likelihood]:
        """Score given answers; see `evaluation.engine.LikelihoodEngine`.

        The prompt is rendered as `complete` renders it, and the answer as training read it. Batch and order change
        nothing but the last digits.

        Raises:
            FinetuneError: when the chat template refuses every conversation of the batch.
        """
        scored: dict[int, Likelihood] = {}
        ready: dict[int, Continuation] = {}
        template_error: FinetuneError | None = None
        for index, (messages, answer) in enumerate(batch):
            try:
                continuation, problem = self._continuation(messages, answer)
            except FinetuneError as error:
                template_error, continuation, problem = error, None, "template_refused"
            if continuation is None:
                scored[index] = Likelihood(0.0, 0, 0, problem)
            else:
                ready[index] = continuation
        if template_error is not None and not ready:
            raise template_error
        nats = continuation_nats(self._model, list(ready.values()))
        for index, value in zip(ready, nats, strict=True):
            scored[index] = Likelihood(value, len(ready[index].answer), len(batch[index][1].encode()))
        return [scored[index] for index in range(len(batch))]

    def _continuation(self, messages: Sequence[Message], answer: str) -> tuple[Continuation | None, str]:
        head = self.prompt(messages)
        whole = self._rendered([*messages, {"role": "assistant", "content": answer}])
        try:
            whole.encode()
        except UnicodeEncodeError:
            return None, "not_unicode"
        _check_continues(head, whole)
        prompt = self._tokens(head)
        if not prompt:
            return None, "template_refused"
        tail = self._tail(prompt, whole, whole[len(head) :])
        if self.context_length is not None and len(prompt) + len(tail) > self.context_length:
            return None, "prompt_too_long"
        return Continuation(tuple(prompt), tuple(tail)), ""

    def _tokens(self, text: str) -> list[int]:
        # The template writes every special token itself, so the tokenizer must not add its own.
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _end_mark(self) -> frozenset[int]:
        """Return the special token that the template writes after an answer, which need not be the tokenizer's own."""
        whole = self._rendered([*_QUESTION, {"role": "assistant", "content": "?"}])
        tokens = self._tokens(whole[whole.rindex("?") + 1 :])
        return frozenset(tokens[:1]) & frozenset(self._tokenizer.all_special_ids)

    def _rendered(self, conversation: list[Message]) -> str:
        return render_text(
            conversation, self._template, add_generation_prompt=False, special_tokens=self._special_tokens
        )

    def _choice_tokens(self, choices: tuple[str, ...]) -> list[list[int]]:
        """Return each choice's tokens as training saw them: after the prompt, up to the end of the answer."""
        head = self.prompt(_QUESTION)
        head_tokens = self._tokens(head)
        sequences = []
        for choice in choices:
            whole = self._rendered([*_QUESTION, {"role": "assistant", "content": choice}])
            _check_continues(head, whole)
            sequences.append(self._tail(head_tokens, whole, whole[len(head) :]))
        return sequences

    def _tail(self, head: list[int], whole: str, tail_text: str) -> list[int]:
        tokens = self._tokens(whole)
        tail = tokens[len(head) :] if tokens[: len(head)] == head else self._tokens(tail_text)
        for position, token in enumerate(tail):
            if token in self._stop:
                return tail[: position + 1]
        # A template without an end mark still needs one, or an answer could not end before a longer one.
        return [*tail, min(self._stop)]


def _check_continues(head: str, whole: str) -> None:
    if not whole.startswith(head):
        raise FinetuneError(
            "chat template does not continue its own prompt",
            found=whole[:80],
            expected=f"text that begins with {head[:80]!r}",
            mend="make the generation prompt of the template equal to what precedes an assistant's answer",
        )


def _special_tokens(tokenizer: Any) -> dict[str, str]:
    return {name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}


def _stop_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    stop = set(configured if isinstance(configured, list) else [configured]) | {tokenizer.eos_token_id}
    stop.discard(None)
    if not stop:
        raise FinetuneError(
            "model has no end-of-answer token",
            expected="eos_token in tokenizer_config.json",
            mend="set the token that closes an answer in the tokenizer's configuration",
        )
    return frozenset(stop)
