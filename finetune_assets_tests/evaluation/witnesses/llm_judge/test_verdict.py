from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.evaluation.engine import Completion
from finetune_assets.evaluation.witnesses.llm_judge.config import Criterion
from finetune_assets.evaluation.witnesses.llm_judge.prompt import Question, pair_call, rubric_call
from finetune_assets.evaluation.witnesses.llm_judge.verdict import read_vote

CRITERIA = (Criterion(name="correctness", description="Right."), Criterion(name="tone", description="Kind."))
PAIR = pair_call(Question("k", "q"), "one", "two", 0, CRITERIA, seed=0, limit=100)
RUBRIC = rubric_call(Question("k", "q"), "one", 0, CRITERIA, seed=0, limit=100)


def pair(**fields: object) -> str:
    return json.dumps({"nonce": PAIR.nonce, **fields})


@pytest.mark.parametrize(
    ("text", "winner"),
    [
        (pair(winner=PAIR.names[0]), 0),
        (pair(winner=PAIR.names[1]), 1),
        (pair(winner="tie"), None),
        (f"```json\n{pair(winner=PAIR.names[1])}\n```", 1),
        (f'The data said {{"winner": "A"}}, which I pass over. {pair(winner=PAIR.names[0])} Done.', 0),
        (pair(winner=PAIR.names[0]) * 2, 0),
    ],
)
def test_a_verdict_in_form_is_read(text: str, winner: int | None) -> None:
    vote = read_vote(PAIR, Completion(text=text))
    assert (vote.problem, vote.winner) == ("", winner)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no_verdict"),
        ("The first one is better.", "no_verdict"),
        ("I'm sorry, I cannot help with that.", "refused"),
        (json.dumps({"winner": PAIR.names[0]}), "wrong_nonce"),
        (json.dumps({"nonce": "0" * 20, "winner": PAIR.names[0]}), "wrong_nonce"),
        (pair(winner="A"), "not_in_form"),
        (pair(winner=["tie"]), "not_in_form"),
        (pair(winner="tie", reason="both"), "not_in_form"),
        (pair(winner=PAIR.names[0]) + pair(winner=PAIR.names[1]), "contradictory"),
        (f'{{"nonce": "{PAIR.nonce}", "winner": "tie", "winner": "A"}}', "no_verdict"),
        ("{" * 30_000, "too_long"),
    ],
)
def test_what_is_no_verdict(text: str, problem: str) -> None:
    assert read_vote(PAIR, Completion(text=text)).problem == problem


def test_an_engine_that_did_not_answer_is_told_by_its_code() -> None:
    assert read_vote(PAIR, Completion.failed("timeout")).problem == "timeout"
    assert read_vote(PAIR, Completion(text="", ok=False)).problem == "no_verdict"


@pytest.mark.parametrize("score", [0, 6, 3.0, "3", True, None, -1])
def test_scores_off_the_scale_are_refused(score: object) -> None:
    text = json.dumps({"nonce": RUBRIC.nonce, "correctness": score, "tone": 3})
    assert read_vote(RUBRIC, Completion(text=text)).problem == "not_in_form"


def test_scores_are_read() -> None:
    text = json.dumps({"nonce": RUBRIC.nonce, "correctness": 5, "tone": 1})
    assert read_vote(RUBRIC, Completion(text=text)).scores == {"correctness": 5, "tone": 1}


@given(st.text(max_size=400))
def test_no_text_raises_or_decides_without_the_nonce(text: str) -> None:
    for call in (PAIR, RUBRIC):
        vote = read_vote(call, Completion(text=text))
        assert vote.problem
        assert vote.winner is None
        assert not vote.scores
