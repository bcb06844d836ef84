"""Kills at random moments: whenever a run is killed, starting it again ends in the same digests."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from finetune_assets_tests.e2e.command import TASK, MadeHome, digests, finetune, live_release, start
from finetune_assets_tests.e2e.processes import gone, kill_everything, trainers, wait_for

COUNT = int(os.environ.get("FINETUNE_SOAK_KILLS", "20"))
SEED = int(os.environ.get("FINETUNE_SOAK_SEED", "0"))
# Every so many kills start without the pre-trained base, so that its making is killed too.
FROM_NOTHING_EVERY = 5


@pytest.fixture(scope="session")
def usual_seconds(judged_home: MadeHome, fresh_home, tmp_path_factory) -> float:
    """How long an undisturbed run takes here beside an existing base."""
    home = fresh_home(tmp_path_factory.mktemp("undisturbed") / "home")
    began = time.monotonic()
    said = finetune(home, "run", TASK)
    assert said.code == 0, said.all
    assert digests(home) == digests(judged_home.path)
    return time.monotonic() - began


def kill_once(home: Path, moment: float, *, whole_tree: bool) -> bool:
    """Start a run, kill it after so many seconds; return False when it had ended by itself before."""
    run = start(home, "run", TASK)
    deadline = time.monotonic() + moment
    while time.monotonic() < deadline and run.poll() is None:
        time.sleep(0.05)
    if run.poll() is not None:
        return False
    below = trainers(run)
    if whole_tree:
        kill_everything(run)
    else:
        run.kill()
        run.wait(30)
    wait_for(lambda: gone(below), 10, "the trainers of the killed run end")
    return True


def ends_as_ever(home: Path, judged_home: MadeHome) -> None:
    said = finetune(home, "run", TASK)
    assert said.code == 0, said.all
    assert digests(home) == digests(judged_home.path)
    live = live_release(home)
    assert live is not None
    assert (live.version, live.seq) == (1, 1)


def test_a_run_killed_at_a_random_moment_ends_as_an_undisturbed_one(
    judged_home: MadeHome, fresh_home, tmp_path: Path
) -> None:
    # With the adapter at hand, so that this is quick; training is killed in test_kills and in the soak below.
    home = fresh_home(tmp_path / "home", "tuned_adapter")
    assert kill_once(home, random.Random(SEED).uniform(2, 8), whole_tree=True)
    ends_as_ever(home, judged_home)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(COUNT))
def test_kills_at_many_random_moments(
    number: int, judged_home: MadeHome, fresh_home, usual_seconds: float, tmp_path: Path
) -> None:
    dice = random.Random(f"{SEED}/{number}")
    if number % FROM_NOTHING_EVERY:
        home, seconds = fresh_home(tmp_path / "home"), usual_seconds
    else:
        home, seconds = tmp_path / "home", 2 * usual_seconds
    kill_once(home, dice.uniform(0, seconds), whole_tree=dice.random() < 0.5)
    ends_as_ever(home, judged_home)
