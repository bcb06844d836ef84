from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import cohen_kappa_score

from finetune_assets.evaluation.statistics.agreement import measure_agreement
from finetune_assets.evaluation.witnesses.manual_report import manual_markdown, manual_section
from finetune_assets.evaluation.witnesses.manual_scores import ManualScores, ManualScoresConfig, read_manual_scores
from finetune_assets.records.errors import FinetuneError

CONFIG = ManualScoresConfig(file="ratings.csv", right_from=4)
RECORDS = {"e1": "r1", "e2": "r2", "e3": "r3", "e4": "two", "e5": "two"}
MODELS = {"candidate": "candidate", "abc123": "candidate", "baseline": "baseline"}
CORRECT = {"candidate": {"e1": True, "e2": False, "e3": True}, "baseline": {"e1": True}}


def read(path: Path, text: str | bytes, name: str = "ratings.csv", config: ManualScoresConfig = CONFIG) -> ManualScores:
    file = path / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_manual_scores(file, config, RECORDS, MODELS)


def codes(scores: ManualScores) -> list[tuple[int, str, str]]:
    return [(finding.row, finding.code, finding.field) for finding in scores.findings]


def test_good_rows_are_joined(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "Record_ID,model,rating,rater,comment\n"
        "r1,,5,ann,nice child Lea\nr1,,4,bob,\nr2,abc123,2,ann,\nr3,baseline,1,ann,\n",
    )
    section = manual_section(found, CORRECT, CONFIG)
    assert not found.findings
    part = section["parts"][1]
    assert (part["model"], part["rated"], part["raters"]) == ("candidate", 2, 2)
    assert part["rating"]["mean"] == pytest.approx((4.5 + 2) / 2)
    assert part["right"] == {"rows": 2, "right": 1, "share": 0.5, "interval_95": part["right"]["interval_95"]}
    assert part["agreement_with_marks"]["agreed"] == 2
    assert section["unnamed"] == 2
    assert [(pair["raters"], pair["on"], pair["rows"]) for pair in section["raters"]] == [
        ([1, 2], "rating", 1),
        ([1, 2], "right", 1),
    ]
    written = json.dumps(section) + manual_markdown(section)
    assert not any(secret in written for secret in ("Lea", "ann", "bob"))


def test_every_bad_row_is_told_with_its_row(tmp_path: Path) -> None:
    rows = [
        "record_id,example_id,model,rating,right,rater",
        "r9,,,5,,",
        ",e9,,5,,",
        ",,,5,,",
        "two,,,5,,",
        "r1,e2,,5,,",
        "r1,,gpt,5,,",
        "r1,,,6,,",
        "r1,,,nan,,",
        "r1,,,five,,",
        "r1,,,,maybe,",
        "r1,,,,,ann",
        "r1,,,5,no,",
        "r1,,,5,,bob",
        "r1,,,4,,bob",
        "r1,,,5",
        "two,e5,,5,yes,",
    ]
    found = read(tmp_path, "\n".join(rows))
    assert codes(found) == [
        (2, "unknown_id", "record_id"),
        (3, "unknown_id", "example_id"),
        (4, "missing", "record_id"),
        (5, "ambiguous_id", "record_id"),
        (6, "ambiguous_id", "record_id"),
        (7, "unknown_model", "model"),
        (8, "out_of_scale", "rating"),
        (9, "bad_value", "rating"),
        (10, "bad_value", "rating"),
        (11, "bad_value", "right"),
        (12, "missing", "rating"),
        (13, "bad_value", "right"),
        (15, "duplicate", "rater"),
        (16, "not_a_row", ""),
    ]
    assert len(found.scores) == 2
    assert found.rows == 16
    assert all(finding.mend for finding in found.findings)


def test_bad_bytes_and_lines_cost_their_row_only(tmp_path: Path) -> None:
    lines = [b'{"record_id":"r1","rating":5}', b"\xff\xfe", b"[1]", b"{", b"", b'{"record_id":"r2","rating":true}']
    found = read(tmp_path, b"\n".join([*lines, b"[" * 100_000, b'{"record_id":"r3","right":true,"mood":1}']), "r.jsonl")
    assert codes(found) == [
        (2, "not_unicode", ""),
        (3, "not_a_row", ""),
        (4, "not_a_row", ""),
        (6, "bad_value", "rating"),
        (7, "not_a_row", ""),
        (8, "unknown_column", ""),
    ]
    assert [score.example_id for score in found.scores] == ["e1", "e3"]
    assert found.rows == 7
    table = read(tmp_path, b"record_id,rating\nr1,5\nr\xff2,4\nr3,3\n")
    assert codes(table) == [(3, "not_unicode", "")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["r1", "r2", "x", "", '"']),
            st.sampled_from(["5", "9", "", "a", "3.5"]),
            st.sampled_from(["ann", "bob", ""]),
        )
    )
)
def test_every_row_is_taken_or_told(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]) -> None:
    lines = [json.dumps(dict(zip(("record_id", "rating", "rater"), row, strict=True))) for row in rows]
    found = read(tmp_path_factory.mktemp("ratings"), "\n".join(lines), "r.jsonl")
    assert len(found.scores) + len(found.findings) == found.rows == len(rows)
    section = manual_section(found, CORRECT, CONFIG)
    assert json.loads(json.dumps(section, allow_nan=False)) == section
    assert manual_markdown(section)


@given(st.binary(max_size=300), st.sampled_from(["r.csv", "r.jsonl"]))
def test_no_bytes_crash_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    try:
        found = read(tmp_path_factory.mktemp("ratings"), data, name)
    except FinetuneError:
        return
    assert not found.scores or b"r" in data


def test_a_file_that_is_missing_or_headless_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FinetuneError, match="cannot be read"):
        read_manual_scores(tmp_path / "none.csv", CONFIG, RECORDS, MODELS)
    with pytest.raises(FinetuneError, match="twice"):
        read(tmp_path, "rating,rating\n1,2\n")


def test_a_scale_must_be_one() -> None:
    for fields in ({"lowest": 5, "highest": 5}, {"right_from": 9}, {"highest": float("inf")}):
        with pytest.raises(ValidationError):
            ManualScoresConfig(file="x", **fields)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=40))
def test_kappa_is_scikit_learns_and_symmetric(pairs: list[tuple[int, int]]) -> None:
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    found = measure_agreement(one, other, scale=range(1, 6), weights="quadratic")
    mirrored = measure_agreement(other, one, scale=range(1, 6), weights="quadratic")
    assert (found.agreed, found.lower) == (mirrored.agreed, mirrored.lower)
    assert found.kappa == pytest.approx(mirrored.kappa)
    if len({*one, *other}) > 1:
        assert found.kappa == pytest.approx(cohen_kappa_score(one, other, weights="quadratic", labels=range(1, 6)))
    else:
        assert found.kappa is None
