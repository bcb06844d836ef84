from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.evaluation.witnesses.label_court import LabelEvidence, court_markdown, court_section, hold_court
from finetune_assets.evaluation.witnesses.reference_doubts import reference_markdown, reference_section
from finetune_assets_tests.evaluation.rows import example

A, B, C, NONE = ("a", "x"), ("b", "y"), ("c", "z"), ()
NAMES = ("candidate", "baseline", "tfidf_logreg")
ROW = example(1, A)


def ruling(said: tuple, evidence: LabelEvidence | None = None):
    witnesses = {name: {ROW.example_id: path} for name, path in zip(NAMES, said, strict=False)}
    return hold_court([ROW], witnesses, {ROW.example_id: evidence} if evidence else None)


@pytest.mark.parametrize(
    ("said", "evidence", "finding"),
    [
        ((B, B, B), None, "label_wrong_likely"),
        ((B, B, B), LabelEvidence(0.01, 0.0), "label_wrong_likely"),
        ((B, B, B), LabelEvidence(0.01, 0.8), "disputed"),
        ((B, B, B), LabelEvidence(0.9, 0.8), "disputed"),
        ((B, B, A), LabelEvidence(0.9, 0.8), "model_wrong"),
        ((B, B, A), None, "disputed"),
        ((B, A, A), None, "model_wrong"),
        ((B, C, C), None, "model_wrong"),
        ((B, B), None, "disputed"),
        ((B, B, NONE), None, "disputed"),
        ((NONE, B, B), None, "model_wrong"),
        ((A, B, B), None, "right_by_doubtful_label"),
        ((A, B, B), LabelEvidence(0.9, None), None),
        ((A, B, C), None, None),
        ((A, A, B), None, None),
        ((A, B), None, None),
    ],
)
def test_the_rule(said: tuple, evidence: LabelEvidence | None, finding: str | None) -> None:
    found = ruling(said, evidence)
    assert [item.finding for item in found] == ([finding] if finding else [])


LABELS = st.sampled_from([A, B, C, NONE])
SHARE = st.none() | st.floats(0, 1)
ROWS = st.lists(st.tuples(st.tuples(LABELS, LABELS, LABELS), SHARE, SHARE), max_size=15)


@given(ROWS)
def test_counts_are_conserved_and_bounds_hold(rows: list) -> None:
    examples = [example(number, A) for number in range(len(rows))]
    witnesses = {
        name: {row.example_id: said[place] for row, (said, *_) in zip(examples, rows, strict=True)}
        for place, name in enumerate(NAMES)
    }
    evidence = {row.example_id: LabelEvidence(*two) for row, (_, *two) in zip(examples, rows, strict=True)}
    section = court_section(examples, witnesses, evidence)
    counts = section["counts"]
    wrong = sum(said[0] != A for said, *_ in rows)
    assert counts["label_wrong_likely"] + counts["model_wrong"] + counts["disputed"] == wrong == section["wrong_rows"]
    for score in section["scores"].values():
        if score:
            assert 0 <= score["lowest"] <= score["now"] <= score["highest"] <= 1
            assert score["lowest"] <= score["if_likely_wrong_labels_are"] <= score["highest"]
    assert json.loads(json.dumps(section)) == section
    court_markdown(section)


@given(ROWS, st.randoms())
def test_the_order_of_rows_and_witnesses_changes_nothing(rows: list, random) -> None:
    examples = [example(number, A) for number in range(len(rows))]
    witnesses = {
        name: {row.example_id: said[place] for row, (said, *_) in zip(examples, rows, strict=True)}
        for place, name in enumerate(NAMES)
    }
    shuffled = [*examples]
    random.shuffle(shuffled)
    turned = dict(reversed(witnesses.items()))
    assert court_section(examples, witnesses)["suspects"] == court_section(shuffled, turned)["suspects"]


def test_planted_wrong_labels_come_first() -> None:
    examples = [example(number, A if number < 3 else B) for number in range(20)]
    right = {row.example_id: B for row in examples}
    witnesses = {
        "candidate": {**right, examples[10].example_id: C},
        "baseline": right,
        "tfidf_logreg": {**right, examples[2].example_id: A},
    }
    section = court_section(examples, witnesses)
    assert [item["record_id"] for item in section["suspects"]] == ["r0000", "r0001", "r0002"]
    assert [item["finding"] for item in section["suspects"]] == ["label_wrong_likely", "label_wrong_likely", "disputed"]
    score = section["scores"]["candidate"]
    assert (score["now"], score["if_likely_wrong_labels_are"], score["highest"]) == (16 / 20, 18 / 20, 19 / 20)
    text = court_markdown(section)
    assert "in **2 the label is likely wrong**" in text


def test_names_from_data_are_escaped() -> None:
    row = replace(ROW, record_id="<script>|x")
    section = court_section([row], {name: {row.example_id: B} for name in NAMES})
    assert "<script>" not in court_markdown(section)


def test_a_report_without_wrong_rows_is_silent() -> None:
    assert court_markdown(court_section([ROW], {"candidate": {ROW.example_id: A}})) == ""
    assert court_markdown(court_section([], {"candidate": {}})) == ""


def test_references_that_contenders_contradict_together() -> None:
    rows = [
        replace(example(number), target=target) for number, target in enumerate(["blue sky", "wrong words here", "x"])
    ]
    ours = dict(zip([row.example_id for row in rows], ["blue sky", "The   quick brown fox", ""], strict=True))
    theirs = dict(zip([row.example_id for row in rows], ["Blue sky", "the quick brown fox", "y"], strict=True))
    section = reference_section(rows, {"candidate": ours, "baseline": theirs})
    assert (section["heard"], section["doubted"]) == (2, 1)
    assert section["suspects"][0]["record_id"] == "r0001"
    assert "fox" not in json.dumps(section) + reference_markdown(section)
    assert reference_markdown(reference_section(rows, {"candidate": ours})) == ""
