"""One precedence: --set over environment over defs.yaml over defaults, each value with its origin."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.lineage.settings import environment_values, resolve
from finetune_assets.lineage.task_config import TaskConfig, TaskSpec
from finetune_assets.records.errors import FinetuneError

ATTRIBUTES = {
    "task": "toys",
    "task_type": "classification",
    "dataset": {"source": {"path": "x.jsonl"}},
    "classification": {"taxonomy": "taxonomy.json"},
    "tuning": {"epochs": 2},
}


def spec(tmp_path: Path) -> TaskSpec:
    return TaskSpec(config=TaskConfig.model_validate(ATTRIBUTES), folder=str(tmp_path))


def origin_of(rows: list[tuple[str, object, str]], path: str) -> tuple[object, str]:
    return next((value, origin) for name, value, origin in rows if name == path)


def test_each_layer_wins_over_the_one_below(tmp_path: Path) -> None:
    task = spec(tmp_path)
    general, own, setting = (
        {"FINETUNE_TUNING__EPOCHS": "3"},
        {"FINETUNE_TUNING__EPOCHS": "3", "FINETUNE_TOYS__TUNING__EPOCHS": "4"},
        {"tuning.epochs": "5"},
    )
    assert origin_of(resolve(task, {}, {}).rows(), "tuning.epochs") == (2, "defs.yaml")
    assert origin_of(resolve(task, {}, general).rows(), "tuning.epochs") == (3, "environment FINETUNE_TUNING__EPOCHS")
    assert origin_of(resolve(task, {}, own).rows(), "tuning.epochs")[0] == 4
    assert origin_of(resolve(task, setting, own).rows(), "tuning.epochs") == (5, "--set")
    assert origin_of(resolve(task, {}, {}).rows(), "tuning.batch_size")[1] == "default"


def test_other_variables_are_no_settings(tmp_path: Path) -> None:
    environ = {"FINETUNE_HOME": "x", "FINETUNE_OTHER__TUNING__EPOCHS": "9", "HOME": "y", "FINETUNE_REAL_DATA": "z"}
    assert environment_values("toys", environ) == {}
    assert resolve(spec(tmp_path), {}, environ).config.tuning.epochs == 2


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("tuning.epoch", "3", "setting does not exist"),
        ("tuning.epochs", "many", "setting does not fit"),
        ("tuning.epochs", "-1", "greater than 0"),
        ("tuning.epochs.more", "1", "setting has no parts"),
        ("tuning.epochs", "[1", "not readable as YAML"),
        ("dataset.split", "{train: 0.5, validation: 0.1, test: 0.1}", "must be 1"),
    ],
)
def test_a_wrong_value_is_named_with_its_origin(tmp_path: Path, path: str, text: str, says: str) -> None:
    with pytest.raises(FinetuneError) as caught:
        resolve(spec(tmp_path), {path: text}, {})
    line = str(caught.value)
    assert says in line
    assert "--set" in line
    assert "\n" not in line


@given(st.integers(min_value=1, max_value=100), st.integers(min_value=1, max_value=100))
def test_set_always_wins(environment: int, setting: int) -> None:
    settings = resolve(
        spec(Path()), {"tuning.batch_size": str(setting)}, {"FINETUNE_TUNING__BATCH_SIZE": str(environment)}
    )
    assert settings.config.tuning.batch_size == setting


def test_secrets_are_no_settings(tmp_path: Path) -> None:
    environ = {"HF_TOKEN": "hf_secret", "WANDB_API_KEY": "wandb_secret"}
    rows = repr(resolve(spec(tmp_path), {}, environ).rows())
    assert "hf_secret" not in rows
    assert "wandb_secret" not in rows
