import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from finetune_assets.tuning.config import LoraSettings, TuningConfig
from finetune_assets.tuning.request import BaseModelConfig, BaseModelRequest, TuningRequest

A, B = "a" * 64, "b" * 64


def request(**changes) -> TuningRequest:
    values = {
        "task": "childcare",
        "dataset_digest": "d",
        "train_digest": A,
        "validation_digest": B,
        "base_digest": "base",
        "template_hash": "template",
        "config": TuningConfig(),
    }
    return TuningRequest(**(values | changes))


def test_the_key_is_short_hex_and_stable():
    key = request().request_key
    assert len(key) == 20
    assert int(key, 16) >= 0
    assert request().request_key == key


@pytest.mark.parametrize(
    "change",
    [
        {"task": "other"},
        {"dataset_digest": "e"},
        {"train_digest": B},
        {"validation_digest": None},
        {"base_digest": "another"},
        {"template_hash": "another"},
        {"config": TuningConfig(epochs=1)},
        {"config": TuningConfig(seed=1)},
        {"config": TuningConfig(threads=2)},
        {"config": TuningConfig(lora=LoraSettings(rank=8))},
    ],
)
def test_everything_that_decides_the_weights_changes_the_key(change):
    assert request(**change).request_key != request().request_key


@given(every=st.integers(1, 10_000), keep=st.integers(2, 100))
def test_how_often_checkpoints_are_written_does_not(every, keep):
    config = TuningConfig(checkpoint_every=every, keep_checkpoints=keep)
    assert request(config=config).request_key == request().request_key


def test_a_request_survives_its_json():
    again = TuningRequest.model_validate_json(request().model_dump_json())
    assert again == request()
    assert again.request_key == request().request_key


def test_a_digest_must_be_one():
    with pytest.raises(ValidationError, match="train_digest"):
        request(train_digest="latest")


def test_base_key_follows_corpus_and_settings():
    one = BaseModelRequest(corpus_digest=A)
    assert one.key == BaseModelRequest(corpus_digest=A).key
    assert one.key != BaseModelRequest(corpus_digest=B).key
    assert one.key != BaseModelRequest(corpus_digest=A, model=BaseModelConfig(steps=1)).key
