"""Engines and sources that do as they are told, for what a real model does too fast or too well to show."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from finetune_assets.evaluation.engine import Completion
from finetune_assets.records.example import Message
from finetune_assets.records.task_type import TaskType
from finetune_assets.serving.listing import ReleaseRef
from finetune_assets.serving.release import ServedRelease


class FakeEngine:
    """Answers with `answer`, after `delay_s`; notes each batch."""

    def __init__(self, answer: str = "", *, delay_s: float = 0.0, error: Exception | None = None) -> None:
        self.answer = answer
        self.delay_s = delay_s
        self.error = error
        self.completion: Completion | None = None
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()
        self.go = threading.Event()
        self.go.set()

    @property
    def identity(self) -> dict[str, str]:
        return {"engine": "fake", "answer": self.answer}

    def complete(self, batch: Sequence[Sequence[Message]]) -> list[Completion]:
        self.threads.add(threading.get_ident())
        self.batches.append([messages[-1]["content"] for messages in batch])
        self.go.wait(10)
        time.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        if self.completion is not None:
            return [self.completion] * len(batch)
        return [Completion(self.answer or f"echo {messages[-1]['content']}") for messages in batch]


class FakeSource:
    """Releases made on the spot."""

    def __init__(self, task_type: TaskType, make: Callable[[ReleaseRef], FakeEngine]) -> None:
        self.task_type = task_type
        self.make = make
        self.wanted: dict[str, ReleaseRef] = {}
        self.problem: Exception | None = None
        self.loaded: list[ReleaseRef] = []
        self.prepared = False

    def prepare(self) -> None:
        self.prepared = True

    def current(self) -> dict[str, ReleaseRef]:
        if self.problem is not None:
            raise self.problem
        return dict(self.wanted)

    def load(self, ref: ReleaseRef) -> ServedRelease:
        self.loaded.append(ref)
        return ServedRelease(ref, self.task_type, self.make(ref), {"text": "first question"})


def ref(version: int = 1, task: str = "intents") -> ReleaseRef:
    return ReleaseRef(task=task, version=version, candidate=f"{version:064x}", artifact_key=f"key{version}")
