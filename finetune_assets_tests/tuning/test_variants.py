"""Variants: named settings over a section, each whole by itself."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from finetune_assets.tuning.config import TuningConfig


def test_without_variants_the_section_is_the_only_one() -> None:
    config = TuningConfig(epochs=2.0)
    assert config.by_variant() == {"": config}


def test_a_variant_takes_over_what_it_does_not_say() -> None:
    config = TuningConfig.model_validate(
        {
            "epochs": 2,
            "lora": {"rank": 8, "dropout": 0.1},
            "variants": {"wide": {"lora": {"rank": 32}}, "long": {"epochs": 6}},
        }
    )
    found = config.by_variant()
    assert list(found) == ["wide", "long"]
    assert (found["wide"].lora.rank, found["wide"].lora.dropout, found["wide"].epochs) == (32, 0.1, 2.0)
    assert (found["long"].lora.rank, found["long"].epochs) == (8, 6.0)
    assert not found["wide"].variants
    assert config.needs_embedded


def test_variants_are_no_part_of_an_adapters_identity() -> None:
    plain = TuningConfig(epochs=2.0)
    named = TuningConfig.model_validate({"epochs": 2, "variants": {"same": {}, "other": {"epochs": 3}}})
    assert named.by_variant()["same"].identity() == plain.identity()
    assert named.by_variant()["other"].identity() != plain.identity()


@pytest.mark.parametrize(
    "variants",
    [
        {"Wide": {}},
        {"wide": {"epoch": 3}},
        {"wide": {"epochs": -1}},
        {"wide": {"variants": {"deeper": {}}}},
        {"wide": 3},
    ],
)
def test_a_variant_that_is_no_setting_is_refused(variants: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TuningConfig.model_validate({"variants": variants})
