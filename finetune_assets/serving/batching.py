"""MicroBatcher: questions that arrive together are answered in one forward pass.

All of its state belongs to the event loop; the engine runs in one worker thread, so that the loop stays free to take
requests and torch never runs twice at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from finetune_assets.evaluation.engine import Completion, Engine
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message
from finetune_assets.serving.metrics import GatewayMetrics

log = logging.getLogger(__name__)


class OverloadedError(Exception):
    """More questions are waiting than the gateway takes on."""


class EngineFailedError(Exception):
    """An engine broke down over a batch, for instance because memory ran out; the log holds its traceback."""


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """One question, tied to the engine of the release that was live when it came."""

    engine: Engine
    messages: Sequence[Message]
    answer: asyncio.Future[Completion]
    arrived: float


class MicroBatcher:
    """Collects questions for a few milliseconds and asks the engine once.

    Args:
        metrics: where batch sizes and the queue's length are told.
        max_batch: questions in one call of the engine, 1 or more.
        wait_s: how long the first question of a batch waits for company, in seconds; time spent behind a running
            batch counts.
        max_waiting: questions that may wait, 1 or more; one more is refused.
    """

    def __init__(
        self, metrics: GatewayMetrics, *, max_batch: int = 32, wait_s: float = 0.005, max_waiting: int = 256
    ) -> None:
        self._metrics = metrics
        self._max_batch = max_batch
        self._wait_s = wait_s
        self._max_waiting = max_waiting
        self._waiting: deque[_Question] = deque()
        self._arrival = asyncio.Event()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")

    async def ask(self, engine: Engine, messages: Sequence[Message], *, timeout_s: float) -> Completion:
        """Return the engine's answer to one conversation.

        Raises:
            OverloadedError: when the queue is full.
            TimeoutError: when no answer came in time; the question is dropped if it has not begun.
            FinetuneError: when the engine says that it cannot answer at all.
            EngineFailedError: when the engine broke down.
        """
        if len(self._waiting) >= self._max_waiting:
            raise OverloadedError
        answer: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Question(engine, messages, answer, time.monotonic()))
        self._metrics.waiting.set(len(self._waiting))
        self._arrival.set()
        return await asyncio.wait_for(answer, timeout_s)

    async def run(self) -> None:
        """Answer questions until cancelled."""
        try:
            while True:
                await self._until_ready()
                batch = self._take()
                if batch:
                    await self._answer(batch)
        finally:
            self._executor.shutdown(wait=False, cancel_futures=True)
            for question in self._waiting:
                question.answer.cancel()

    async def _until_ready(self) -> None:
        """Wait for a first question, then for company."""
        while not self._waiting:
            self._arrival.clear()
            await self._arrival.wait()
        while len(self._waiting) < self._max_batch:
            left = self._waiting[0].arrived + self._wait_s - time.monotonic()
            if left <= 0:
                return
            self._arrival.clear()
            try:
                await asyncio.wait_for(self._arrival.wait(), left)
            except TimeoutError:
                return

    def _take(self) -> list[_Question]:
        """Take the oldest question and its company: questions to the same engine, in the order they came."""
        batch: list[_Question] = []
        others: deque[_Question] = deque()
        while self._waiting and len(batch) < self._max_batch:
            question = self._waiting.popleft()
            if question.answer.done():  # the asker has given up
                continue
            same = not batch or question.engine is batch[0].engine
            (batch if same else others).append(question)
        self._waiting.extendleft(reversed(others))
        self._metrics.waiting.set(len(self._waiting))
        return batch

    async def _answer(self, batch: list[_Question]) -> None:
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._executor, batch[0].engine.complete, [question.messages for question in batch])
        self._metrics.batch_size.observe(len(batch))
        await asyncio.wait({work})
        problem = work.exception()
        if problem is not None and not isinstance(problem, FinetuneError):
            # Its message may hold the text that it broke down over, so only its kind and its place are told.
            place = "".join(traceback.format_tb(problem.__traceback__))
            log.error("the engine broke down over %d questions: %s\n%s", len(batch), type(problem).__name__, place)
            problem = EngineFailedError(f"{type(problem).__name__}: {problem}")
        for position, question in enumerate(batch):
            if question.answer.done():
                continue
            if problem is not None:
                question.answer.set_exception(problem)
            else:
                question.answer.set_result(work.result()[position])
