"""The page's rows: the question without the prompt's own words, texts masked and cut, scores in the measure's scale."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

from finetune_assets.evaluation.answers import GivenAnswer, score_answers
from finetune_assets.lineage.report_files import page_rows, timing
from finetune_assets.records.measure import Measure
from finetune_assets.records.task_type import ParsedAnswer, TaskType
from finetune_assets_tests.evaluation.rows import EXACT, READER, example, given


class _Prompted:
    """As much of a task type as rows ask for."""

    def prompt_manifest(self) -> dict[str, Any]:
        return {"user": "Sort this note:\n{text}\nAnswer in JSON."}


TASK_TYPE = cast("TaskType", _Prompted())
ASKED = "Sort this note:\nThe kettle of ann@example.org broke on 03.04.2021.\nAnswer in JSON."


def test_rows_hold_the_records_words_masked_without_the_prompts() -> None:
    item = example(1, text=ASKED)
    ours = score_answers([item], [replace(given(item, ("a", "x")), text="call +41 44 123 45 67")], READER)
    theirs = score_answers([item], [given(item, ("b", "y"))], READER)
    (row,) = page_rows(TASK_TYPE, EXACT, [item], ours, theirs)
    assert row.question == "The kettle of [e-mail] broke on [date]."
    assert row.candidate == "call [number]"
    assert row.right == json.dumps(["a", "x"])
    assert (row.fate, row.loss, row.candidate_score, row.baseline_score) == ("fixed", -1.0, 1.0, 0.0)
    assert row.changed


def test_long_texts_are_cut_and_no_answer_is_empty() -> None:
    item = example(1, text="word " * 1000)
    ours = score_answers([item], [], READER)
    (row,) = page_rows(TASK_TYPE, EXACT, [item], ours, ours)
    assert 0 < len(row.question) <= 500
    assert (row.candidate, row.candidate_problem, row.changed) == ("", "missing", False)


def test_a_loss_is_positive_where_an_error_rose() -> None:
    item = example(1)
    rate = Measure("wer", "word error rate", "rate", higher_is_better=False)
    ours, theirs = (
        replace(score_answers([item], [given(item, ("a", "x"))], READER)[0], stats={"wer": (edits, 10.0)})
        for edits in (4.0, 1.0)
    )
    (row,) = page_rows(TASK_TYPE, rate, [item], [ours], [theirs])
    assert (row.candidate_score, row.baseline_score) == (0.4, 0.1)
    assert row.loss == 0.4 - 0.1


def test_questions_without_an_answer_are_not_timed() -> None:
    parsed = ParsedAnswer(valid=True)
    told = timing(
        [
            GivenAnswer("1", "r1", parsed, latency_s=1.0, prompt_tokens=9, completion_tokens=5),
            GivenAnswer("2", "r2", parsed, answered=False, latency_s=99.0),
        ]
    )
    assert (told.answers, told.median_s, told.p95_s, told.read_tokens, told.written_tokens) == (1, 1.0, 1.0, 9, 5)
