from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import func, select

from finetune_assets.feedback.config import FeedbackConfig, NamedPattern, RedactionConfig
from finetune_assets.feedback.counting import case_counts
from finetune_assets.feedback.detected import ingest_detected
from finetune_assets.feedback.division import divide, known_sides, remember
from finetune_assets.feedback.forgetting import forget
from finetune_assets.feedback.giving import FeedbackDesk, FeedbackItem, FeedbackRefusedError
from finetune_assets.feedback.importing import import_file
from finetune_assets.feedback.prediction_store import PredictionStore
from finetune_assets.feedback.pseudonyms import KEY_FILE, Pseudonyms
from finetune_assets.feedback.redaction import Redactor
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import FeedbackRow, FeedbackTextRow, ForgetRow
from finetune_assets_tests.feedback.making import NAMES, START, book, doubted, note, prediction


@pytest.fixture
def desk(db: Database, store: PredictionStore) -> FeedbackDesk:
    store.append([prediction(1), doubted(2)])
    return FeedbackDesk(book(db), store)


def item(verdict: Any = "wrong", **more: Any) -> FeedbackItem:
    return FeedbackItem("childcare", verdict, **({"request_id": "r1", "rater": "rita"} | more))


def test_wrong_opens_a_case_once(desk: FeedbackDesk, db: Database) -> None:
    first = desk.give(item(correction="better", comment="call me at 0201 555 0199"))
    again = desk.give(item(correction="better", comment="call me at 0201 555 0199"))
    assert (again.case_id, again.repeated) == (first.case_id, True)
    case = book(db).find(first.case_id or 0)
    assert case is not None
    assert (case.state, case.correction, case.source) == ("corrected", "better", "feedback")
    with db.reading() as session:
        bodies = list(session.scalars(select(FeedbackTextRow.body).where(FeedbackTextRow.kind == "comment")))
    assert bodies == ["call me at [number]"]


def test_right_acquits_what_only_the_detector_reported(
    desk: FeedbackDesk, db: Database, store: PredictionStore
) -> None:
    ingest_detected(book(db), store, "childcare")
    given_right = desk.give(item("right", request_id="r2"))
    case = book(db).find(given_right.case_id or 0)
    assert case is not None
    assert (case.state, case.dismissed_for) == ("dismissed", "not_an_error")
    wrong = desk.give(item(request_id="r1"))
    desk.give(item("right", request_id="r1", rater="tom"))
    kept = book(db).find(wrong.case_id or 0)
    assert kept is not None
    assert kept.state == "new"
    assert desk.give(item("right", request_id="r1", rater="eve", said_at="x")).case_id == wrong.case_id


def test_a_demonstration_is_a_corrected_case(desk: FeedbackDesk, db: Database) -> None:
    done = desk.give(item("demonstration", request_id="", fields={"text": "how?"}, correction="so"))
    case = book(db).find(done.case_id or 0)
    assert case is not None
    assert (case.state, case.source, case.correction) == ("corrected", "demonstration", "so")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"request_id": "nobody"}, "unknown_request"),
        ({"request_id": ""}, "nothing_named"),
        ({"fields": {"text": "x"}}, "two_things_named"),
        ({"verdict": "right", "correction": "x"}, "right_with_correction"),
        ({"correction": " "}, "blank_correction"),
        ({"verdict": "demonstration"}, "no_demonstration"),
        ({"correction": "answer 1"}, "correction_equals_answer"),
        ({"verdict": "maybe"}, "unknown_verdict"),
    ],
)
def test_what_cannot_be_taken(desk: FeedbackDesk, db: Database, more: dict[str, Any], reason: str) -> None:
    with pytest.raises(FeedbackRefusedError) as caught:
        desk.give(item(**more))
    assert caught.value.reason == reason
    assert case_counts(db, "childcare").opened == 0


def test_feedback_about_another_task_is_refused(desk: FeedbackDesk, store: PredictionStore) -> None:
    store.append([prediction(5, task="speech")])
    with pytest.raises(FeedbackRefusedError, match="another task"):
        desk.give(item(request_id="r5"))


def test_importing_a_file_twice_changes_nothing(desk: FeedbackDesk, db: Database, tmp_path: Path) -> None:
    lines: list[Any] = [
        {"verdict": "wrong", "request_id": "r1", "correction": "better", "rater": "rita"},
        {"verdict": "right", "request_id": "r2"},
        {"input": {"text": "hello"}, "answer": "a", "correction": "b"},
        {"input": "plain text", "verdict": "demonstration", "correction": "c"},
        {"verdict": "perhaps", "request_id": "r1"},
        {"verdict": "wrong", "request_id": "unknown"},
        {"verdict": "wrong", "request_id": 7},
        {"verdict": "wrong", "request": "r1"},
        ["no object"],
        {"verdict": "wrong", "request_id": "\ud800"},
    ]
    path = tmp_path / "feedback.jsonl"
    path.write_text("\ufeff" + "\n".join(json.dumps(line) for line in lines) + "\n{broken\n\n")
    first = import_file(desk, "childcare", path)
    assert (first.lines, first.taken, first.repeated, len(first.bad)) == (11, 4, 0, 7)
    assert [(bad.line, bad.reason) for bad in first.bad] == [
        (5, "unknown_verdict"),
        (6, "unknown_request"),
        (7, "not_a_text"),
        (8, "unknown_key"),
        (9, "not_an_object"),
        (10, "not_a_text"),
        (11, "not_json"),
    ]
    counts = case_counts(db, "childcare")
    again = import_file(desk, "childcare", path)
    assert (again.taken, again.repeated, again.bad) == (0, 4, first.bad)
    assert case_counts(db, "childcare") == counts


def test_csv_and_the_speech_sources_own_files(desk: FeedbackDesk, db: Database, tmp_path: Path) -> None:
    path = tmp_path / "feedback.csv"
    path.write_text('verdict,request_id,correction,rater\nwrong,r1,"a ""new"" one",rita\nwrong,r2,x,y,z\nright,r2,,\n')
    done = import_file(desk, "childcare", path)
    assert (done.lines, done.taken, done.reasons) == (3, 2, {"too_many_cells": 1})
    failed = {
        "case_id": "a1b2c3d4e5f6",
        "audio_path": "a/x.wav",
        "original_transcript": "helo wrld",
        "corrected_transcript": None,
        "error_types": ["all_caps"],
        "error_score": 0.7,
        "metadata": {"inference_time": 0.5},
        "timestamp": "2025-01-01T00:00:00",
    }
    (tmp_path / "failed_cases.jsonl").write_text(json.dumps(failed) + "\n" + json.dumps(failed | {"case_id": ""}))
    correction = {
        "case_id": "a1b2c3d4e5f6",
        "corrected_transcript": "hello world",
        "correction_method": "user_feedback",
        "metadata": {},
        "timestamp": "2025-01-02T00:00:00",
    }
    corrections = [correction, correction | {"case_id": "nobody"}, correction | {"correction_method": "magic"}]
    (tmp_path / "corrections.jsonl").write_text("\n".join(map(json.dumps, corrections)))
    assert import_file(desk, "speech", tmp_path / "failed_cases.jsonl").reasons == {"missing_key": 1}
    assert import_file(desk, "speech", tmp_path / "corrections.jsonl").reasons == {
        "unknown_case": 1,
        "unknown_method": 1,
    }
    (case,) = book(db).cases("speech")
    assert (case.state, case.correction, case.answer, case.score) == ("corrected", "hello world", "helo wrld", 0.7)
    with pytest.raises(FinetuneError, match="cannot be read"):
        import_file(desk, "speech", tmp_path / "missing.jsonl")


def test_forgetting_a_person_everywhere(db: Database, store: PredictionStore) -> None:
    store.append([doubted(number) for number in range(9)])
    shelf = book(db)
    desk = FeedbackDesk(shelf, store)
    ingest_detected(shelf, store, "childcare")
    desk.give(item(request_id="r4", correction="secret words", comment="also secret"))
    desk.give(item(request_id="r3", comment="by child 1", rater="child 1"))
    before = case_counts(db, "childcare")
    done = forget(db, store, NAMES.subject("child 1"), by="admin", at=START)
    assert (done.predictions, done.cases, done.texts, done.corrections, done.comments, done.names) == (3, 3, 6, 1, 2, 1)
    again = forget(db, store, NAMES.subject("child 1"), by="admin", at=START)
    assert (again.total, again.cases) == (0, 0)
    after = case_counts(db, "childcare")
    assert (after.opened, sum(after.states.values())) == (before.opened, before.opened)
    assert after.states["dismissed"] == 3
    with db.reading() as session:
        assert len(list(session.scalars(select(ForgetRow)))) == 1
        assert session.scalar(select(func.count()).select_from(FeedbackRow)) == 2
        left = " ".join(session.scalars(select(FeedbackTextRow.body)))
    assert "secret" not in left
    assert "child 1" not in left
    for path in store.path.parent.glob("*.db*"):
        assert b"secret words" not in path.read_bytes()
        assert note(4).encode() not in path.read_bytes()
    assert forget(db, store, "").total == 0


def test_redaction_before_anything_is_stored() -> None:
    config = RedactionConfig(
        drop=("address", "parent.phone"),
        pseudonymise=("child_id",),
        patterns=(NamedPattern(name="plate", pattern=r"\b[A-Z]{2}-\d{3}\b"),),
    )
    fields = {
        "text": "mail a.b@example.org before 3 March 2024, car AB-123",
        "address": "1 Elm Street",
        "child_id": 17,
        "parent": {"phone": "x", "name": "Kim", "number": 4155550199, "age": 41},
        "list": ["+44 20 7946 0958", True, None],
        "who@example.org": 1,
        "you@example.org": 2,
    }
    kept = Redactor(config, NAMES).fields(fields)
    assert kept == {
        "text": "mail [e-mail] before [date], car [plate]",
        "child_id": kept["child_id"],
        "parent": {"name": "Kim", "number": "[number]", "age": 41},
        "list": ["[number]", True, None],
        "[e-mail]": 1,
        "[e-mail]+": 2,
    }
    assert kept["child_id"].startswith("pseudonym:")
    assert Redactor(config, NAMES).fields({"child_id": kept["child_id"]}) == {"child_id": kept["child_id"]}
    with pytest.raises(ValidationError, match="not a regular expression"):
        NamedPattern(name="x", pattern="(")
    with pytest.raises(ValidationError, match="empty text"):
        NamedPattern(name="x", pattern="a*")


def test_five_thousand_planted_addresses_and_numbers_are_not_kept(store: PredictionStore) -> None:
    planted = [f"person{number}@mail{number}.example.org" for number in range(2_500)]
    planted += [f"+49 170 {number:07d}" for number in range(2_500)]
    store.append(
        [
            prediction(number, fields={"text": f"note of {secret} today"}, answer=f"ask {secret}")
            for number, secret in enumerate(planted)
        ]
    )
    files = b"".join(path.read_bytes() for path in store.path.parent.glob("predictions.db*")).decode("utf-8", "replace")
    assert not [secret for secret in planted if secret in files]


def test_the_key_of_pseudonyms_is_made_once_and_private(tmp_path: Path) -> None:
    first = Pseudonyms.load(tmp_path / "home")
    assert Pseudonyms.load(tmp_path / "home").subject("x") == first.subject("x")
    assert stat.S_IMODE((tmp_path / "home" / KEY_FILE).stat().st_mode) == 0o600
    assert first.of("x", kind="a") != first.of("x", kind="b")
    assert NAMES.subject("x") != first.subject("x")
    assert first.subject("") == ""
    (tmp_path / "home" / KEY_FILE).write_bytes(b"short")
    with pytest.raises(FinetuneError, match="damaged"):
        Pseudonyms.load(tmp_path / "home")


GROUPS = st.lists(st.sampled_from([f"g{number}" for number in range(14)]), min_size=1, max_size=3, unique=True)
CASES = st.dictionaries(st.integers(1, 40), GROUPS, max_size=14)


@given(first=CASES, second=CASES, share=st.sampled_from([0.0, 0.3, 1.0]))
def test_no_group_is_ever_on_both_sides(
    first: dict[int, list[str]], second: dict[int, list[str]], share: float
) -> None:
    one = divide(first, {}, regression_share=share)
    assert divide(dict(reversed(first.items())), {}, regression_share=share) == one
    assert sorted([*one.train, *one.regression, *one.set_aside]) == sorted(first)
    assert one.set_aside == ()
    again = divide(first, one.groups, regression_share=share)
    assert (again.train, again.regression, dict(again.groups)) == (one.train, one.regression, {})
    both = {**second, **first}
    two = divide(both, one.groups, regression_share=share)
    assert set(one.train) <= set(two.train)
    assert set(one.regression) <= set(two.regression)
    sides = {**one.groups, **two.groups}
    assert not set(one.groups) & set(two.groups)
    for numbers, side in ((two.train, "train"), (two.regression, "regression")):
        assert all(sides[group] == side for number in numbers for group in both[number])


def test_sides_are_remembered(db: Database) -> None:
    groups: dict[str, Any] = {f"g{number}": "train" if number % 2 else "regression" for number in range(2_500)}
    remember(db, "childcare", groups)
    remember(db, "childcare", groups)
    assert known_sides(db, "childcare") == groups
    with pytest.raises(FinetuneError, match="other side"):
        remember(db, "childcare", {"g1": "regression"})
    with pytest.raises(FinetuneError, match="no leak group"):
        divide({1: []}, {})


def test_defaults_of_the_section() -> None:
    config = FeedbackConfig()
    assert (config.retention_days, config.min_error_score, config.redaction.personal_data) == (90, 0.5, True)
    assert all((field.description or "").endswith(".") for field in FeedbackConfig.model_fields.values())
