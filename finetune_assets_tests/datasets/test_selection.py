"""Filters, balancing and augmentation, through the whole build."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from finetune_assets.datasets.augment import Origin, augmented
from finetune_assets.datasets.balance import cut_to_balance
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.filters import REASONS as FILTER_REASONS
from finetune_assets.datasets.filters import Filters
from finetune_assets.datasets.format_checks import format_findings
from finetune_assets.datasets.quarantine import REASONS, UNCOUNTED_REASONS, quarantine_share
from finetune_assets.datasets.schema import leakage_findings, validate_examples
from finetune_assets.datasets.selection_config import AugmentConfig, BalanceConfig, FilterConfig
from finetune_assets.datasets.splitting.assign import NOWHERE, TEST, TRAIN, SplitTable
from finetune_assets.records.example import Example, RawRecord, SourceRef
from finetune_assets_tests.datasets.fake_task import LABELS, FakeTask
from finetune_assets_tests.datasets.test_build import build, content_of, lines, observations

Row = dict[str, Any]


def questions(count: int = 60) -> list[Row]:
    """Questions of which no two are nearly equal."""
    words = ("River", "Castle", "Garden", "Engine", "Window", "Mirror", "Pepper", "Violin", "Bridge", "Copper")
    texts = [
        f"{words[n % 10]} {words[n // 10]} number {n * n + 7}: which {words[(n * 3) % 10].lower()}?"
        for n in range(count)
    ]
    return [{"id": f"r{n}", "text": text, "label": LABELS[n % 3]} for n, text in enumerate(texts)]


def example(**more: Any) -> Example:
    values: Row = {
        "record_id": "r1",
        "content_key": "0" * 64,
        "messages": ({"role": "system", "content": "12345"}, {"role": "user", "content": "1234567890"}),
        "target": "123",
        "label": "a",
        "label_path": ("a",),
        "source": SourceRef("rows.jsonl", line=1),
    }
    return Example(**{**values, **more})


@pytest.mark.parametrize(
    ("config", "facts", "reason"),
    [
        ({"min_length": 10}, {}, None),
        ({"min_length": 11}, {}, "filtered_min_length"),
        ({"min_target_length": 4}, {}, "filtered_min_target_length"),
        ({"max_prompt_length": 14}, {}, "filtered_max_prompt_length"),
        ({"max_prompt_length": 15}, {}, None),
        ({"min_error_score": 0.5}, {"error_score": 0.4}, "filtered_min_error_score"),
        ({"min_error_score": 0.5}, {"error_score": 0.5}, None),
        ({"min_error_score": 0.5}, {"error_score": None}, None),
        ({"min_code_length": 50}, {"code_length": 49}, "filtered_min_code_length"),
        ({"max_code_length": 50}, {"code_length": 51}, "filtered_max_code_length"),
        ({"require_docstring": True}, {"documented": False}, "filtered_require_docstring"),
        ({"require_docstring": True}, {"documented": True}, None),
        ({"require_docstring": True, "min_code_length": 50}, {}, None),
        ({"min_length": 11, "min_target_length": 4}, {}, "filtered_min_length"),
    ],
)
def test_each_filter_by_its_name(config: Row, facts: Row, reason: str | None) -> None:
    found = Filters(FilterConfig.model_validate(config)).reject(example(facts=facts))
    assert (found.reason if found else None) == reason


def test_an_unknown_filter_is_refused() -> None:
    with pytest.raises(ValidationError, match="min_words"):
        DatasetConfig.model_validate({"source": {"path": "x"}, "filters": {"min_words": 3}})


def test_filters_have_reasons_that_are_no_fault() -> None:
    assert set(FILTER_REASONS) == {f"filtered_{name}" for name in FilterConfig.model_fields}
    assert set(FILTER_REASONS) <= set(REASONS)
    assert {*FILTER_REASONS, "balanced_away"} <= UNCOUNTED_REASONS


def test_filtered_rows_are_counted_and_shown(tmp_path: Path) -> None:
    rows = [*observations(40), {"id": "short", "text": "Ana.", "label": LABELS[0]}]
    summary, out = build(tmp_path, rows, filters={"min_length": 10, "min_error_score": 0.5})
    assert (summary.read, summary.accepted, summary.reasons) == (41, 40, {"filtered_min_length": 1})
    assert quarantine_share(summary.read, summary.reasons) == 0.0
    [shown] = lines(out / "quarantine.jsonl")
    assert (shown["record_id"], shown["found"], shown["expected"]) == ("short", "4", "at least 10")
    filters = Filters(FilterConfig(min_length=10, min_error_score=0.5))
    assert filters.not_applicable(lines(out / "examples.jsonl")) == {"min_error_score": 40}


@given(
    labels=st.lists(st.sampled_from("abc"), min_size=1, max_size=60),
    most=st.integers(1, 20),
    test_rows=st.sets(st.integers(0, 59)),
)
def test_balancing_cuts_training_rows_only(labels: list[str], most: int, test_rows: set[int]) -> None:
    table = SplitTable()
    for number, label in enumerate(labels):
        table.add(number.to_bytes(32, "big"), label)
    splits = bytearray(TEST if number in test_rows else TRAIN for number in range(len(labels)))
    before = bytes(splits)
    cut = cut_to_balance(table, splits, BalanceConfig(max_per_class=most))
    left = Counter(label for label, split in zip(labels, splits, strict=True) if split == TRAIN)
    full = Counter(label for label, split in zip(labels, before, strict=True) if split == TRAIN)
    assert left == {label: min(count, most) for label, count in full.items()}
    assert all(before[item] == TRAIN and splits[item] == NOWHERE for item in cut)
    assert splits.count(TEST) == before.count(TEST)


def test_rows_balanced_away_stay_assigned(tmp_path: Path) -> None:
    plain, _ = build(tmp_path, observations(60))
    summary, out = build(tmp_path, observations(60), balance={"max_per_class": 5})
    away = summary.reasons["balanced_away"]
    assert summary.splits["train"] == 15
    assert summary.accepted + away == plain.accepted == 60
    assert {name: summary.splits[name] for name in ("validation", "test")} == {
        name: plain.splits[name] for name in ("validation", "test")
    }
    assert len(lines(out / "assignments.jsonl")) == 60
    again, later = build(tmp_path, observations(60), out / "assignments.jsonl", balance={"max_per_class": 5})
    assert content_of(later / "chat") == content_of(out / "chat")
    assert again == summary


def test_copies_are_of_training_rows_only_and_marked(tmp_path: Path) -> None:
    plain, _ = build(tmp_path, questions())
    summary, out = build(tmp_path, questions(), augment={"factor": 2})
    rows = lines(out / "examples.jsonl")
    copies = [row for row in rows if row["origin"] == "augmented"]
    originals = {row["record_id"]: row for row in rows if row["origin"] == "observed"}
    assert (summary.accepted, summary.augmented) == (plain.accepted, len(copies))
    assert summary.splits == {**plain.splits, "train": plain.splits["train"] + len(copies)}
    assert len(copies) == 2 * plain.splits["train"]
    for row in copies:
        origin = originals[row["record_id"].partition("+aug")[0]]
        assert row["split"] == origin["split"] == "train"
        assert (row["target"], row["label"], row["source"]) == (origin["target"], origin["label"], origin["source"])
        assert row["messages"] != origin["messages"]
        assert f"augmented_from={origin['record_id']}" in set(row["groups"]) & set(origin["groups"])
    assert len({row["content_key"] for row in rows}) == len({row["example_id"] for row in rows}) == len(rows)
    assert json.loads((out / "statistics.json").read_text())["distributions"]["origin"]["augmented"] == {
        "train": len(copies),
        "validation": 0,
        "test": 0,
    }


def test_an_augmented_dataset_passes_the_checks_and_is_the_same_each_time(tmp_path: Path) -> None:
    methods = ["casing", "punctuation", "question_prefix", "typo"]
    _, out = build(tmp_path, questions(), augment={"factor": 3, "methods": methods})
    _, again = build(tmp_path, questions(), augment={"factor": 3, "methods": methods})
    config = DatasetConfig.model_validate({"source": {"path": "x"}})
    assert validate_examples(out, FakeTask()).passed  # type: ignore[arg-type]
    assert leakage_findings(out, config.split, FakeTask()).passed  # type: ignore[arg-type]
    assert format_findings(out, config.render.formats).passed
    assert content_of(out) == content_of(again)


def copies_of(text: str, taken: set[str], **config: Any) -> list[str]:
    record = RawRecord({"id": "r1", "text": text, "label": LABELS[0]}, SourceRef("rows.jsonl", line=1))
    [made] = FakeTask().examples(record)
    assert isinstance(made, Example)
    origins = {"r1": Origin(0, made.target, made.content_key)}
    found = augmented(record, origins, FakeTask(), AugmentConfig(**config), taken)  # type: ignore[arg-type]
    return [copy.messages[-1]["content"] for _, copy in found]


@pytest.mark.parametrize(
    ("method", "text", "expected"),
    [
        ("casing", "Ana RAN.", {"ana ran.", "Ana ran."}),
        ("punctuation", "Ana ran.", {"Ana ran"}),
        ("punctuation", "Ana ran", {"Ana ran."}),
        ("question_prefix", "Who ran?", {"Say: Who ran?"}),
        ("question_prefix", "Ana ran.", set()),
        ("typo", "It ran.", set()),
    ],
)
def test_each_method(method: str, text: str, expected: set[str]) -> None:
    found = copies_of(text, set(), factor=3, methods=[method], prefixes=["Say: "])
    assert set(found) <= expected
    assert bool(found) == bool(expected)


def test_a_typo_swaps_two_letters_within_a_word() -> None:
    [found] = copies_of("The elephants danced.", set(), factor=1, methods=["typo"])
    assert found != "The elephants danced."
    assert sorted(found) == sorted("The elephants danced.")


def test_a_copy_that_asks_what_another_row_asks_is_dropped() -> None:
    asked = FakeTask().examples(
        RawRecord({"id": "x", "text": "Say: Who ran?", "label": LABELS[1]}, SourceRef("rows.jsonl", line=2))
    )[0]
    assert isinstance(asked, Example)
    config = {"factor": 1, "methods": ["question_prefix"], "prefixes": ["Say: "]}
    assert copies_of("Who ran?", {asked.content_key}, **config) == []
    assert copies_of("Who ran?", set(), **config) == ["Say: Who ran?"]


@given(text=st.text(max_size=40), factor=st.integers(0, 4), seed=st.integers(0, 100))
def test_copies_differ_from_their_origin_and_from_one_another(text: str, factor: int, seed: int) -> None:
    if not text.strip():
        return
    methods = ["casing", "punctuation", "question_prefix", "typo"]
    found = copies_of(text, set(), factor=factor, methods=methods, seed=seed)
    assert len(set(found)) == len(found) <= factor
    assert text not in found
