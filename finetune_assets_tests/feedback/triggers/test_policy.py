"""The `triggers:` section: its defaults, its trees and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from finetune_assets.feedback.triggers import policy as policies
from finetune_assets.feedback.triggers.expression import evaluate, holding, written
from finetune_assets.feedback.triggers.finding import Finding
from finetune_assets.feedback.triggers.policy import TriggerPolicy, rules_in


def test_defaults_are_those_of_source_001() -> None:
    policy = TriggerPolicy()
    assert (policy.min_error_cases, policy.min_corrected_cases, policy.error_rate.threshold) == (100, 50, 0.15)
    assert written(policy.fire_when) == "(error_cases or corrected_cases or error_rate)"
    assert not policy.enabled
    assert not policy.adaptive.enabled
    assert (policy.adaptive.lowest, policy.adaptive.highest, policy.adaptive.min_points) == (50, 1000, 5)
    assert policy.max_in_flight == 1


def test_a_tree_is_read_from_yaml() -> None:
    text = """
    fire_when:
      any:
        - all: [error_rate, corrected_cases]
        - all: [label_drift, {any: [corrected_cases, schedule]}]
    schedule: {cron: "0 3 * * 1"}
    """
    policy = TriggerPolicy.model_validate(yaml.safe_load(text))
    assert rules_in(policy.fire_when) == ("error_rate", "corrected_cases", "label_drift", "schedule")
    assert written(policy.fire_when) == (
        "((error_rate and corrected_cases) or (label_drift and (corrected_cases or schedule)))"
    )
    assert TriggerPolicy.model_validate_json(policy.model_dump_json()) == policy


def deep(levels: int) -> Any:
    value: Any = "error_rate"
    for _ in range(levels):
        value = {"any": [value]}
    return value


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"fire_when": {"any": ["eror_rate"]}}, "fire_when.any[0]: there is no rule `eror_rate`; known: error_cases"),
        ({"fire_when": {"any": []}}, "fire_when.any: expected a list of at least one rule"),
        ({"fire_when": {"not": ["error_rate"]}}, "expected a rule, `all: [...]` or `any: [...]`"),
        ({"fire_when": {"any": ["error_rate"], "all": ["error_rate"]}}, "expected a rule"),
        ({"fire_when": 7}, "expected a rule"),
        ({"fire_when": deep(9)}, "more than 8 levels"),
        ({"fire_when": "schedule"}, "names `schedule`, but there is no section"),
        ({"schedule": {"every_days": 7}}, "does not name `schedule`"),
        ({"fire_when": "schedule", "schedule": {"cron": "every monday"}}, "no cron expression of five fields"),
        ({"fire_when": "schedule", "schedule": {"cron": "* * * * * *"}}, "no cron expression of five fields"),
        ({"fire_when": "schedule", "schedule": {}}, "give either cron or every_days"),
        ({"max_in_flight": 2}, "Input should be 1"),
        ({"cool_down_h": 0}, "greater than 0"),
        ({"adaptive": {"lowest": 10, "highest": 5}}, "highest is below lowest"),
        ({"expected_gain": {"min_gain_per_usd": 0.1, "releases": 2}}, "releases is below min_releases"),
        ({"min_eror_cases": 5}, "Extra inputs"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(section: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TriggerPolicy.model_validate(section)
    assert told in str(caught.value)


def test_a_tree_of_many_levels_is_read_up_to_eight() -> None:
    assert rules_in(TriggerPolicy.model_validate({"fire_when": deep(8)}).fire_when) == ("error_rate",)


def test_every_field_is_described() -> None:
    models = [value for value in vars(policies).values() if isinstance(value, type) and issubclass(value, BaseModel)]
    for model in models:
        for name, field in model.model_fields.items():
            assert (field.description or "").endswith("."), f"{model.__name__}.{name}"


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"any": ["error_cases", "error_rate"]}, "holds"),
        ({"any": ["corrected_cases", "error_rate"]}, "unknown"),
        ({"any": ["corrected_cases", "corrected_cases"]}, "fails"),
        ({"all": ["error_cases", "error_rate"]}, "unknown"),
        ({"all": ["corrected_cases", "error_rate"]}, "fails"),
        ({"all": ["error_cases", "error_cases"]}, "holds"),
        ({"all": ["error_cases", {"any": ["corrected_cases", "error_cases"]}]}, "holds"),
    ],
)
def test_what_cannot_be_told_stays_untold_unless_another_part_decides(tree: Any, expected: str) -> None:
    said = {
        "error_cases": Finding("error_cases", "holds", ""),
        "corrected_cases": Finding("corrected_cases", "fails", ""),
        "error_rate": Finding("error_rate", "unknown", ""),
    }
    expression = TriggerPolicy.model_validate({"fire_when": tree}).fire_when
    assert evaluate(expression, said) == expected  # type: ignore[arg-type]
    assert holding(expression, said) == (("error_cases",) if expected == "holds" else ())  # type: ignore[arg-type]
