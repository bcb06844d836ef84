"""The one way through: from raw records to a live endpoint, and the same again."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from pathlib import Path

import pytest

from finetune_assets.releases.registry import Registry
from finetune_assets.storage.files import read_json
from finetune_assets.storage.heads import current_head
from finetune_assets_tests.e2e.command import (
    MANUAL,
    SECRETS,
    STAGES,
    TASK,
    MadeHome,
    Said,
    candidate_of,
    click,
    database,
    digests,
    finetune,
    live_release,
    materializations,
    result,
)

COUNTS = ["read", "accepted", "quarantined", "duplicates", "train", "validation", "test"]


@pytest.fixture(scope="module")
def status(live_home: MadeHome) -> list[dict]:
    return finetune(live_home.path, "status", "--json").json()


@pytest.fixture(scope="module")
def again(steady: Path) -> tuple[Said, str, dict, dict]:
    """A second run with nothing changed: what it said, its id, and the digests before and after."""
    before = digests(steady)
    said = finetune(steady, "run", TASK)
    run_id = finetune(steady, "status", TASK, "--json").json()[0]["last_run"]["run_id"]
    return said, run_id, before, digests(steady)


@pytest.fixture(scope="module")
def experiment(steady: Path) -> tuple[Said, str]:
    said = finetune(steady, "run", TASK, "--limit", "400", "--set", "tuning.epochs=0.2")
    with sqlite3.connect(steady / "finetune.db") as connection:
        rows = connection.execute("SELECT DISTINCT namespace FROM stage_results WHERE task = ?", [TASK]).fetchall()
    (namespace,) = {name for (name,) in rows} - {"main"}
    return said, namespace


def test_a_run_with_manual_approval_stops_at_the_report_with_exit_code_0(judged_home: MadeHome) -> None:
    assert judged_home.said.code == 0, judged_home.said.all
    assert judged_home.said.err == ""
    assert result(judged_home.path, "validation_report").manifest["verdict"] == "PASS"
    assert "deployed_endpoint" not in judged_home.said.out
    assert live_release(judged_home.path) is None


def test_it_names_the_commands_that_decide(judged_home: MadeHome) -> None:
    candidate = candidate_of(judged_home.path)[:12]
    assert f'finetune approve {TASK} {candidate} --note "why"' in judged_home.said.out
    assert f'finetune reject {TASK} {candidate} --note "why"' in judged_home.said.out


def test_the_tuned_model_beats_the_untuned_base_on_the_same_rows(judged_home: MadeHome) -> None:
    report = read_json(result(judged_home.path, "validation_report").file("report.json"))
    scores = report["scores"]
    assert report["verdict"]["verdict"] == "PASS"
    assert scores["candidate"]["correct"] > scores["baseline"]["correct"]
    assert scores["candidate"]["correct"] > scores["majority"]["correct"]
    assert {"candidate", "baseline", "majority", "tfidf_logreg"} <= set(scores)


def test_an_automatic_run_makes_version_1_live(live_home: MadeHome) -> None:
    live = live_release(live_home.path)
    assert live is not None
    assert (live.version, live.seq, live.action) == (1, 1, "deploy")
    assert live.candidate == candidate_of(live_home.path)
    assert [event.to_state for event in Registry(database(live_home.path)).events(live.id)] == [
        "candidate",
        "validated",
        "approved",
        "live",
    ]


def test_status_as_json_names_every_task(status: list[dict]) -> None:
    assert [task["task"] for task in status] == ["childcare", "environment", "java", "router", "speech"]
    assert [task["task"] for task in status if task["live"]] == [TASK]


def test_status_as_json_has_exactly_the_documented_shape(status: list[dict]) -> None:
    task = status[0]
    assert list(task) == ["task", "task_type", "live", "last_run", "counts"]
    assert list(task["live"]) == ["version", "candidate", "base_model", "deployed_at", "scores"]
    assert list(task["last_run"]) == ["run_id", "state", "gate"]
    assert list(task["counts"]) == COUNTS


def test_status_as_json_says_what_is_live(status: list[dict], live_home: MadeHome) -> None:
    task = status[0]
    assert (task["task"], task["task_type"]) == (TASK, "classification")
    assert (task["live"]["version"], task["live"]["base_model"]) == (1, "embedded")
    assert task["live"]["candidate"] == candidate_of(live_home.path)
    assert datetime.fromisoformat(task["live"]["deployed_at"]).utcoffset() is not None
    assert (task["last_run"]["state"], task["last_run"]["gate"]) == ("SUCCESS", "PASS")
    report = read_json(result(live_home.path, "validation_report").file("report.json"))
    assert task["live"]["scores"]["exact"] == report["scores"]["candidate"]["measures"]["exact"]["value"]


def test_every_row_is_counted_once(status: list[dict], live_home: MadeHome) -> None:
    counts = status[0]["counts"]
    assert counts["read"] == counts["accepted"] + counts["quarantined"] + counts["duplicates"]
    assert counts["accepted"] == counts["train"] + counts["validation"] + counts["test"]
    splits = result(live_home.path, "validated_splits")
    lines = splits.file("examples.jsonl").read_text(encoding="utf-8").splitlines()
    assert counts["accepted"] == len(lines)
    assert counts["test"] == sum(json.loads(line)["split"] == "test" for line in lines)


def test_a_second_run_reuses_everything(again: tuple, steady: Path) -> None:
    said, run_id, _, _ = again
    assert said.code == 0, said.all
    made = materializations(steady, run_id)
    assert set(made) == {*STAGES, "embedded_base_model"}
    assert {stage: facts["reused"] for stage, facts in made.items()} == dict.fromkeys(made, True)


def test_a_second_run_changes_no_digest_and_no_pointer(again: tuple, steady: Path, live_home: MadeHome) -> None:
    _, _, before, after = again
    assert after == before
    assert live_release(steady) == live_release(live_home.path)


def test_a_second_run_still_asks_the_live_endpoint(again: tuple, steady: Path) -> None:
    _, run_id, _, _ = again
    evidence = read_json(steady / "evidence" / f"probe-{TASK}.json")
    assert evidence["run_id"] == run_id
    assert evidence["passed"] is True
    assert evidence["results"]
    assert all(row["passed"] for row in evidence["results"])


def test_a_run_until_an_asset_makes_that_and_nothing_behind_it(
    judged_home: MadeHome, tmp_path: Path, fresh_home
) -> None:
    home = fresh_home(tmp_path / "home")
    said = finetune(home, "run", TASK, "--until", "validated_splits")
    assert said.code == 0, said.all
    (state,) = finetune(home, "status", TASK, "--json").json()
    made = materializations(home, state["last_run"]["run_id"])
    # Data alone is not worth a minute of pre-training: its tokens are counted by what is at hand.
    assert set(made) == {"raw_observations", "validated_splits"}
    assert state["live"] is None
    assert result(home, "validated_splits").digest == result(judged_home.path, "validated_splits").digest


def test_until_an_unknown_asset_is_one_line(steady: Path) -> None:
    line = finetune(steady, "run", TASK, "--until", "splits").one_error()
    assert "--until" in line
    assert "validated_splits" in line


def test_an_experiment_ends_with_its_own_verdict_and_never_reaches_the_endpoint(experiment, steady: Path) -> None:
    said, namespace = experiment
    assert said.code in {0, 3}, said.all
    verdict = result(steady, "validation_report", namespace=namespace).manifest["verdict"]
    assert (said.code == 0) == (verdict == "PASS")
    assert "release_approval" not in said.out
    assert "deployed_endpoint" not in said.out


def test_an_experiment_moves_neither_the_head_nor_what_is_live(experiment, steady: Path, live_home: MadeHome) -> None:
    _, namespace = experiment
    main = [current_head(database(home), TASK, "main") for home in (steady, live_home.path)]
    assert main[0] == main[1]
    own = current_head(database(steady), TASK, namespace)
    assert own is not None
    assert own.digest != main[0].digest
    assert live_release(steady) == live_release(live_home.path)
    assert len(Registry(database(steady)).releases(TASK)) == 1


def test_an_experiment_keeps_to_the_splits_of_the_head(experiment, steady: Path) -> None:
    _, namespace = experiment
    main, own = (
        {
            row["content_key"]: row["split"]
            for row in map(
                json.loads,
                result(steady, "validated_splits", namespace=name).file("assignments.jsonl").read_text().splitlines(),
            )
        }
        for name in ("main", namespace)
    )
    assert own
    assert {key: split for key, split in own.items() if main.get(key, split) != split} == {}


def test_an_experiment_is_never_approved(experiment, steady: Path) -> None:
    done = click(steady, "release_approval", options={"limit": 400, "overrides": {"tuning.epochs": "0.2"}})
    assert not done.success
    assert done.error.startswith("an experiment is never released")
    assert len(done.error.splitlines()) == 1


def test_set_wins_over_the_environment_which_wins_over_the_yaml(steady: Path) -> None:
    env = {
        "FINETUNE_DATASET__SPLIT__SEED": "7",
        "FINETUNE_TUNING__EPOCHS": "4",
        "FINETUNE_CHILDCARE__TUNING__EPOCHS": "3",
        "FINETUNE_TUNING__BATCH_SIZE": "4",
    }
    rows = finetune(steady, "config", TASK, "--set", "tuning.batch_size=2", "--json", env=env).json()
    found = {row["path"]: (row["value"], row["origin"]) for row in rows}
    assert found["tuning.batch_size"] == (2, "--set")
    assert found["tuning.epochs"] == (3, "environment FINETUNE_CHILDCARE__TUNING__EPOCHS")
    assert found["dataset.split.seed"] == (7, "environment FINETUNE_DATASET__SPLIT__SEED")
    assert found["dataset.split.train"] == (0.7, "defs.yaml")
    assert found["tuning.seed"] == (0, "default")


def test_secrets_are_nowhere_under_the_home_after_a_run(live_home: MadeHome, judged_home: MadeHome) -> None:
    files = [path for home in (live_home.path, judged_home.path) for path in home.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    for name, secret in SECRETS.items():
        holders = [path for path in files if secret.encode() in path.read_bytes()]
        assert holders == [], name
        assert secret not in live_home.said.all + judged_home.said.all


def test_the_policy_of_the_environment_shapes_the_run(live: Path) -> None:
    before = live_release(live)
    said = finetune(live, "run", TASK, env=MANUAL)
    assert said.code == 0, said.all
    assert "release_approval" not in said.out
    assert live_release(live) == before
