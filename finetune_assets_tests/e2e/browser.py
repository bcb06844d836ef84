"""A real browser for the tests: Debian's chromium, headless, told what to do over its DevTools protocol."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
_START_S = 60.0


class Browser:
    """A running chromium."""

    def __init__(self, port: int) -> None:
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)
        self._numbers = itertools.count(1)

    def run(self, url: str, script: str = "document.documentElement.innerText", *, settle_s: float = 0.0) -> Any:
        """Open a page, run a script in it, and return what it gives; a promise is waited for.

        Args:
            url: the page.
            script: an expression.
            settle_s: seconds to wait after the page was loaded.
        """
        page = self._http.put(f"/json/new?{quote(url, safe=':/?=&')}").json()
        with connect(page["webSocketDebuggerUrl"], max_size=None, proxy=None) as line:
            while self._said(line, "document.readyState + ' ' + location.href") in ("", "complete about:blank") or (
                not self._said(line, "document.readyState").startswith("complete")
            ):
                time.sleep(0.05)
            time.sleep(settle_s)
            return self._said(line, script)

    def close(self) -> None:
        self._http.close()

    def _said(self, line: Any, script: str) -> Any:
        number = next(self._numbers)
        given = {"expression": script, "awaitPromise": True, "returnByValue": True}
        line.send(json.dumps({"id": number, "method": "Runtime.evaluate", "params": given}))
        while True:
            answer = json.loads(line.recv(timeout=240))
            if answer.get("id") == number:
                assert "exceptionDetails" not in answer.get("result", {}), answer
                return answer.get("result", {}).get("result", {}).get("value", "")


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Run a browser with a profile of its own; `evil.test` is a name that resolves to this machine."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--no-first-run", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]
    command += ["--remote-debugging-port=0", f"--user-data-dir={folder}", "--no-proxy-server"]
    command += ["--host-resolver-rules=MAP evil.test 127.0.0.1", "about:blank"]
    with (folder.parent / "chromium.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        port_file = folder / "DevToolsActivePort"
        deadline = time.monotonic() + _START_S
        while not port_file.exists() or not port_file.read_text().strip():
            assert process.poll() is None, (folder.parent / "chromium.log").read_text(errors="replace")[-2000:]
            assert time.monotonic() < deadline, "chromium did not start in time"
            time.sleep(0.05)
        browser = Browser(int(port_file.read_text().split()[0]))
        yield browser
        browser.close()
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def foreign_site() -> Iterator[int]:
    """Serve an empty page on a port of its own, under every name of this machine; give the port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<!doctype html><title>foreign</title><body>A page of somebody else.</body>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
