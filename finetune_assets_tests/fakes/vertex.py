"""The Vertex AI stand-in: a durable HTTP server that speaks what Google's own clients send.

`python -m finetune_assets_tests.fakes.vertex --port P --root DIR [--gcs URL]` runs it; `running_vertex` runs that as a
subprocess (to be killed), `vertex_server` runs it in this process (fast). What it knows lies in vertex_*.py beside.

Switches, by `Vertex.settings` or POST /__settings:
    tuning_quota: Tuning jobs of one family (Gemini, open models) that run at a time; others wait. 0: no limit.
    tuning_quota_rejects: A job over the quota is refused with 429 instead.
    list_filter: False: a list with a filter answers 400.
    list_visibility_delay_s: Real seconds until a new resource shows up in lists.
    check_dataset_at_create: Bad files are refused at create, not by the job.
    denied_models: Base models that this project may not tune (short names).
    no_access_buckets: Buckets that the service agents may not touch.
    projects: {project: SERVICE_DISABLED | CONSUMER_INVALID | BILLING_DISABLED | PERMISSION}.
    project_numbers: {project: number}: answers name resources by the number, as the real service may; calls take both.
    refused_tokens: Bearer tokens answered with 401.
    machine_quota: {accelerator: how many a custom job may ask for}; an accelerator that is not named is unlimited.
    images: Patterns of container images that exist; None: all do.
    image_commands: {pattern of an image: its entry point}, for containers that name no command.
    run_containers: Custom jobs run their command as a local process.
    simulated_outputs: A custom job that is only simulated leaves small weights at its model folder.
    open_models_set_tuned_model: Whether an open-model job names a tuned model.
    operation_seconds: Virtual seconds of deploy, undeploy and garden (Model Garden deploy).
    seed: Seed of the traffic's dice.
Plans, by `Vertex.plan` or POST /__plan, for the next job (kind: tuning, custom, batch, operation or any):
    fail {code, message, at: processing|capacity|tuning|post}, expire, partially_succeed, unknown_state,
    waiting_for_quota_s, waiting_for_capacity_s, durations {PHASE: seconds}, truncated [rows], dropped [reasons] or
    {row: reason}, no_tuned_model, succeed_despite_cancel, cancel_s, preempt, preempt_after_s, preempt_when_object,
    duration_s (operations).
Faults: see vertex_faults.py.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from finetune_assets_tests.fakes.vertex_wire import Json

DEFAULT_SPEED = 100.0
START_TIMEOUT_S = 60.0


def build_server(root: Path, gcs: str | None, port: int, speed: float, settings: Json) -> Any:
    """Return a server with every room's routes; not yet serving."""
    from finetune_assets_tests.fakes import vertex_rooms  # noqa: F401  # registers the routes
    from finetune_assets_tests.fakes.vertex_server import VertexServer

    return VertexServer(root, gcs, port, speed, settings)


class Vertex:
    """A running stand-in, as tests hold it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(timeout=60, trust_env=False, verify=False)

    def close(self) -> None:
        """Close the connections of this handle."""
        self._http.close()

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, f"{self.url}{path}", json=body)
        if answer.status_code != 200:
            raise ValueError(answer.json()["error"]["message"])
        return answer.json()

    def faults(self, specs: list[Json]) -> None:
        """Replace the faults (see vertex_faults.py)."""
        self._call("POST", "/__faults", specs)

    def fault_hits(self) -> list[int]:
        """Return how often each fault has fired."""
        return [fault["hits"] for fault in self._call("GET", "/__faults")["faults"]]

    def plan(self, spec: Json) -> None:
        """Say what happens to the next job."""
        self._call("POST", "/__plan", spec)

    def settings(self, **changes: Any) -> None:
        """Change switches."""
        self._call("POST", "/__settings", changes)

    def speed(self, factor: float | None = None, advance: float = 0.0) -> None:
        """Let virtual time run `factor` times as fast, or jump `advance` virtual seconds ahead."""
        self._call("POST", "/__speed", {"speed": factor, "advance": advance})

    def log(self) -> list[Json]:
        """Return the requests served: method, path, status (0: cut), time, bytes_in, bytes_out."""
        found: list[Json] = self._call("GET", "/__log")["log"]
        return found

    def jobs(self, **labels: str) -> list[Json]:
        """Return every job ever created (kind, name, labels, state) that carries these labels: the witness."""
        found = self._call("GET", "/__jobs")["jobs"]
        return [job for job in found if labels.items() <= job["labels"].items()]


class VertexProcess(Vertex):
    """A stand-in in a process of its own, which can be killed and started anew at the same address."""

    def __init__(self, root: Path, gcs_url: str | None, port: int, speed: float, settings: Json) -> None:
        self.port = port or _free_port()
        super().__init__(f"http://127.0.0.1:{self.port}")
        more = ["--gcs", gcs_url] if gcs_url else []
        self.command = [sys.executable, "-m", "finetune_assets_tests.fakes.vertex", "--port", str(self.port)]
        self.command += ["--root", str(root), "--speed", str(speed), *more]
        for key, value in settings.items():
            self.command += ["--set", f"{key}={_json(value)}"]
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: It ended, or did not answer within a minute.
        """
        here = Path(__file__).resolve().parents[2]
        self.process = subprocess.Popen(self.command, cwd=here)
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"the Vertex stand-in ended with {self.process.returncode}")
            try:
                self._call("GET", "/__ready")
            except httpx.TransportError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError("the Vertex stand-in does not answer")

    def kill(self) -> None:
        """Kill it with SIGKILL; what it answered is on disk."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def restart(self) -> None:
        """Kill it if it lives, and start it at the same port and root."""
        self.kill()
        self.start()


def _json(value: Any) -> str:
    import json

    return json.dumps(value)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def running_vertex(
    root: Path, gcs_url: str | None, port: int = 0, *, speed: float = DEFAULT_SPEED, **settings: Any
) -> Iterator[VertexProcess]:
    """Run the stand-in as a subprocess; it is killed at the end. `settings` hold for a fresh root."""
    from finetune_assets_tests.fakes.vertex_containers import end_containers

    server = VertexProcess(root, gcs_url, port, speed, settings)
    try:
        yield server
    finally:
        server.kill()
        server.close()
        end_containers(root)


@contextmanager
def vertex_server(
    root: Path, gcs_url: str | None = None, port: int = 0, *, speed: float = DEFAULT_SPEED, **settings: Any
) -> Iterator[Vertex]:
    """Run the stand-in in a thread of this process."""
    server = build_server(root, gcs_url, port, speed, settings)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    server.start_ticker()
    handle = Vertex(server.url)
    try:
        yield handle
    finally:
        handle.close()
        server.close()
        thread.join(timeout=10)


def main(argv: list[str] | None = None) -> None:
    """Serve until the process is ended."""
    import json

    parser = argparse.ArgumentParser(description="A stand-in for Vertex AI on loopback.")
    parser.add_argument("--port", type=int, default=8901)
    parser.add_argument("--root", type=Path, required=True, help="Folder of its state.")
    parser.add_argument("--gcs", help="URL of the Cloud Storage stand-in.")
    parser.add_argument("--speed", type=float, default=DEFAULT_SPEED, help="Virtual seconds in a real one.")
    parser.add_argument("--run-containers", action="store_true", help="Run the commands of custom jobs as processes.")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON", help="A switch of a fresh root.")
    options = parser.parse_args(argv)
    settings = {name: json.loads(value) for name, _, value in (item.partition("=") for item in options.set)}
    if options.run_containers:
        settings["run_containers"] = True
    server = build_server(options.root, options.gcs, options.port, options.speed, settings)
    server.killable = True
    server.start_ticker()
    print(f"Vertex stand-in on {server.url}, state in {options.root}, pid {os.getpid()}", file=sys.stderr)
    server.serve_forever()


if __name__ == "__main__":
    main()
