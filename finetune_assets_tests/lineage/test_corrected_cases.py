"""Corrected cases become training rows or, by leak group, regression samples, and never both."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from finetune_assets.component import read_task_folder
from finetune_assets.datasets.split_files import read_rows
from finetune_assets.definitions import build_resources
from finetune_assets.defs.platform.definitions import platform_defs
from finetune_assets.evaluation.answers import given_texts, score_answers
from finetune_assets.feedback import division
from finetune_assets.feedback.counting import case_counts
from finetune_assets.feedback.division import known_sides
from finetune_assets.feedback.error_report import ErrorReport
from finetune_assets.feedback.giving import FeedbackDesk, FeedbackItem
from finetune_assets.feedback.recorder import PredictionRecorder
from finetune_assets.lineage import validated_splits
from finetune_assets.lineage.asking import Room
from finetune_assets.lineage.automation import job_name
from finetune_assets.lineage.case_records import read_corrected
from finetune_assets.lineage.case_standing import NEXT_VERSION, by_version, standings, untaken
from finetune_assets.lineage.corrected_cases import SAMPLES_FILE, cases_in, plan_cases
from finetune_assets.lineage.graph import build_task_graph
from finetune_assets.lineage.judging import report_key
from finetune_assets.lineage.raw_observations import _counts_conserved, summary_of
from finetune_assets.lineage.runtime import TaskRun, asset_key
from finetune_assets.lineage.splits_checks import _counts, _leakage, _quarantine, _schema, _taxonomy
from finetune_assets.lineage.suite_failures import report_failures
from finetune_assets.lineage.suite_rows import suite_rows
from finetune_assets.lineage.suites import _corrected, _leaked, rules_in_force, suite_digests
from finetune_assets.lineage.trigger_window import cases_of, predictions_of
from finetune_assets.records.example import Example, RawRecord, SourceRef
from finetune_assets.storage.heads import current_head
from finetune_assets_tests.e2e.tasks import write_task
from finetune_assets_tests.feedback import making
from finetune_assets_tests.lineage.circle import TASK, correct, experiment, open_circle, run, states, words


def opened(tmp_path: Path, home: Path, *, rows: int = 120, **attributes: Any) -> TaskRun:
    write_task(tmp_path / "tasks", TASK, rows=rows, **attributes)
    return open_circle(tmp_path / "tasks" / TASK, home)


@pytest.fixture
def task(tmp_path: Path, platform_home: Path) -> TaskRun:
    return opened(tmp_path, platform_home)


@pytest.fixture
def learner(tmp_path: Path, platform_home: Path) -> TaskRun:
    """A task that takes every new case for training."""
    return opened(tmp_path, platform_home, feedback={"regression_share": 0.0})


def rows_of_cases(splits: Any) -> dict[str, dict[str, Any]]:
    found = (row for row in read_rows(splits.path) if row["source"]["file"].startswith("feedback:"))
    return {row["source"]["file"]: row for row in found}


def assert_sound(task: TaskRun, raw: Any, splits: Any) -> None:
    assert _counts_conserved(task, raw).passed
    for check in (_counts, _leakage, _schema, _taxonomy, _quarantine):
        evidence = check(task, splits)
        assert evidence.passed, (check, evidence.summary, evidence.rows)


def test_without_cases_nothing_is_said_of_them(task: TaskRun) -> None:
    raw, splits, _ = run(task)
    assert set(raw.manifest["inputs"]) == {"code", "source", "aliases"}
    assert "feedback" not in summary_of(raw)
    assert not cases_in(raw)
    assert "feedback" not in (splits.path / "examples.jsonl").read_text()


def test_a_corrected_case_is_a_training_row_of_the_next_version_and_taken_by_it(learner: TaskRun) -> None:
    _, first, _ = run(learner)
    number = correct(learner, words(1))
    raw, splits, reused = run(learner)
    assert not reused
    row = rows_of_cases(splits)[f"feedback:case/{number}"]
    assert (row["split"], row["origin"], row["label"]) == ("train", "feedback", "kitchen / oven")
    assert json.loads(row["target"]) == {"domain": "kitchen", "label": "oven"}
    assert states(learner) == {number: ("consumed", "2")}
    assert summary_of(raw)["feedback"]["accepted"] == 1
    assert "1 accepted and 0 quarantined of them are corrected cases" in _counts_conserved(learner, raw).summary
    assert_sound(learner, raw, splits)
    again = run(learner)
    assert again[2], "nothing is new"
    assert again[1].key == splits.key != first.key


def test_rows_of_consumed_cases_stay_in_later_versions(learner: TaskRun) -> None:
    old = correct(learner, words(1))
    run(learner)
    new = correct(learner, words(2), "hose")
    _, splits, _ = run(learner)
    assert set(rows_of_cases(splits)) == {f"feedback:case/{old}", f"feedback:case/{new}"}
    assert states(learner) == {old: ("consumed", "1"), new: ("consumed", "2")}


def test_a_case_that_asks_what_a_test_row_asks_is_a_regression_sample(learner: TaskRun) -> None:
    _, first, _ = run(learner)
    test_row = next(iter(read_rows(first.path, "test")))
    train_row = next(iter(read_rows(first.path, "train")))
    equal, near = (row["messages"][-1]["content"] for row in (test_row, train_row))
    held = correct(learner, equal, test_row["label"])
    almost = correct(learner, equal + "!", test_row["label"])
    taught = correct(learner, near, train_row["label"])
    raw, splits, _ = run(learner)
    assert {number: place for number, (_, place) in cases_in(raw).items()} == {
        held: "regression", almost: "regression", taught: "train",
    }  # fmt: skip
    assert not {f"feedback:case/{held}", f"feedback:case/{almost}"} & set(rows_of_cases(splits))
    samples = [json.loads(line) for line in raw.file(SAMPLES_FILE).read_text().splitlines()]
    assert [sample["record_id"] for sample in samples] == [f"feedback:case/{number}" for number in (held, almost)]
    assert set(states(learner).values()) == {("consumed", "2")}
    assert_sound(learner, raw, splits)


def test_a_correction_comes_before_the_wrong_label_in_the_source(learner: TaskRun) -> None:
    _, first, _ = run(learner)
    row = next(row for row in read_rows(first.path, "train") if row["label"] == "kitchen / kettle")
    number = correct(learner, row["messages"][-1]["content"], "spade")
    raw, splits, _ = run(learner)
    assert rows_of_cases(splits)[f"feedback:case/{number}"]["label"] == "garden / spade"
    rejected = [json.loads(line) for line in splits.file("quarantine.jsonl").read_text().splitlines()]
    assert [(one["reason"], one["record_id"]) for one in rejected] == [("corrected_by_feedback", row["record_id"])]
    assert_sound(learner, raw, splits)


def test_a_case_corrected_again_replaces_its_older_row(learner: TaskRun) -> None:
    old = correct(learner, words(1), "oven")
    run(learner)
    new = cases_of(learner).correct(old, "kettle", rater="ana")
    _, splits, _ = run(learner)
    assert {name: row["label"] for name, row in rows_of_cases(splits).items()} == {
        f"feedback:case/{new}": "kitchen / kettle"
    }
    assert states(learner) == {old: ("consumed", "1"), new: ("consumed", "2")}


def test_what_cannot_be_read_back_is_set_aside_and_what_has_no_text_waits(tmp_path: Path, platform_home: Path) -> None:
    learner = opened(tmp_path, platform_home, feedback={"regression_share": 0.0})
    unreadable = correct(learner, words(1), "no such label")
    good = correct(learner, words(2))
    config = learner.config.feedback.model_copy(update={"inputs": "digest"})
    book = cases_of(learner)
    book.config = config
    (blind,) = book.report([ErrorReport(TASK, "feedback", input={"text": words(3)}, answer="x", correction="oven")])
    raw, splits, _ = run(learner)
    assert summary_of(raw)["feedback"] == {
        "read": 2, "accepted": 1, "quarantined": 1, "reasons": {"unknown_label": 1}, "regression": 0,
    }  # fmt: skip
    assert states(learner) == {
        unreadable: ("corrected", ""), good: ("consumed", "1"), blind: ("corrected", ""),
    }  # fmt: skip
    assert_sound(learner, raw, splits)
    assert run(learner)[2], "a case that waits makes no new version"


def test_an_experiment_sees_the_cases_and_takes_none(task: TaskRun) -> None:
    numbers = [correct(task, words(number)) for number in range(12)]
    tried = experiment(task, 60)
    raw, splits, _ = run(tried)
    assert summary_of(raw)["feedback"]["accepted"] + summary_of(raw)["feedback"]["regression"] == len(numbers)
    assert set(states(task).values()) == {("corrected", "")}
    assert known_sides(task.database, TASK) == {}
    assert current_head(task.database, TASK, "main") is None
    assert splits.path.exists()


def test_a_task_may_learn_nothing_of_its_cases(tmp_path: Path, platform_home: Path) -> None:
    deaf = opened(tmp_path, platform_home, feedback={"learn": False})
    number = correct(deaf, words(1))
    raw, _, _ = run(deaf)
    assert not cases_in(raw)
    assert states(deaf) == {number: ("corrected", "")}


def test_cases_arriving_while_a_version_is_made_stay(learner: TaskRun, monkeypatch: pytest.MonkeyPatch) -> None:
    first = correct(learner, words(1))
    late: list[int] = []
    real = validated_splits.build_splits

    def build(*args: Any, **more: Any) -> Any:
        late.append(correct(learner, words(2)))
        late.append(cases_of(learner).correct(first, "hose", rater="ana"))
        return real(*args, **more)

    monkeypatch.setattr(validated_splits, "build_splits", build)
    run(learner)
    monkeypatch.undo()
    assert states(learner) == {first: ("corrected", ""), late[0]: ("corrected", "")}, "both wait for the next version"
    _, splits, _ = run(learner)
    assert rows_of_cases(splits)[f"feedback:case/{first}"]["label"] == "garden / hose"
    assert set(states(learner).values()) == {("consumed", "2")}


def test_a_killed_taking_is_finished_by_the_next_run(learner: TaskRun, monkeypatch: pytest.MonkeyPatch) -> None:
    number = correct(learner, words(1))
    monkeypatch.setattr(validated_splits, "finish_consumption", lambda task: [])
    run(learner)
    monkeypatch.undo()
    assert states(learner) == {number: ("corrected", "")}
    more = correct(learner, words(2))
    run(learner)
    assert states(learner) == {number: ("consumed", "1"), more: ("consumed", "2")}


def test_a_share_of_new_groups_is_held_out_for_ever(task: TaskRun) -> None:
    numbers = [correct(task, words(number)) for number in range(60)]
    raw, splits, _ = run(task)
    places = {number: place for number, (_, place) in cases_in(raw).items()}
    held = {number for number, place in places.items() if place == "regression"}
    assert set(places) == set(numbers)
    assert 3 <= len(held) <= 25
    # Another answer to a question that is held out stays on its side, whatever comes.
    number = min(held)
    text = cases_of(task).find(number).input["text"]  # type: ignore[index,union-attr]
    other = correct(task, text, answer="another wrong answer")
    raw, splits, _ = run(task)
    assert cases_in(raw)[other][1] == "regression"
    assert not {f"feedback:case/{one}" for one in (*held, other)} & set(rows_of_cases(splits))
    assert_sound(task, raw, splits)


def test_a_case_of_a_suites_row_is_never_trained_on(tmp_path: Path, platform_home: Path) -> None:
    learner = opened(
        tmp_path,
        platform_home,
        feedback={"regression_share": 0.0},
        evaluation={"suites": [{"name": "golden", "path": "data/golden.jsonl"}]},
    )
    row = {"id": "g1", "text": words(1), "domain": "kitchen", "label": "oven"}
    (Path(learner.folder) / "data" / "golden.jsonl").write_text(json.dumps(row) + "\n")
    learner = replace(learner, settings=replace(learner.settings, config=learner.config))
    number = correct(learner, words(1))
    raw, _, _ = run(learner)
    assert cases_in(raw)[number][1] == "regression"


def test_every_corrected_case_stands_in_exactly_one_place(task: TaskRun) -> None:
    numbers = [correct(task, words(number)) for number in range(20)]
    unreadable = correct(task, words(30), "no such label")
    run(task)
    late = correct(task, words(31))
    found = {one.case: one for one in standings(task)}
    assert set(found) == {*numbers, unreadable, late}
    assert {found[number].version for number in numbers} == {"1"}
    assert {found[number].place for number in numbers} == {"train", "regression"}
    assert (found[unreadable].place, found[unreadable].reason) == ("set_aside", "unknown_label")
    assert (found[late].place, found[late].reason) == ("waiting", NEXT_VERSION)
    (row,) = by_version(list(found.values()))
    assert row["training_rows"] + row["regression_samples"] == len(numbers)
    assert untaken(list(found.values())) == {"set_aside: unknown_label": 1, "waiting: next_version": 1}


def test_a_label_that_was_corrected_again_is_no_longer_set_aside(task: TaskRun) -> None:
    number = correct(task, words(1), "no such label")
    run(task)
    cases_of(task).correct(number, "oven", rater="ana")
    assert [one.reason for one in standings(task)] == [NEXT_VERSION]
    run(task)
    assert states(task) == {number: ("consumed", "2")}


def test_a_case_that_can_teach_nothing_asks_for_no_run(task: TaskRun) -> None:
    correct(task, words(1), "no such label")
    waits = correct(task, words(2))
    assert case_counts(task.database, TASK).corrected_clusters == 2
    run(task)
    counts = case_counts(task.database, TASK)
    assert (counts.states["corrected"], counts.corrected_clusters, counts.open_clusters) == (1, 0, 0)
    cases_of(task).correct(waits - 1, "kitchen / oven", rater="ana")
    assert case_counts(task.database, TASK).corrected_clusters == 1, "another correction counts anew"
    _, _, reused = run(task)
    assert not reused
    assert case_counts(task.database, TASK).states["corrected"] == 0


def test_an_experiment_sets_no_case_aside(task: TaskRun) -> None:
    correct(task, words(1), "no such label")
    run(experiment(task, 40))
    assert case_counts(task.database, TASK).corrected_clusters == 1


def test_the_whole_circle(tmp_path: Path, platform_home: Path) -> None:
    """Answers are witnessed, called wrong and corrected; the job makes a version of them, and takes them once."""
    task = opened(tmp_path, platform_home, rows=240)
    store = predictions_of(task)
    asked = {f"request-{number}": words(number) for number in range(24)}
    with PredictionRecorder(store) as recorder:
        for number, (request, text) in enumerate(asked.items()):
            said = making.prediction(
                number,
                task=TASK,
                request_id=request,
                fields={"text": text},
                answer="wrong",
                config=task.config.feedback,
            )
            recorder.record(said).result()
    desk = FeedbackDesk(cases_of(task), store)
    for request in asked:
        desk.give(FeedbackItem(TASK, "wrong", request_id=request, correction="kitchen / oven"))
    spec = read_task_folder(Path(task.folder))
    definitions = dg.Definitions.merge(
        build_task_graph(spec), platform_defs(), dg.Definitions(resources=build_resources())
    )
    job = definitions.resolve_job_def(job_name(TASK))
    keys = [asset_key(TASK, stage) for stage in ("raw_observations", "validated_splits")]
    with dg.DagsterInstance.ephemeral() as instance:
        first = job.execute_in_process(instance=instance, asset_selection=keys)
        assert first.success
        shown = first.asset_materializations_for_node(f"{TASK}__raw_observations")[0].metadata
        assert "corrected_cases" in shown
        second = job.execute_in_process(instance=instance, asset_selection=keys)
        for stage in ("raw_observations", "validated_splits"):
            (made,) = second.asset_materializations_for_node(f"{TASK}__{stage}")
            assert made.metadata["reused"].value is True
    assert set(states(task).values()) == {("consumed", "1")}
    head = current_head(task.database, TASK, "main")
    assert head is not None
    splits = task.artifacts.open("validated_splits", head.artifact_key)
    raw = task.artifacts.open("raw_observations", str(splits.manifest["raw"]))
    held = {number for number, (_, place) in cases_in(raw).items() if place == "regression"}
    assert held
    rows = (splits.path / "examples.jsonl").read_text()
    samples = raw.file(SAMPLES_FILE).read_text()
    texts = {case.case_id: case.input["text"] for case in cases_of(task).cases(TASK) if case.input}
    for number, text in texts.items():
        assert (text in samples) == (number in held)
        assert (text in rows) == (number not in held)


def test_enough_regression_samples_are_a_suite_of_their_own(tmp_path: Path, platform_home: Path) -> None:
    suite = {"kind": "critical", "min_rows": 3}
    task = opened(tmp_path, platform_home, feedback={"regression_share": 1.0, "suite": suite})
    for number in range(2):
        correct(task, words(number))
    run(task)
    assert (rules_in_force(task).suites, suite_digests(task)) == ((), {}), "too few"
    correct(task, words(2))
    run(task)
    (rule,) = rules_in_force(task).suites
    assert (rule.name, rule.kind, rule.path) == ("corrected_cases", "critical", SAMPLES_FILE)
    assert set(suite_digests(task)) == {"corrected_cases"}
    room = Room(task, task.task_type(), 64, lambda _: None)
    found = _corrected(room, [])
    assert found is not None
    assert len(found.examples) == 3
    # The source came to hold one of these questions too, and the split trains on it.
    held_out = _corrected(room, [replace(found.examples[0], record_id="of the source")])
    assert held_out is not None
    assert held_out.examples == found.examples[1:]
    # Somebody put all of them into the source: no suite is left, and none is missed.
    assert _corrected(room, found.examples) is None
    assert rules_in_force(task, ()).suites == ()
    assert rules_in_force(task, ("corrected_cases",)).suites == (rule,)


def test_a_row_that_the_live_release_fails_is_a_case_once_and_never_a_training_row(
    tmp_path: Path, platform_home: Path
) -> None:
    suites = [{"name": "golden", "path": "data/golden.jsonl"}]
    task = opened(tmp_path, platform_home, feedback={"regression_share": 0.0}, evaluation={"suites": suites})
    lines = [{"id": f"g{number}", "text": words(number), "domain": "kitchen", "label": "oven"} for number in range(3)]
    (Path(task.folder) / "data" / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = suite_rows(task, task.task_type(), "data/golden.jsonl")
    right = rows.examples[0].target
    texts = [right if place == 0 else '{"domain":"garden"}' for place in range(3)]
    answers = score_answers(rows.examples, given_texts(rows.examples, texts, task.task_type()), task.task_type())
    for _ in range(2):
        assert report_failures(task, "golden", rows, answers) == 2
    assert states(task) == {1: ("new", ""), 2: ("new", "")}
    cases_of(task).correct(1, "spade", rater="ana")
    raw, _, _ = run(task)
    assert cases_in(raw)[1][1] == "regression"
    assert report_failures(experiment(task, 50), "golden", rows, answers) == 0


def test_another_kind_of_suite_is_another_judgement(tmp_path: Path, platform_home: Path) -> None:
    task = opened(tmp_path, platform_home, feedback={"regression_share": 1.0, "suite": {"min_rows": 1}})
    correct(task, words(1))
    run(task)
    feedback = task.config.feedback
    other = feedback.model_copy(update={"suite": feedback.suite.model_copy(update={"kind": "critical"})})
    stricter = replace(task, settings=replace(task.settings, config=task.config.model_copy(update={"feedback": other})))
    model: Any = SimpleNamespace(candidate="candidate")
    keys = [report_key(one, [model], model, "examples") for one in (task, task, stricter)]
    assert keys[0] == keys[1] != keys[2]


def test_a_suites_leaks_are_told_by_its_own_words(tmp_path: Path, platform_home: Path) -> None:
    """The template's wording makes no two questions alike: else a suite that was mined so would prove nothing."""
    template = (
        "Here is what somebody who rents one of our houses wrote to us this morning, word for word as they wrote it, "
        "and you are the one who decides which of our people should read it first of all: {text}"
    )
    section = {"taxonomy": "taxonomy.json", "prompt": {"user": template}}
    task = opened(tmp_path, platform_home, rows=60, classification=section)
    kind = task.task_type()
    asked = []
    for text in ("the oven smokes", "a hose leaks"):
        fields = {"id": text, "text": text, "domain": "kitchen", "label": "oven"}
        (example,) = kind.examples(RawRecord(fields, SourceRef("suite.jsonl")))
        assert isinstance(example, Example)
        assert str(example.messages[-1]["content"]).startswith(template[:40])
        asked.append(example)
    room = Room(task, kind, 64, lambda _: None)
    assert _leaked(room, asked[:1], asked[1:]) == {}
    assert set(_leaked(room, asked[:1], asked)) == {asked[0].record_id}


@pytest.mark.parametrize("kept", [2, 5, 7])
def test_sides_that_were_half_written_down_are_decided_alike_again(
    tmp_path: Path, platform_home: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """A case's own side is the last to be written: else what ties it to later ones would never be."""
    task = opened(tmp_path, platform_home, rows=60, feedback={"regression_share": 1.0})
    numbers = [correct(task, words(number)) for number in range(2)]
    monkeypatch.setattr(division, "_STEP_ROWS", 1)
    real, begun = task.database.session, []

    def session() -> Any:
        begun.append(1)
        if len(begun) > kept:
            raise KeyboardInterrupt
        return real()

    monkeypatch.setattr(task.database, "session", session)
    with pytest.raises(KeyboardInterrupt):
        plan_cases(task)
    monkeypatch.undo()
    assert len(known_sides(task.database, TASK)) == kept
    plan = plan_cases(task)
    assert [one.number for one in plan.regression] == numbers
    sides = known_sides(task.database, TASK)
    assert Counter(name.partition(":")[0] for name in sides) == dict.fromkeys(("case", "cluster", "input", "key"), 2)
    assert set(sides.values()) == {"regression"}


def test_a_taken_case_that_can_no_longer_be_read_is_told(learner: TaskRun) -> None:
    number = correct(learner, words(1), "oven")
    run(learner)
    cases = list(cases_of(learner).cases(TASK))
    lost = replace(cases[0], correction="no such label any more")
    found = read_corrected([lost], learner.task_type())
    assert [(one.case.case_id, one.fault.reason) for one in found.aside] == [(number, "unknown_label")]


def test_alike_cases_of_one_version_stand_on_one_side(tmp_path: Path, platform_home: Path) -> None:
    task = opened(tmp_path, platform_home, rows=60, feedback={"regression_share": 0.5})
    pairs = [(correct(task, words(number)), correct(task, f"{words(number)} again")) for number in range(12)]
    raw, _, _ = run(task)
    places = {number: place for number, (_, place) in cases_in(raw).items()}
    assert [places[one] for one, _ in pairs] == [places[other] for _, other in pairs]
    assert set(places.values()) == {"train", "regression"}
