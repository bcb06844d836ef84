"""The report: complete, deterministic, without texts, readable and honest."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from finetune_assets.evaluation.answers import GivenAnswer, score_answers
from finetune_assets.evaluation.config import CriticalConfig, GateConfig
from finetune_assets.evaluation.markdown_table import cell
from finetune_assets.evaluation.report.build import (
    Contender,
    ReportContext,
    build_report,
    judge,
    report_digest,
    report_markdown,
)
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Example
from finetune_assets_tests.evaluation.rows import LEVELS, READER, example, given

CONFIG = GateConfig(critical=CriticalConfig(), resamples=300, slice_min_rows=30)
LABELS = [("a", "x"), ("a", "y"), ("b", "z")]
EXAMPLES = [
    example(
        number,
        LABELS[number % 3],
        text=f"a secret observation {number}",
        slices=(("critical",) if number < 6 else ()) + (("unseen_phrasing",) if number >= 80 else ()),
    )
    for number in range(100)
]
CONTEXT = ReportContext("childcare", LEVELS, dataset_digest="d" * 64, provenance="made by a seeded script")


def _answers(right: set[int], wrong: tuple[str, ...] = ("b", "q")) -> list[GivenAnswer]:
    return [given(item, item.label_path if n in right else wrong) for n, item in enumerate(EXAMPLES)]


OURS = _answers(set(range(81)))
THEIRS = [given(item, None) for item in EXAMPLES]
TRIVIAL = {"tfidf_logreg": _answers(set(range(100))), "majority": _answers(set(range(0, 100, 3)))}


def _report(**changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "context": CONTEXT,
        "examples": EXAMPLES,
        "candidate": Contender("childcare-9f2c", OURS, {"adapter": "9f2c"}),
        "baseline": Contender("untuned base", THEIRS, {"base": "77aa"}),
        "config": CONFIG,
        "trivial": TRIVIAL,
    }
    return _build(**(arguments | changes))


def _build(
    context: ReportContext,
    examples: list[Example],
    candidate: Contender,
    baseline: Contender,
    config: GateConfig,
    trivial: dict[str, list[GivenAnswer]] | None = None,
) -> dict[str, Any]:
    judgement = judge(examples, candidate.answers, baseline.answers, config, READER, trivial=trivial)
    return build_report(context, judgement, candidate, baseline, config)


def test_the_report_holds_every_figure() -> None:
    report = _report()
    assert report["verdict"]["verdict"] == "PASS"
    assert list(report["scores"]) == ["candidate", "baseline", "majority", "tfidf_logreg"]
    figures = report["scores"]["candidate"]["measures"]
    assert {name: score["value"] for name, score in figures.items()} == {
        "exact": 0.81,
        "domain": 0.87,
        "attribute": 0.81,
    }
    assert figures["exact"]["interval_95"][0] < 0.81 < figures["exact"]["interval_95"][1]
    assert report["scores"]["candidate"]["correct"] == 0.81
    assert report["scores"]["baseline"]["problems"] == {"not_json": 100}
    assert report["scores"]["baseline"]["coverage"] == 1.0
    assert report["scores"]["tfidf_logreg"]["correct"] == 1.0
    assert report["comparison"]["difference"] == 0.81
    macro = next(row for row in report["comparisons"] if row["measure"] == "macro_f1")
    assert macro["interval"][0] > 0.5
    assert report["changes"]["fixed"] == 81
    assert report["changes"]["broken_records"] == []
    assert report["critical"]["fixed"] == [f"r{n:04d}" for n in range(6)]
    unseen = next(part for part in report["slices"] if part["name"] == "unseen_phrasing")
    assert (unseen["rows"], unseen["candidate"], unseen["baseline"]) == (20, 0.05, 0.0)
    assert unseen["interval"][0] < unseen["difference"] == 0.05 < unseen["interval"][1]
    assert sum(row["rows"] - row["right"] for row in report["worst_labels"]) == 19
    assert report["confusion"]["level"] == "domain"
    assert report["trivial"]["tfidf_logreg"]["shown"] == "worse"


def test_the_report_is_json_without_texts_times_or_paths() -> None:
    text = json.dumps(_report(), allow_nan=False)
    assert "secret" not in text
    assert "latency_s" not in text
    assert json.loads(text) == _report()


def test_the_report_does_not_depend_on_the_order_or_speed_of_answers() -> None:
    slow = [replace(row, latency_s=9.0, text="other spelling") for row in reversed(OURS)]
    first, second = _report(), _report(candidate=Contender("childcare-9f2c", slow, {"adapter": "9f2c"}))
    assert report_digest(first) == report_digest(second)
    assert report_digest(first) != report_digest(_report(config=GateConfig(resamples=300)))


def test_a_lost_answer_is_counted_and_fails() -> None:
    report = _report(candidate=Contender("childcare-9f2c", OURS[:-1]))
    assert report["rows"] == report["scores"]["candidate"]["rows"] == 100
    assert report["scores"]["candidate"]["coverage"] == 0.99
    assert report["scores"]["candidate"]["problems"] == {"missing": 1}
    assert report["verdict"]["verdict"] == "FAIL"


def test_an_empty_test_set_is_reported_not_passed() -> None:
    empty = _report(examples=[], candidate=Contender("c", []), baseline=Contender("b", []), trivial={"majority": []})
    assert empty["verdict"]["verdict"] == "INCONCLUSIVE"
    assert "INCONCLUSIVE" in report_markdown(empty)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(FinetuneError, match="unknown label level"):
        _report(context=replace(CONTEXT, confusion_level="colour"))
    with pytest.raises(FinetuneError, match="unknown metric"):
        _report(config=GateConfig(floor={"colour": 0.1}))
    with pytest.raises(FinetuneError, match="belongs to no example"):
        _report(examples=EXAMPLES[:-1])


def test_markdown_has_well_formed_tables() -> None:
    text = report_markdown(_report())
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 7  # gates, scores, other measures, slices, worst rows, labels, confusion
    for block in tables:
        bars = {line.replace("\\|", "").count("|") for line in block.splitlines()}
        assert len(bars) == 1, block
    assert "## ✅ childcare: PASS" in text
    assert (
        "|  | candidate: childcare-9f2c | baseline: untuned base | commonest answer | TF-IDF + logistic regression |"
    ) in text
    assert "| exact label | 81.0 % (" in text
    assert "| answers right as a whole | 81.0 % | 0.0 % |" in text


def test_markdown_survives_a_round_trip_through_json() -> None:
    report = _report()
    assert report_markdown(json.loads(json.dumps(report, sort_keys=True))) == report_markdown(report)


def test_markdown_says_what_does_not_flatter() -> None:
    text = report_markdown(_report())
    assert "**TF-IDF + logistic regression does better by 19.0 points than the candidate**" in text
    assert "commonest answer does" not in text
    assert "**The candidate fails on:** unseen\\_phrasing (5.0 %)" in text
    assert "synthetic" not in text
    assert "**synthetic**" in report_markdown(_report(context=replace(CONTEXT, synthetic=True)))
    tie = report_markdown(_report(trivial={"majority": _answers(set()), "tfidf_logreg": OURS}))
    assert "does as well as the candidate** (a difference is not shown on these rows)" in tie
    weak = report_markdown(_report(trivial={"majority": _answers(set())}))
    assert "no better tool" not in weak


def test_markdown_names_broken_rows_and_rows_needed() -> None:
    ours, theirs = _answers(set(range(5, 85))), _answers(set(range(82)))
    report = _report(candidate=Contender("new", ours), baseline=Contender("live version 3", theirs), trivial=None)
    text = report_markdown(report)
    assert report["verdict"]["verdict"] == "FAIL"
    assert report["critical"]["new_failures"] == [f"r{n:04d}" for n in range(5)]
    assert "Newly wrong: r0000, r0001, r0002, r0003, r0004" in text
    assert "❌ FAIL | critical" in text
    assert "more test rows** would decide" not in text
    open_report = _report(
        candidate=Contender("new", _answers(set(range(85)))),
        baseline=Contender("live version 3", _answers(set(range(84)))),
        trivial=None,
    )
    more = open_report["verdict"]["more_rows_needed"]
    assert more > 0
    assert f"About **{more} more test rows** would decide" in report_markdown(open_report)


def test_names_from_data_cannot_break_the_page() -> None:
    evil = "x | y\n| <img src=q onerror=z> `*[l](javascript:1)"
    assert "\n" not in cell(evil)
    assert "<" not in cell(evil)
    rows = [example(n, (evil, evil), slices=(evil,)) for n in range(40)]
    right = [given(row, row.label_path) for row in rows]
    wrong = [given(row, ("q|r", "s")) for row in rows]
    report = _build(
        ReportContext(evil, ("domain|", "b")),
        rows,
        Contender(evil, wrong),
        Contender(evil, right),
        GateConfig(resamples=200),
    )
    text = report_markdown(report)
    assert "<img" not in text
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1


def test_a_task_without_label_levels_has_a_report_too() -> None:
    report = _report(context=ReportContext("free_text", ()))
    assert report["confusion"] is None
    text = report_markdown(report)
    assert "Confusion" not in text


def test_many_labels_go_to_the_chart() -> None:
    rows = [example(n, (f"d{n}", "x")) for n in range(40)]
    right = [given(row, row.label_path) for row in rows]
    report = _build(
        ReportContext("t", LEVELS), rows, Contender("c", right), Contender("b", right), GateConfig(resamples=200)
    )
    assert "40 labels: too many for a table" in report_markdown(report)


def test_rows_that_are_marked_already_give_the_same_judgement() -> None:
    plain = judge(EXAMPLES, OURS, THEIRS, CONFIG, READER, trivial=TRIVIAL)
    rivals = {name: score_answers(EXAMPLES, rows, READER) for name, rows in TRIVIAL.items()}
    marked = judge(EXAMPLES, OURS, score_answers(EXAMPLES, THEIRS, READER), CONFIG, READER, trivial=rivals)
    assert marked.verdict == plain.verdict
    assert (marked.candidate, marked.baseline, marked.trivial) == (plain.candidate, plain.baseline, plain.trivial)


def test_marked_rows_of_other_examples_are_refused() -> None:
    marked = score_answers(EXAMPLES, THEIRS, READER)
    stale = [replace(marked[0], slices=("another",)), *marked[1:]]
    for rows in (marked[1:], marked[::-1], stale, [replace(marked[0], expected=("b", "q")), *marked[1:]]):
        with pytest.raises(FinetuneError, match="marked rows"):
            judge(EXAMPLES, OURS, rows, CONFIG, READER)
