"""Batch prediction as an engine: one job for the same questions, answers by key, nothing left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from finetune_assets.datasets.render import CHATML
from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.evaluation.engine import NOT_FINAL
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message
from finetune_assets.serving.cloud import batch_engine
from finetune_assets.serving.cloud.batch_engine import BatchEngine
from finetune_assets.serving.cloud.batch_files import ContainerLines, GeminiLines, question_key, read_answers
from finetune_assets.serving.cloud.batch_jobs import SUCCEEDED
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.errors import JobFailedError, MissingError
from finetune_assets_tests.fakes.fixtures import ThreadedGcs
from finetune_assets_tests.fakes.vertex import Vertex
from finetune_assets_tests.serving.cloud.conftest import QUICK, Killed
from finetune_assets_tests.serving.cloud.test_model_registry import register


def asked(text: str) -> list[Message]:
    return [{"role": "system", "content": "Answer."}, {"role": "user", "content": text}]


QUESTIONS = [asked(f"question {number} is {word}") for number, word in enumerate(("red", "blue", "green", "blue"))]


def gemini(clients: CloudClients, **more: Any) -> BatchEngine:
    config = EndpointConfig(kind="vertex", model="gemini-2.5-flash", project="p1", location="us-central1")
    return BatchEngine(clients, config, **({"folder": "gs://bkt/batch", "patience": QUICK} | more))


def own(clients: CloudClients, **more: Any) -> BatchEngine:
    config = EndpointConfig(kind="vertex_endpoint", model=register(clients).name, project="p1", location="us-central1")
    facts: dict[str, Any] = {"folder": "gs://bkt/batch", "patience": QUICK, "chat_template": CHATML}
    return BatchEngine(clients, config, **(facts | more))


@pytest.mark.parametrize("make", [gemini, own])
def test_all_questions_are_one_job_and_answers_find_their_questions(
    vertex: Vertex, clients: CloudClients, make: Any
) -> None:
    engine = make(clients)
    answers = engine.complete(QUESTIONS)
    assert [answer.ok for answer in answers] == [True] * 4
    assert len(vertex.jobs()) == 1
    # The stand-in writes its answers backwards, and answers each question with one of its words.
    alone = [make(clients).complete([question])[0].text for question in QUESTIONS]
    assert [answer.text for answer in answers] == alone
    assert len({answer.text for answer in answers}) > 1


def test_equal_questions_are_asked_once(vertex: Vertex, clients: CloudClients, gcs: ThreadedGcs) -> None:
    answers = gemini(clients).complete([QUESTIONS[0], QUESTIONS[1], QUESTIONS[0]])
    assert answers[0] == answers[2]
    (blob,) = gcs.client().list_blobs("bkt", prefix="batch/questions/")
    assert len(blob.download_as_bytes().splitlines()) == 2


def test_the_same_questions_again_cost_nothing(vertex: Vertex, clients: CloudClients) -> None:
    first = gemini(clients).complete(QUESTIONS)
    assert gemini(clients).complete(QUESTIONS) == first
    assert gemini(clients).complete(QUESTIONS[::-1]) == first[::-1]
    assert len(vertex.jobs()) == 1


@pytest.mark.parametrize("make", [gemini, own])
@pytest.mark.parametrize(
    "fault",
    [
        {"cut": "after_commit"},
        {"status": 503, "when": "after_commit"},
        {"status": 500},
        {"status": 504, "when": "after_commit"},
        {"status": 429},
    ],
)
def test_a_lost_answer_makes_no_second_job(
    vertex: Vertex, clients: CloudClients, make: Any, fault: dict[str, Any]
) -> None:
    vertex.faults([{"match": "POST .*batchPredictionJobs", "times": 1, **fault}])
    assert all(answer.ok for answer in make(clients).complete(QUESTIONS))
    assert vertex.fault_hits() == [1]
    assert len(vertex.jobs()) == 1


@pytest.mark.parametrize("make", [gemini, own])
def test_a_job_that_shows_late_is_the_one_that_stays(vertex: Vertex, clients: CloudClients, make: Any) -> None:
    from dataclasses import replace

    engine = make(clients, patience=replace(QUICK, visibility_s=0.5))
    vertex.settings(list_visibility_delay_s=0.8)
    vertex.faults([{"match": "POST .*batchPredictionJobs", "times": 1, "cut": "after_commit"}])
    vertex.speed(10.0)
    engine._on_job = lambda _: vertex.speed(2000.0)
    assert all(answer.ok for answer in engine.complete(QUESTIONS))
    states = [job["state"] for job in vertex.jobs()]
    assert states[0] == "JOB_STATE_SUCCEEDED"
    assert states[1:] in ([], ["JOB_STATE_CANCELLED"])


def test_a_list_that_takes_no_filter_is_searched(vertex: Vertex, clients: CloudClients) -> None:
    vertex.settings(list_filter=False)
    gemini(clients).complete(QUESTIONS)
    gemini(clients).complete(QUESTIONS)
    assert len(vertex.jobs()) == 1


def test_a_killed_run_finds_its_job(vertex: Vertex, clients: CloudClients) -> None:
    def die(_: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        gemini(clients, on_job=die).complete(QUESTIONS)
    assert all(answer.ok for answer in gemini(clients).complete(QUESTIONS))
    assert len(vertex.jobs()) == 1


def test_looking_survives_a_storm(vertex: Vertex, clients: CloudClients) -> None:
    vertex.faults(
        [{"match": "GET .*batchPredictionJobs", "status": code, "times": 2} for code in (429, 500, 503, 504)]
        + [{"match": "GET .*batchPredictionJobs", "cut": "before", "times": 2}]
    )
    assert all(answer.ok for answer in gemini(clients).complete(QUESTIONS))


def test_a_failed_job_says_why_and_the_next_run_submits_another(vertex: Vertex, clients: CloudClients) -> None:
    for number in range(1, 4):
        vertex.plan({"kind": "batch", "fail": {"code": 13, "message": "machines broke", "at": "processing"}})
        with pytest.raises(JobFailedError, match="machines broke"):
            gemini(clients).complete(QUESTIONS)
        assert len(vertex.jobs()) == number
    with pytest.raises(JobFailedError, match="again and again"):
        gemini(clients).complete(QUESTIONS)
    assert len(vertex.jobs()) == 3


def test_a_row_that_is_refused_disturbs_no_other(vertex: Vertex, clients: CloudClients) -> None:
    empty: list[Message] = [{"role": "system", "content": "only a system turn"}]
    answers = gemini(clients).complete([QUESTIONS[0], empty, QUESTIONS[1]])
    assert [(answer.ok, answer.problem) for answer in answers] == [(True, ""), (False, "refused"), (True, "")]


def test_rows_that_are_missing_are_failed_answers(vertex: Vertex, clients: CloudClients, gcs: ThreadedGcs) -> None:
    gemini(clients).complete(QUESTIONS)
    bucket = gcs.client().bucket("bkt")
    (found,) = [blob for blob in bucket.list_blobs(prefix="batch/answers/")]
    lines = found.download_as_bytes().splitlines()
    kept, torn = lines[:2], lines[2][:20]
    found.upload_from_string(b"\n".join([*kept, torn, b"[1]", b"not json"]))
    answers = gemini(clients).complete(QUESTIONS)
    assert sorted((answer.ok, answer.problem) for answer in answers) == [
        (False, "missing_row"),
        (False, "missing_row"),
        (True, ""),
        (True, ""),
    ]
    assert "missing_row" not in NOT_FINAL


def test_a_model_that_is_not_there_is_said(clients: CloudClients) -> None:
    config = EndpointConfig(
        kind="vertex", model="projects/p1/locations/us-central1/models/9", project="p1", location="x"
    )
    with pytest.raises(MissingError):
        BatchEngine(clients, config, folder="gs://bkt/batch", patience=QUICK).complete(QUESTIONS)


def test_weights_of_ones_own_need_their_template(clients: CloudClients) -> None:
    with pytest.raises(FinetuneError, match="chat template"):
        own(clients, chat_template="")


def test_a_job_can_be_cancelled(vertex: Vertex, clients: CloudClients) -> None:
    engine = gemini(clients, on_job=lambda _: engine.cancel())
    vertex.speed(20.0)
    with pytest.raises(JobFailedError, match="CANCELLED"):
        engine.complete(QUESTIONS)
    engine.close()
    engine.cancel()  # an ended job is fine
    assert vertex.jobs()[0]["state"] not in SUCCEEDED


def test_a_job_whose_name_was_never_told_is_cancelled_too(vertex: Vertex, clients: CloudClients) -> None:
    class Slow(BaseException):
        pass

    vertex.speed(20.0)
    engine = gemini(clients)
    submit = batch_engine.submit

    def dies(*arguments: Any) -> Any:
        submit(*arguments)
        raise Slow

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_engine, "submit", dies)
        with pytest.raises(Slow):
            engine.complete(QUESTIONS)
    engine.cancel()
    (job,) = vertex.jobs()
    assert job["state"] in ("JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED")
    gemini(clients).cancel()  # whoever asked nothing has nothing to cancel


def test_the_engine_goes_with_collect_answers(vertex: Vertex, clients: CloudClients, tmp_path: Path) -> None:
    from finetune_assets.evaluation.answers import collect_answers
    from finetune_assets_tests.evaluation.rows import READER, example

    rows = [example(number) for number in range(70)]
    answers = collect_answers(gemini(clients), rows, READER, batch_size=None, store=tmp_path / "a.parquet")
    assert len(answers) == 70
    assert len(vertex.jobs()) == 1


# -- the files alone


def config(**changes: Any) -> EndpointConfig:
    facts: dict[str, Any] = {"kind": "vertex", "model": "m", "project": "p", "location": "l"}
    return EndpointConfig(**(facts | changes))


def test_a_gemini_line_says_what_is_asked_online() -> None:
    turns = [*asked("a ball"), {"role": "assistant", "content": "which?"}, {"role": "user", "content": "red"}]
    line = GeminiLines(config(stop=("END",), thinking_budget=0)).line("k", turns)  # type: ignore[arg-type]
    request = line["request"]
    assert [turn["role"] for turn in request["contents"]] == ["user", "model", "user"]
    assert request["systemInstruction"] == {"parts": [{"text": "Answer."}]}
    assert request["labels"] == {"question": "k"}
    assert request["generationConfig"] == {
        "temperature": 0.0,
        "maxOutputTokens": 512,
        "seed": 0,
        "stopSequences": ["END"],
        "thinkingConfig": {"thinkingBudget": 0},
    }


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        ("Error: RESOURCE_EXHAUSTED", "rate_limited"),
        ("Bad Request: The input token count (9) exceeds the maximum", "prompt_too_long"),
        ("DEADLINE_EXCEEDED", "timeout"),
        ("Bad Request: whatever", "refused"),
        ("INTERNAL", "provider_error"),
    ],
)
def test_a_failed_row_has_its_code(status: str, problem: str) -> None:
    key = question_key(asked("x"))
    row = {"status": status, "request": {"labels": {"question": key}}, "response": {}}
    assert read_answers([json.dumps(row)], GeminiLines(config()))[key].problem == problem


def test_a_containers_row_is_found_by_key_or_by_its_prompt() -> None:
    lines = ContainerLines(config(), "{{ bos_token }}" + CHATML, {"bos_token": "<s>", "eos_token": "</s>"})
    line = lines.line("k1", asked("x"))
    assert line["prompt"].startswith("<|im_start|>system")  # the container writes the start token itself
    assert line["raw_response"] is True
    for row, text in (
        ({"key": "k1", "prediction": "a"}, "a"),
        ({"instance": {"prompt": line["prompt"]}, "prediction": ["b"]}, "b"),
        ({"instance": line, "prediction": f"Prompt:\n{line['prompt']}\nOutput:\nc"}, "c"),
        ({"key": "k1", "prediction": {"choices": [{"message": {"content": "d"}, "finish_reason": "stop"}]}}, "d"),
    ):
        assert read_answers([json.dumps(row)], lines)["k1"].text == text
    failed = {"instance": line, "error": {"code": 8, "message": "quota"}}
    assert read_answers([json.dumps(failed)], lines)["k1"].problem == "rate_limited"
    both = "\n".join([json.dumps(failed), json.dumps({"key": "k1", "prediction": "late"})])
    assert read_answers([both], lines)["k1"].text == "late"
