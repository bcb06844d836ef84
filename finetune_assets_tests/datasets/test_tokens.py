from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from finetune_assets.datasets.render import CHATML
from finetune_assets.datasets.text_templates import text_template
from finetune_assets.datasets.tokens import estimated_counter, special_tokens_of, token_findings, tokenizer_counter
from finetune_assets.records.example import Message
from finetune_assets_tests.datasets.fake_task import LABELS
from finetune_assets_tests.datasets.test_build import build, observations


@dataclass(frozen=True)
class Letters:
    """Counts characters: a tokenizer that a test can work out in its head."""

    method: str = "letters"
    estimated: bool = False

    def count(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> int:
        return sum(len(turn["content"]) for turn in messages)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return build(tmp_path, observations(60))[1]


def test_tokens_are_counted_with_the_answer(dataset: Path) -> None:
    longest = len("Ana ran 10 times.") + len(json.dumps({"label": "Expressive Arts"}))
    fine = token_findings(dataset, counter=Letters(), max_tokens=longest)
    assert fine.passed
    splits = fine.facts["splits"]
    assert max(facts["longest"] for facts in splits.values()) == longest
    for facts in splits.values():
        assert 0 < facts["mean"] <= facts["p95"] <= facts["longest"] <= facts["total"]
    rows = [json.loads(line) for line in (dataset / "examples.jsonl").read_text().splitlines()]
    total = sum(len(row["target"]) + sum(len(turn["content"]) for turn in row["messages"]) for row in rows)
    assert sum(facts["total"] for facts in splits.values()) == total
    assert (fine.facts["estimated"], fine.facts["method"]) == (False, "letters")


def test_an_overlong_example_is_named_with_what_would_be_cut(dataset: Path) -> None:
    answer = len(json.dumps({"label": "Expressive Arts"}))
    longest = len("Ana ran 10 times.") + answer
    short = token_findings(dataset, counter=Letters(), max_tokens=longest - 3)
    assert short.failure_count > 0
    failure = next(row for row in short.failures if f"{longest} tokens" in row["problem"])
    assert failure["problem"] == (
        f"{longest} tokens, at most {longest - 3} allowed; a trainer would cut 3 of the answer's {answer}"
    )
    assert failure["record_id"].startswith("r")
    nothing_left = token_findings(dataset, counter=Letters(), max_tokens=16)
    assert any("the whole answer of" in row["problem"] for row in nothing_left.failures)
    assert not any(label in json.dumps(nothing_left.failures) for label in LABELS)


def test_an_estimate_says_that_it_is_one(dataset: Path) -> None:
    counter = estimated_counter(text_template("chatml"))
    turn: Message = {"role": "user", "content": "é" * 400}
    assert counter.estimated
    assert counter.count([turn]) == -(-(800 + len("<|im_start|>user\n<|im_end|>\n")) // 4)
    findings = token_findings(dataset, counter=counter, max_tokens=20)
    assert findings.facts["estimated"]
    assert "bytes / 4" in findings.facts["method"]
    assert all(row["problem"].startswith("about ") for row in findings.failures)
    assert findings.failures


def test_a_models_own_tokenizer_counts(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    assert tokenizer_counter(tmp_path, CHATML, name="none") is None
    core = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.enable_truncation(3)
    core.save(str(tmp_path / "tokenizer.json"))
    config = {"eos_token": {"content": "<end>"}, "bos_token": "<start>", "pad_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert special_tokens_of(tmp_path) == {"bos_token": "<start>", "eos_token": "<end>"}
    counter = tokenizer_counter(
        tmp_path, "{% for m in messages %}{{ m.content }} {{ eos_token }} {% endfor %}", name="m"
    )
    assert counter is not None
    # The file's own truncation must not hide what a trainer would cut.
    assert counter.count([{"role": "user", "content": "one two three four"}]) == 5
    assert not counter.estimated
