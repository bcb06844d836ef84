from __future__ import annotations

import os
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from finetune_assets.evaluation.statistics.exact import wilson_interval
from finetune_assets.feedback import consuming
from finetune_assets.feedback.case_moves import CaseStateError
from finetune_assets.feedback.cases import CaseBook
from finetune_assets.feedback.consuming import consume, unfinished
from finetune_assets.feedback.counting import case_counts, rate_in
from finetune_assets.feedback.detected import ingest_detected
from finetune_assets.feedback.error_report import ErrorReport
from finetune_assets.feedback.prediction_store import PredictionStore
from finetune_assets.feedback.windows import read_window
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import CaseCorrectionRow, CaseEventRow
from finetune_assets_tests.feedback.making import START, book, doubted, note, prediction
from finetune_assets_tests.storage.databases import DATABASES, fresh_url

DAY = timedelta(days=1)


def report(number: int, **more: object) -> ErrorReport:
    given: dict[str, object] = {"key": f"k{number}", "input": {"text": note(number)}, "answer": f"a{number}"}
    return ErrorReport("childcare", "feedback", **(given | more))  # type: ignore[arg-type]


def only(shelf: CaseBook, case_id: int) -> tuple[str, str | None]:
    case = shelf.find(case_id)
    assert case is not None
    return case.state, case.correction


def test_the_life_of_a_case(db: Database) -> None:
    shelf = book(db)
    (case_id,) = shelf.report([report(1)], at=START)
    assert only(shelf, case_id) == ("new", None)
    assert shelf.correct(case_id, "right", rater="rita", at=START) == case_id
    assert only(shelf, case_id) == ("corrected", "right")
    case = shelf.find(case_id)
    assert case is not None
    assert case.correction_id is not None
    done = consume(db, "childcare", "v1", {case_id: case.correction_id}, at=START)
    assert (done.cases, done.left, done.copies) == (1, {}, 0)
    assert consume(db, "childcare", "v1", {case_id: case.correction_id}, at=START) == done
    assert only(shelf, case_id) == ("consumed", "right")
    with pytest.raises(CaseStateError, match="consumed"):
        shelf.dismiss(case_id, "unusable", by="rita")


def test_reporting_again_is_one_case(db: Database) -> None:
    shelf = book(db)
    item = doubted(1)
    reports = [
        ErrorReport.of_prediction(item, "detector", by="detector"),
        ErrorReport.of_prediction(item, "feedback", by="rita"),
        ErrorReport.of_prediction(item, "feedback", by="rita"),
    ]
    assert len(set(shelf.report(reports))) == 1
    with db.reading() as session:
        assert [event.source for event in session.scalars(select(CaseEventRow))] == ["detector", "feedback"]


def test_a_later_correction_counts_and_the_earlier_stays(db: Database) -> None:
    shelf = book(db)
    (case_id,) = shelf.report([report(1, correction="first", by="a")])
    shelf.correct(case_id, "second", rater="b")
    shelf.correct(case_id, "guess", rater="tool", method="auto")
    shelf.correct(case_id, "second", rater="c")
    assert only(shelf, case_id) == ("corrected", "second")
    with db.reading() as session:
        assert len(list(session.scalars(select(CaseCorrectionRow)))) == 3
    with pytest.raises(FinetuneError, match="blank"):
        shelf.correct(case_id, "  ", rater="b")


def test_a_correction_after_consumption_opens_a_case_that_follows(db: Database) -> None:
    shelf = book(db)
    (case_id,) = shelf.report([report(1, correction="first")])
    case = shelf.find(case_id)
    assert case is not None
    assert case.correction_id is not None
    consume(db, "childcare", "v1", {case_id: case.correction_id})
    assert shelf.correct(case_id, "first", rater="b") == case_id
    later = shelf.correct(case_id, "better", rater="b")
    assert later != case_id
    assert (only(shelf, case_id)[0], only(shelf, later)) == ("consumed", ("corrected", "better"))
    assert shelf.correct(case_id, "best", rater="b") == later
    found = shelf.find(later)
    assert found is not None
    assert (found.follows, found.input, found.cluster) == (case_id, case.input, case.cluster)


def test_what_was_corrected_again_or_arrived_meanwhile_stays(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consuming, "STEP_CASES", 2)
    shelf = book(db)
    ids = shelf.report([report(number, correction="c") for number in range(6)])
    wanted = {case.case_id: case.correction_id or 0 for case in shelf.cases("childcare")}
    shelf.correct(ids[1], "better", rater="b")
    shelf.dismiss(ids[2], "unusable", by="b")
    (late,) = shelf.report([report(9, correction="c")])
    done = consume(db, "childcare", "v1", wanted | {999: 1})
    assert done.cases == 4
    assert done.left == {ids[1]: "corrected_again", ids[2]: "dismissed", 999: "missing"}
    assert only(shelf, late)[0] == "corrected"
    assert unfinished(db, "childcare") == []
    with pytest.raises(FinetuneError, match="took other cases"):
        consume(db, "childcare", "v1", {late: 1})
    assert consume(db, "childcare", "v2", {ids[0]: wanted[ids[0]]}).left == {ids[0]: "consumed_by_another"}


def test_copies_that_were_there_go_with_the_case_and_later_ones_count(db: Database) -> None:
    shelf = book(db)
    first, copy = shelf.report([report(1, correction="c"), report(1, key="copy", answer="other")])
    case = shelf.find(first)
    assert case is not None
    assert consume(db, "childcare", "v1", {first: case.correction_id or 0}).copies == 1
    found = shelf.find(copy)
    assert found is not None
    assert (found.state, found.dismissed_for, found.cluster) == ("dismissed", "duplicate", case.cluster)
    shelf.report([report(1, key="again")])
    assert case_counts(db, "childcare").open_clusters == 1


def test_near_equal_inputs_are_one_cluster_and_others_are_not(db: Database) -> None:
    shelf = book(db)
    text = note(1) + " and then she went home with her grandmother through the rain"
    ids = shelf.report(
        [
            report(1, input={"text": text}),
            report(2, input={"text": text.replace("grandmother", "grandfather")}),
            report(3, input={"text": text.upper() + "  "}),
            *(report(number) for number in range(4, 40)),
        ]
    )
    clusters = [case.cluster for case in shelf.cases("childcare")]
    assert len(ids) == len(set(ids))
    assert len(set(clusters[:3])) == 1
    assert len(set(clusters)) == 37
    assert case_counts(db, "childcare").open_clusters == 37


def test_the_error_rate_of_a_window(db: Database, store: PredictionStore) -> None:
    shelf = book(db)
    same = {"text": note(5), "child_id": "x"}
    items = [
        *(prediction(number, at=START + timedelta(minutes=number)) for number in range(80)),
        *(doubted(number, at=START + timedelta(minutes=number)) for number in range(80, 90)),
        *(doubted(number, at=START, fields=same) for number in range(90, 100)),
    ]
    store.append(items)
    assert ingest_detected(shelf, store, "childcare", limit=7) == 7
    assert ingest_detected(shelf, store, "childcare") == 13
    assert ingest_detected(shelf, store, "childcare") == 0
    rate = rate_in(db, store, "childcare", START, START + DAY)
    assert (rate.errors, rate.predictions, rate.rate) == (11, 100, 0.11)
    assert (rate.lower, rate.upper) == wilson_interval(11, 100, confidence=0.9)
    case = next(shelf.cases("childcare"))
    shelf.dismiss(case.case_id, "not_an_error", by="rita")
    window = read_window(db, store, "childcare", START, START + DAY)
    assert (window.errors, window.predictions, window.open_cases, window.corrected_cases) == (10, 100, 10, 0)
    assert window.labels == {"a / b": 100}
    later = read_window(db, store, "childcare", START, START + 2 * DAY)
    assert later.digest == window.digest
    store.prune("childcare", START + 2 * DAY, 1)
    pruned = read_window(db, store, "childcare", START - DAY, START + 2 * DAY)
    assert pruned.errors <= pruned.predictions


def test_a_person_who_contradicts_a_dismissal_makes_it_an_error_again(db: Database) -> None:
    shelf = book(db)
    item = doubted(1)
    (case_id,) = shelf.report([ErrorReport.of_prediction(item, "detector", by="detector")])
    shelf.dismiss(case_id, "not_an_error", by="rita")
    (again,) = shelf.report([ErrorReport.of_prediction(item, "feedback", by="tom")])
    assert again != case_id
    assert shelf.report([ErrorReport.of_prediction(item, "feedback", by="tom")]) == [again]
    assert case_counts(db, "childcare").states == {"new": 1, "corrected": 0, "consumed": 0, "dismissed": 1}


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["report", "correct", "auto", "dismiss", "acquit", "consume"]),
        st.integers(0, 7),
        st.integers(-1, 1),
    ),
    max_size=30,
)


@settings(max_examples=500 if "FINETUNE_SOAK" in os.environ else 10)
@given(actions=ACTIONS)
@pytest.mark.parametrize("kind", DATABASES)
def test_every_case_is_in_one_state_and_sums_are_conserved(kind: str, actions: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder, fresh_url(kind, Path(folder)) as url:
        db = Database(url)
        try:
            require_conserved_sums(db, actions)
        finally:
            db.close()


def require_conserved_sums(db: Database, actions: list[tuple[str, int, int]]) -> None:
    shelf = book(db)
    corrected: list[tuple[int, str]] = []
    for step, (action, number, jump) in enumerate(actions):
        at = START + timedelta(seconds=step) + jump * DAY
        ids = [case.case_id for case in shelf.cases("childcare")]
        chosen = ids[number % len(ids)] if ids else 0
        if action == "report":
            shelf.report([report(number, answer=f"a{number % 2}")], at=at)
        elif action == "consume":
            open_ones = {case.case_id: case.correction_id or 0 for case in shelf.cases("childcare", ["corrected"])}
            assert consume(db, "childcare", f"v{step}", open_ones, at=at).cases == len(open_ones)
        elif not chosen:
            continue
        elif action in ("correct", "auto"):
            holder = shelf.correct(
                chosen, f"c{number}", rater="r", method="auto" if action == "auto" else "manual", at=at
            )
            corrected.append((holder, f"c{number}"))
        else:
            reason = "unusable" if action == "dismiss" else "not_an_error"
            try:
                shelf.dismiss(chosen, reason, by="r", at=at)  # type: ignore[arg-type]
            except CaseStateError:
                found = shelf.find(chosen)
                assert found is not None
                assert found.state in ("consumed", "dismissed")
    require_conserved(db, shelf, corrected)
    db.close()


def require_conserved(db: Database, shelf: CaseBook, corrected: list[tuple[int, str]]) -> None:
    found = {case.case_id: case for case in shelf.cases("childcare")}
    counts = case_counts(db, "childcare")
    assert counts.states == {
        state: Counter(case.state for case in found.values())[state]
        for state in ("new", "corrected", "consumed", "dismissed")
    }
    assert sum(counts.states.values()) == counts.opened == len(found)
    with db.reading() as session:
        events = list(session.scalars(select(CaseEventRow).order_by(CaseEventRow.id)))
        kept = {(row.case_id, row.content_digest) for row in session.scalars(select(CaseCorrectionRow))}
    state: dict[int, str] = {}
    for event in events:
        assert state.get(event.case_id, "") == event.from_state
        state[event.case_id] = event.to_state
    assert state == {number: case.state for number, case in found.items()}
    assert {(case_id, shelf.pseudonyms.of(text, kind="answer")) for case_id, text in corrected} <= kept
