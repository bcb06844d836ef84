"""The circle's laws: no leak group on both sides over any versions, and no case lost or taken twice by any kill."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_assets.datasets.split_files import read_examples
from finetune_assets.evaluation.leaks import find_leaks
from finetune_assets.feedback.division import known_sides
from finetune_assets.lineage.case_standing import standings
from finetune_assets.lineage.corrected_cases import SAMPLES_FILE, cases_in
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.suite_rows import suite_rows
from finetune_assets.lineage.trigger_window import cases_of
from finetune_assets.records.example import Example
from finetune_assets.storage.artifacts import Artifact
from finetune_assets_tests.e2e.tasks import write_task
from finetune_assets_tests.lineage.circle import TASK, correct, open_circle, run, states, words

ROOT = Path(__file__).resolve().parents[2]
LABELS = ("oven", "kettle", "spade", "hose")

# --- sides

# What somebody asks: a text of its own, one much like it, or what the source's rows ask, some of them test rows.
ASKED = [words(number) for number in range(6)]
ASKED += [f"{text} again" for text in ASKED[:4]]
ASKED += [f"The oven is broken again, visit {number}." for number in range(1, 29, 4)]
STEP = st.one_of(
    st.tuples(st.just("correct"), st.integers(0, len(ASKED) - 1), st.sampled_from(LABELS)),
    st.tuples(st.just("again"), st.integers(0, 30), st.sampled_from(LABELS)),
    st.tuples(st.just("run"), st.integers(0, 3), st.just("")),
)
SHARES = (0.0, 0.3, 0.7, 1.0)


def sharing(task: TaskRun, share: float) -> TaskRun:
    """Return the task as it is once somebody changed the share of regression samples."""
    config = task.config
    feedback = config.feedback.model_copy(update={"regression_share": share})
    return replace(task, settings=replace(task.settings, config=config.model_copy(update={"feedback": feedback})))


def samples(task: TaskRun, raw: Artifact) -> list[Example]:
    if not raw.has_file(SAMPLES_FILE):
        return []
    return suite_rows(task, task.task_type(), str(raw.file(SAMPLES_FILE))).examples


@settings(max_examples=6)
@given(steps=st.lists(STEP, min_size=4, max_size=14))
def test_no_leak_group_is_ever_on_both_sides(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("law")
    # Alike texts may have any answer here, so that only leak groups decide; the source's rows are not near-equal.
    write_task(folder / "tasks", TASK, rows=80)
    task = open_circle(folder / "tasks" / TASK, folder / "home")
    learned: set[str] = set()
    held: set[str] = set()
    # What was decided holds whatever share of new groups the next version wants.
    for name, number, label in [*steps, ("run", 3, ""), ("run", 0, "")]:
        if name == "correct":
            correct(task, ASKED[number], label, answer=f"wrong {label}")
        elif name == "again":
            numbers = sorted(states(task))
            if numbers:
                cases_of(task).correct(numbers[number % len(numbers)], label, rater="ana")
        else:
            raw, splits, _ = run(sharing(task, SHARES[number]))
            suite, train = samples(task, raw), list(read_examples(splits.path, "train"))
            assert find_leaks(suite, train, [], {}) == {}
            learned |= {row.content_key for row in train if row.origin == "feedback"}
            held |= {row.content_key for row in suite}
            assert not learned & held, "a side is for ever"
            assert len(standings(task)) == sum(state in ("corrected", "consumed") for state, _ in states(task).values())
            for row in read_examples(splits.path):
                assert row.origin == "observed" or row in train
    task.database.close()


# --- kills

CASES = 9
FULL = 120
SAMPLE = 7
POINTS = [
    *("after remember", "before publish", "after publish", "before publish#2", "after publish#2"),
    *("before advance_head", "after advance_head", "before consume", "after consume"),
    *(f"{when} commit#{number}" for number in range(1, 19) for when in ("before", "after")),
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task with a version, and corrected cases that none has taken yet."""
    folder = tmp_path_factory.mktemp("circle")
    write_task(folder / "tasks", TASK, rows=60, feedback={"regression_share": 0.4})
    task = open_circle(folder / "tasks" / TASK, folder / "home")
    run(task)
    for number in range(CASES):
        correct(task, words(number), LABELS[number % 4] if number else "no such label")
    task.database.close()
    return folder


@pytest.fixture(scope="module")
def parent() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "finetune_assets_tests.lineage.circle_worker"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.communicate()


def make_version(parent: subprocess.Popen[str], folder: Path, home: Path, point: str = "") -> int:
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(json.dumps({"folder": str(folder), "home": str(home), "point": point}) + "\n")
    parent.stdin.flush()
    return int(parent.stdout.readline())


def trial(parent: subprocess.Popen[str], prepared: Path, home: Path, seed: int) -> bool:
    """Kill a run at a point; return whether it died. Afterwards everything is as if it had not been killed."""
    draw = random.Random(f"circle {seed}")
    point = draw.choice(POINTS)
    shutil.copytree(prepared / "home", home)
    folder = prepared / "tasks" / TASK
    code = make_version(parent, folder, home, point)
    assert code in (0, -signal.SIGKILL), f"{point}: {code}"
    task = open_circle(folder, home)
    late = {correct(task, words(50))} if draw.random() < 0.5 else set()
    before = known_sides(task.database, TASK)
    raw, splits, _ = run(task)
    found = states(task)
    taken = {number for number, (state, _) in found.items() if state == "consumed"}
    assert taken == {*range(2, CASES + 1)} | late, point
    assert found[1] == ("corrected", ""), "what cannot be read stays corrected"
    assert {version for number, (_, version) in found.items() if number in taken - late} <= {"2", "3"}
    after = known_sides(task.database, TASK)
    assert {name: after[name] for name in before} == before, "no side was changed"
    # Every case is in exactly one place, and the rows of the version say the same.
    places = {number: place for number, (_, place) in cases_in(raw).items()}
    rows = Counter(row.source.file for row in read_examples(splits.path, "train") if row.origin == "feedback")
    assert set(rows.values()) <= {1}
    assert {f"feedback:case/{number}" for number, place in places.items() if place == "train"} == set(rows)
    assert {one.case: one.place for one in standings(task) if one.version} == places
    assert run(task)[2], f"nothing is new after {point}"
    task.database.close()
    shutil.rmtree(home)
    return code != 0


def test_a_kill_loses_no_case_and_takes_none_twice(
    parent: subprocess.Popen[str], prepared: Path, tmp_path: Path
) -> None:
    died = sum(trial(parent, prepared, tmp_path / f"home{seed}", seed) for seed in range(SAMPLE))
    assert died > SAMPLE // 2


@pytest.mark.soak
def test_kills_at_full_count(parent: subprocess.Popen[str], prepared: Path, tmp_path: Path) -> None:
    died = sum(trial(parent, prepared, tmp_path / f"home{seed}", seed) for seed in range(SAMPLE, FULL + SAMPLE))
    assert died > FULL // 2
