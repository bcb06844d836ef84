"""The gateway as a process of its own, and the probes that ask it. Each start costs seconds, so tests share them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import httpx
import psutil
import pytest

from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.manifest import Probe
from finetune_assets.serving.config import GatewaySettings
from finetune_assets.serving.probe import probe_release
from finetune_assets.serving.process import start_gateway
from finetune_assets_tests.serving.conftest import TASK, serving, wait_ready, wait_until
from finetune_assets_tests.serving.fakes import FakeEngine, FakeSource, ref

pytestmark = pytest.mark.slow


def test_it_follows_the_pointer_answers_probes_and_stops(workshop, adapters, tmp_path):
    first, first_manifest = workshop.release(adapters[0])
    second, second_manifest = workshop.release(adapters[1])
    workshop.deploy(first)
    log = tmp_path / "logs" / "gateway.log"
    with start_gateway(workshop.home, log=log) as gateway:
        assert gateway.url.startswith("http://127.0.0.1:")
        state = gateway.wait_ready(timeout_s=90)
        assert state["tasks"][TASK]["serving"] == {"version": first.version, "candidate": first.candidate}
        evidence = probe_release(gateway.url, first_manifest)
        assert evidence.passed
        assert evidence.to_json()["passed"] is True
        assert [item.found for item in evidence.results] == [probe.label_path for probe in first_manifest.probes]
        early = probe_release(gateway.url, second_manifest)
        assert not early.passed
        assert f"candidate {first.candidate[:12]} answered" in early.summary
        workshop.deploy(second)
        gateway.wait_ready(task=TASK, candidate=second.candidate, timeout_s=30)
        assert probe_release(gateway.url, second_manifest).passed
        assert gateway.pid == psutil.Process(gateway.pid).pid
    assert not psutil.pid_exists(gateway.pid)
    assert "answers after" in log.read_text()
    gateway.stop()
    with pytest.raises(FinetuneError, match="gateway has ended"):
        gateway.check_alive()
    gone = probe_release(gateway.url, first_manifest, timeout_s=2)
    assert not gone.passed
    assert "no answer" in gone.summary


def test_a_candidate_is_rehearsed_by_a_gateway_that_was_started_before_it(workshop, adapters, tmp_path):
    good, manifest = workshop.release(adapters[0])
    bad, bad_manifest = workshop.release(adapters[1], template_hash="0" * 64)
    with start_gateway(workshop.home, log=tmp_path / "gateway.log", releases=[]) as gateway:
        gateway.serve([bad])
        with pytest.raises(FinetuneError, match="adapter was trained with"):
            gateway.wait_ready(task=TASK, candidate=bad.candidate, timeout_s=90)
        assert "HTTP 503" in probe_release(gateway.url, bad_manifest).summary
        gateway.serve([good])
        gateway.wait_ready(task=TASK, candidate=good.candidate, timeout_s=30)
        assert probe_release(gateway.url, manifest).passed
        assert workshop.registry().live(TASK) is None, "a rehearsal moves no pointer"
    assert sorted(path.name for path in tmp_path.glob(".gateway*")) == []


def test_a_taken_port_is_one_clear_line(workshop, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FinetuneError) as caught:
            start_gateway(workshop.home, log=tmp_path / "gateway.log", settings=GatewaySettings(port=port))
    line = str(caught.value)
    assert "gateway cannot listen" in line
    assert f"127.0.0.1:{port}" in line
    assert "choose another port" in line
    assert len((tmp_path / "gateway.log").read_text().splitlines()) == 1


def test_a_log_that_cannot_be_written_is_said(workshop, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="cannot write"):
        start_gateway(workshop.home, log=tmp_path / "file" / "gateway.log")


def test_bad_settings_are_one_clear_line():
    command = [sys.executable, "-m", "finetune_assets.serving", "--home", "x", "--settings", '{"port": -1}']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("gateway setting is not valid at port")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_its_parent(workshop, tmp_path, end):
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import time
            from pathlib import Path
            from finetune_assets.serving.process import start_gateway
            from finetune_assets.storage.home import Home
            gateway = start_gateway(Home(Path({str(workshop.home.path)!r})), log=Path({str(tmp_path / "g.log")!r}))
            print(gateway.pid, gateway.port, flush=True)
            time.sleep(600)
            """
        )
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        try:
            pid, port = map(int, parent.stdout.readline().split())
            assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False, timeout=90).status_code == 200
            parent.send_signal(end)
            parent.wait(30)
        finally:
            parent.kill()  # leaving the block waits for it, also when something above went wrong
        wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, 40)
    assert "has ended; stopping" in (tmp_path / "g.log").read_text()


def test_a_request_under_way_is_answered_before_the_gateway_stops(workshop, adapters, tmp_path):
    first, manifest = workshop.release(adapters[0])
    workshop.deploy(first)
    # A long wait for company keeps the request under way while the stop signal comes.
    settings = GatewaySettings(batch_wait_ms=800)
    with start_gateway(workshop.home, log=tmp_path / "gateway.log", settings=settings) as gateway:
        gateway.wait_ready(timeout_s=90)
        script = (
            "import httpx, sys; r = httpx.post(sys.argv[1], json={'text': 'x'}, trust_env=False, timeout=20); "
            "print(r.status_code)"
        )
        url = f"{gateway.url}/v1/tasks/{TASK}/predict"
        with subprocess.Popen([sys.executable, "-c", script, url], stdout=subprocess.PIPE, text=True) as client:
            waiting = f"{gateway.url}/metrics"
            wait_until(lambda: "finetune_waiting_questions 1.0" in httpx.get(waiting, trust_env=False).text)
            gateway.stop()
            assert client.stdout.read().strip() == "200"
    assert gateway.log.exists()
    assert manifest.task == TASK


def test_a_probe_notices_another_answer(task_type):
    right, wrong = task_type.choices()[:2]
    source = FakeSource(task_type, lambda _: FakeEngine(right))
    source.wanted = {TASK: ref(1)}
    with serving(source) as client:
        wait_ready(client)
        for text, passed in ((right, True), (wrong, False), ("not an answer", False)):
            manifest = _manifest(task_type, text)
            evidence = probe_release(str(client.base_url), manifest)
            assert evidence.passed is passed, evidence.summary
            assert len(evidence.results) == 2
            assert "secret" not in str(evidence.to_json()), "evidence holds no texts"


def _manifest(task_type, text):
    """A manifest as far as a probe reads it."""
    from finetune_assets.releases.manifest import AdapterReference, BaseReference, ReleaseManifest

    probe = Probe(fields={"text": "a secret"}, text=text, label_path=task_type.parse(text).label_path)
    return ReleaseManifest(
        task=TASK,
        candidate=ref(1).candidate,
        task_type=task_type.manifest(),
        template_hash="",
        chat_template="",
        base=BaseReference(name="b", digest="b"),
        adapter=AdapterReference(key="a", digest="a"),
        probes=(probe, probe),
    )


def test_it_is_ready_soon(workshop, adapters, tmp_path):
    """Measured at about 4 s of processor time on an idle core; the limit leaves room for a busy machine."""
    reference, _ = workshop.release(adapters[0])
    workshop.deploy(reference)
    began = time.monotonic()
    with start_gateway(workshop.home, log=tmp_path / "gateway.log") as gateway:
        listening = time.monotonic() - began
        gateway.wait_ready(timeout_s=90)
        process = psutil.Process(gateway.pid)
        processor = sum(process.cpu_times()[:2])
        loaded = {name for name in ("peft", "trl", "datasets", "pandas", "sklearn", "dagster") if _maps(process, name)}
    assert listening < 15
    assert processor < 12
    assert loaded == set()


def _maps(process, package):
    """Whether a process has mapped a compiled file of a package."""
    return any(f"/{package}/" in item.path for item in process.memory_maps())
