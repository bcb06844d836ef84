"""What a live release answers: `finetune ask`, and the gateway as a user starts it."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from finetune_assets.records.digests import short
from finetune_assets.releases.manifest import load_manifest
from finetune_assets.storage.artifacts import ArtifactStore
from finetune_assets_tests.e2e.command import TASK, finetune, live_release, start
from finetune_assets_tests.e2e.processes import wait_for

KEYS = ["domain_key", "attribute_name", "progression_title"]


@pytest.fixture(scope="module")
def probe(steady: Path):
    """A recorded question with the answer that the report saw."""
    live = live_release(steady)
    assert live is not None
    return load_manifest(ArtifactStore(steady / "artifacts"), live.artifact_key).probes[0]


@pytest.fixture(scope="module")
def gateway(steady: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start(steady, "serve", "--port", str(port))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:

        def ready() -> bool:
            assert process.poll() is None, (steady.parent / "started.log").read_text()
            try:
                return client.get("/readyz").status_code == 200
            except httpx.TransportError:
                return False

        wait_for(ready, 90, "the gateway is ready")
        yield process, client
    if process.poll() is None:
        process.kill()
        process.wait(10)


def question(probe) -> str:
    (text,) = probe.fields.values()
    return text


def test_ask_gives_the_answer_that_the_report_saw(steady: Path, probe) -> None:
    answer = finetune(steady, "ask", TASK, question(probe), "--json").json()
    live = live_release(steady)
    assert live is not None
    assert answer["task"] == TASK
    assert answer["release"] == {"version": 1, "candidate": live.candidate}
    assert answer["label_path"] == list(probe.label_path)
    assert [answer["answer"][key] for key in KEYS] == list(probe.label_path)
    assert answer["valid"] is True


def test_ask_without_json_is_for_people(steady: Path, probe) -> None:
    said = finetune(steady, "ask", TASK, question(probe))
    assert said.code == 0, said.all
    live = live_release(steady)
    assert live is not None
    assert probe.label_path[1] in said.out
    assert f"version 1, candidate {short(live.candidate)}" in said.out


def test_asking_where_nothing_is_live_is_one_line(home: Path) -> None:
    line = finetune(home, "ask", TASK, "Ana balanced along the beam.").one_error()
    assert "nothing is live" in line
    assert f"finetune run {TASK}" in line


def test_the_gateway_predicts(gateway, probe) -> None:
    _, client = gateway
    response = client.post(f"/v1/tasks/{TASK}/predict", json={"text": question(probe)})
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["label_path"] == list(probe.label_path)
    assert body["release"]["version"] == 1


def test_the_gateway_speaks_as_openai_does(gateway, probe) -> None:
    _, client = gateway
    message = {"role": "user", "content": question(probe)}
    response = client.post("/v1/chat/completions", json={"model": TASK, "messages": [message]})
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["object"] == "chat.completion"
    assert body["model"] == TASK
    (choice,) = body["choices"]
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert choice["message"] == {"role": "assistant", "content": probe.text} | choice["message"]
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_readyz_says_which_release_answers(gateway, steady: Path) -> None:
    _, client = gateway
    live = live_release(steady)
    assert live is not None
    assert client.get("/readyz").json()["tasks"][TASK]["serving"]["candidate"] == live.candidate


def test_metrics_count_what_was_asked(gateway, probe) -> None:
    _, client = gateway

    def asked() -> float:
        lines = client.get("/metrics").text.splitlines()
        mine = [line for line in lines if "requests_total{" in line and "predict" in line and f'"{TASK}"' in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in mine)

    before = asked()
    client.post(f"/v1/tasks/{TASK}/predict", json={"text": question(probe)}).raise_for_status()
    assert asked() == before + 1


def test_a_task_that_the_gateway_does_not_know_is_404(gateway) -> None:
    _, client = gateway
    response = client.post("/v1/tasks/nobody/predict", json={"text": "hello"})
    assert response.status_code == 404
    assert "nobody" in response.text


def test_a_port_in_use_is_one_line(gateway, steady: Path) -> None:
    _, client = gateway
    port = str(client.base_url.port)
    line = finetune(steady, "serve", "--port", port).one_error()
    assert f"127.0.0.1:{port}" in line
    assert "Mend:" in line


def test_the_ui_on_a_port_in_use_is_one_line(gateway, steady: Path) -> None:
    _, client = gateway
    port = str(client.base_url.port)
    line = finetune(steady, "ui", "--port", port).one_error()
    assert f"127.0.0.1:{port}" in line
    assert "Mend:" in line


def test_the_gateway_stops_on_sigterm(gateway) -> None:
    process, client = gateway
    process.send_signal(signal.SIGTERM)
    # The signal is passed on after the clean end, as a service manager expects.
    assert process.wait(20) in {0, -signal.SIGTERM}
    with pytest.raises(httpx.TransportError):
        client.get("/healthz")
