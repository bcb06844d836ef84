"""What looks wrong in an answer before anybody has checked it."""

import pytest

from finetune_assets.records.doubts import Signal, doubt_score, doubts_of_reading


@pytest.mark.parametrize(
    ("text", "valid", "kinds"),
    [("", False, ["empty_answer"]), (" \n", True, ["empty_answer"]), ("x", False, ["invalid_answer"]), ("x", True, [])],
)
def test_reading_an_answer_tells_that_it_is_blank_or_illegal(text: str, valid: bool, kinds: list[str]) -> None:
    assert [signal.kind for signal in doubts_of_reading(text, valid=valid)] == kinds


def test_the_score_is_the_mean_of_the_signals() -> None:
    assert doubt_score(()) == 0.0
    assert doubt_score((Signal("a", 0.9), Signal("b", 0.3))) == 0.6
