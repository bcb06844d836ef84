"""Likelihood of given answers: transformers' own loss, whatever the batch; and how an answer's end is told."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
import torch

from finetune_assets.datasets.render import CHATML
from finetune_assets.evaluation.engine import LikelihoodEngine
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message
from finetune_assets.serving.engines import likelihood
from finetune_assets.serving.engines.local import LocalEngine

ANSWERS = ["yes", "", "The child jumps over the ball. " * 4, "Übung 🎈", '{"domain":"home"}']


def items(count: int) -> list[tuple[list[Message], str]]:
    return [
        ([{"role": "user", "content": "word " * (7 * i % 40)}], ANSWERS[i % len(ANSWERS)] + " x" * (i // 5))
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def engine(base: Path, adapters: tuple[Path, Path]) -> LocalEngine:
    return LocalEngine(base, adapters[0], None, CHATML, max_new_tokens=8)


def test_it_is_the_loss_of_transformers_over_the_answer_and_its_end_mark(engine: LocalEngine) -> None:
    checked: LikelihoodEngine = engine
    for (messages, answer), found in zip(items(10), checked.log_likelihood(items(10)), strict=True):
        prompt = engine._tokens(engine.prompt(messages))
        tail = [*engine._tokens(answer), engine._tokenizer.eos_token_id]
        ids = torch.tensor([prompt + tail])
        labels = torch.tensor([[-100] * len(prompt) + tail])
        loss = engine._model(input_ids=ids, labels=labels).loss.item()
        assert found.tokens == len(tail)
        assert found.bytes == len(answer.encode())
        assert found.nats == pytest.approx(-loss * len(tail), rel=1e-4)
        assert (found.nats < 0, found.problem) == (True, "")


def test_company_and_order_change_nothing(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = items(23)
    together = engine.log_likelihood(asked)
    alone = [engine.log_likelihood([item])[0] for item in asked]
    turned = engine.log_likelihood(asked[::-1])[::-1]
    monkeypatch.setattr(likelihood, "_TOKENS_A_PASS", 150)
    small = engine.log_likelihood(asked)
    for others in (alone, turned, small):
        for one, other in zip(together, others, strict=True):
            assert one.nats == pytest.approx(other.nats, abs=1e-4 * one.tokens)
            assert (one.tokens, one.bytes) == (other.tokens, other.bytes)
    assert engine.log_likelihood([]) == []


def test_a_likelier_answer_scores_higher_and_choices_do_not_matter(base: Path, engine: LocalEngine) -> None:
    messages: list[Message] = [{"role": "user", "content": "a ball"}]
    (written,) = engine.complete([messages])
    # The engine's own greedy writing was cut off; any other text of as many tokens is less likely at its first turn.
    own, other = engine.log_likelihood([(messages, written.text), (messages, "zq" * 9)])
    assert own.nats / own.tokens > other.nats / other.tokens
    bound = LocalEngine(base, None, ("yes", "no"), CHATML).log_likelihood([(messages, "maybe")])
    free = LocalEngine(base, None, None, CHATML).log_likelihood([(messages, "maybe")])
    assert bound == free


def test_what_cannot_be_scored_says_why(engine: LocalEngine) -> None:
    user: list[Message] = [{"role": "user", "content": "x"}]
    found = engine.log_likelihood([(user, "y " * 600), (user, "\ud800"), (user, "yes")])
    assert [item.problem for item in found] == ["prompt_too_long", "not_unicode", ""]
    assert [(item.nats, item.tokens, item.bytes) for item in found[:2]] == [(0.0, 0, 0)] * 2


def test_a_template_that_refuses_everything_is_an_error(base: Path) -> None:
    strict = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
    engine = LocalEngine(base, None, None, strict)
    system: list[Message] = [{"role": "system", "content": "s"}]
    user: list[Message] = [{"role": "user", "content": "u"}]
    assert [item.problem for item in engine.log_likelihood([(system, "a"), (user, "a")])] == ["template_refused", ""]
    with pytest.raises(FinetuneError):
        engine.log_likelihood([(system, "a")])


def test_a_broken_model_is_infinitely_unlikely(base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(base, tmp_path / "nan")
    tensors = load_file(broken / "model.safetensors")
    tensors["model.norm.weight"].fill_(float("nan"))
    save_file(tensors, broken / "model.safetensors", {"format": "pt"})
    (found,) = LocalEngine(broken, None, None, CHATML).log_likelihood(items(1))
    assert found.nats == -math.inf
    assert found.tokens > 0


def test_the_end_of_an_answer_is_told(base: Path, engine: LocalEngine) -> None:
    asked: list[list[Message]] = [[{"role": "user", "content": "word " * i}] for i in range(12)]
    for answer in engine.complete(asked):
        assert answer.finish == ("length" if answer.completion_tokens == 8 and answer.text else answer.finish)
        assert answer.finish in ("stop", "length")
        assert answer.completion_tokens <= 8
    assert "length" in {answer.finish for answer in engine.complete(asked)}
    bound = LocalEngine(base, None, ("yes", "no"), CHATML)
    assert {answer.finish for answer in bound.complete(asked)} == {"stop"}


def test_the_context_length_is_said_and_kept(engine: LocalEngine) -> None:
    assert engine.context_length == 512
    assert engine.identity["context_length"] == 512
    long: list[Message] = [{"role": "user", "content": "x " * 600}]
    (answer,) = engine.complete([long])
    assert (answer.ok, answer.problem, answer.finish) == (False, "prompt_too_long", "")


def test_a_doubtful_step_does_not_send_the_row_back_to_its_start(
    base: Path, adapters: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long answers have many near ties; each costs one more pass, not the whole answer again."""
    from finetune_assets.serving.engines import decoding

    asked: list[list[Message]] = [[{"role": "user", "content": "word " * i}] for i in range(6)]
    monkeypatch.setattr(decoding, "MARGIN_FLOAT32", 0.5)
    engine = LocalEngine(base, adapters[0], None, CHATML, max_new_tokens=40)
    passes = []
    forward = engine._model.forward
    monkeypatch.setattr(engine._model, "forward", lambda **inputs: passes.append(1) or forward(**inputs))
    together = engine.complete(asked)
    doubtful = len(passes) - 40
    assert 0 < doubtful <= sum(answer.completion_tokens for answer in together)
    assert [answer.text for answer in together] == [engine.complete([item])[0].text for item in asked]
