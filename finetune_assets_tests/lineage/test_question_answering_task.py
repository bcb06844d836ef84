from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

import finetune_assets
from finetune_assets.component import read_task_folder
from finetune_assets.datasets.render import CHATML
from finetune_assets.datasets.text_templates import text_template
from finetune_assets.lineage.bases import chat_template_of
from finetune_assets.lineage.task_config import TaskConfig
from finetune_assets.lineage.token_counter import token_counter
from finetune_assets.records.errors import FinetuneError
from finetune_assets.tuning.config import TuningConfig

ENVIRONMENT = Path(finetune_assets.__file__).parent / "defs/environment"


def config_of(**changes: Any) -> TaskConfig:
    tree = read_task_folder(ENVIRONMENT).config.model_dump(mode="json", exclude_unset=True)
    return TaskConfig.model_validate({**tree, **changes})


def test_local_tuning_needs_chat_rows() -> None:
    dataset = {"source": {"path": "x"}, "render": {"formats": ["gemini"]}}
    with pytest.raises(ValidationError, match="needs `chat`"):
        config_of(dataset=dataset)


def save_tokenizer(folder: Path, chat_template: str | None) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    core = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.save(str(folder / "tokenizer.json"))
    config = {"eos_token": "<end>"} | ({"chat_template": chat_template} if chat_template else {})
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def counter_of(folder: Path, template: str = "model", base_model: str = "base") -> Any:
    config = config_of(
        tuning={"base_model": base_model}, dataset={"source": {"path": "x"}, "render": {"template": template}}
    )
    return token_counter(SimpleNamespace(config=config, folder=folder))  # type: ignore[arg-type]


def test_tokens_are_counted_with_the_tokenizer_at_hand(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    missing = counter_of(tmp_path, base_model="nobody/has-this-model")
    assert missing.estimated
    assert "template chatml" in missing.method
    assert counter_of(tmp_path).estimated, "a folder without tokenizer.json"

    save_tokenizer(tmp_path / "base", "{% for m in messages %}{{ m.content }} {{ eos_token }} {% endfor %}")
    own = counter_of(tmp_path)
    assert not own.estimated
    assert own.method == "the tokenizer of base, its own template"
    assert own.count([{"role": "user", "content": "one two"}]) == 3

    named = counter_of(tmp_path, template="phi")
    assert named.method == "the tokenizer of base, template phi"
    assert named.count([{"role": "user", "content": "one two"}], add_generation_prompt=True) == 4


def test_a_base_without_a_template_takes_the_shipped_one_that_is_named(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, None)
    with pytest.raises(FinetuneError, match=r"dataset\.render\.template"):
        chat_template_of(tmp_path)
    assert chat_template_of(tmp_path, text_template("alpaca").source) == text_template("alpaca").source
    save_tokenizer(tmp_path, CHATML)
    assert chat_template_of(tmp_path, text_template("alpaca").source) == CHATML, "its own goes first"
    assert TuningConfig().is_embedded
