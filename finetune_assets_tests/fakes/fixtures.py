"""How a test starts the Cloud Storage stand-in; there is no plugin, one imports.

    from finetune_assets_tests.fakes.fixtures import gcs  # noqa: F401 - in a conftest.py: a pytest fixture
    from finetune_assets_tests.fakes.fixtures import gcs_server, running_gcs

`gcs_server(root)` serves from a thread of the test (fast); `running_gcs(root, port)` is a process of its own that can
be killed (`server.kill()`) and started again on the same port and root (`server.start()`).
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from finetune_assets_tests.fakes.gcs import GcsServer, serve_in_thread

PROJECT = Path(__file__).resolve().parents[2]


def storage_client(url: str, project: str = "p1") -> Any:
    """Return the real google-cloud-storage client for a stand-in, without touching the environment."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    return storage.Client(project=project, credentials=AnonymousCredentials(), client_options={"api_endpoint": url})


def ask(url: str, method: str = "GET", body: Any = None) -> Any:
    """Send a request to a stand-in's own pages (`/__faults`, `/__log`, ...) and return its JSON."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method), timeout=10) as answer:
        return json.loads(answer.read() or b"null")


class StandIn:
    """What tests ask of a running stand-in, wherever it runs."""

    url: str

    def client(self, project: str = "p1") -> Any:
        """Return a client; it is closed when the stand-in ends."""
        client = storage_client(self.url, project)
        self.__dict__.setdefault("_clients", []).append(client)
        return client

    def close_clients(self) -> None:
        for client in self.__dict__.pop("_clients", []):
            client.close()

    def bucket(self, name: str = "bkt", location: str = "us-central1") -> Any:
        """Make a bucket."""
        return self.client().create_bucket(name, location=location)

    def fault(self, *entries: dict[str, Any]) -> None:
        ask(f"{self.url}/__faults", "POST", list(entries))

    def clear_faults(self) -> None:
        ask(f"{self.url}/__faults", "DELETE")

    def deny(self, *permissions: str, **more: Any) -> None:
        ask(f"{self.url}/__deny", "POST", {"permissions": list(permissions), **more})

    def log(self) -> list[dict[str, Any]]:
        return list(ask(f"{self.url}/__log"))

    def forget_log(self) -> None:
        ask(f"{self.url}/__log", "DELETE")

    @property
    def environ(self) -> dict[str, str]:
        """The variables under which our own code talks to this server."""
        return {"STORAGE_EMULATOR_HOST": self.url, "FINETUNE_ALLOW_EMULATOR": "1"}


class ThreadedGcs(StandIn):
    """A stand-in in a thread of this process."""

    def __init__(self, root: Path, port: int = 0) -> None:
        self.server = GcsServer(root, port)
        self.url = self.server.url
        self._thread = serve_in_thread(self.server)

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class RunningGcs(StandIn):
    """A stand-in in a process of its own."""

    def __init__(self, root: Path, port: int = 0) -> None:
        self.root = root
        self.port = port
        self.process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        """Start it, the second time on the port of the first."""
        command = [sys.executable, "-m", "finetune_assets_tests.fakes.gcs", "--port", str(self.port), "--root"]
        self.process = subprocess.Popen([*command, str(self.root)], stdout=subprocess.PIPE, text=True, cwd=PROJECT)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError("the stand-in did not start")
        self.port = int(self.url.rsplit(":", 1)[1])

    def kill(self) -> None:
        """End it as kill -9 does."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.wait()

    def wait(self) -> None:
        """Wait for its end, for instance by a planned `kill`."""
        assert self.process is not None
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


@contextmanager
def gcs_server(root: Path, port: int = 0) -> Iterator[ThreadedGcs]:
    """Serve from a thread of this process."""
    root.mkdir(parents=True, exist_ok=True)
    server = ThreadedGcs(root, port)
    try:
        yield server
    finally:
        server.close_clients()
        server.stop()


@contextmanager
def running_gcs(root: Path, port: int = 0) -> Iterator[RunningGcs]:
    """Serve from a process of its own."""
    root.mkdir(parents=True, exist_ok=True)
    server = RunningGcs(root, port)
    try:
        yield server
    finally:
        server.close_clients()
        if server.alive:
            server.kill()


@pytest.fixture
def gcs(tmp_path: Path) -> Iterator[ThreadedGcs]:
    """A stand-in with one bucket, `bkt`, in us-central1."""
    with gcs_server(tmp_path / "gcs") as server:
        server.bucket("bkt")
        yield server


def wait_until(condition: Any, timeout_s: float = 30.0) -> None:
    """Wait until `condition()` holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.02)
