"""LiveReleases: which release answers for which task, kept in step with the pointer.

A new release is loaded beside the old one and takes over when it has answered a question; until then, and when it
fails, the old one goes on. Requests under way keep the release that they began with.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from finetune_assets.records.errors import FinetuneError
from finetune_assets.serving.batching import EngineFailedError, MicroBatcher, OverloadedError
from finetune_assets.serving.listing import ReleaseRef
from finetune_assets.serving.metrics import GatewayMetrics
from finetune_assets.serving.release import ReleaseSource, ServedRelease
from finetune_assets.storage.errors import StorageError

log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_RETRY_S = 1.0
_LONGEST_RETRY_S = 60.0


@dataclass(slots=True)
class _Failure:
    """A release that could not be loaded: why, and when to try again."""

    ref: ReleaseRef
    problem: str
    retry_at: float
    wait_s: float


class LiveReleases:
    """Follows the pointer.

    Args:
        source: where the pointer and the releases are read.
        batcher: asks a new release its first question.
        metrics: told of swaps and failures.
        poll_s: seconds between looks at the pointer.
        answer_timeout_s: seconds that a new release has for its first answer.
        on_started: called once, when what was live at the start answers or has failed to.
    """

    def __init__(
        self,
        source: ReleaseSource,
        batcher: MicroBatcher,
        metrics: GatewayMetrics,
        *,
        poll_s: float = 0.5,
        answer_timeout_s: float = 60.0,
        on_started: Callable[[], None] | None = None,
    ) -> None:
        self._source = source
        self._batcher = batcher
        self._metrics = metrics
        self._poll_s = poll_s
        self._answer_timeout_s = answer_timeout_s
        self._on_started = on_started
        self._wanted: dict[str, ReleaseRef] | None = None
        self._serving: dict[str, ServedRelease] = {}
        self._failures: dict[str, _Failure] = {}
        self._poll_problem = ""
        # Loading reads files and builds a model for seconds; the pointer is read in the same thread, one at a time.
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loader")

    def get(self, task: str) -> ServedRelease | None:
        """Return the release that answers for `task` now."""
        return self._serving.get(task)

    def expects(self, task: str) -> bool:
        """Return whether a release of `task` is live or may turn out to be, though none answers yet."""
        return self._wanted is None or task in self._wanted

    @property
    def serving(self) -> Mapping[str, ServedRelease]:
        """The releases that answer, by task."""
        return self._serving

    @property
    def ready(self) -> bool:
        """True when a release answers and none is still on its first way up.

        A task whose release cannot be loaded does not keep the others from being asked.
        """
        return bool(self._serving) and all(
            task in self._serving or task in self._failures for task in self._wanted or ()
        )

    def describe(self) -> dict[str, object]:
        """Return the state of each task, as JSON."""
        wanted = self._wanted or {}
        tasks = {
            task: {
                "serving": _shown(self._serving[task].ref) if task in self._serving else None,
                "live": _shown(ref),
                "problem": self._problem_of(task, ref),
            }
            for task, ref in sorted(wanted.items())
        }
        return {"ready": self.ready, "tasks": tasks, "problem": self._poll_problem}

    def _problem_of(self, task: str, ref: ReleaseRef) -> str:
        failure = self._failures.get(task)
        return failure.problem if failure is not None and failure.ref == ref else ""

    async def follow(self) -> None:
        """Keep in step with the pointer until cancelled."""
        try:
            await self._in_loader(self._source.prepare)
            await self._step()
            if self._on_started is not None:
                self._on_started()
            while True:
                await self._step()
                await asyncio.sleep(self._poll_s)
        finally:
            self._loader.shutdown(wait=False, cancel_futures=True)

    async def _step(self) -> None:
        try:
            wanted = await self._in_loader(self._source.current)
        except (StorageError, FinetuneError, SQLAlchemyError, OSError) as problem:
            # A database that is busy or away must not take down what already answers.
            self._metrics.poll_failures.inc()
            if not self._poll_problem:
                log.warning("the pointer cannot be read: %s", problem)
            self._poll_problem = str(problem)
            return
        self._poll_problem = ""
        self._wanted = wanted
        for task in [task for task in self._serving if task not in wanted]:
            log.info("task %s has no live release any more", task)
            del self._serving[task]
            self._metrics.hide_live(task)
        for task, ref in wanted.items():
            if self._is_due(task, ref):
                await self._replace(task, ref)

    def _is_due(self, task: str, ref: ReleaseRef) -> bool:
        serving = self._serving.get(task)
        if serving is not None and serving.ref == ref:
            self._failures.pop(task, None)
            return False
        failure = self._failures.get(task)
        return failure is None or failure.ref != ref or time.monotonic() >= failure.retry_at

    async def _replace(self, task: str, ref: ReleaseRef) -> None:
        began = time.monotonic()
        log.info("loading %s version %s (%s)", task, ref.version, ref.candidate)
        try:
            release = await self._in_loader(self._source.load, ref)
            await self._first_answer(release)
        except (FinetuneError, StorageError, OSError, TimeoutError, OverloadedError, EngineFailedError) as problem:
            self._failed(task, ref, str(problem) or type(problem).__name__)
            return
        self._failures.pop(task, None)
        self._serving[task] = release
        self._metrics.show_live(task, ref.version, ref.candidate)
        took = time.monotonic() - began
        log.info("%s version %s (%s) answers after %.2f s", task, ref.version, ref.candidate, took)

    async def _first_answer(self, release: ServedRelease) -> None:
        completion = await self._batcher.ask(release.engine, release.first_question(), timeout_s=self._answer_timeout_s)
        if not completion.ok:
            raise FinetuneError(
                "release does not answer",
                where=f"{release.ref.task} version {release.ref.version}",
                found=completion.problem,
                mend="roll back, and look at the release's weights and template",
            )

    def _failed(self, task: str, ref: ReleaseRef, problem: str) -> None:
        before = self._failures.get(task)
        again = before is not None and before.ref == ref
        wait_s = min(_LONGEST_RETRY_S, before.wait_s * 2) if before is not None and again else _FIRST_RETRY_S
        self._failures[task] = _Failure(ref, problem, time.monotonic() + wait_s, wait_s)
        self._metrics.load_failures.labels(task).inc()
        log.error("%s version %s cannot be served: %s", task, ref.version, problem)

    async def _in_loader(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._loader, function, *arguments)


def _shown(ref: ReleaseRef) -> dict[str, object]:
    return {"version": ref.version, "candidate": ref.candidate}
