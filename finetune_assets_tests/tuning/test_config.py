import pytest
from pydantic import ValidationError

from finetune_assets.tuning.config import TuningConfig


def test_defaults_fit_the_embedded_base():
    config = TuningConfig()
    assert config.is_embedded
    assert config.peak_learning_rate == pytest.approx(1.5e-3)
    assert (config.batch_size, config.lora.rank, config.lora.target_modules) == (8, 16, "all-linear")
    assert config.threads == 1


def test_a_hub_model_gets_the_usual_learning_rate_unless_told_otherwise():
    assert TuningConfig(base_model="microsoft/Phi-3-mini-4k-instruct").peak_learning_rate == pytest.approx(2e-4)
    assert TuningConfig(base_model="a/b", learning_rate=1e-5).peak_learning_rate == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"keep_checkpoints": 1}, "keep_checkpoints"),
        ({"report_to": ["mlflow"]}, "report_to"),
        ({"lora": {"rank": 0}}, "lora"),
        ({"learnign_rate": 1e-3}, "learnign_rate"),
        ({"profile": "tpu"}, "profile"),
    ],
)
def test_a_wrong_value_is_refused_and_named(values, field):
    with pytest.raises(ValidationError) as caught:
        TuningConfig.model_validate(values)
    assert caught.value.errors()[0]["loc"][0] == field


def test_settings_that_make_no_sense_for_the_embedded_base_are_refused():
    with pytest.raises(ValidationError, match="revision"):
        TuningConfig(revision="v1")
    with pytest.raises(ValidationError, match="quantisation"):
        TuningConfig(quantisation="nf4")


def test_every_field_is_described():
    described = [field.description for field in TuningConfig.model_fields.values()]
    assert all(described)


def test_identity_leaves_out_what_does_not_change_the_weights():
    plain = TuningConfig().identity()
    assert TuningConfig(checkpoint_every=7, keep_checkpoints=5, report_to=("tensorboard",)).identity() == plain
    assert "checkpoint_every" not in plain
    # The default spelled out is the same run.
    assert TuningConfig(learning_rate=1.5e-3).identity() == plain
