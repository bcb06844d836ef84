"""The gateway over real HTTP on loopback, with a real release of the tiny model unless a test needs a fake."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from finetune_assets.evaluation.engine import Completion
from finetune_assets.records.errors import FinetuneError
from finetune_assets.serving.engines.local import LocalEngine
from finetune_assets.serving.release import PointerReleases
from finetune_assets_tests.serving.conftest import TASK, TEXTS, open_workshop, serving, wait_ready, wait_until
from finetune_assets_tests.serving.fakes import FakeEngine, FakeSource, ref

PREDICT = f"/v1/tasks/{TASK}/predict"
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def live(tmp_path_factory, base, adapters, task_type):
    """A gateway that follows the pointer to a live release: (client, release, manifest)."""
    workshop = open_workshop(tmp_path_factory.mktemp("live"), base, task_type)
    reference, manifest = workshop.release(adapters[0])
    workshop.deploy(reference)
    with serving(PointerReleases(workshop.home), max_body_bytes=4096) as client:
        wait_ready(client)
        yield client, reference, manifest


@pytest.fixture
def faked(task_type):
    """Serve fake engines: faked(make, **settings) gives (client, source)."""
    stacks = []

    def start(make, *, wanted=None, **settings):
        source = FakeSource(task_type, make)
        source.wanted = wanted if wanted is not None else {TASK: ref(1)}
        stack = serving(source, **settings)
        stacks.append(stack)
        return stack.__enter__(), source

    yield start
    for stack in stacks:
        stack.__exit__(None, None, None)


def chat(text, **more):
    return {"model": TASK, "messages": [{"role": "user", "content": text}], **more}


def is_problem(response, status, code):
    body = response.json()
    assert response.status_code == status, body
    assert response.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"urn:finetune:{code}"
    assert body["status"] == status
    assert body["detail"]
    assert body["mend"]
    return body


def is_openai_error(response, status, code):
    body = response.json()
    assert response.status_code == status, body
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["code"] == code
    return body["error"]


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["fields", "text"])
def test_it_answers_what_the_report_saw(live, task_type, form):
    client, reference, manifest = live
    for probe in manifest.probes:
        body = {"fields": probe.fields} if form == "fields" else {"text": probe.fields["text"]}
        response = client.post(PREDICT, json=body)
        assert response.status_code == 200
        found = response.json()
        assert found.pop("latency_ms") > 0
        assert found.pop("request_id") == response.headers["x-request-id"]
        assert found == {
            "task": TASK,
            "release": {"version": reference.version, "candidate": reference.candidate},
            "answer": task_type.parse(probe.text).value,
            "label_path": list(probe.label_path),
            "valid": True,
        }


def test_many_clients_at_once_get_their_own_answers(live):
    client, _, manifest = live
    jobs = list(manifest.probes) * 20
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda probe: client.post(PREDICT, json={"fields": probe.fields}).json(), jobs))
    assert [tuple(item["label_path"]) for item in found] == [probe.label_path for probe in jobs]
    sizes = client.get("/metrics").text
    batches = float(sizes.split("finetune_batch_questions_count ")[1].split()[0])
    questions = float(sizes.split("finetune_batch_questions_sum ")[1].split()[0])
    assert questions >= len(jobs)
    assert batches < questions, "questions that come together are answered together"


def test_an_invalid_answer_is_said_to_be_one(faked):
    client, _ = faked(lambda _: FakeEngine("I would rather not."))
    wait_ready(client)
    found = client.post(PREDICT, json={"text": "x"}).json()
    assert (found["valid"], found["answer"], found["label_path"]) == (False, {}, [])


# --- refusals --------------------------------------------------------------------------------------------------------


def test_an_unknown_task_is_404_and_named(live):
    body = is_problem(live[0].post("/v1/tasks/weather/predict", json={"text": "x"}), 404, "unknown_task")
    assert "'weather'" in body["detail"]
    assert TASK in body["detail"]
    error = is_openai_error(live[0].post(CHAT, json={**chat("x"), "model": "weather"}), 404, "unknown_task")
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("fields", [{}, {"text": ""}, {"text": "   "}, {"text": None}, {"text": ["x"]}, {"note": "x"}])
def test_a_missing_field_is_422_and_named(live, fields):
    body = is_problem(live[0].post(PREDICT, json={"fields": fields}), 422, "unusable_input")
    assert "text" in body["field"]
    assert "send it under one of the names" in body["mend"]
    assert "Mend:" not in body["detail"]


@pytest.mark.parametrize("body", [{}, {"text": "x", "fields": {"text": "x"}}, {"text": None}])
def test_neither_or_both_of_fields_and_text_is_422(live, body):
    is_problem(live[0].post(PREDICT, json=body), 422, "unusable_input")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"text": 3}',
        b'{"fields": []}',
        b'{"texts": "x"}',
        b"\xff\xfe",
        b"[" * 3000,
    ],
)
def test_a_body_that_is_not_one_is_refused(live, body):
    response = live[0].post(PREDICT, content=body, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.json()["mend"]
    assert live[0].get("/healthz").status_code == 200


def test_half_a_character_is_422(live):
    body = b'{"text": "a \\ud800 b"}'
    headers = {"content-type": "application/json"}
    is_problem(live[0].post(PREDICT, content=body, headers=headers), 422, "unusable_input")
    response = live[0].post(CHAT, content=b'{"model": "\\ud800", "messages": [{"role": "user"}]}', headers=headers)
    assert response.status_code in (400, 404)


def test_a_text_longer_than_the_model_reads_is_422(live):
    body = is_problem(live[0].post(PREDICT, json={"text": "word " * 500}), 422, "prompt_too_long")
    assert "Shorten" in body["mend"]


@pytest.mark.parametrize("path", [PREDICT, CHAT, "/v1/tasks/weather/predict"])
def test_an_oversize_body_is_413(live, path):
    client = live[0]
    large = json.dumps({"text": "x" * 5000}).encode()

    def chunks():
        for start in range(0, len(large), 500):
            yield large[start : start + 500]

    for content in (large, chunks()):
        response = client.post(path, content=content, headers={"content-type": "application/json"})
        if path == CHAT:
            is_openai_error(response, 413, "body_too_large")
        else:
            assert "4,096" in is_problem(response, 413, "body_too_large")["detail"]
    assert client.post(PREDICT, json={"text": "x"}).status_code == 200


def test_a_body_that_does_not_arrive_is_408(faked):
    client, _ = faked(lambda _: FakeEngine("{}"), body_timeout_s=0.2)

    def slowly():
        yield b'{"text": '
        time.sleep(1.0)
        yield b'"x"}'

    try:
        response = client.post(PREDICT, content=slowly(), headers={"content-type": "application/json"})
    except httpx.TransportError:
        # The refusal closes the connection, which some clients notice while they still write.
        assert 'status="408"' in client.get("/metrics").text
    else:
        is_problem(response, 408, "body_too_slow")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v2", 404), ("GET", PREDICT, 405), ("PUT", CHAT, 405)])
def test_other_paths_and_methods_are_refused_in_the_same_shape(live, method, path, status):
    body = live[0].request(method, path).json()
    assert body.get("status", status) == status
    assert "mend" in body or body["error"]["message"]


def test_a_full_queue_is_429_and_says_when_to_come_back(faked):
    engine = FakeEngine("{}")
    client, _ = faked(lambda _: engine, max_batch=1, max_waiting=2)
    wait_ready(client)
    engine.go.clear()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client.post, PREDICT, json={"text": str(i)}) for i in range(8)]
        wait_until(lambda: sum(item.done() for item in asked) == 5)
        engine.go.set()
        responses = [item.result() for item in asked]
    assert sorted(item.status_code for item in responses) == [200] * 3 + [429] * 5
    refused = next(item for item in responses if item.status_code == 429)
    assert is_problem(refused, 429, "overloaded")
    assert refused.headers["retry-after"] == "1"
    engine.go.clear()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(client.post, CHAT, json=chat(str(i))) for i in range(4)]
        wait_until(lambda: any(item.done() for item in asked))
        engine.go.set()
        refused = next(item.result() for item in asked if item.result().status_code == 429)
    assert is_openai_error(refused, 429, "overloaded")["type"] == "rate_limit_error"


def test_an_answer_that_takes_too_long_is_504(faked):
    engine = FakeEngine("{}")
    client, _ = faked(lambda _: engine, timeout_s=0.1)
    wait_ready(client)
    engine.go.clear()
    is_problem(client.post(PREDICT, json={"text": "x"}), 504, "timeout")
    engine.go.set()
    assert client.post(PREDICT, json={"text": "x"}).status_code == 200


def test_a_model_that_fails_is_500_and_the_gateway_lives_on(faked):
    engine = FakeEngine("{}")
    client, _ = faked(lambda _: engine)
    wait_ready(client)
    engine.completion = Completion.failed("scores_not_finite")
    is_problem(client.post(PREDICT, json={"text": "x"}), 500, "scores_not_finite")
    engine.error = FinetuneError("model is gone", mend="roll back")
    assert is_problem(client.post(PREDICT, json={"text": "x"}), 500, "release_failed")["mend"] == "roll back"
    is_openai_error(client.post(CHAT, json=chat("x")), 500, "release_failed")
    engine.error = RuntimeError("a bug")
    is_problem(client.post(PREDICT, json={"text": "x"}), 500, "engine_failed")
    engine.error = engine.completion = None
    assert client.post(PREDICT, json={"text": "x"}).status_code == 200


# --- the OpenAI-compatible door --------------------------------------------------------------------------------------


def test_chat_completions_have_openais_shape(live, task_type):
    client, reference, manifest = live
    probe = manifest.probes[0]
    response = client.post(CHAT, json=chat(probe.fields["text"], temperature=0.7, max_tokens=1, user="u"))
    body = response.json()
    assert response.status_code == 200
    assert body["object"] == "chat.completion"
    assert body["model"] == TASK
    assert body["id"].startswith("chatcmpl-")
    assert abs(body["created"] - time.time()) < 60
    assert reference.candidate[:12] in body["system_fingerprint"]
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"] == probe.text


def test_the_model_reads_the_tasks_own_prompt_whatever_the_client_adds(live, task_type, workshop, adapters):
    client, _, _ = live
    text = TEXTS[1]
    plain = client.post(CHAT, json=chat(text)).json()
    engine = LocalEngine(workshop.base.path, adapters[0], task_type.choices(), live[2].chat_template)
    trained = engine.complete([task_type.input_messages({"text": text})])[0]
    assert plain["usage"] == {
        "prompt_tokens": trained.prompt_tokens,
        "completion_tokens": trained.completion_tokens,
        "total_tokens": trained.prompt_tokens + trained.completion_tokens,
    }
    history = [
        {"role": "system", "content": "You are a pirate."},
        {"role": "user", "content": "something else"},
        {"role": "assistant", "content": "Arr."},
        {"role": "user", "content": [{"type": "text", "text": text}]},
    ]
    with_history = client.post(CHAT, json={"model": TASK, "messages": history}).json()
    assert with_history["usage"] == plain["usage"]
    assert with_history["choices"] == plain["choices"]


def test_a_stream_is_a_series_of_chunks(live):
    client, _, manifest = live
    probe = manifest.probes[2]
    body = chat(probe.fields["text"], stream=True, stream_options={"include_usage": True})
    with client.stream("POST", CHAT, json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    deltas = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]]
    assert "".join(deltas) == probe.text
    assert chunks[1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[2]["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid_body"),
        ({"model": TASK, "messages": []}, 400, "invalid_body"),
        ({"model": TASK, "messages": [{"role": "system", "content": "x"}]}, 400, "missing_user_message"),
        ({"model": TASK, "messages": [{"role": "user", "content": None}]}, 400, "missing_user_message"),
        (chat([{"type": "image_url", "image_url": {"url": "x"}}]), 400, "unsupported_content"),
        (chat("x", n=2), 400, "unsupported_value"),
        (chat("  "), 422, "unusable_input"),
        (chat("word " * 500), 422, "prompt_too_long"),
    ],
)
def test_errors_have_openais_shape(live, body, status, code):
    error = is_openai_error(live[0].post(CHAT, json=body), status, code)
    assert error["type"] == "invalid_request_error"


def test_models_are_the_tasks(live):
    assert [item["id"] for item in live[0].get("/v1/models").json()["data"]] == [TASK]


# --- state -----------------------------------------------------------------------------------------------------------


def test_metrics_name_the_live_release_and_count_requests(live):
    client, reference, _ = live

    def counted(status):
        wanted = f'finetune_requests_total{{route="/v1/tasks/{{task}}/predict",status="{status}",task="{TASK}"}} '
        for line in client.get("/metrics").text.splitlines():
            if line.startswith(wanted):
                return float(line.removeprefix(wanted))
        return 0.0

    good, bad = counted(200), counted(422)
    client.post(PREDICT, json={"text": "x"})
    client.post(PREDICT, json={"fields": {}})
    assert (counted(200), counted(422)) == (good + 1, bad + 1)
    text = client.get("/metrics").text
    label = f'candidate="{reference.candidate}",task="{TASK}",version="{reference.version}"'
    assert f"finetune_live_release{{{label}}} 1.0" in text
    assert f'finetune_request_seconds_count{{route="/v1/tasks/{{task}}/predict",task="{TASK}"}}' in text
    for name in ("weather", "made-up"):
        client.post(f"/v1/tasks/{name}/predict", json={"text": "x"})
        client.get(f"/{name}")
        assert name not in client.get("/metrics").text


def test_it_is_not_ready_before_a_release_answers(faked):
    engine = FakeEngine("{}")
    engine.go.clear()
    client, source = faked(lambda _: engine, wanted={})
    wait_until(lambda: source.prepared)
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    source.wanted = {TASK: ref(1)}
    wait_until(lambda: TASK in client.get("/readyz").json()["tasks"])
    assert client.get("/readyz").status_code == 503
    response = client.post(PREDICT, json={"text": "x"})
    assert is_problem(response, 503, "loading")
    assert response.headers["retry-after"] == "1"
    is_openai_error(client.post(CHAT, json=chat("x")), 503, "loading")
    engine.go.set()
    wait_ready(client)
    assert client.post(PREDICT, json={"text": "x"}).status_code == 200


def test_a_worker_that_died_makes_the_gateway_unhealthy(faked):
    client, source = faked(lambda _: FakeEngine("{}"))
    wait_ready(client)
    source.problem = ZeroDivisionError("a bug in the source")
    wait_until(lambda: client.get("/healthz").status_code == 500)
    assert "follower" in client.get("/healthz").json()["status"]
    assert client.post(PREDICT, json={"text": "x"}).status_code == 200


# --- the pointer -----------------------------------------------------------------------------------------------------


def test_a_request_under_way_finishes_on_its_release(faked):
    engines = {1: FakeEngine("old"), 2: FakeEngine("new")}
    client, source = faked(lambda wanted: engines[wanted.version], max_batch=1)
    wait_ready(client)
    engines[1].go.clear()
    with ThreadPoolExecutor(2) as pool:
        before = pool.submit(client.post, CHAT, json=chat("asked of the old"))
        wait_until(lambda: ["Say: asked of the old"] in engines[1].batches)
        waiting = pool.submit(client.post, CHAT, json=chat("waiting for the old"))
        wait_until(lambda: "finetune_waiting_questions 1.0" in client.get("/metrics").text)
        source.wanted = {TASK: ref(2)}
        wait_until(lambda: len(source.loaded) == 2)
        engines[1].go.set()
        answers = [item.result().json()["choices"][0]["message"]["content"] for item in (before, waiting)]
    assert answers == ["old", "old"]
    wait_until(lambda: client.get("/readyz").json()["tasks"][TASK]["serving"]["version"] == 2)
    assert client.post(CHAT, json=chat("asked of the new")).json()["choices"][0]["message"]["content"] == "new"


@pytest.mark.slow
def test_the_pointer_moves_under_constant_load_without_a_failed_request(workshop, adapters):
    """Clients ask without pause while the pointer goes forth and back; each answer fits the release that it names."""
    first, first_manifest = workshop.release(adapters[0])
    second, second_manifest = workshop.release(adapters[1])
    recorded = {
        item.candidate: [probe.label_path for probe in item.probes] for item in (first_manifest, second_manifest)
    }
    assert recorded[first.candidate] != recorded[second.candidate]
    workshop.deploy(first)
    stop = threading.Event()
    failures: list[object] = []
    seen: list[tuple[float, str]] = []

    def ask_on(client, offset):
        position = offset
        while not stop.is_set():
            position = (position + 1) % len(TEXTS)
            response = client.post(PREDICT, json={"text": TEXTS[position]})
            body = response.json()
            if response.status_code != 200:
                failures.append((response.status_code, body))
                continue
            candidate = body["release"]["candidate"]
            seen.append((time.monotonic(), candidate))
            if tuple(body["label_path"]) != recorded[candidate][position]:
                failures.append((candidate, position, body["label_path"]))

    with serving(PointerReleases(workshop.home)) as client:
        wait_ready(client)
        clients = [threading.Thread(target=ask_on, args=(client, i)) for i in range(4)]
        for thread in clients:
            thread.start()
        try:
            for target in (second, first):  # a deploy, then its rollback
                wait_until(lambda: len(seen) > 20)
                workshop.deploy(target)
                wait_until(lambda target=target: seen[-1][1] == target.candidate)
                seen_before = len(seen)
                wait_until(lambda seen_before=seen_before: len(seen) > seen_before + 20)
        finally:
            stop.set()
            for thread in clients:
                thread.join(20)
    assert failures == []
    assert {candidate for _, candidate in seen} == set(recorded)


@pytest.mark.slow
def test_a_release_with_another_template_never_takes_over(workshop, adapters):
    good, manifest = workshop.release(adapters[0])
    bad, _ = workshop.release(adapters[1], template_hash="0" * 64)
    workshop.deploy(good)
    with serving(PointerReleases(workshop.home)) as client:
        wait_ready(client)
        workshop.deploy(bad)
        wait_until(lambda: "trained with" in client.get("/readyz").json()["tasks"][TASK]["problem"])
        found = client.post(PREDICT, json={"text": TEXTS[0]}).json()
        assert found["release"]["candidate"] == good.candidate
        assert tuple(found["label_path"]) == manifest.probes[0].label_path
        assert client.get("/readyz").status_code == 200
        assert f'finetune_release_load_failures_total{{task="{TASK}"}} 1.0' in client.get("/metrics").text
