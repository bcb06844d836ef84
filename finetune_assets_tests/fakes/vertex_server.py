"""The socket of the Vertex stand-in: HTTP/1.1 in, faults around the work, one line of log for each request."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from finetune_assets_tests.fakes.vertex_app import App, Call, Raw
from finetune_assets_tests.fakes.vertex_containers import end_containers
from finetune_assets_tests.fakes.vertex_faults import Verdict, judge
from finetune_assets_tests.fakes.vertex_gcs import Gcs
from finetune_assets_tests.fakes.vertex_store import Store
from finetune_assets_tests.fakes.vertex_wire import ApiError, Json, dumps


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: VertexServer
    # Nagle's algorithm and delayed acknowledgements would cost 40 ms for each answer.
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Say nothing on stderr; /__log tells."""

    def _serve(self) -> None:
        started = time.time()
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        control = self.path.startswith("/__")
        verdict = Verdict() if control else judge(self.server.app.store, self.command, self.path)
        time.sleep(verdict.delay_before_s)
        status, data, kind = 0, b"", "application/json"
        self._die(verdict, "before")
        if verdict.cut != "before":
            if verdict.error is not None and not verdict.after_commit:
                status, data = verdict.error.http, dumps(verdict.error.body()).encode()
            else:
                status, data, kind = self._work(raw)
                self._die(verdict, "after_commit")
                if verdict.error is not None:
                    status, data = verdict.error.http, dumps(verdict.error.body()).encode()
            time.sleep(verdict.delay_after_s)
        if not control:
            entry = {"method": self.command, "path": self.path, "status": 0 if verdict.cut else status, "time": started}
            self.server.app.store.log({**entry, "bytes_in": len(raw), "bytes_out": 0 if verdict.cut else len(data)})
        if verdict.cut:
            self._cut()
        else:
            self._answer(status, data, kind, verdict.headers)

    def _die(self, verdict: Verdict, moment: str) -> None:
        if verdict.kill == moment and self.server.killable:
            os.kill(os.getpid(), signal.SIGKILL)

    def _work(self, raw: bytes) -> tuple[int, bytes, str]:
        parts = urlsplit(self.path)
        numbers: dict[str, str] = (
            {} if parts.path.startswith("/__") else self.server.app.store.settings["project_numbers"]
        )
        path = unquote(parts.path)
        for project, number in numbers.items():
            path = path.replace(f"projects/{number}/", f"projects/{project}/")
            raw = raw.replace(f"projects/{number}/".encode(), f"projects/{project}/".encode())
        status, data, kind = self._answer_of(path, parts.query, raw)
        for project, number in numbers.items():
            data = data.replace(f"projects/{project}/".encode(), f"projects/{number}/".encode())
        return status, data, kind

    def _answer_of(self, path: str, query: str, raw: bytes) -> tuple[int, bytes, str]:
        headers = {key.lower(): value for key, value in self.headers.items()}
        call = Call(self.command, path, dict(parse_qsl(query)), raw, headers)
        try:
            found = self.server.app.handle(call)
        except ApiError as error:
            return error.http, dumps(error.body()).encode(), "application/json"
        except sqlite3.ProgrammingError:  # the server is being closed under this request
            return 503, dumps(ApiError(503, "The service is going down.").body()).encode(), "application/json"
        if isinstance(found, Raw):
            return 200, found.data, found.kind
        return 200, dumps(found).encode(), "application/json"

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client was faster
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, data: bytes, kind: str, headers: Json) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            for key, value in headers.items():
                self.send_header(key, str(value))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True  # the client did not wait for the answer

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve  # noqa: N815


class VertexServer(ThreadingHTTPServer):
    """The listening socket and the app behind it."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    # Whether a fault may kill this process; a server in a test's own process says no.
    killable = False

    def __init__(self, root: Path, gcs: str | None, port: int, speed: float, settings: Json) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.app = App(Store(root, speed, settings), Gcs(gcs))
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    @property
    def url(self) -> str:
        """Return the base URL."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start_ticker(self) -> None:
        """Move containers on in the background, ten times a second."""
        self._ticker.start()

    def _tick(self) -> None:
        while not self._stop.wait(0.1):
            if not self.app.store.settings["run_containers"]:
                continue
            with self.app.store.lock:
                if not self._stop.is_set():
                    with self.app.store.one_moment():
                        self.app.settle()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that went away; tell everything else."""
        import sys

        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def close(self) -> None:
        """Stop listening and close the database."""
        self._stop.set()
        self.shutdown()
        self.server_close()
        end_containers(self.app.store.root)
        for process in self.app.cache.get("processes", {}).values():
            process.wait()
        self.app.gcs.close()
        self.app.store.close()
