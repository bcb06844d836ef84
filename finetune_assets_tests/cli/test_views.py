"""What a run prints: the counts of its own stages, and no earlier run's."""

from finetune_assets.cli.chain import Outcome
from finetune_assets.cli.running import RunResult
from finetune_assets.cli.views import own_counts

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
