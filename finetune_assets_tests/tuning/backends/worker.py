"""A process that submits a job, watches it and keeps its result, and that can be told where to be killed.

It is forked from a warm parent, so that a trial costs milliseconds; it is a process of its own all the same, and its
SIGKILL a real one. `python -m …worker` is that parent: it reads lists of orders as JSON lines, forks a worker for each,
waits for all and answers with their exit codes. The first list it carries out itself, to be warm.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from finetune_assets.storage.database import Database
from finetune_assets.storage.files import write_json_atomic
from finetune_assets.storage.ledger import Reservation
from finetune_assets.tuning.backends.gemini import GeminiBackend
from finetune_assets.tuning.backends.patience import Waiter
from finetune_assets.tuning.backends.submission import Booking, attempt_of, submit_once
from finetune_assets.tuning.backends.watching import watch
from finetune_assets.tuning.cloud.errors import CloudError
from finetune_assets.tuning.cloud.retries import ReadPolicy
from finetune_assets_tests.tuning.backends.jobs import GEMINI, clients_for, cloud_config, job_request

RESULT = "result.json"
ERROR = "error.txt"
RESERVED = 1_000_000
# The steps at which a worker can be killed; "#2" is the second time that it comes there.
POINTS = (
    "before intent",
    "after intent",
    "before find",
    "after find",
    "before create",
    "after create",
    "before record",
    "after record",
    "before poll",
    "before poll#2",
    "change seen",
    "change recorded",
    "end seen",
    "end recorded",
    "before result",
    "after result",
    "after finish",
)


@dataclass(frozen=True)
class Order:
    """What a worker is to do.

    Attributes:
        folder: its result and error go there.
        database: URL.
        vertex: the stand-in's URL.
        rows: a hex digit or more that makes the request different from others.
        kill_at: the step at which it ends itself, "" for none.
        kill_after_s: seconds from that step to the kill; meanwhile it goes on.
        polling: settings of `cloud.polling`.
        timeout_s: of requests.
        seed: of the jitter.
    """

    folder: Path
    database: str
    vertex: str
    rows: str
    kill_at: str = ""
    kill_after_s: float = 0.0
    polling: tuple[tuple[str, float], ...] = (("first_s", 0.01), ("longest_s", 0.03), ("visibility_s", 0.1))
    timeout_s: float = 20.0
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "folder": str(self.folder)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Order:
        return cls(**{**data, "folder": Path(data["folder"])})


def work(order: Order) -> None:
    """Submit, watch, keep the result; a typed error is written down."""
    random.seed(order.seed)
    try:
        _work(order)
    except CloudError as error:
        (order.folder / ERROR).write_text(f"{type(error).__name__}: {error}", encoding="utf-8")


def _work(order: Order) -> None:
    point = _killer(order)
    config = cloud_config(polling=dict(order.polling))
    database = Database.open(order.database)
    clients = clients_for(order.vertex, config=config, timeout_s=order.timeout_s)
    backend = GeminiBackend(clients, ReadPolicy(first_s=0.005, longest_s=0.02))
    job = job_request(GEMINI, rows=order.rows, cloud=config)
    key = job.request.request_key
    job = replace(job, attempt=attempt_of(database, key))
    waiter = Waiter(on_point=point, by=f"worker {os.getpid()}")
    booking = Booking(
        reservation=Reservation(RESERVED // 2, RESERVED, RESERVED, 10**12, "2026-11-01"), quota_s=(0.02, 0.1)
    )
    status = submit_once(database, backend, job, booking, waiter)
    ended = watch(database, backend, key, status.handle, config, waiter)
    point("before result")
    result = backend.result(ended.handle)
    point("after result")
    _keep(order.folder, {"handle": result.handle, "model": result.model, "state": ended.state})
    point("after finish")


def _keep(folder: Path, result: dict[str, Any]) -> None:
    """Write the result down; a second, different one would be a fault."""
    path = folder / RESULT
    if path.exists() and json.loads(path.read_text()) != result:
        (folder / "second_result.json").write_text(json.dumps(result))
    write_json_atomic(path, result)


def _killer(order: Order) -> Any:
    wanted, _, number = order.kill_at.partition("#")
    seen: Counter[str] = Counter()

    def point(name: str) -> None:
        seen[name] += 1
        if name == wanted and seen[name] == int(number or 1):
            if not order.kill_after_s:
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Thread(target=_kill_soon, args=(order.kill_after_s,), daemon=True).start()

    return point


def _kill_soon(seconds: float) -> None:
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def _fork(order: Order) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work(order)
        code = 0
    finally:
        os._exit(code)
    return 0


def main() -> None:
    is_warm = False
    for line in sys.stdin:
        orders = [Order.from_json(data) for data in json.loads(line)]
        if is_warm:
            children = [_fork(order) for order in orders]
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        else:
            for order in orders:
                work(order)
            is_warm, codes = True, [0] * len(orders)
        print(json.dumps(codes), flush=True)


if __name__ == "__main__":
    main()
