"""A model of one's own at an endpoint of Vertex AI, asked over the loopback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.evaluation.engine import Completion
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message
from finetune_assets.serving.engines.endpoints import endpoint_engine
from finetune_assets.serving.engines.vertex_wire import completion_of, instance_of, one_prediction
from finetune_assets.storage.errors import StorageError
from finetune_assets_tests.datasets.generation.server import Reply, serving

NAME = "projects/p1/locations/us-central1/endpoints/router"
TOKEN = "secret-token"
ASKED: list[Message] = [{"role": "system", "content": "Sort."}, {"role": "user", "content": "A ball"}]


def config(url: str = "", **changes: Any) -> EndpointConfig:
    facts = {"kind": "vertex_endpoint", "base_url": url, "model": NAME, "project": "p1", "location": "us-central1"}
    more = {"key_env": "T"} if url else {}
    return EndpointConfig(**(facts | more | {"retries": 0, "backoff_s": 0.0} | changes))


def ask(url: str, **changes: Any) -> Completion:
    engine = endpoint_engine(config(url.removesuffix("/v1"), **changes), {"T": TOKEN})
    try:
        (answer,) = engine.complete([ASKED])
    finally:
        engine.close()
    return answer


def chat(text: str, finish: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {"choices": [choice], "usage": {"prompt_tokens": 11.0, "completion_tokens": 4}}


def body(predictions: Any, **more: Any) -> Reply:
    return Reply(body=json.dumps({"predictions": predictions, "deployedModelId": "123", **more}).encode())


def error(code: int, message: str = "", **headers: str) -> Reply:
    content = json.dumps({"error": {"code": code, "message": message}}).encode()
    return Reply(status=code, body=content, headers=headers | {"Content-Type": "application/json"})


def test_the_question_goes_out_as_chat_turns() -> None:
    with serving(lambda *_: body(chat("red"))) as server:
        answer = ask(server.url, max_tokens=9, stop=("END",))
    assert answer == Completion("red", True, "", answer.latency_s, 11, 4, "stop", "123")
    (asked,) = server.asked
    assert asked["path"] == f"/v1/{NAME}:predict"
    assert asked["instances"] == [
        {
            "@requestFormat": "chatCompletions",
            "messages": ASKED,
            "max_tokens": 9,
            "temperature": 0.0,
            "seed": 0,
            "stop": ["END"],
        }
    ]
    assert server.keys == [f"Bearer {TOKEN}"]


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (error(429), "rate_limited"),
        (error(500), "provider_error"),
        (error(503), "provider_error"),
        (error(504), "timeout"),
        (error(400, "This model's maximum context length is 4096 tokens"), "prompt_too_long"),
        (error(400, "Unsupported field"), "refused"),
        (body([]), "bad_answer"),
        (body(["a", "b"]), "bad_answer"),
        (body({"id": "1"}), "bad_answer"),
        (Reply(body=b"<html>"), "bad_answer"),
        (Reply(body=b"[]"), "bad_answer"),
    ],
)
def test_every_failure_has_its_code(reply: Reply, problem: str) -> None:
    with serving(lambda *_: reply) as server:
        answer = ask(server.url)
        assert len(server.asked) == 1
    assert (answer.ok, answer.problem, answer.text) == (False, problem, "")


def test_a_passing_failure_is_waited_out() -> None:
    with serving(lambda _, number: body(["x"]) if number else error(503)) as server:
        assert ask(server.url, retries=1).text == "x"


def test_silence_ends_at_the_limit_and_no_server_is_nobodys_fault() -> None:
    import threading

    go = threading.Event()
    with serving(lambda *_: (go.wait(10), body(["x"]))[1]) as server:
        assert ask(server.url, timeout_s=0.5).problem == "timeout"
        go.set()
    assert ask(server.url).problem == "unreachable"


@pytest.mark.parametrize("code", [301, 307, 401, 403, 404])
def test_what_concerns_every_question_is_one_line_without_the_token(code: int) -> None:
    elsewhere: list[int] = []
    with serving(lambda *_: elsewhere.append(1) or body(["x"])) as other:
        reply = error(code, f"token {TOKEN} is unknown", Location=other.url)
        with serving(lambda *_: reply) as server, pytest.raises(FinetuneError) as caught:
            ask(server.url, retries=2)
    assert elsewhere == []
    assert TOKEN not in str(caught.value)


def test_answers_are_read_in_every_form() -> None:
    assert completion_of("Prompt:\nx\nOutput:\nred").text == "red"
    assert completion_of("red").text == "red"
    assert completion_of(chat("red", "length")).finish == "length"
    assert completion_of({"choices": [{"text": "red"}]}).text == "red"
    assert completion_of({"error": "maximum context length"}).problem == "prompt_too_long"
    assert completion_of({"choices": [{"message": {"content": 3}}]}).problem == "bad_answer"
    assert one_prediction({"predictions": [1]}) == 1
    assert one_prediction([]) is None


def test_a_prompt_of_ones_own_leaves_the_start_token_to_the_container() -> None:
    template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"
    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    found = instance_of(
        ASKED, config("http://127.0.0.1:1"), form="prompt", chat_template=template, special_tokens=tokens
    )
    assert found["prompt"] == "Sort.</s>A ball</s>"
    hard = instance_of(
        ASKED, config("http://127.0.0.1:1"), form="prompt", chat_template=f"<s>{template}", special_tokens=tokens
    )
    assert hard["prompt"] == found["prompt"]


def test_only_googles_hosts_and_this_machine_are_asked() -> None:
    assert config("https://1.us-central1-2.prediction.vertexai.goog").place.endswith("vertexai.goog")
    for wrong in ("https://evil.example", "http://x.googleapis.com", "https://prediction.vertexai.goog.evil.example"):
        with pytest.raises(ValidationError, match=r"googleapis\.com"):
            config(wrong, key_env="")
    with pytest.raises(ValidationError, match="vertex_endpoint needs project"):
        config("", project="")


@pytest.mark.parametrize("kind", ["vertex", "vertex_endpoint"])
def test_a_stand_in_is_asked_when_it_is_allowed_and_stays_out_of_the_identity(kind: str, tmp_path: Path) -> None:
    reply = body(["x"], candidates=[{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}])
    with serving(lambda *_: reply) as server:
        environ = {"FINETUNE_VERTEX_ENDPOINT": server.url.removesuffix("/v1"), "FINETUNE_ALLOW_EMULATOR": "1"}
        engine = endpoint_engine(config(kind=kind), environ)
        assert engine.complete([ASKED])[0].text == "x"
        assert engine.identity["place"] == "us-central1-aiplatform.googleapis.com"
        engine.close()
        assert server.keys == ["Bearer stand-in"]
        with pytest.raises(StorageError, match="not allowed"):
            endpoint_engine(config(kind=kind), environ | {"FINETUNE_ALLOW_EMULATOR": ""})
