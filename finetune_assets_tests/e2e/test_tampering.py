"""Things changed behind the platform's back: nothing that was not judged goes live, and checks look again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from finetune_assets.storage.artifacts import Artifact
from finetune_assets_tests.e2e.command import MANUAL, TASK, candidate_of, click, finetune, live_release, result


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def rewrite_rows(artifact: Artifact, name: str, change) -> None:
    path = artifact.file(name)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in change(rows)), encoding="utf-8")


def test_weights_that_were_not_judged_do_not_go_live(home: Path) -> None:
    flip_a_byte(result(home, "tuned_adapter").file("adapter_model.safetensors"))
    # A decision makes only what lies behind it: no check of the adapter stands in the way.
    line = finetune(home, "approve", TASK, candidate_of(home)[:12], env=MANUAL).one_error()
    assert "weights are not the judged ones" in line
    assert live_release(home) is None


def test_a_run_that_looks_again_stops_at_weights_that_were_changed(home: Path) -> None:
    flip_a_byte(result(home, "tuned_adapter").file("adapter_model.safetensors"))
    said = finetune(home, "run", TASK)
    assert said.code == 3, said.all
    assert "gate not passed: childcare/tuned_adapter artifact_loadable" in said.err
    assert live_release(home) is None


def test_what_is_live_stays_live_when_its_weights_were_changed(live: Path) -> None:
    before = live_release(live)
    flip_a_byte(result(live, "tuned_adapter").file("adapter_model.safetensors"))
    line = finetune(live, "run", TASK).one_error()
    assert "weights are not the judged ones" in line
    assert live_release(live) == before


def test_a_changed_adapter_fails_its_check_when_that_is_run_again(live: Path) -> None:
    flip_a_byte(result(live, "tuned_adapter").file("adapter_model.safetensors"))
    done = click(live, checks={"artifact_loadable": "tuned_adapter"})
    assert done.checks["artifact_loadable"].passed is False
    assert not done.success


def test_one_check_runs_again_by_itself(live: Path) -> None:
    done = click(live, checks={"no_leakage": "validated_splits"})
    assert done.success, done.error
    assert set(done.checks) == {"no_leakage"}
    assert done.checks["no_leakage"].passed is True
    assert done.checks["no_leakage"].metadata["reused"].value is False


@pytest.mark.parametrize(
    ("check", "change"),
    [
        # The first test row's text stands in training as well.
        ("no_leakage", lambda rows: [*rows, next(row | {"split": "train"} for row in rows if row["split"] == "test")]),
        ("taxonomy", lambda rows: [rows[0] | {"target": "{}"}, *rows[1:]]),
        ("counts_conserved", None),
    ],
    ids=["a leaked row", "an answer that is no label", "a row that is not counted"],
)
def test_changed_splits_fail_the_check_that_looks_for_it(live: Path, check: str, change) -> None:
    splits = result(live, "validated_splits")
    if change is None:
        path = splits.file("summary.json")
        summary = json.loads(path.read_text(encoding="utf-8"))
        summary["duplicates"] += 1
        path.write_text(json.dumps(summary), encoding="utf-8")
    else:
        rewrite_rows(splits, "examples.jsonl", change)
    done = click(live, checks={check: "validated_splits"})
    assert done.checks[check].passed is False
    assert not done.success


def test_a_training_file_that_is_not_the_one_that_was_checked_is_not_uploaded_unseen(live: Path) -> None:
    shutil.rmtree(result(live, "uploaded_dataset").path)
    rewrite_rows(result(live, "validated_splits"), "chat/train.jsonl", lambda rows: rows[1:])
    done = click(live, "uploaded_dataset", checks={"checksum_matches": "uploaded_dataset"})
    assert not done.success
    assert done.error or done.checks["checksum_matches"].passed is False
