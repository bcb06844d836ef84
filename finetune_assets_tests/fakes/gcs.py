"""A Cloud Storage of our own on loopback, durable and with faults; the real google-cloud-storage client talks to it.

    python -m finetune_assets_tests.fakes.gcs --port 9024 --root /tmp/gcs

It keeps generations and metagenerations, preconditions, crc32c and md5, resumable uploads that survive its own end,
and multipart uploads of the XML API. It knows no users: `POST /__deny {"permissions": [...], "principal": "..."}` takes
permissions away, `POST /__faults [...]` plans faults (see gcs_faults.py), `DELETE /__faults` ends them, `GET /__log`
tells every request. Signed URLs, versioning, notifications and HMAC keys are not there.
"""

from __future__ import annotations

import argparse
import json
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from finetune_assets_tests.fakes.gcs_faults import Fault, FaultPlan, end_at_once
from finetune_assets_tests.fakes.gcs_routes import Routes
from finetune_assets_tests.fakes.gcs_state import BLOCK, ApiError, GcsState
from finetune_assets_tests.fakes.gcs_wire import Answer, Request

_REASONS = {
    400: "invalid",
    401: "required",
    403: "forbidden",
    404: "notFound",
    408: "requestTimeout",
    429: "rateLimitExceeded",
    500: "internalError",
    502: "badGateway",
    503: "backendError",
    504: "gatewayTimeout",
}


class _CutError(Exception):
    """The connection is to be closed here."""


class GcsServer(ThreadingHTTPServer):
    """The stand-in on 127.0.0.1.

    Args:
        root: where it keeps everything.
        port: 0 for a free one.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, root: Path, port: int = 0) -> None:
        self.state = GcsState(root)
        self.plan = FaultPlan()
        self.routes = Routes(self.state, self._need)
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def server_close(self) -> None:
        super().server_close()
        self.state.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # The client asks for its bucket from a thread of its own, which may come after the end.
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError | sqlite3.ProgrammingError):
            super().handle_error(request, client_address)

    def _need(self, permission: str, resource: str) -> None:
        if self.plan.unauthenticated:
            raise ApiError(401, "Invalid Credentials", "authError")
        if permission in self.plan.denied:
            raise ApiError(
                403,
                f"{self.plan.principal} does not have {permission} access to the Google Cloud Storage "
                f"{'object' if '.objects.' in permission else 'bucket'}. Permission '{permission}' denied on resource "
                "(or it may not exist).",
                "forbidden",
            )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: GcsServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _serve(self) -> None:
        self._left = -1 if self.headers.get("Transfer-Encoding", "") == "chunked" else 0
        self._left = self._left or int(self.headers.get("Content-Length") or 0)
        self._break_at: int | None = None
        path, _, query = self.path.partition("?")
        if path.startswith("/__"):
            self._admin(path)
            return
        entry: dict[str, Any] = {"method": self.command, "path": path, "query": query, "at": time.time()}
        entry["range"] = self.headers.get("Content-Range") or self.headers.get("Range")
        fault = self.server.plan.for_request(f"{self.command} {self.path}")
        try:
            self._answer(path, query, fault, entry)
        except _CutError:
            entry["cut"] = True
            self.close_connection = True
            with suppress(OSError):
                self.wfile.flush()
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        finally:
            self.server.plan.note(entry)

    def _answer(self, path: str, query: str, fault: Fault | None, entry: dict[str, Any]) -> None:
        fault = fault or Fault("")
        if fault.kill == "before":
            end_at_once()
        if fault.cut == "before":
            raise _CutError
        if fault.status and not fault.after_commit:
            entry["status"] = fault.status
            self._send(_failure(fault.status))
            return
        if fault.cut == "mid_body" and self._left > 0:
            self._break_at = self._left // 2
        answer = self._work(path, query)
        if fault.kill == "after_commit":
            end_at_once()
        if fault.cut == "after_commit":
            raise _CutError
        if fault.status:
            answer = _failure(fault.status)
        entry["status"] = answer.status
        self._send(answer, half=fault.cut == "mid_body")

    def _work(self, path: str, query: str) -> Answer:
        many = parse_qs(query, keep_blank_values=True)
        first = {name: values[0] for name, values in many.items()}
        host = self.headers.get("Host", "")
        request = Request(self.command, path, first, many, self.headers, self._blocks, host)
        try:
            return self.server.routes.answer(request)
        except ApiError as error:
            return Answer(error.status, error.body() if error.status != 304 else None)

    def _admin(self, path: str) -> None:
        body = b"".join(self._blocks())
        plan = self.server.plan
        answer: Any = {}
        if (self.command, path) == ("POST", "/__faults"):
            plan.add(json.loads(body))
        elif (self.command, path) == ("DELETE", "/__faults"):
            plan.clear()
        elif (self.command, path) == ("POST", "/__deny"):
            plan.deny(json.loads(body))
        elif (self.command, path) == ("DELETE", "/__log"):
            plan.forget_log()
        elif path == "/__log":
            answer = plan.log()
        elif path == "/__faults":
            answer = plan.faults()
        self._send(Answer(json=answer))

    # The body.

    def _blocks(self) -> Iterator[bytes]:
        if self._left == -1:
            yield from self._chunked()
            return
        while self._left > 0:
            if self._break_at is not None and self._left <= self._break_at:
                raise _CutError
            block = self.rfile.read(min(BLOCK, self._left))
            if not block:
                raise ConnectionResetError("the client went away")
            self._left -= len(block)
            yield block

    def _chunked(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline() not in {b"\r\n", b"\n", b""}:
            pass
        self._left = 0

    # The answer.

    def _send(self, answer: Answer, *, half: bool = False) -> None:
        for _ in self._blocks():  # what nobody read would be taken for the next request
            pass
        data = answer.data
        if answer.json is not None:
            data = json.dumps(answer.json).encode()
            answer.headers.setdefault("Content-Type", "application/json; charset=UTF-8")
        length = answer.length if answer.file else len(data)
        self.send_response(answer.status, _phrase(answer.status))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status not in {204, 304}:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if answer.file:
            self._send_file(answer, length // 2 if half else length)
        else:
            self.wfile.write(data[: len(data) // 2] if half else data)
        self.wfile.flush()
        if half:
            raise _CutError

    def _send_file(self, answer: Answer, length: int) -> None:
        assert answer.file is not None
        with answer.file.open("rb") as stream:
            stream.seek(answer.first)
            while length > 0 and (block := stream.read(min(BLOCK, length))):
                self.wfile.write(block)
                length -= len(block)


def _failure(status: int) -> Answer:
    return Answer(status, ApiError(status, f"planned fault {status}", _REASONS.get(status, "backendError")).body())


def _phrase(status: int) -> str | None:
    return {308: "Resume Incomplete", 499: "Client Closed Request"}.get(status)


def main() -> None:
    """Serve until killed; the first line of output is the URL."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=9024)
    parser.add_argument("--root", type=Path, required=True)
    options = parser.parse_args()
    server = GcsServer(options.root, options.port)
    print(server.url, flush=True)
    server.serve_forever()


def serve_in_thread(server: GcsServer) -> threading.Thread:
    """Serve from a thread of this process."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    return thread


if __name__ == "__main__":
    main()
