"""A process that records, ingests, corrects or consumes, and that ends itself by SIGKILL at a named point.

It is forked from a warm parent, so that a trial costs milliseconds; its SIGKILL is a real one. `python -m …worker`
is that parent: it reads orders as JSON lines, forks a worker for each and answers with its exit code.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from finetune_assets.feedback import cases as cases_module
from finetune_assets.feedback import consuming
from finetune_assets.feedback.case_reading import ErrorCase
from finetune_assets.feedback.detected import ingest_detected
from finetune_assets.feedback.prediction_store import PredictionStore
from finetune_assets.feedback.predictions import Prediction
from finetune_assets.feedback.recorder import PredictionRecorder
from finetune_assets.storage.database import Database
from finetune_assets_tests.feedback.making import START, book, doubted, prediction

RECORDS = 24
DOUBTED = 3
VERSION = "v1"
JUMPS = (timedelta(0), timedelta(days=1), timedelta(days=-1))
# "#n" is the n-th time that the process comes there.
POINTS = {
    "record": ["before begin", "after begin", "after insert", "before commit", "after commit", "after told"],
    "ingest": [
        *("before commit", "after commit", "after statement", "before commit#2", "after commit#2"),
        *("before remember", "after remember", "after statement#40"),
    ],
    "correct": [
        *("before commit", "after commit", "after statement", "before commit#3", "after commit#3", "after told#2"),
    ],
    "consume": [
        *(f"{when} commit#{number}" for number in range(1, 7) for when in ("before", "after")),
        *("after statement#5", "after statement#9", "after statement#14"),
    ],
}


class Fate:
    """Ends the process at a named point.

    Args:
        point: its name, "" for never.
    """

    def __init__(self, point: str) -> None:
        self._point, _, number = point.partition("#")
        self._at = int(number or 1)
        self._seen: Counter[str] = Counter()

    def reach(self, point: str) -> None:
        self._seen[point] += 1
        if point == self._point and self._seen[point] == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            self.reach(f"before {name}")
            result = call(*args, **named)
            self.reach(f"after {name}")
            return result

        return wrapped


def clock(seed: int, number: int) -> datetime:
    """A clock that jumps by a day, forwards or backwards."""
    return START + random.Random(f"{seed} {number}").choice(JUMPS) + timedelta(seconds=number)


def records(seed: int) -> list[Prediction]:
    return [
        (doubted if number % DOUBTED == 0 else prediction)(number, at=clock(seed, number))
        for number in range(1, RECORDS + 1)
    ]


def opened(folder: Path, fate: Fate) -> Database:
    db = Database((folder / "database").read_text())
    dialect: Any = db.engine.dialect
    dialect.do_commit = fate.around(dialect.do_commit, "commit")
    dialect.do_execute = fate.around(dialect.do_execute, "statement")
    return db


def tell(folder: Path, word: object) -> None:
    with (folder / "told").open("a") as stream:
        stream.write(f"{word}\n")
        stream.flush()


def record(folder: Path, seed: int, fate: Fate) -> None:
    store: Any = PredictionStore(folder / "predictions.db")
    store.begin = fate.around(store.begin, "begin")
    store.commit = fate.around(store.commit, "commit")
    insert = store._append

    def appended(connection: Any, rows: Any) -> Any:
        commit = store.commit
        store.commit = lambda one: (fate.reach("after insert"), commit(one))
        try:
            return insert(connection, rows)
        finally:
            store.commit = commit

    store._append = appended

    def told(future: Future[None], request_id: str) -> None:
        if future.exception() is None:
            tell(folder, request_id)
            fate.reach("after told")

    with PredictionRecorder(store, max_batch=5) as recorder:
        for item in records(seed):
            done = recorder.record(item)
            done.add_done_callback(lambda future, name=item.request_id: told(future, name))
            if seed % 2:
                done.result()


def ingest(folder: Path, seed: int, fate: Fate) -> None:
    store: Any = PredictionStore(folder / "predictions.db")
    store.remember_doubted = fate.around(store.remember_doubted, "remember")
    cases_module.STEP_REPORTS = 3
    ingest_detected(book(opened(folder, fate)), store, "childcare", at=clock(seed, 100))


def correct(folder: Path, seed: int, fate: Fate) -> None:
    shelf = book(opened(folder, fate))
    for case in shelf.cases("childcare"):
        shelf.correct(case.case_id, f"right {case.request_id}", rater="rita", at=clock(seed, case.case_id))
        tell(folder, case.case_id)
        fate.reach("after told")


def consume(folder: Path, seed: int, fate: Fate) -> None:
    consuming.STEP_CASES = 2  # type: ignore[misc]
    wanted = json.loads((folder / "wanted.json").read_text())
    db = opened(folder, fate)
    consuming.consume(db, "childcare", VERSION, {int(key): value for key, value in wanted.items()}, at=clock(seed, 7))
    tell(folder, VERSION)


def wanted_of(found: list[ErrorCase]) -> dict[int, int]:
    return {case.case_id: case.correction_id for case in found if case.correction_id is not None}


WORK: dict[str, Callable[[Path, int, Fate], None]] = {
    "record": record,
    "ingest": ingest,
    "correct": correct,
    "consume": consume,
}


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                WORK[order["work"]](Path(order["folder"]), order["seed"], Fate(order["point"]))
                code = 0
            finally:
                sys.stderr.flush()
                if code:
                    import traceback

                    traceback.print_exc()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
