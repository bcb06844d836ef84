"""How the five task types mark answers: what a perfect, a wrong and an unusable answer come to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu import corpus_bleu, corpus_chrf

from finetune_assets.datasets.synthetic.router import valid_traces
from finetune_assets.evaluation.metrics.references import constant_references
from finetune_assets.records.example import Example, RawRecord, SourceRef
from finetune_assets.records.measure import Marks
from finetune_assets.records.task_type import ParsedAnswer, TaskType
from finetune_assets.records.transcript_text import basic_english
from finetune_assets.task_types import build_task_type
from finetune_assets.task_types.question_answering_marks import keywords_of
from finetune_assets_tests.task_types.taxonomies import OBSERVATIONS, make_task, observation

MISSING = ParsedAnswer(False, problem="missing")
TOOLS = [{"name": name} for name in ("math", "code", "general-search")]
WEATHER = {
    "name": "weather",
    "description": "Tells it.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
JAVA = """
/** Sums that are open. */
public class Ledger {
    /** Pays money back to somebody who brought something back, and says what is open then. */
    public int issueRefund(String who, int cents) {
        int open = this.sums.getOrDefault(who, 0);
        this.sums.put(who, open - cents);
        return open - cents;
    }
}
"""
ANYTHING: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def examples_of(task: TaskType, *records: dict[str, Any]) -> list[Example]:
    found = []
    for line, record in enumerate(records, start=1):
        for item in task.examples(RawRecord(record, SourceRef("rows.jsonl", line=line))):
            # Code within all limits has no review; nothing else may be left out here.
            assert isinstance(item, Example) or item.reason == "no_finding", item
            found += [item] if isinstance(item, Example) else []
    return found


def question(text: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"question": text, "answer": answer, **more}


def own_call(route: list[Any], query: str = "How is it?") -> dict[str, Any]:
    return {"id": query, "user_query": query, "tools": [WEATHER], "route": route}


def routing(records: str, **section: Any) -> TaskType:
    return build_task_type("routing", {"records": records, **section}, Path())


Cases = dict[str, tuple[TaskType, list[Example]]]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    """Every form of every task type, with a few examples."""
    folder = tmp_path_factory.mktemp("marks")
    classification: TaskType = make_task(folder, OBSERVATIONS)
    observations = [
        observation(id="1", progressionTitle="Emerging"),
        observation(id="2", notes="Ben held a book.", domainId=2, attributeId=9, progressionTitle="Emerging"),
    ]
    speech = build_task_type("transcription", {}, Path())
    qa = build_task_type("question_answering", {}, Path())
    code = build_task_type("source_code", {"min_body_length": 10, "review": {"max_parameters": 1}}, Path())
    traces, calls, route = routing("traces", tools=TOOLS), routing("calls"), routing("route", tools=TOOLS)
    return {
        "classification": (classification, examples_of(classification, *observations)),
        "transcription": (
            speech,
            examples_of(
                speech,
                {"original_transcript": "helo wrld", "corrected_transcript": "Hello world."},
                {"original_transcript": "the sea", "corrected_transcript": "the sea rises"},
            ),
        ),
        "question_answering": (
            qa,
            examples_of(
                qa,
                question("Why does the sea rise?", "Water warms, and ice melts.", expected_keywords=["ice"]),
                question("What is methane good for?", "It heats, and it burns."),
            ),
        ),
        "source_code": (code, examples_of(code, {"text": JAVA, "language": "java", "path": "Ledger.java"})),
        "traces": (traces, examples_of(traces, *valid_traces(0, 6))),
        "calls": (
            calls,
            examples_of(
                calls, own_call([{"tool": "weather", "arguments": {"city": "Bonn"}}]), own_call([], "Who are you?")
            ),
        ),
        "route": (
            route,
            examples_of(route, {"text": "Sum it up", "route": "math"}, {"text": "Hello there", "route": ""}),
        ),
    }


KINDS = ("classification", "transcription", "question_answering", "source_code", "traces", "calls", "route")
PRIMARY = ("exact", "wer", "token_f1", "identifiers", "route_exact", "calls_exact", "exact")


def figures(task: TaskType, marks: Sequence[Marks]) -> dict[str, float]:
    """Each measure's figure over all rows that it applies to."""
    found = {}
    for measure in task.measures:
        rows = [row.stats[measure.name] for row in marks if measure.name in row.stats]
        assert all(len(row) == measure.width for row in rows)
        if rows:
            found[measure.name] = float(measure.value(np.array(rows).sum(axis=0)))
    return found


@pytest.mark.parametrize(("kind", "primary"), list(zip(KINDS, PRIMARY, strict=True)))
def test_a_perfect_model_has_full_marks_and_one_that_says_nothing_none(cases: Cases, kind: str, primary: str) -> None:
    task, examples = cases[kind]
    assert task.measures[0].name == primary
    assert len({measure.name for measure in task.measures}) == len(task.measures)
    perfect = task.mark(examples, [task.parse_for(example, example.target) for example in examples])
    silent = task.mark(examples, [MISSING] * len(examples))
    assert all(row.correct for row in perfect)
    assert not any(row.correct for row in silent)
    worst_case = {"wer": 1.0, "cer": 1.0}
    for measure in task.measures:
        best, worst = (1.0, 0.0) if measure.higher_is_better else (0.0, 1.0)
        name = measure.name
        if name in figures(task, perfect):
            assert figures(task, perfect)[name] == pytest.approx(best), name
            assert figures(task, silent)[name] == worst_case.get(name, worst), name
    # What cannot be read stays in every denominator.
    for one, other in zip(perfect, silent, strict=True):
        assert set(one.stats) == set(other.stats)
        for name in one.stats:
            if name not in ("bleu", "chrf"):
                assert one.stats[name][1] == other.stats[name][1]
        json.dumps([dict(one.notes), dict(other.notes)])


@pytest.mark.parametrize("kind", KINDS)
def test_texts_that_are_no_answer(cases: Cases, kind: str) -> None:
    task, examples = cases[kind]
    for text in ("", " \n", "None", "null", "{}", "[]", "\ud800", "[[[[", '{"route_plan": null}'):
        answers = [task.parse_for(example, text) for example in examples]
        marks = task.mark(examples, answers)
        right = [row.correct for row in marks]
        # `[]` is the right answer where nothing is to be called.
        assert not any(right) or (kind == "calls" and text == "[]" and right == [False, True])


@pytest.mark.parametrize("kind", KINDS)
@given(
    value=st.dictionaries(
        st.sampled_from(["answer", "code", "template", "calls", "route", "metrics", "route_plan"]), ANYTHING
    )
)
def test_values_of_any_type_can_be_marked(cases: Cases, kind: str, value: Any) -> None:
    task, examples = cases[kind]
    answers = [ParsedAnswer(True, ("x",), value)] * len(examples)
    for row in task.mark(examples, answers):
        assert all(number >= 0 for stats in row.stats.values() for number in stats)


def test_levels_are_marked_by_themselves(cases: Cases) -> None:
    task, examples = cases["classification"]
    assert [measure.name for measure in task.measures] == ["exact", "domain", "attribute", "progression"]
    first = examples[0]
    path = (*first.label_path[:-1], "Refining")
    marks = task.mark([first], [ParsedAnswer(True, path, {})])[0]
    assert {name: stats[0] for name, stats in marks.stats.items()} == {
        "exact": 0,
        "domain": 1,
        "attribute": 1,
        "progression": 0,
    }


def test_transcripts_are_marked_by_summed_edits(cases: Cases) -> None:
    task, examples = cases["transcription"]
    heard = ["hello word", "the sea rises up"]
    marks = task.mark(examples, [task.parse(text) for text in heard])
    said = [basic_english(example.target) for example in examples]
    assert figures(task, marks)["wer"] == pytest.approx(jiwer.wer(said, heard), abs=1e-12)
    assert figures(task, marks)["cer"] == pytest.approx(jiwer.cer(said, heard), abs=1e-12)
    # The first had two errors and has one now; the second had one and still has one.
    assert [row.stats["improved"][0] for row in marks] == [1, 0]
    assert [row.stats["worsened"][0] for row in marks] == [0, 0]
    assert task.mark(examples[1:], [task.parse("a tree fell")])[0].stats["worsened"] == (1, 1)


def test_a_model_that_fails_on_half_of_the_rows_keeps_them(cases: Cases) -> None:
    # The source's word error rate was 0.0: samples that crashed were skipped.
    task, examples = cases["transcription"]
    marks = task.mark(examples, [task.parse(examples[0].target), MISSING])
    assert figures(task, marks)["wer"] == 3 / 5
    assert marks[1].stats["worsened"] == (1, 1)


def test_a_transcript_without_words_counts_what_is_heard_in_it() -> None:
    task = build_task_type("transcription", {}, Path())
    examples = examples_of(task, {"original_transcript": "uh", "corrected_transcript": "..."})
    assert task.mark(examples, [task.parse("well then")])[0].stats["wer"] == (2, 0)
    right = task.mark(examples, [task.parse("…")])[0]
    assert right.correct
    assert right.stats["wer"] == (0, 0)
    assert not task.mark(examples, [MISSING])[0].correct


def test_answers_to_questions_score_as_in_sacrebleu(cases: Cases) -> None:
    task, examples = cases["question_answering"]
    given_texts = ["Water warms and the ice melts away.", "It heats."]
    marks = task.mark(examples, [task.parse(text) for text in given_texts])
    targets = [example.target for example in examples]
    found = figures(task, marks)
    assert found["bleu"] == pytest.approx(corpus_bleu(given_texts, [targets]).score / 100, abs=1e-12)
    assert found["chrf"] == pytest.approx(corpus_chrf(given_texts, [targets]).score / 100, abs=1e-12)
    # Keywords are asked of the first alone, and all of them make it right.
    assert [row.correct for row in marks] == [True, False]
    assert marks[0].stats["keywords"] == (1, 1)
    assert "keywords" not in marks[1].stats
    assert not any(row.stats["exact"][0] for row in marks)


def test_keywords_come_as_a_list_or_as_one_text() -> None:
    assert keywords_of({"expected_keywords": ["a", " ", 3, None, "b"]}) == ["a", "b"]
    assert keywords_of({"expected_keywords": "ice, warm water;sea"}) == ["ice", " warm water", "sea"]
    for nothing in ({}, {"expected_keywords": None}, {"expected_keywords": 3}, {"expected_keywords": {"a": 1}}):
        assert keywords_of(nothing) == []


def test_scripts_that_rouge_cannot_see_are_left_to_other_measures() -> None:
    task = build_task_type("question_answering", {}, Path())
    examples = examples_of(task, question("海面はなぜ上がりますか", "氷が解けるからです。"))
    marks = task.mark(examples, [task.parse(examples[0].target)])[0]
    assert "rouge_l" not in marks.stats
    assert marks.stats["token_f1"] == (1, 1)


def test_code_is_read_in_its_own_language(cases: Cases) -> None:
    task, examples = cases["source_code"]
    by_strategy = {example.label_path: example for example in examples}
    wanted = next(example for path, example in by_strategy.items() if path[0] == "generation")
    python = task.parse_for(wanted, "```python\ndef issueRefund(who, cents):\n    return cents\n```")
    assert (python.valid, python.problem) == (False, "syntax_error")
    assert task.parse("def issueRefund(who, cents):\n    return cents\n").valid
    row = task.mark([wanted], [python])[0]
    assert row.stats["parses"] == (0, 1)
    assert row.stats["identifiers"] == (0, 1)
    empty = task.mark([wanted], [task.parse_for(wanted, "class Ledger { }")])[0]
    assert empty.stats["parses"] == (1, 1)
    assert 0 < empty.stats["identifiers"][0] < 0.5
    assert not empty.correct
    told = next(example for path, example in by_strategy.items() if path[0] == "explanation")
    assert "parses" not in task.mark([told], [MISSING])[0].stats
    assert not task.parse_for(next(e for p, e in by_strategy.items() if p[0] == "template"), "just words").valid


def test_invalid_json_stays_in_all_averages_of_a_router(cases: Cases) -> None:
    # In the source broken JSON left every average but its own: one right plan of six made route_exact 1.0.
    task, examples = cases["traces"]
    texts = [examples[0].target, *["{broken"] * (len(examples) - 1)]
    found = figures(task, task.mark(examples, [task.parse_for(*pair) for pair in zip(examples, texts, strict=True)]))
    assert found["route_exact"] == found["json_valid"] == found["tool_precision"] == pytest.approx(1 / 6)
    assert found["over_1_1"] == found["under_0_9"] == pytest.approx(5 / 6)


@pytest.mark.parametrize("plan", [None, [], "text", [None]])
def test_a_plan_without_a_route_is_json_but_no_plan(cases: Cases, plan: Any) -> None:
    task, examples = cases["traces"]
    answer = task.parse_for(examples[0], json.dumps({**json.loads(examples[0].target), "route_plan": plan}))
    assert not answer.valid
    row = task.mark(examples[:1], [answer])[0]
    assert row.stats["json_valid"] == (1, 1)
    assert row.stats["tool_precision"] == (0, 1)
    assert not row.correct


def test_a_filler_metric_is_told_by_name() -> None:
    task = routing("traces", tools=TOOLS, rules="completion")
    filler = {"primary": ["Define at least one metric."]}
    traces = [{**trace, "metrics": {**trace["metrics"], **filler}} for trace in valid_traces(0, 6)]
    examples = examples_of(task, *traces)
    marks = task.mark(examples, [MISSING] * len(examples))
    refused = [measure.name for measure in task.measures if constant_references(measure.name, marks)]
    assert "primary_nonempty" in refused
    assert not {"route_exact", "secondary_nonempty", "json_valid", "handoff_router_qa"} & set(refused)


def test_calls_are_held_against_the_tools_of_their_own_question(cases: Cases) -> None:
    task, examples = cases["calls"]

    def problem(*calls: Any) -> str:
        return task.parse_for(examples[0], json.dumps(calls)).problem

    assert problem({"tool": "weather", "arguments": {"city": "Bonn"}}) == ""
    assert problem({"tool": "stocks", "arguments": {}}) == "unknown_tool"
    assert problem({"tool": "weather", "arguments": {"town": "Bonn"}}) == "invalid_arguments"
    # Without the example nobody can know the tools.
    assert task.parse('[{"tool":"stocks","arguments":{}}]').valid


def test_a_query_with_a_list_of_its_own_does_not_hide_the_tools() -> None:
    task = routing("calls")
    query = 'Is [{"name": "x"}] or [1] warmer than [{"city": "Bonn"}]?'
    examples = examples_of(task, own_call([{"tool": "weather", "arguments": {"city": "Bonn"}}], query))
    assert task.parse_for(examples[0], '[{"tool":"x","arguments":{}}]').problem == "unknown_tool"


def test_other_arguments_and_routes_that_a_record_allows() -> None:
    calls = routing("calls")
    allowed = {"tool": "weather", "arguments_allowed": {"city": ["Bonn", "Bonn, NRW"]}}
    examples = examples_of(calls, own_call([allowed]))
    answer = calls.parse_for(examples[0], '[{"tool":"weather","arguments":{"city":"bonn, nrw"}}]')
    assert calls.mark(examples, [answer])[0].correct
    route = routing("route", tools=TOOLS)
    examples = examples_of(route, {"text": "Sum it", "route": "math", "alternate_routes": "code"})
    row = route.mark(examples, [route.parse('{"route":"code"}')])[0]
    assert row.correct
    assert row.notes["alternate_route"] is True
    assert not route.mark(examples, [route.parse('{"route":"general-search"}')])[0].correct


def test_real_function_calls_are_right_by_their_own_answers(real_data: Path) -> None:
    task = routing("calls")
    lines = (real_data / "router" / "bfcl_simple_multiple.jsonl").read_text(encoding="utf-8").splitlines()
    examples = examples_of(task, *map(json.loads, lines))
    assert all(row.correct for row in task.mark(examples, [task.parse_for(item, item.target) for item in examples]))


def test_the_filler_of_the_real_router_is_told(real_data: Path) -> None:
    task = routing("traces", tools=TOOLS, rules="completion")
    lines = (real_data / "router" / "coursegpt_router_hard.jsonl").read_text(encoding="utf-8").splitlines()
    examples = examples_of(task, *map(json.loads, lines))
    marks = task.mark(examples, [task.parse_for(example, example.target) for example in examples])
    refused = [measure.name for measure in task.measures if constant_references(measure.name, marks)]
    assert refused == ["primary_nonempty", "secondary_nonempty"]
    assert all(row.correct for row in marks)
    # Sixteen right plans lack router QA in their handoff: nobody can be asked for it there.
    assert sum("handoff_router_qa" in row.stats for row in marks) == 298
