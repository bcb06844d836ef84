"""What a gateway answers over HTTP when every answer is on the disk before it is sent, and what recording adds.

Run: `python benchmarks/gateway.py [--seconds 10] [--rate 500] [--connections 64]`. The model is a stub, so that the
gateway alone is measured; the server and the client are one process each. Figures:

* requests a second, each connection asking as soon as it was answered, with and without recording.
* milliseconds (p50, p99) of an answer at a steady rate, with and without recording, and their difference.
* answers that were given and are not in the file afterwards: 0, or the run fails. `--kill` ends the server by SIGKILL
  in the midst of the load first.

Figures with and without recording come from runs in turn, for a machine is never quite as fast as a minute ago.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TASK = "childcare"
NOTE = "Today Alex built a tower of nine blocks, called for a friend and laughed when it fell over. "
ANSWER = '{"domain":"Home","label":"alarm"}'
HEAD_END = b"\r\n\r\n"


def serve(home: Path | None, port_file: Path) -> None:
    """Serve a stub's answers until told to stop; the process that `--serve` starts."""
    import uvicorn

    from finetune_assets.evaluation.engine import Completion
    from finetune_assets.feedback.config import FeedbackConfig
    from finetune_assets.serving.__main__ import bind
    from finetune_assets.serving.config import GatewaySettings
    from finetune_assets.serving.gateway import create_app
    from finetune_assets.serving.listing import ReleaseRef
    from finetune_assets.serving.release import ServedRelease
    from finetune_assets.storage.home import Home
    from finetune_assets.task_types import build_task_type

    class Stub:
        identity = {"engine": "stub"}  # noqa: RUF012

        def complete(self, batch: Sequence[object]) -> list[Completion]:
            return [Completion(ANSWER)] * len(batch)

    class Source:
        def prepare(self) -> None:
            pass

        def current(self) -> dict[str, ReleaseRef]:
            return {TASK: ReleaseRef(task=TASK, version=1, candidate="c" * 64, artifact_key="k")}

        def load(self, ref: ReleaseRef) -> ServedRelease:
            return ServedRelease(ref, task_type, Stub(), {"text": NOTE}, FeedbackConfig(subject_field="person"))

    folder = port_file.parent
    (folder / "taxonomy.json").write_text(
        json.dumps({"domains": [{"id": 1, "name": "Home", "labels": ["alarm", "lights"]}]})
    )
    prompt = {"system": "Sort it.", "user": "Say: {text}"}
    task_type = build_task_type("classification", {"taxonomy": "taxonomy.json", "prompt": prompt}, folder)
    settings = GatewaySettings(max_waiting=4096, predict_per_minute=0)
    app = create_app(Source(), settings, home=None if home is None else Home(home).ensure())
    listener = bind("127.0.0.1", 0)
    port_file.write_text(str(listener.getsockname()[1]))
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, proxy_headers=False)).run(sockets=[listener])


@dataclass
class Load:
    """What a client asked and heard.

    Attributes:
        took: milliseconds of each answer.
        acknowledged: request ids that were answered.
        problem: the first answer that was none.
    """

    took: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    problem: str = ""


class Connection:
    """One kept connection that asks one question after another."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, number: int, load: Load, due: float) -> None:
        """Ask once and note the answer; `due` is when it should have been asked."""
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        body = json.dumps({"fields": {"text": f"{NOTE}{NOTE}Visit {number}.", "person": str(number % 500)}}).encode()
        head = f"POST /v1/tasks/{TASK}/predict HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nX-Request-Id: r{number}\r\n"
        self._writer.write(
            f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        answered = await self._reader.readuntil(HEAD_END)
        length = int(answered.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await self._reader.readexactly(length)
        if b" 200 " not in answered[:16]:
            load.problem = load.problem or answered[:40].decode("latin-1")
            return
        load.took.append((time.perf_counter() - due) * 1000)
        load.acknowledged.append(f"r{number}")


async def flood(port: int, seconds: float, connections: int, first: int, load: Load) -> float:
    """Ask as fast as answers come; return the answers a second."""
    end = time.perf_counter() + seconds
    numbers = iter(range(first, first + 100_000_000))

    async def one() -> None:
        connection = Connection(port)
        while (now := time.perf_counter()) < end:
            await connection.ask(next(numbers), load, now)

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return len(load.acknowledged) / (time.perf_counter() - began)


async def steady(port: int, seconds: float, rate: int, first: int, load: Load) -> None:
    """Ask at a steady rate whether answers are slow or not."""
    idle: list[Connection] = [Connection(port) for _ in range(64)]

    async def one(number: int, due: float) -> None:
        connection = idle.pop() if idle else Connection(port)
        await connection.ask(number, load, due)
        idle.append(connection)

    began, asked = time.perf_counter(), []
    for number in range(int(seconds * rate)):
        due = began + number / rate
        if (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        # The client's own oversleeping is not the gateway's.
        asked.append(asyncio.create_task(one(first + number, max(due, time.perf_counter() - 0.0005))))
    await asyncio.gather(*asked)


@contextmanager
def gateway(folder: Path, home: Path | None) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a server process; give its port."""
    port_file = folder / "port"
    port_file.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(port_file), *(["--home", str(home)] if home else [])]
    )
    try:
        deadline = time.monotonic() + 60
        while not port_file.exists() or not port_file.read_text() or not _is_ready(int(port_file.read_text())):
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit("the gateway did not start")
            time.sleep(0.05)
        yield int(port_file.read_text()), process
    finally:
        process.kill()
        process.wait()


def _is_ready(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def lost(home: Path, acknowledged: Sequence[str]) -> int:
    """Return how many answers were given and are not in the file."""
    from finetune_assets.feedback.prediction_store import FILE_NAME, PredictionStore

    with PredictionStore(home / FILE_NAME).connected() as connection:
        kept = {row[0] for row in connection.execute("SELECT request_id FROM predictions")}
    return len(set(acknowledged) - kept)


def killed(folder: Path, connections: int) -> tuple[int, int]:
    """End a server by SIGKILL under load; return the answers given and those that are lost."""
    home, load = folder / "killed", Load()

    async def until_killed(port: int, process: subprocess.Popen[bytes]) -> None:
        asking = asyncio.create_task(flood(port, 30, connections, 0, load))
        await asyncio.sleep(2)
        os.kill(process.pid, signal.SIGKILL)
        await asyncio.gather(asking, return_exceptions=True)

    with gateway(folder, home) as (port, process):
        asyncio.run(until_killed(port, process))
    return len(load.acknowledged), lost(home, load.acknowledged)


def quantiles(took: list[float]) -> tuple[float, float]:
    cut = statistics.quantiles(took, n=100)
    return cut[49], cut[98]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.home, options.serve)
        return
    folder = Path(tempfile.mkdtemp(prefix="gateway", dir=options.folder))
    try:
        if options.kill:
            given, gone = killed(folder, options.connections)
            print(f"killed in the midst: {given:,} answers given, {gone} of them lost")
            if gone:
                raise SystemExit(1)
        _measure(folder, options)
    finally:
        shutil.rmtree(folder)


def _measure(folder: Path, options: argparse.Namespace) -> None:
    home = folder / "home"
    share = options.seconds / options.rounds
    rates: dict[str, list[float]] = {"recorded": [], "unrecorded": []}
    steadily = {"recorded": Load(), "unrecorded": Load()}
    acknowledged: list[str] = []
    with gateway(folder, None) as (bare, _), gateway(folder, home) as (port, _):
        ports = {"recorded": port, "unrecorded": bare}
        for turn in range(options.rounds):
            for name, number in ports.items():
                load = Load()
                first = turn * 10_000_000
                rates[name].append(asyncio.run(flood(number, share, options.connections, first, load)))
                asyncio.run(steady(number, share, options.rate, first + 5_000_000, steadily[name]))
                if load.problem or steadily[name].problem:
                    raise SystemExit(f"not answered: {load.problem or steadily[name].problem}")
                acknowledged += load.acknowledged if name == "recorded" else []
    acknowledged += steadily["recorded"].acknowledged
    for name in ports:
        print(f"{name}: {max(rates[name]):,.0f} requests a second (each round: {[round(r) for r in rates[name]]})")
    took = {name: quantiles(load.took) for name, load in steadily.items()}
    for name, (middle, high) in took.items():
        print(f"{name}, {options.rate} a second: p50 {middle:.2f} ms, p99 {high:.2f} ms")
    added = [one - other for one, other in zip(took["recorded"], took["unrecorded"], strict=True)]
    print(f"added by recording: p50 {added[0]:.2f} ms, p99 {added[1]:.2f} ms")
    gone = lost(home, acknowledged)
    print(f"{len(acknowledged):,} answers given, {gone} of them lost")
    if gone:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
