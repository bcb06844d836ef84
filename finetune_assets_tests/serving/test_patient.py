"""Patience with a scripted wire and a clock that only tests move."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.evaluation.engine import NOT_FINAL, Completion, Engine
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message
from finetune_assets.serving.engines.patient import PatientEngine, Reply

GOOD = Reply(Completion("yes", finish="stop"))
LATE = Reply(Completion.failed("timeout"), passing=True)
BUSY = Reply(Completion.failed("rate_limited"), passing=True)
REFUSED = Reply(Completion.failed("refused"), detail="status 400: no such field")


class Time:
    """A clock and a sleep that moves it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Script:
    """Replies by turn; each try takes `takes_s`."""

    def __init__(self, time: Time, replies: Callable[[str, int], Reply], *, takes_s: float = 0.0) -> None:
        self.time = time
        self.replies = replies
        self.takes_s = takes_s
        self.timeouts: list[float] = []
        self.tries: dict[str, int] = {}
        self.identity = {"engine": "script"}

    def ask(self, messages: Sequence[Message], *, timeout_s: float) -> Reply:
        text = messages[-1]["content"]
        self.tries[text] = self.tries.get(text, -1) + 1
        self.timeouts.append(timeout_s)
        self.time.now += min(self.takes_s, timeout_s)
        return self.replies(text, self.tries[text])

    def close(self) -> None:
        pass


def config(**changes: Any) -> EndpointConfig:
    facts = {"base_url": "http://localhost:1/v1", "model": "m", "concurrency": 1, "retries": 3, "backoff_s": 1.0}
    return EndpointConfig(**(facts | changes))


def asked(
    replies: Callable[[str, int], Reply], *texts: str, takes_s: float = 0.0, **changes: Any
) -> tuple[list[Completion], Time, Script]:
    time = Time()
    script = Script(time, replies, takes_s=takes_s)
    engine: Engine = PatientEngine(script, config(**changes), clock=lambda: time.now, sleep=time.sleep)
    return engine.complete([[{"role": "user", "content": text}] for text in texts or ("q",)]), time, script


def problems(completions: Sequence[Completion]) -> list[str]:
    return [item.problem for item in completions]


def test_what_passes_is_waited_out_longer_each_time() -> None:
    (answer,), time, script = asked(lambda _, turn: GOOD if turn == 3 else LATE)
    assert (answer.text, answer.ok, answer.finish) == ("yes", True, "stop")
    assert answer.latency_s == pytest.approx(sum(time.slept))
    for turn, slept in enumerate(time.slept):
        assert 2.0**turn <= slept <= 1.5 * 2.0**turn
    assert asked(lambda _, turn: GOOD if turn == 3 else LATE)[1].slept == time.slept
    assert script.tries == {"q": 3}


def test_the_endpoints_wish_counts_within_bounds() -> None:
    waits = [Reply(Completion.failed("rate_limited"), passing=True, wait_s=wish) for wish in (7.0, 500.0)]
    _, time, _ = asked(lambda _, turn: [*waits, GOOD][turn], longest_wait_s=20.0)
    assert time.slept == [7.0, 20.0]


@pytest.mark.parametrize("problem", ["timeout", "provider_error", "rate_limited", "unreachable"])
def test_when_all_tries_are_spent_the_last_problem_stays(problem: str) -> None:
    answers, _, script = asked(lambda *_: Reply(Completion.failed(problem), passing=True), retries=2)
    assert problems(answers) == [problem]
    assert script.tries == {"q": 2}


def test_a_refusal_is_not_asked_again_and_disturbs_nobody() -> None:
    answers, time, script = asked(lambda text, _: REFUSED if text == "b" else GOOD, "a", "b", "c")
    assert problems(answers) == ["", "refused", ""]
    assert (time.slept, script.tries) == ([], {"a": 0, "b": 0, "c": 0})


def test_a_question_has_its_own_deadline() -> None:
    answers, time, script = asked(lambda *_: LATE, "a", "b", takes_s=60.0, question_deadline_s=100.0, timeout_s=60.0)
    assert problems(answers) == ["deadline", "deadline"]
    assert "deadline" not in NOT_FINAL
    assert script.timeouts[0] == 60.0
    assert script.timeouts[1] < 40.0  # what was left of it
    assert time.now - 100.0 <= 200.0
    busy, *_ = asked(lambda *_: BUSY, takes_s=60.0, question_deadline_s=100.0)
    assert problems(busy) == ["rate_limited"]  # that it came to nothing says nothing of the model


def test_the_run_has_a_deadline_and_the_rest_may_be_asked_later() -> None:
    answers, time, script = asked(lambda *_: GOOD, *"abcde", takes_s=10.0, run_deadline_s=25.0)
    assert problems(answers) == ["", "", "", "run_deadline", "run_deadline"]
    assert "run_deadline" in NOT_FINAL
    assert script.timeouts[2] == 5.0
    assert time.now == 125.0


def test_a_try_that_the_runs_end_cut_short_is_no_late_answer() -> None:
    answers, *_ = asked(lambda *_: LATE, takes_s=60.0, run_deadline_s=5.0, retries=0)
    assert problems(answers) == ["run_deadline"]
    answers, *_ = asked(lambda *_: LATE, takes_s=60.0, run_deadline_s=5.0, retries=2)
    assert problems(answers) == ["run_deadline"]


def test_the_runs_deadline_holds_over_batches() -> None:
    time = Time()
    script = Script(time, lambda *_: GOOD, takes_s=10.0)
    engine = PatientEngine(script, config(run_deadline_s=25.0), clock=lambda: time.now, sleep=time.sleep)
    batch: list[list[Message]] = [[{"role": "user", "content": "q"}]] * 2
    assert problems(engine.complete(batch) + engine.complete(batch)) == ["", "", "", "run_deadline"]


def test_an_endpoint_that_takes_no_question_is_one_line() -> None:
    with pytest.raises(FinetuneError, match="refuses every question") as caught:
        asked(lambda *_: REFUSED, "a", "b")
    assert "no such field" in str(caught.value)
    answers, *_ = asked(lambda *_: REFUSED, "a")
    assert problems(answers) == ["refused"]  # one question may well be the question's fault


def test_as_many_are_under_way_as_may_be() -> None:
    together = threading.Barrier(4, timeout=10)

    def reply(_text: str, _turn: int) -> Reply:
        together.wait()
        return GOOD

    answers, *_ = asked(reply, *"abcdefgh", concurrency=4)
    assert problems(answers) == [""] * 8


def test_an_error_for_all_wakes_those_who_wait() -> None:
    waiting = threading.Event()

    def reply(text: str, _turn: int) -> Reply:
        if text == "a":
            waiting.wait(10)
            raise FinetuneError("the endpoint refuses")
        waiting.set()
        return BUSY

    time = Time()
    # The engine's own sleep: an hour that the error must cut short.
    engine = PatientEngine(
        Script(time, reply), config(concurrency=2, backoff_s=60.0, longest_wait_s=3600.0, question_deadline_s=9000.0)
    )
    with pytest.raises(FinetuneError, match="refuses"):
        engine.complete([[{"role": "user", "content": text}] for text in "ab"])


def test_a_closed_engine_interrupts() -> None:
    time = Time()
    holder: list[PatientEngine] = []

    def reply(_text: str, _turn: int) -> Reply:
        holder[0].close()
        return BUSY

    holder.append(PatientEngine(Script(time, reply), config(), clock=lambda: time.now, sleep=time.sleep))
    answers = holder[0].complete([[{"role": "user", "content": "q"}]] * 2)
    assert problems(answers) == ["interrupted"] * 2
    assert holder[0].complete([]) == []
