"""What a run prints: the counts of its own stages, and no earlier run's."""

import io
import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from finetune_assets.cli.chain import Outcome
from finetune_assets.cli.running import RunResult
from finetune_assets.cli.views import Progress, _print_next, own_counts

COUNTS: dict[str, int | None] = {"read": 10, "accepted": 8, "quarantined": 2, "train": 8}
STAGES = ["raw_observations", "validated_splits", "uploaded_dataset"]


def outcome(*made: str, stages: list[str] = STAGES) -> Outcome:
    return Outcome(RunResult("run", success=False, metadata={stage: {} for stage in made}), stages, "main")


def test_a_run_that_read_nothing_shows_no_rows_of_an_earlier_one() -> None:
    assert own_counts(COUNTS, outcome()) == dict.fromkeys(COUNTS)


def test_a_run_that_split_nothing_shows_what_it_read() -> None:
    assert own_counts(COUNTS, outcome("raw_observations")) == {**dict.fromkeys(COUNTS), "read": 10}


def test_a_run_whose_splits_were_made_shows_all() -> None:
    assert own_counts(COUNTS, outcome("raw_observations", "validated_splits")) == COUNTS


def test_a_run_that_began_later_shows_what_it_stands_on() -> None:
    assert own_counts(COUNTS, outcome(stages=["uploaded_dataset"])) == COUNTS


@pytest.mark.parametrize(
    ("verdict", "opened", "shown"),
    [("INCONCLUSIVE", ("INCONCLUSIVE",), True), ("INCONCLUSIVE", (), False), ("FAIL", ("INCONCLUSIVE",), False)],
)
def test_a_person_who_may_approve_what_the_rows_cannot_decide_is_told_how(
    verdict: str, opened: tuple[str, ...], shown: bool
) -> None:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    ended = replace(outcome(), stops_for_approval=True, open_to_people=opened)
    _print_next(console, SimpleNamespace(name="task"), ended, "ab" * 32, verdict)
    assert ("finetune approve task abababababab" in console.file.getvalue()) == shown


class Entry:
    """A line that a step logs."""

    dagster_event = None
    level = logging.INFO

    def __init__(self, text: str, at: float) -> None:
        self.user_message, self.timestamp = text, at


def said(*texts: str, terminal: bool = False) -> list[str]:
    """Return what stays on the screen of messages that come a second after each other."""
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal, color_system=None)
    progress = Progress(console, SimpleNamespace(name="task"))
    progress._status = console.status("")
    for number, text in enumerate(texts):
        progress._message(Entry(text, 100.0 + number))
    return [line.strip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("terminal", [False, True])
def test_an_estimate_and_a_change_of_state_stay_to_be_read(terminal: bool) -> None:
    lines = ["gemini, run key ab12", "tuning: $1.20 (0.90-1.50)", "JOB_STATE_QUEUED", "JOB_STATE_RUNNING: epochs 1"]
    assert said(*lines, terminal=terminal) == lines


def test_of_a_count_that_goes_up_one_is_said_now_and_then() -> None:
    steps = [f"step {number} of 400, loss {1 / number:.3f}" for number in range(1, 9)]
    assert said(*steps) == [steps[0], steps[5]]
    assert said(*steps, terminal=True) == [steps[0]]
