from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import finetune_assets
from finetune_assets.datasets.synthetic import environment
from finetune_assets.datasets.synthetic.environment_facts import facts
from finetune_assets.datasets.synthetic.texts import Draw
from finetune_assets.records.example import Example, RawRecord, Rejection, SourceRef
from finetune_assets.task_types import build_task_type

TASK_FOLDER = Path(finetune_assets.__file__).parent / "defs/environment"

# A number with a unit or none behind it, then an operator and the next; `m²` and `km/h` are units, no numbers.
NUMBER = r"-?\d[\d,]*(?:\.\d+)?%?"
UNIT = r"(?:\s?[A-Za-z°₂²³][\w°₂²³/]*)?"
WORKING = re.compile(rf"({NUMBER}{UNIT}(?: [×÷+] {NUMBER}{UNIT})+) (=|≈) ({NUMBER})")


def value(text: str) -> Decimal:
    plain = text.replace(",", "")
    return Decimal(plain.rstrip("%")) / (100 if plain.endswith("%") else 1)


def worked_out(expression: str) -> Decimal:
    """Work out `a × b ÷ c + d` from left to right, products first."""
    total = Decimal(0)
    for term in expression.split(" + "):
        product = Decimal(1)
        for sign, number in re.findall(rf"(×|÷|^) ?({NUMBER})", term):
            product = product / value(number) if sign == "÷" else product * value(number)
        total += product
    return total


def workings(text: str) -> list[tuple[str, str, str]]:
    return [(found[1], found[2], found[3]) for found in WORKING.finditer(text)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("3 kWh × 3.6 MJ/kWh", "10.8"),
        ("20 × 1.8 + 32", "68"),
        ("5 t × 40%", "2"),
        ("-5 × 1.8 + 32", "23"),
        ("4 ÷ 8", "0.5"),
    ],
)
def test_the_tests_own_arithmetic(expression: str, expected: str) -> None:
    assert worked_out(expression) == Decimal(expected)


def test_every_answer_is_true() -> None:
    counted = 0
    for fact in (fact for seed in range(4) for fact in facts(Draw(f"truth {seed}"), 520)):
        found = workings(fact.answer) + workings(fact.follow_answer)
        assert workings(fact.answer), fact.answer
        for expression, sign, result in found:
            exact = worked_out(expression)
            if sign == "=":
                assert exact == value(result), (expression, result)
            else:
                assert abs(exact - value(result)) <= abs(exact) * Decimal("0.0005"), (expression, result)
            counted += 1
    assert counted > 2_000


def test_more_facts_than_there_are_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 520"):
        facts(Draw("many"), 521)


def test_the_shipped_files_are_those_of_the_script() -> None:
    for name, content in environment.sample_files().items():
        assert (TASK_FOLDER / name).read_bytes() == content, name
    assert environment.sample_files(7) != environment.sample_files()


def read_all() -> list[Example | Rejection]:
    task = build_task_type("question_answering", {"languages": ["en"], "cleaning": {"e_mails": "mask"}}, TASK_FOLDER)
    rows: list[dict[str, Any]] = [
        json.loads(line) for line in (TASK_FOLDER / "data/questions.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert len(rows) >= 300
    return [
        item for number, row in enumerate(rows) for item in task.examples(RawRecord(row, SourceRef("q", line=number)))
    ]


def test_the_sample_holds_every_shape_and_every_dirt() -> None:
    found = read_all()
    reasons = Counter(item.reason for item in found if isinstance(item, Rejection))
    broken = environment.BROKEN
    assert reasons == {
        "other_language": environment.GERMAN, "placeholder_target": environment.PLACEHOLDERS,
        "blank_turn": broken, "unknown_role": broken, "unanswered": broken, "missing_field": broken,
    }  # fmt: skip
    examples = [item for item in found if isinstance(item, Example)]
    shapes = Counter(item.facts["shape"] for item in examples)
    assert shapes["chat"] == 2 * environment.CONVERSATIONS
    assert shapes["question"] >= environment.QUESTIONS + environment.INSTRUCTIONS
    cleaned = Counter(change for item in examples for change in item.facts.get("cleaned", []))
    assert cleaned["html"] >= 5
    assert cleaned["entities"] >= 3
    assert cleaned["white_space"] >= 3
    keys = Counter(item.content_key for item in examples)
    assert sum(count - 1 for count in keys.values()) == environment.DUPLICATES + environment.CONFLICTS
    assert not any("<p>" in item.target or "&" in item.target for item in examples)
    assert len({item.label for item in examples}) == 7
