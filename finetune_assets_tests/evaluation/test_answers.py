"""Collecting answers: nothing leaves the list, and a killed run continues."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from finetune_assets.evaluation.answers import align, collect_answers, scored
from finetune_assets.evaluation.engine import Completion
from finetune_assets.records.errors import FinetuneError
from finetune_assets_tests.evaluation.rows import ScriptedEngine, example, parse

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
    rows = collect_answers(_engine(), EXAMPLES, parse, batch_size=4, on_progress=lambda *pair: seen.append(pair))
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
    (row,) = collect_answers(engine, EXAMPLES[:1], parse)
    assert (row.correct, row.valid, row.answered, row.problem) == (False, False, False, "refused")


@pytest.mark.parametrize("die_after", [0, 1, 2, 3, 4])
def test_a_killed_run_continues_and_ends_the_same(tmp_path: Path, die_after: int) -> None:
    undisturbed = collect_answers(_engine(), EXAMPLES, parse, batch_size=2)
    store = tmp_path / "work" / "answers.jsonl"
    first = _engine(die_after=die_after)
    with pytest.raises(KeyboardInterrupt):
        collect_answers(first, EXAMPLES, parse, batch_size=2, store=store)
    second = _engine()
    seen: list[tuple[int, int]] = []
    rows = collect_answers(
        second, EXAMPLES, parse, batch_size=3, store=store, on_progress=lambda *pair: seen.append(pair)
    )
    assert rows == undisturbed
    assert len(first.asked) == 2 * die_after
    assert len(second.asked) == 10 - 2 * die_after
    assert not set(first.asked) & set(second.asked)
    assert seen[-1] == (10, 10)
    third = _engine()
    assert collect_answers(third, EXAMPLES, parse, store=store) == undisturbed
    assert third.asked == []


def test_a_torn_store_loses_only_what_is_torn(tmp_path: Path) -> None:
    store = tmp_path / "answers.jsonl"
    undisturbed = collect_answers(_engine(), EXAMPLES, parse, batch_size=1, store=store)
    whole = store.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in range(0, len(whole), 7):
        store.write_bytes(whole[:cut])
        engine = _engine()
        assert collect_answers(engine, EXAMPLES, parse, store=store) == undisturbed
        kept = max(0, whole[:cut].count(b"\n") - 1)
        assert len(engine.asked) == 10 - kept
        assert sorted(store.read_bytes().splitlines(keepends=True)) == sorted(lines)


@pytest.mark.parametrize("rubbish", [b"\x00\x00\x00\n", b"\xff\xfe\n", b"[1]\n", b'{"example_id": 3}\n'])
def test_rubbish_in_the_store_is_cut_off_with_what_follows(tmp_path: Path, rubbish: bytes) -> None:
    store = tmp_path / "answers.jsonl"
    undisturbed = collect_answers(_engine(), EXAMPLES, parse, batch_size=1, store=store)
    lines = store.read_bytes().splitlines(keepends=True)
    store.write_bytes(b"".join([*lines[:4], rubbish, *lines[4:]]))
    engine = _engine()
    assert collect_answers(engine, EXAMPLES, parse, store=store) == undisturbed
    assert len(engine.asked) == 7


def test_a_store_keeps_any_text_a_model_may_write(tmp_path: Path) -> None:
    text = "line\nbreak \u2028 \ud800 ünï \x00"
    engine = ScriptedEngine(
        {EXAMPLES[0].messages[-1]["content"]: Completion(text, prompt_tokens=7, completion_tokens=3)}
    )
    store = tmp_path / "answers.jsonl"
    first = collect_answers(engine, EXAMPLES[:1], parse, store=store)
    assert collect_answers(engine, EXAMPLES[:1], parse, store=store) == first
    assert first[0].text == text
    assert len(engine.asked) == 1
    assert json.loads(store.read_bytes().splitlines()[1])["prompt_tokens"] == 7


def test_another_models_store_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "answers.jsonl"
    collect_answers(_engine(), EXAMPLES, parse, store=store)
    with pytest.raises(FinetuneError, match="another model's") as caught:
        collect_answers(_engine(name="other"), EXAMPLES, parse, store=store)
    assert caught.value.where == str(store)


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("finetune_assets.evaluation.answer_store.os.fsync", full)
    with pytest.raises(FinetuneError, match="disk is full") as caught:
        collect_answers(_engine(), EXAMPLES, parse, store=tmp_path / "answers.jsonl")
    assert "answers.jsonl" in str(caught.value)
    assert "Mend: free some space" in str(caught.value)

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr("finetune_assets.evaluation.answer_store.os.fsync", broken)
    with pytest.raises(OSError, match="input/output"):
        collect_answers(_engine(), EXAMPLES, parse, store=tmp_path / "other.jsonl")


def test_equal_examples_and_short_answers_are_refused() -> None:
    with pytest.raises(FinetuneError, match="one example twice"):
        collect_answers(_engine(), [EXAMPLES[0], EXAMPLES[0]], parse)

    class Short(ScriptedEngine):
        def complete(self, batch: Any) -> list[Completion]:
            return super().complete(batch)[:-1]

    with pytest.raises(FinetuneError, match="broke its contract"):
        collect_answers(Short(_engine().replies), EXAMPLES, parse)
    with pytest.raises(ValueError, match="batch_size"):
        collect_answers(_engine(), EXAMPLES, parse, batch_size=0)


def test_align_fills_in_what_is_missing_and_trusts_the_examples() -> None:
    rows = collect_answers(_engine(), EXAMPLES, parse)
    aligned = align(EXAMPLES, list(reversed(rows))[:-1])
    assert [row.record_id for row in aligned] == [item.record_id for item in EXAMPLES]
    assert (aligned[0].problem, aligned[0].correct, aligned[0].answered) == ("missing", False, False)
    assert aligned[1:] == rows[1:]

    forged = scored(EXAMPLES[4], ("b", "y"))
    object.__setattr__(forged, "expected", ("b", "y"))
    object.__setattr__(forged, "correct", True)
    (row,) = align([EXAMPLES[4]], [forged])
    assert (row.expected, row.correct) == (("a", "x"), False)


def test_align_refuses_foreign_and_double_answers() -> None:
    rows = collect_answers(_engine(), EXAMPLES, parse)
    with pytest.raises(FinetuneError, match="belongs to no example"):
        align(EXAMPLES[:5], rows)
    with pytest.raises(FinetuneError, match="two answers"):
        align(EXAMPLES, [*rows, rows[0]])
