"""The recorder: a thread that writes predictions in groups, one sync of the disk for each group.

While one group is being synced the next one gathers, so that the time of an answer grows by one to two syncs however
many answers there are. Whoever waits for `record` knows that the record is on the disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from finetune_assets.feedback.prediction_store import PredictionStore
from finetune_assets.feedback.predictions import Prediction
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.errors import StorageError

_MOVED_AT = 5_000
"""Records after which the write-ahead log is moved into the file: some 10 MB of it."""


class OverloadedError(FinetuneError):
    """More records wait for the disk than the recorder takes; nothing was recorded, the answer must be refused."""


class RecorderClosedError(FinetuneError):
    """The recorder is closed or its thread has ended; nothing was recorded."""


class DuplicateRequestError(FinetuneError):
    """Another prediction stands in the file under this request id; nothing was recorded."""


@dataclass(slots=True)
class _Waiting:
    prediction: Prediction
    future: Future[None] | asyncio.Future[None]


class PredictionRecorder:
    """Records predictions durably, in groups.

    Args:
        store: the file of predictions.
        max_batch: most records of one group, at least 1.
        max_wait_ms: milliseconds that a group waits for more before it is written; groups gather by themselves while
            the one before is synced, so 0 gives the shortest answers.
        max_waiting: records that may wait; more are refused.
    """

    def __init__(
        self, store: PredictionStore, *, max_batch: int = 512, max_wait_ms: float = 0.0, max_waiting: int = 10_000
    ) -> None:
        if max_batch < 1 or max_waiting < 1 or max_wait_ms < 0:
            raise FinetuneError("the recorder's limits must be positive")
        self._store = store
        self._max_batch = max_batch
        self._max_wait_s = max_wait_ms / 1000
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiting] = deque()
        self._change = threading.Condition()
        self._open = True
        self._connection = store.connect()
        # The log is moved into the file beside the groups, not at the end of one that somebody waits for.
        self._connection.execute("PRAGMA wal_autocheckpoint=0")
        self._unmoved = 0
        self._grown = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prediction-recorder", daemon=True)
        self._mover = threading.Thread(target=self._move_log, name="prediction-log-mover", daemon=True)
        self._thread.start()
        self._mover.start()

    @property
    def waiting(self) -> int:
        """Records that wait for the next group."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether records are taken."""
        return self._open and self._thread.is_alive()

    def record(self, prediction: Prediction) -> Future[None]:
        """Take a prediction; for threads.

        Returns:
            What is done when the record is on the disk; it holds StorageError when it could not be written, and
            `DuplicateRequestError` when its request id is another's.

        Raises:
            OverloadedError: when too many wait.
            RecorderClosedError: after `close`.
        """
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # what was taken is written, whether somebody waits for it or not
        self._take(_Waiting(prediction, future))
        return future

    async def recorded(self, prediction: Prediction) -> None:
        """Record a prediction and return when it is on the disk; for the event loop.

        Raises:
            OverloadedError: when too many wait.
            RecorderClosedError: after `close`.
            StorageError: when it could not be written.
            DuplicateRequestError: when the request id is another's.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._take(_Waiting(prediction, future))
        await future

    def close(self) -> None:
        """Take no more, write what waits, and end the thread; a second call does nothing."""
        with self._change:
            self._open = False
            self._change.notify()
        self._thread.join()
        self._mover.join()

    def __enter__(self) -> PredictionRecorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _take(self, entry: _Waiting) -> None:
        with self._change:
            if not self.alive:
                raise RecorderClosedError("the recorder of predictions is closed", mend="restart the gateway")
            if len(self._waiting) >= self._max_waiting:
                raise OverloadedError(
                    "too many predictions wait to be recorded",
                    found=str(len(self._waiting)),
                    expected=f"at most {self._max_waiting}",
                    mend="ask again in a moment",
                )
            self._waiting.append(entry)
            if len(self._waiting) == 1:
                self._change.notify()

    def _run(self) -> None:
        batch: list[_Waiting] = []
        try:
            while batch := self._next():
                problems = self._write(batch)
                written, batch = batch, []
                _settle(written, problems)
        finally:
            with self._change:
                self._open = False
                # A group that a bug interrupted may be on the disk or not; nobody may take it for recorded.
                left = [*batch, *self._waiting]
                self._waiting.clear()
            ended = RecorderClosedError("the recorder of predictions has ended", mend="restart the gateway")
            _settle(left, dict.fromkeys(range(len(left)), ended))
            self._grown.set()
            with suppress(sqlite3.Error):
                self._connection.close()

    def _next(self) -> list[_Waiting]:
        """Wait for records and return the next group; an empty one when the recorder is closed and all is written."""
        with self._change:
            while not self._waiting:
                if not self._open:
                    return []
                self._change.wait()
            if self._max_wait_s and self._open:
                self._gather()
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), self._max_batch))]

    def _gather(self) -> None:
        deadline = time.monotonic() + self._max_wait_s
        while len(self._waiting) < self._max_batch and (left := deadline - time.monotonic()) > 0:
            self._change.wait(left)

    def _write(self, batch: Sequence[_Waiting]) -> dict[int, Exception]:
        """Write a group; return what went wrong by position."""
        try:
            taken = self._store.append([entry.prediction for entry in batch], self._connection)
        except StorageError as error:
            return dict.fromkeys(range(len(batch)), error)
        self._unmoved += len(batch)
        if self._unmoved >= _MOVED_AT:
            self._unmoved = 0
            self._grown.set()
        return {
            position: DuplicateRequestError(
                "another prediction has this request id", where=batch[position].prediction.request_id
            )
            for position in taken
        }

    def _move_log(self) -> None:
        """Move the write-ahead log into the file whenever it has grown; what fails now is tried again later."""
        connection = self._store.connect()
        try:
            while self._grown.wait():
                self._grown.clear()
                with suppress(sqlite3.OperationalError):
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                if not self._open:
                    return
        finally:
            connection.close()


def _settle(batch: Sequence[_Waiting], problems: dict[int, Exception]) -> None:
    """Tell all who wait; those of one event loop in one call, for each call wakes it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[None], Exception | None]]] = defaultdict(list)
    for position, entry in enumerate(batch):
        problem = problems.get(position)
        if isinstance(entry.future, asyncio.Future):
            by_loop[entry.future.get_loop()].append((entry.future, problem))
        elif problem is None:
            entry.future.set_result(None)
        else:
            entry.future.set_exception(problem)
    for loop, settled in by_loop.items():
        # A loop that was closed has nobody who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle_in_loop, settled)


def _settle_in_loop(settled: Sequence[tuple[asyncio.Future[None], Exception | None]]) -> None:
    for future, problem in settled:
        if future.done():
            continue
        if problem is None:
            future.set_result(None)
        else:
            future.set_exception(problem)
