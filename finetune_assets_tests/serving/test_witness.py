"""The witness: an answer is on the disk before it is sent, and feedback on it becomes an error case."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from finetune_assets.feedback.case_reading import read_cases
from finetune_assets.feedback.cases import CaseBook
from finetune_assets.feedback.config import FeedbackConfig, RedactionConfig
from finetune_assets.feedback.detected import ingest_detected
from finetune_assets.feedback.forgetting import forget
from finetune_assets.feedback.prediction_store import FILE_NAME, PredictionStore
from finetune_assets.feedback.pseudonyms import Pseudonyms
from finetune_assets.feedback.recorder import PredictionRecorder
from finetune_assets.records.doubts import Signal
from finetune_assets.serving.config import GatewaySettings
from finetune_assets.serving.process import start_gateway
from finetune_assets.storage.api_keys import KeyBook
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.feedback_models import FeedbackRow
from finetune_assets.storage.home import Home
from finetune_assets_tests.feedback.making import prediction
from finetune_assets_tests.serving.conftest import TASK, serving, wait_ready, wait_until
from finetune_assets_tests.serving.fakes import FakeEngine, FakeSource, ref

PREDICT = f"/v1/tasks/{TASK}/predict"
CHAT = "/v1/chat/completions"
FEEDBACK = "/v1/feedback"
ANSWER = '{"domain":"Home","label":"alarm"}'
RIGHT = '{"domain":"Home","label":"music"}'
CONFIG = FeedbackConfig(subject_field="person")


class KeptSource(FakeSource):
    """Releases with a section `feedback:` of their own."""

    config = CONFIG

    def load(self, reference):
        return replace(super().load(reference), feedback=self.config)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(ANSWER)


@pytest.fixture
def client(home: Home, engine: FakeEngine, task_type):
    with serving(source_of(task_type, engine), home=home) as client:
        wait_ready(client)
        yield client


@pytest.fixture
def ana(home: Home) -> dict[str, str]:
    """Headers with a key that may give feedback."""
    database = Database.open(home.database_url)
    key, _ = KeyBook(database).create("ana", ["feedback"])
    database.close()
    return {"Authorization": f"Bearer {key}"}


def source_of(task_type, engine: FakeEngine, config: FeedbackConfig = CONFIG) -> KeptSource:
    source = KeptSource(task_type, lambda _: engine)
    source.config = config
    source.wanted = {TASK: ref(1)}
    return source


def kept(home: Home, request_id: str):
    return PredictionStore(home.path / FILE_NAME).find(request_id)


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"model": TASK, "messages": [{"role": "user", "content": text}], **more}


def ask(client: httpx.Client, **fields: Any) -> str:
    response = client.post(PREDICT, json={"fields": {"text": "wake me", **fields}})
    assert response.status_code == 200
    found: str = response.json()["request_id"]
    return found


# --- answers ---------------------------------------------------------------------------------------------------------


def test_an_answer_is_recorded_with_all_that_a_judge_needs(client, home):
    response = client.post(PREDICT, json={"fields": {"text": "call 0201 555 0199", "person": "ada"}})
    found = kept(home, response.json()["request_id"])
    assert response.headers["x-request-id"] == found.request_id
    assert (found.task, found.version, found.candidate) == (TASK, 1, ref(1).candidate)
    assert (found.valid, found.label_path, found.outcome) == (True, ("Home", "alarm"), "complete")
    assert found.answer == ANSWER
    assert found.input["text"] == "call [number]"
    assert found.prompt_digest
    assert found.latency_ms > 0
    assert found.subject == Pseudonyms.load(home.path).subject("ada")


def test_only_digests_are_kept_where_the_task_says_so(home, engine, task_type):
    config = FeedbackConfig(inputs="digest", answers="digest", redaction=RedactionConfig(personal_data=False))
    with serving(source_of(task_type, engine, config), home=home) as client:
        wait_ready(client)
        found = kept(home, ask(client))
        assert (found.input, found.answer) == (None, None)
        assert found.answer_digest
        assert found.input_digest
        strange = client.post(PREDICT, json={"fields": {"text": "x", "number": 10**30}})
        assert strange.status_code == 200


def test_an_answer_that_no_task_can_mean_becomes_an_error_case(client, home, engine):
    engine.answer = "no label at all"
    doubted = kept(home, ask(client))
    assert (doubted.signals, doubted.score) == ((Signal("invalid_answer", 0.9),), 0.9)
    engine.answer = ANSWER
    assert kept(home, ask(client)).score == 0.0
    database = Database.open(home.database_url)
    book = CaseBook(database, CONFIG, Pseudonyms.load(home.path))
    assert ingest_detected(book, PredictionStore(home.path / FILE_NAME), TASK) == 1
    assert [(case.source, case.request_id) for case in read_cases(database, TASK)] == [("detector", doubted.request_id)]


@pytest.mark.parametrize("body", [b'{"fields": {"text": "x", "n": NaN}}', b'{"fields": {"text": "x", "n": -Infinity}}'])
def test_what_no_record_can_hold_is_422_and_harms_nobody(client, home, body):
    response = client.post(PREDICT, content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["title"]) == (422, "unrecordable input")
    assert kept(home, ask(client)) is not None


def test_half_a_character_in_a_field_does_not_end_the_recorder(client, home):
    body = b'{"fields": {"text": "x", "n": "\\ud800", "\\udfff": {"deep": "\\ud800"}}}'
    response = client.post(PREDICT, content=body, headers={"content-type": "application/json"})
    assert response.status_code in (200, 422)
    assert kept(home, ask(client)) is not None
    assert client.get("/healthz").status_code == 200


def test_a_request_keeps_its_own_id(client, home):
    named = {"X-Request-Id": "order-17:a"}
    first = client.post(CHAT, json=chat("wake me"), headers=named)
    assert first.headers["x-request-id"] == first.json()["request_id"] == "order-17:a"
    assert kept(home, "order-17:a").outcome == "complete"
    assert client.post(CHAT, json=chat("wake me"), headers=named).status_code == 200, "a repeated question is the same"
    other = client.post(CHAT, json=chat("another"), headers=named)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "request_id_taken")
    for unusable in ("", "a b", "x" * 129, "<script>", "-a"):
        made = client.post(PREDICT, json={"text": "x"}, headers={"X-Request-Id": unusable})
        assert made.status_code == 200
        assert made.headers["x-request-id"] != unusable
    assert client.get("/healthz", headers=named).headers["x-request-id"] == "order-17:a"


def test_a_rehearsal_records_nothing(engine, task_type, ana):
    with serving(source_of(task_type, engine)) as client:
        wait_ready(client)
        body = {"task": TASK, "request_id": ask(client), "verdict": "right"}
        said = client.post(FEEDBACK, json=body)
        assert (said.status_code, said.json()["title"]) == (401, "key needed")
        said = client.post(FEEDBACK, json=body, headers=ana)
        assert (said.status_code, said.json()["title"]) == (401, "key not valid"), "a rehearsal knows no keys"


# --- streams ---------------------------------------------------------------------------------------------------------


def test_a_stream_that_was_read_to_its_end_is_recorded(client, home):
    with client.stream("POST", CHAT, json=chat("wake me", stream=True)) as response:
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    ids = {json.loads(line.removeprefix("data: "))["request_id"] for line in lines[:-1]}
    assert ids == {response.headers["x-request-id"]}
    assert kept(home, ids.pop()).outcome == "complete"


def test_a_stream_that_broke_off_is_recorded_as_such(client, home, engine):
    engine.go.clear()
    address = (client.base_url.host, client.base_url.port)
    body = json.dumps(chat("gone", stream=True)).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-Id: gone-1\r\nContent-Type: application/json\r\n"
    with socket.create_connection(address) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        wait_until(lambda: ["Say: gone"] in engine.batches)
    client.get("/healthz")
    engine.go.set()
    wait_until(lambda: kept(home, "gone-1") is not None)
    assert kept(home, "gone-1").outcome == "broken_off"


def test_a_stream_whose_reader_stalls_and_leaves_is_recorded(client, home, engine):
    engine.answer = "long " * 2_000_000
    body = json.dumps(chat("stalled", stream=True)).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-Id: gone-2\r\nContent-Type: application/json\r\n"
    with socket.socket() as connection:
        # The machine's own buffers could take the whole answer, and then nobody has left before its end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((client.base_url.host, client.base_url.port))
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert connection.recv(100)
        assert kept(home, "gone-2") is None
    wait_until(lambda: kept(home, "gone-2") is not None)
    assert kept(home, "gone-2").outcome == "broken_off"


def test_records_that_are_too_old_go_and_stay_counted(home, engine, task_type):
    store = PredictionStore(home.path / FILE_NAME)
    now = datetime.now(UTC)
    old, young = (prediction(number, task=TASK, at=now - timedelta(days=days)) for number, days in ((1, 8), (2, 6)))
    other = prediction(3, task="another", at=now - timedelta(days=8))
    store.append([old, young, other])
    config = FeedbackConfig(retention_days=7)
    with serving(source_of(task_type, engine, config), home=home, prune_every_s=0.05) as client:
        wait_ready(client)
        wait_until(lambda: store.find(old.request_id) is None)
        assert client.get("/healthz").status_code == 200
    assert store.find(young.request_id) == young
    assert store.find(other.request_id) == other, "no release of another task says how long it is kept"
    assert store.totals(TASK) == {"kept": 1, "forgotten": 0, "pruned": 1}


# --- what fails ------------------------------------------------------------------------------------------------------


def test_too_many_that_wait_for_the_disk_are_503(home, engine, task_type):
    with serving(source_of(task_type, engine), home=home, max_unrecorded=1) as client:
        wait_ready(client)
        blocked = PredictionStore(home.path / FILE_NAME).connect()
        blocked.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(6) as pool:
            asked: list[Future[httpx.Response]] = [
                pool.submit(client.post, PREDICT, json={"text": str(number)}) for number in range(6)
            ]
            # One is being written and one waits; a second one may come before the first is on its way.
            wait_until(lambda: sum(item.done() for item in asked) >= 4)
            assert {item.result().status_code for item in asked if item.done()} == {503}
            blocked.execute("ROLLBACK")
            blocked.close()
            found = [item.result() for item in asked]
        assert {item.status_code for item in found} == {200, 503}
        refused = next(item for item in found if item.status_code == 503)
        assert refused.json()["title"] == "recording overloaded"
        assert refused.headers["retry-after"] == "1"
        assert ask(client)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_ended_recorder_is_unhealthy_and_answers_nothing(client, engine, monkeypatch):
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a bug in the recorder")

    monkeypatch.setattr(PredictionRecorder, "_write", broken)
    asked = len(engine.batches)
    assert client.post(PREDICT, json={"text": "x"}).status_code == 503
    health = client.get("/healthz")
    assert health.status_code == 500
    assert "recorder" in health.json()["status"]
    refused = client.post(CHAT, json=chat("x"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "recorder_ended")
    assert refused.headers["retry-after"]
    assert len(engine.batches) == asked + 1, "the model is not asked in vain"


def test_a_full_disk_gives_no_answer_and_no_end_of_a_stream(client, monkeypatch):
    async def full(*_: Any) -> None:
        await asyncio.sleep(0)
        raise StorageError("the disk is full")

    monkeypatch.setattr(PredictionRecorder, "recorded", full)
    assert client.post(PREDICT, json={"text": "x"}).json()["title"] == "not recorded"
    with client.stream("POST", CHAT, json=chat("x", stream=True)) as response:
        lines = [line for line in response.iter_lines() if line]
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "not_recorded"
    monkeypatch.undo()
    assert ask(client)


def test_a_kill_after_the_answer_loses_nothing(workshop, adapters, tmp_path):
    first, _ = workshop.release(adapters[0])
    workshop.deploy(first)
    with start_gateway(workshop.home, log=tmp_path / "gateway.log", settings=GatewaySettings()) as gateway:
        gateway.wait_ready(timeout_s=90)
        with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as client:
            answered = [client.post(PREDICT, json={"text": f"text {number}"}).json() for number in range(20)]
            with client.stream("POST", CHAT, json=chat("streamed", stream=True)) as response:
                assert "data: [DONE]" in response.read().decode()
        os.kill(gateway.pid, signal.SIGKILL)
    for answer in [*answered, {"request_id": response.headers["x-request-id"], "valid": None}]:
        found = kept(workshop.home, answer["request_id"])
        assert found is not None
        assert found.candidate == first.candidate
        assert answer["valid"] in (None, found.valid)


# --- feedback --------------------------------------------------------------------------------------------------------


def test_feedback_ends_as_a_corrected_case_and_can_be_forgotten(client, home, ana):
    request_id = ask(client, person="ada")
    said = {"task": TASK, "request_id": request_id, "verdict": "wrong", "correction": RIGHT, "comment": "no, music"}
    given = client.post(FEEDBACK, json=said, headers=ana).json()
    assert not given["repeated"]
    assert client.post(FEEDBACK, json=said, headers=ana).json() == {**given, "repeated": True}
    database = Database.open(home.database_url)
    case = next(read_cases(database, TASK))
    assert (case.case_id, case.state, case.correction) == (given["case_id"], "corrected", RIGHT)
    assert (case.request_id, case.answer) == (request_id, ANSWER)
    names = Pseudonyms.load(home.path)
    done = forget(database, PredictionStore(home.path / FILE_NAME), names.subject("ada"))
    assert (done.predictions, done.cases, done.corrections, done.comments) == (1, 1, 1, 1)
    case = next(read_cases(database, TASK))
    assert (case.state, case.input, case.answer, case.correction) == ("dismissed", None, None, None)
    assert (kept(home, request_id).input, kept(home, request_id).answer) == (None, None)
    database.close()


def test_a_right_answer_opens_no_case_and_a_demonstration_is_no_error(client, home, ana):
    right = client.post(FEEDBACK, json={"task": TASK, "request_id": ask(client), "verdict": "right"}, headers=ana)
    assert right.json()["case_id"] is None
    shown = {"task": TASK, "request_id": ask(client), "verdict": "right", "correction": RIGHT, "demonstration": True}
    assert client.post(FEEDBACK, json=shown, headers=ana).json()["case_id"] is not None
    database = Database.open(home.database_url)
    assert [(case.source, case.state) for case in read_cases(database, TASK)] == [("demonstration", "corrected")]
    database.close()


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"request_id": "absent"}, 404, "unknown request"),
        ({"task": "weather"}, 404, "unknown task"),
        ({"verdict": "perhaps"}, 422, "invalid body"),
        ({"rater": "ada"}, 422, "invalid body"),
        ({"request_id": "a b"}, 422, "invalid body"),
        ({"verdict": "right", "correction": RIGHT}, 422, "right with correction"),
        ({"correction": "  "}, 422, "blank correction"),
        ({"correction": "that is no label"}, 422, "unknown label"),
        ({"correction": ANSWER}, 422, "correction equals answer"),
        ({"demonstration": True}, 422, "wrong with demonstration"),
        ({"demonstration": True, "verdict": "right"}, 422, "no demonstration"),
    ],
)
def test_feedback_that_cannot_be_taken_is_said_why(client, ana, change, status, code):
    body = {"task": TASK, "request_id": ask(client), "verdict": "wrong", **change}
    response = client.post(FEEDBACK, json=body, headers=ana)
    assert (response.status_code, response.json()["title"]) == (status, code)
    assert response.json()["mend"]


def test_the_rater_of_feedback_is_the_keys_name_under_its_pseudonym(client, home, ana):
    said = {"task": TASK, "request_id": ask(client), "verdict": "wrong", "comment": "no"}
    assert client.post(FEEDBACK, json=said, headers=ana).status_code == 200
    database, names = Database.open(home.database_url), Pseudonyms.load(home.path)
    with database.reading() as session:
        assert session.scalars(select(FeedbackRow.rater)).all() == [names.subject("ana")]
    assert forget(database, PredictionStore(home.path / FILE_NAME), names.subject("ana")).names == 1
    database.close()


def test_feedback_needs_a_key_also_from_this_machine_and_json(client, ana):
    body = {"task": TASK, "request_id": ask(client), "verdict": "wrong"}
    for headers in ({}, {"X-Forwarded-For": "203.0.113.7"}):
        refused = client.post(FEEDBACK, json=body, headers=headers)
        assert (refused.status_code, refused.json()["title"]) == (401, "key needed")
        assert refused.headers["www-authenticate"].startswith("Bearer ")
    plain = client.post(FEEDBACK, content=json.dumps(body), headers={**ana, "content-type": "text/plain"})
    assert plain.status_code == 422, "a form of a foreign page cannot send JSON"
