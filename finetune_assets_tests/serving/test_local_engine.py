from __future__ import annotations

import random
import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetune_assets.datasets.render import CHATML
from finetune_assets.evaluation.engine import Engine
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import RawRecord, SourceRef
from finetune_assets.serving.engines.local import LocalEngine

CHOICES = tuple(
    f'{{"domain":"{domain}","label":"{label}"}}'
    for domain in ("home", "homely", "bank", "Übung")
    for label in ("on", "on and off", "off", "")
)


def questions(count, seed=0):
    """Conversations of very different lengths."""
    draw = random.Random(seed)
    words = ["ball", "jump", "red", "the child", "über", "7", "🎈", "Wort für Wort"]
    texts = [" ".join(draw.choices(words, k=draw.randint(0, 30))) for _ in range(count)]
    return [[{"role": "system", "content": "Sort."}, {"role": "user", "content": text}] for text in texts]


@pytest.fixture(scope="module")
def engine(base, adapters) -> LocalEngine:
    return LocalEngine(base, adapters[0], CHOICES, CHATML)


def test_it_is_an_engine(engine):
    checked: Engine = engine
    assert checked.complete([]) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_whatever_is_asked_the_answer_is_a_choice(engine, texts):
    answers = engine.complete([[{"role": "user", "content": text}] for text in texts])
    assert len(answers) == len(texts)
    assert all(answer.ok and answer.text in CHOICES for answer in answers)


@pytest.mark.parametrize("choices", [CHOICES, None], ids=["choices", "free"])
def test_answers_do_not_depend_on_the_batch(base, adapters, choices):
    asked = questions(40)
    by_size = {}
    for size in (1, 7, 32):
        engine = LocalEngine(base, adapters[0], choices, CHATML, batch_size=size, max_new_tokens=12)
        by_size[size] = [(item.text, item.prompt_tokens, item.completion_tokens) for item in engine.complete(asked)]
    assert by_size[1] == by_size[7] == by_size[32]
    assert len({text for text, *_ in by_size[1]}) > 3, "a model that always says the same would prove nothing"
    turned = list(reversed(asked))
    assert [item.text for item in engine.complete(turned)] == [text for text, *_ in reversed(by_size[32])]


def test_answers_do_not_depend_on_the_batch_when_rounding_does(base, tmp_path, monkeypatch):
    """With weights of zero every choice is a tie, and rounding that differs with the batch would decide it."""
    from safetensors.torch import load_file, save_file

    flat = shutil.copytree(base, tmp_path / "flat")
    tensors = load_file(flat / "model.safetensors")
    save_file({name: torch.zeros_like(t) for name, t in tensors.items()}, flat / "model.safetensors", {"format": "pt"})
    engine = LocalEngine(flat, None, CHOICES, CHATML)
    forward = engine._model.forward

    def rounded(*args, **kwargs):
        output = forward(*args, **kwargs)
        rows, _, width = output.logits.shape
        output.logits = output.logits + 4e-4 * torch.sin(torch.arange(width) * float(rows))
        return output

    monkeypatch.setattr(engine._model, "forward", rounded)
    asked = questions(9)
    alone = [engine.complete([question])[0].text for question in asked]
    assert [answer.text for answer in engine.complete(asked)] == alone


def reference(engine, asked, **options):
    """Ask one question at a time by transformers' own generate."""
    texts = []
    for messages in asked:
        encoded = engine._tokenizer(engine.prompt(messages), return_tensors="pt", add_special_tokens=False)
        width = encoded["input_ids"].shape[1]
        out = engine._model.generate(
            input_ids=encoded["input_ids"],
            attention_mask=encoded["attention_mask"],
            do_sample=False,
            max_new_tokens=options.get("max_new_tokens", 64),
            prefix_allowed_tokens_fn=options["allowed"](width) if "allowed" in options else None,
        )
        texts.append(engine._tokenizer.decode(out[0, width:], skip_special_tokens=True).strip())
    return texts


def test_constrained_answers_are_those_of_transformers(engine):
    sequences = engine._choice_tokens(CHOICES)

    def allowed(width):
        def ways(_, tokens):
            written = tokens[width:].tolist()
            return sorted(
                {s[len(written)] for s in sequences if s[: len(written)] == written and len(s) > len(written)}
            )

        return ways

    asked = questions(25, seed=3)
    assert [item.text for item in engine.complete(asked)] == reference(engine, asked, allowed=allowed)


def test_free_answers_are_those_of_transformers(base, adapters):
    engine = LocalEngine(base, adapters[1], None, CHATML, max_new_tokens=10)
    asked = questions(12, seed=4)
    assert [item.text for item in engine.complete(asked)] == reference(engine, asked, max_new_tokens=10)


def test_the_prompt_is_the_one_of_training(engine, task_type):
    fields = {"record_id": "1", "text": "what is <|im_end|> my balance", "domain": "Banking", "label": "balance"}
    example = task_type.example(RawRecord(fields, SourceRef("f")))
    served = task_type.input_messages({"text": fields["text"]})
    assert list(example.messages) == served
    expected = engine._tokenizer.apply_chat_template(
        [*example.messages], chat_template=CHATML, tokenize=False, add_generation_prompt=True
    )
    assert engine.prompt(served) == expected
    assert engine.complete([served])[0].prompt_tokens == len(engine._tokenizer(expected)["input_ids"])


def test_tokens_of_a_choice_are_those_that_training_sees(engine):
    question = [{"role": "user", "content": "anything else"}]
    for choice, tokens in zip(CHOICES, engine._choice_tokens(CHOICES), strict=True):
        turns = [*question, {"role": "assistant", "content": choice}]
        whole = engine._tokenizer.apply_chat_template(turns, chat_template=CHATML, tokenize=False)
        ids = engine._tokenizer(whole)["input_ids"]
        head = engine._tokenizer(engine.prompt(question))["input_ids"]
        assert ids[len(head) :][: len(tokens)] == tokens
        assert tokens[-1] == engine._tokenizer.eos_token_id


def test_a_question_without_an_answer_does_not_disturb_the_others(engine):
    good, long, broken = questions(1)[0], [{"role": "user", "content": "long " * 600}], "\ud800"
    answers = engine.complete([long, good, [{"role": "user", "content": broken}], good])
    assert [answer.problem for answer in answers] == ["prompt_too_long", "", "not_unicode", ""]
    assert [answer.ok for answer in answers] == [False, True, False, True]
    assert answers[1].text == engine.complete([good])[0].text == answers[3].text


def test_a_template_that_refuses_every_question_is_an_error(base):
    picky = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}" + CHATML
    engine = LocalEngine(base, None, CHOICES, picky)
    with pytest.raises(FinetuneError, match="no system turn"):
        engine.complete(questions(2))
    mixed = engine.complete([questions(1)[0], [{"role": "user", "content": "x"}]])
    assert [item.problem for item in mixed] == ["template_refused", ""]


def test_a_model_of_nans_answers_nothing(base, tmp_path):
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(base, tmp_path / "nan")
    tensors = load_file(broken / "model.safetensors")
    tensors["model.norm.weight"].fill_(float("nan"))
    save_file(tensors, broken / "model.safetensors", {"format": "pt"})
    for choices in (CHOICES, None):
        answers = LocalEngine(broken, None, choices, CHATML).complete(questions(3))
        assert {(answer.ok, answer.problem) for answer in answers} == {(False, "scores_not_finite")}


def test_one_legal_answer_needs_no_model(engine, base):
    only = LocalEngine(base, None, ("yes",), CHATML)
    assert [item.text for item in only.complete(questions(3))] == ["yes"] * 3


def test_choices_that_begin_one_another_without_an_end_mark(base):
    """A template that closes no turn: the end-of-text token has to tell `on` from `on and off`."""
    bare = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    engine = LocalEngine(base, None, ("on", "on and off"), bare)
    assert {item.text for item in engine.complete(questions(20))} <= {"on", "on and off"}


def test_a_template_that_contradicts_its_own_prompt_is_refused(base):
    with pytest.raises(FinetuneError, match="does not continue its own prompt"):
        LocalEngine(base, None, CHOICES, CHATML.replace("'<|im_start|>assistant\\n'", "'Answer: '"))


def test_the_identity_names_what_decides_answers(base, adapters, tmp_path):
    moved = shutil.copytree(base, tmp_path / "moved")
    (moved / "training.json").write_text('{"duration_s": 12}')
    first = LocalEngine(base, adapters[0], CHOICES, CHATML).identity
    assert LocalEngine(moved, adapters[0], CHOICES[::-1], CHATML).identity == first
    others = [
        LocalEngine(base, adapters[1], CHOICES, CHATML),
        LocalEngine(base, None, CHOICES, CHATML),
        LocalEngine(base, adapters[0], CHOICES[1:], CHATML),
        LocalEngine(base, adapters[0], CHOICES, CHATML + "\n"),
        LocalEngine(base, adapters[0], None, CHATML),
    ]
    assert all(other.identity != first for other in others)
    assert str(base) not in str(first)


@pytest.mark.parametrize("setting", ["threads", "batch_size", "max_new_tokens"])
def test_numbers_below_one_are_refused(base, setting):
    with pytest.raises(ValueError, match="1 or more"):
        LocalEngine(base, None, CHOICES, CHATML, **{setting: 0})
