"""Gemini on Vertex AI: the real google-genai client against a server on the loopback."""

from __future__ import annotations

import json
from typing import Any

import pytest

from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.evaluation.engine import Completion
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message
from finetune_assets.serving.engines.endpoints import endpoint_engine
from finetune_assets_tests.datasets.generation.server import Reply, serving

ASKED: list[Message] = [
    {"role": "system", "content": "Sort."},
    {"role": "user", "content": "A ball"},
    {"role": "assistant", "content": "Which?"},
    {"role": "user", "content": "Red"},
]
TOKEN = "secret-token"


def config(url: str, **changes: Any) -> EndpointConfig:
    facts = {"kind": "vertex", "base_url": url, "model": "gemini-2.5-flash", "project": "p1", "location": "us-central1"}
    return EndpointConfig(**(facts | {"key_env": "T", "retries": 0, "backoff_s": 0.0} | changes))


def ask(url: str, **changes: Any) -> Completion:
    engine = endpoint_engine(config(url.removesuffix("/v1"), **changes), {"T": TOKEN})
    try:
        (answer,) = engine.complete([ASKED])
    finally:
        engine.close()
    return answer


def body(*parts: dict[str, Any], finish: str = "STOP", **more: Any) -> Reply:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish}
    usage = {"promptTokenCount": 11, "candidatesTokenCount": 4, "thoughtsTokenCount": 2}
    return Reply(body=json.dumps({"candidates": [candidate], "usageMetadata": usage, **more}).encode())


def error(code: int, status: str, message: str = "", **headers: str) -> Reply:
    return Reply(
        status=code,
        body=json.dumps({"error": {"code": code, "status": status, "message": message}}).encode(),
        headers=headers | {"Content-Type": "application/json"},
    )


def test_the_question_goes_out_as_gemini_wants_it() -> None:
    with serving(lambda *_: body({"text": "thinking", "thought": True}, {"text": "ye"}, {"text": "s"})) as server:
        answer = ask(server.url, max_tokens=9, stop=("END",), thinking_budget=0)
    assert answer == Completion("yes", True, "", answer.latency_s, 11, 6, "stop")
    (asked,) = server.asked
    assert asked["path"] == (
        "/v1beta1/projects/p1/locations/us-central1/publishers/google/models/gemini-2.5-flash:generateContent"
    )
    assert [turn["role"] for turn in asked["contents"]] == ["user", "model", "user"]
    assert asked["systemInstruction"]["parts"] == [{"text": "Sort."}]
    settings = asked["generationConfig"]
    assert settings == {
        "temperature": 0.0,
        "seed": 0,
        "maxOutputTokens": 9,
        "stopSequences": ["END"],
        "candidateCount": 1,
        "thinkingConfig": {"thinking_budget": 0},
    } or settings["thinkingConfig"] == {"thinkingBudget": 0}
    assert server.keys == [f"Bearer {TOKEN}"]


def test_a_tuned_endpoint_is_asked_by_its_name() -> None:
    name = "projects/p1/locations/us-central1/endpoints/123"
    with serving(lambda *_: body({"text": "x"}, finish="MAX_TOKENS")) as server:
        assert ask(server.url, model=name).finish == "length"
    assert server.asked[0]["path"] == f"/v1beta1/{name}:generateContent"


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (error(429, "RESOURCE_EXHAUSTED"), "rate_limited"),
        (error(500, "INTERNAL"), "provider_error"),
        (error(503, "UNAVAILABLE"), "provider_error"),
        (error(504, "DEADLINE_EXCEEDED"), "timeout"),
        (error(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum"), "prompt_too_long"),
        (error(400, "INVALID_ARGUMENT", "Unsupported field"), "refused"),
        (body(finish="SAFETY"), "filtered"),
        (Reply(body=json.dumps({"promptFeedback": {"blockReason": "SAFETY"}}).encode()), "filtered"),
        (Reply(body=b"{}"), "bad_answer"),
        (Reply(body=b"<html>"), "bad_answer"),
        (Reply(body=b'{"candidates": [{"content": 3}]}'), "bad_answer"),
    ],
)
def test_every_failure_has_its_code(reply: Reply, problem: str) -> None:
    with serving(lambda *_: reply) as server:
        answer = ask(server.url)
        assert len(server.asked) == 1  # the client's own retries stay off
    assert (answer.ok, answer.problem, answer.text) == (False, problem, "")


def test_a_passing_failure_is_waited_out() -> None:
    with serving(lambda _, number: body({"text": "x"}) if number else error(503, "UNAVAILABLE")) as server:
        assert ask(server.url, retries=1).text == "x"
        assert len(server.asked) == 2


def test_silence_ends_at_the_limit_and_no_server_is_nobodys_fault() -> None:
    import threading

    go = threading.Event()
    with serving(lambda *_: (go.wait(10), body({"text": "x"}))[1]) as server:
        assert ask(server.url, timeout_s=0.5).problem == "timeout"
        go.set()
    assert ask(server.url).problem == "unreachable"


@pytest.mark.parametrize("code", [301, 307, 401, 403, 404])
def test_what_concerns_every_question_is_one_line_without_the_token(code: int) -> None:
    elsewhere: list[int] = []
    with serving(lambda *_: elsewhere.append(1) or body({"text": "x"})) as other:
        reply = error(code, "PERMISSION_DENIED", f"token {TOKEN} is unknown", Location=other.url)
        with serving(lambda *_: reply) as server, pytest.raises(FinetuneError) as caught:
            ask(server.url, retries=2)
    assert elsewhere == []
    assert TOKEN not in str(caught.value)


def test_the_identity_holds_no_token() -> None:
    identity = endpoint_engine(config("http://127.0.0.1:1"), {"T": TOKEN}).identity
    assert (identity["engine"], identity["model"], identity["project"]) == ("vertex", "gemini-2.5-flash", "p1")
    assert TOKEN not in str(identity)
