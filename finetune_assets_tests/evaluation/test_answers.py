"""Collecting answers: nothing leaves the list, and a killed run continues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finetune_assets.evaluation.answers import collect_answers, score_answers
from finetune_assets.evaluation.engine import Completion
from finetune_assets.records.errors import FinetuneError
from finetune_assets_tests.evaluation.rows import READER, ScriptedEngine, example, given

EXAMPLES = [example(number, slices=("critical",) if number == 0 else ()) for number in range(10)]
RIGHT = '["a", "x"]'


def _engine(**changes: Any) -> ScriptedEngine:
    replies = {item.messages[-1]["content"]: Completion(RIGHT, latency_s=0.25) for item in EXAMPLES}
    replies[EXAMPLES[2].messages[-1]["content"]] = Completion("certainly!")
    replies[EXAMPLES[3].messages[-1]["content"]] = Completion.failed("timeout", latency_s=30.0)
    replies[EXAMPLES[4].messages[-1]["content"]] = Completion('["b", "y"]')
    replies[EXAMPLES[5].messages[-1]["content"]] = Completion("[]")
    return ScriptedEngine(replies, **changes)


def test_every_example_has_one_row_in_order() -> None:
    seen: list[tuple[int, int]] = []
    answers = collect_answers(_engine(), EXAMPLES, READER, batch_size=4, on_progress=lambda *pair: seen.append(pair))
    rows = score_answers(EXAMPLES, answers, READER)
    assert [row.record_id for row in rows] == [item.record_id for item in EXAMPLES]
    assert [row.example_id for row in rows] == [item.example_id for item in EXAMPLES]
    assert [row.correct for row in rows] == [True, True, False, False, False, False, True, True, True, True]
    assert [row.problem for row in rows[2:6]] == ["not_json", "timeout", "", "unusable"]
    assert [row.valid for row in rows[2:6]] == [False, False, True, False]
    assert [row.answered for row in rows[2:6]] == [True, False, True, True]
    assert rows[4].predicted == ("b", "y")
    assert rows[0].slices == ("critical",)
    assert rows[0].latency_s == 0.25
    assert seen == [(4, 10), (8, 10), (10, 10)]


def test_an_unanswered_question_is_wrong_even_when_silence_would_parse() -> None:
    engine = ScriptedEngine({EXAMPLES[0].messages[-1]["content"]: Completion(RIGHT, ok=False, problem="refused")})
    (row,) = score_answers(EXAMPLES[:1], collect_answers(engine, EXAMPLES[:1], READER), READER)
    assert (row.correct, row.valid, row.answered, row.problem) == (False, False, False, "refused")


@pytest.mark.parametrize("die_after", [0, 1, 2, 3, 4])
def test_a_killed_run_continues_and_ends_the_same(tmp_path: Path, die_after: int) -> None:
    undisturbed = collect_answers(_engine(), EXAMPLES, READER, batch_size=2)
    store = tmp_path / "work" / "answers.parquet"
    first = _engine(die_after=die_after)
    with pytest.raises(KeyboardInterrupt):
        collect_answers(first, EXAMPLES, READER, batch_size=2, store=store)
    second = _engine()
    seen: list[tuple[int, int]] = []
    rows = collect_answers(
        second, EXAMPLES, READER, batch_size=3, store=store, on_progress=lambda *pair: seen.append(pair)
    )
    assert rows == undisturbed
    assert len(first.asked) == 2 * die_after
    assert len(second.asked) == 10 - 2 * die_after
    assert not set(first.asked) & set(second.asked)
    assert seen[-1] == (10, 10)
    third = _engine()
    assert collect_answers(third, EXAMPLES, READER, store=store) == undisturbed
    assert third.asked == []


def test_another_models_store_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "answers.parquet"
    collect_answers(_engine(), EXAMPLES, READER, store=store)
    with pytest.raises(FinetuneError, match="another model's") as caught:
        collect_answers(_engine(name="other"), EXAMPLES, READER, store=store)
    assert str(store) in (caught.value.where or "")


def test_equal_examples_and_short_answers_are_refused() -> None:
    with pytest.raises(FinetuneError, match="one example twice"):
        collect_answers(_engine(), [EXAMPLES[0], EXAMPLES[0]], READER)

    class Short(ScriptedEngine):
        def complete(self, batch: Any) -> list[Completion]:
            return super().complete(batch)[:-1]

    with pytest.raises(FinetuneError, match="broke its contract"):
        collect_answers(Short(_engine().replies), EXAMPLES, READER)
    with pytest.raises(ValueError, match="batch_size"):
        collect_answers(_engine(), EXAMPLES, READER, batch_size=0)


def test_scoring_fills_in_what_is_missing_and_trusts_the_examples() -> None:
    answers = collect_answers(_engine(), EXAMPLES, READER)
    rows = score_answers(EXAMPLES, answers, READER)
    short = score_answers(EXAMPLES, list(reversed(answers))[:-1], READER)
    assert [row.record_id for row in short] == [item.record_id for item in EXAMPLES]
    assert (short[0].problem, short[0].correct, short[0].answered) == ("missing", False, False)
    assert short[0].stats["exact"] == (0.0, 1.0)  # it stays in the denominator
    assert short[1:] == rows[1:]

    (row,) = score_answers([EXAMPLES[4]], [given(EXAMPLES[4], ("b", "y"))], READER)
    assert (row.expected, row.correct) == (("a", "x"), False)
    (row,) = score_answers([EXAMPLES[4]], [given(EXAMPLES[4], ("a", "x"), answered=False)], READER)
    assert (row.correct, row.valid, row.stats["exact"]) == (False, False, (0.0, 1.0))


def test_scoring_refuses_foreign_and_double_answers() -> None:
    answers = collect_answers(_engine(), EXAMPLES, READER)
    with pytest.raises(FinetuneError, match="belongs to no example"):
        score_answers(EXAMPLES[:5], answers, READER)
    with pytest.raises(FinetuneError, match="two answers"):
        score_answers(EXAMPLES, [*answers, answers[0]], READER)
