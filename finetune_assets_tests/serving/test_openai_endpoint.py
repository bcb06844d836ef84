"""Any OpenAI-compatible endpoint, over a real wire on the loopback."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.evaluation.engine import Completion
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message
from finetune_assets.serving.engines.endpoints import endpoint_engine
from finetune_assets.serving.engines.patient import PatientEngine
from finetune_assets_tests.datasets.generation.server import Reply, serving

ASKED: list[Message] = [{"role": "system", "content": "Sort."}, {"role": "user", "content": "A ball \ud83c"}]


def config(url: str, **changes: Any) -> EndpointConfig:
    return EndpointConfig(**({"base_url": url, "model": "m", "retries": 0, "backoff_s": 0.0} | changes))


def ask(url: str, environment: dict[str, str] | None = None, **changes: Any) -> Completion:
    engine = endpoint_engine(config(url, **changes), environment or {})
    try:
        (answer,) = engine.complete([ASKED])
    finally:
        engine.close()
    return answer


def body(text: Any = "yes", finish: Any = "stop", **more: Any) -> Reply:
    choice = {"message": {"role": "assistant", "content": text, **more}, "finish_reason": finish}
    usage = {"prompt_tokens": 11, "completion_tokens": 4}
    return Reply(body=json.dumps({"choices": [choice], "usage": usage}).encode())


def error(status: int, text: str = "", **headers: str) -> Reply:
    return Reply(status=status, body=json.dumps({"error": {"message": text}}).encode(), headers=headers)


def test_the_question_goes_out_whole_and_the_answer_comes_back_with_its_facts() -> None:
    with serving(lambda *_: body()) as server:
        answer = ask(server.url, {"MY_KEY": "secret-key"}, key_env="MY_KEY", seed=5, max_tokens=9, stop=("END",))
    assert answer.latency_s > 0
    assert answer == Completion("yes", True, "", answer.latency_s, 11, 4, "stop")
    (asked,) = server.asked
    assert asked == {
        "model": "m",
        "messages": ASKED,
        "temperature": 0.0,
        "seed": 5,
        "max_tokens": 9,
        "stop": ["END"],
        "path": "/v1/chat/completions",
    }
    assert server.keys == ["Bearer secret-key"]


def test_what_an_endpoint_does_not_know_is_left_out() -> None:
    with serving(lambda *_: body(finish="length")) as server:
        answer = ask(server.url, seed=None, max_tokens_field="max_completion_tokens")
    assert answer.finish == "length"
    assert set(server.asked[0]) == {"model", "messages", "temperature", "max_completion_tokens", "path"}
    assert server.keys == [""]


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (error(429), "rate_limited"),
        (error(500), "provider_error"),
        (error(503), "provider_error"),
        (error(408), "timeout"),
        (error(413), "prompt_too_long"),
        (error(400, "This model's maximum context length is 8192 tokens"), "prompt_too_long"),
        (error(400, "blocked by content_filter"), "filtered"),
        (error(422, "bad field"), "refused"),
        (body("", "content_filter"), "filtered"),
        (body(None, "stop", refusal="I cannot"), "filtered"),
        (body({"a": 1}), "bad_answer"),
        (Reply(body=b"<html>"), "bad_answer"),
        (Reply(body=b"[" * 100_000), "bad_answer"),
        (Reply(body=b'{"choices": []}'), "bad_answer"),
        (Reply(body=b'{"choices": [null]}'), "bad_answer"),
        (Reply(body=b'{"choices": [{"message": []}]}'), "bad_answer"),
        (Reply(body=b"x" * 5_000_000), "answer_too_large"),
    ],
)
def test_every_failure_has_its_code(reply: Reply, problem: str) -> None:
    with serving(lambda *_: reply) as server:
        answer = ask(server.url)
    assert (answer.ok, answer.problem, answer.text) == (False, problem, "")


def test_a_null_answer_is_an_empty_one_and_odd_facts_are_unknown() -> None:
    with serving(lambda *_: body(None, "length")) as server:
        assert ask(server.url).finish == "length"
    odd = {"choices": [{"message": {"content": "x"}, "finish_reason": ["?"]}], "usage": {"prompt_tokens": "many"}}
    with serving(lambda *_: Reply(body=json.dumps(odd).encode())) as server:
        answer = ask(server.url)
    assert (answer.text, answer.finish, answer.prompt_tokens, answer.completion_tokens) == ("x", "", 0, 0)


def test_a_passing_failure_is_asked_again_when_the_endpoint_says_so() -> None:
    waits: list[float] = []
    with serving(lambda _, number: body() if number else error(429, **{"Retry-After": "3"})) as server:
        settings = config(server.url, retries=1)
        asker = endpoint_engine(settings, {})._asker
        (answer,) = PatientEngine(asker, settings, sleep=waits.append).complete([ASKED])
    assert (answer.text, waits) == ("yes", [3.0])


@pytest.mark.parametrize("status", [301, 302, 307, 308, 401, 403, 404])
def test_what_concerns_every_question_is_one_line_without_the_key(status: int) -> None:
    elsewhere: list[int] = []
    with serving(lambda *_: elsewhere.append(1) or body()) as other:
        reply = error(status, "the key secret-key is unknown", Location=other.url + "/chat/completions")
        with serving(lambda *_: reply) as server, pytest.raises(FinetuneError, match="refuses") as caught:
            ask(server.url, {"MY_KEY": "secret-key"}, key_env="MY_KEY", retries=3)
        assert len(server.asked) == 1
    assert elsewhere == []  # a redirect is not followed, least of all with the key
    assert "secret-key" not in str(caught.value)
    assert "MY_KEY" in str(caught.value)


def test_the_identity_names_model_place_and_decoding_but_no_key() -> None:
    first = endpoint_engine(config("https://h.example/v1/", key_env="K"), {"K": "secret-key"}).identity
    assert first["place"] == "h.example/v1"
    assert "secret-key" not in str(first)
    assert endpoint_engine(config("https://h.example/v1", retries=9, timeout_s=1.0), {}).identity == first
    for change in ({"model": "n"}, {"max_tokens": 5}, {"seed": 1}, {"stop": ("x",)}, {"temperature": 0.5}):
        assert endpoint_engine(config("https://h.example/v1", **change), {}).identity != first
    assert endpoint_engine(config("https://g.example/v1"), {}).identity != first


def test_a_missing_key_is_named() -> None:
    for environment in ({}, {"K": " "}):
        with pytest.raises(FinetuneError, match="key of an endpoint is missing") as caught:
            endpoint_engine(config("https://h.example/v1", key_env="K"), environment)
        assert "environment variable K" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base_url": ""}, "base_url is missing"),
        ({"base_url": "ftp://h/v1"}, "http or https"),
        ({"base_url": "https://me:word@h/v1"}, "no user"),
        ({"base_url": "https://h/v1?key=3"}, "no user"),
        ({"base_url": "http://h.example/v1", "key_env": "K"}, "must be https"),
        ({"kind": "vertex", "base_url": ""}, "project and location"),
        ({"kind": "vertex", "project": "p", "location": "l", "base_url": "https://evil.example"}, "googleapis.com"),
        ({"kind": "vertex", "project": "p", "location": "l", "base_url": "https://xgoogleapis.com"}, "googleapis.com"),
        ({"kind": "vertex", "project": "p", "location": "l", "base_url": "http://localhost:1"}, "needs key_env"),
    ],
)
def test_unsafe_places_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        config("https://h.example/v1", **changes)


@contextmanager
def raw_server(answer: bytes, *, drip_s: float = 0.0, hang: bool = False) -> Iterator[str]:
    """Serve bytes as they are, perhaps one at a time, perhaps never the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def handle(connection: socket.socket) -> None:
        with connection:
            connection.recv(65_536)
            try:
                for byte in answer:
                    connection.sendall(bytes([byte]))
                    if over.wait(drip_s):
                        return
                if hang:
                    over.wait(30)
            except OSError:
                pass

    def accept() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        over.set()
        listener.close()


def test_silence_and_a_slow_drip_end_at_the_limit() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    for answer, drip_s in ((b"", 0.0), (head + b" " * 1000, 0.02)):
        with raw_server(answer, drip_s=drip_s, hang=True) as url:
            began = time.monotonic()
            assert ask(url, timeout_s=1.5).problem == "timeout"
            assert time.monotonic() - began < 8


def test_a_connection_that_dies_is_the_providers_and_none_is_nobodys() -> None:
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{") as url:
        assert ask(url).problem == "provider_error"
    with raw_server(b"") as url:
        assert ask(url).problem == "provider_error"
    with serving(lambda *_: body()) as server:
        pass
    assert ask(server.url).problem == "unreachable"


def test_a_packed_answer_is_not_unfolded() -> None:
    import gzip

    packed = gzip.compress(b" " * 50_000_000)
    with serving(lambda *_: Reply(body=packed, headers={"Content-Encoding": "gzip"})) as server:
        assert ask(server.url).problem == "bad_answer"
