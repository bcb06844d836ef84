"""Looking at an endpoint from outside while it changes: who answers, and how the traffic is split."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from types import TracebackType

from finetune_assets.evaluation.engine import Engine
from finetune_assets.records.example import Message
from finetune_assets.serving.cloud.endpoints import show
from finetune_assets.tuning.cloud.clients import CloudClients

_PAUSE_S = 0.05


class Observer:
    """Asks one question after the other, and writes down every traffic split that it sees.

    Args:
        clients: Google's clients at the endpoint's place.
        endpoint: the endpoint's resource name.
        engine: asks the endpoint.
        questions: what is asked, in turn.
    """

    def __init__(
        self, clients: CloudClients, endpoint: str, engine: Engine, questions: Sequence[Sequence[Message]]
    ) -> None:
        self._clients, self._endpoint, self._engine, self._questions = clients, endpoint, engine, questions
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="endpoint-observer", daemon=True)
        self.answers: Counter[str] = Counter()
        self.problems: list[str] = []
        self.splits: list[dict[str, int]] = []

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=60)

    def _look(self) -> None:
        number = 0
        while not self._stop.wait(_PAUSE_S):
            seen = {item.id: item.traffic for item in show(self._clients, self._endpoint).deployed}
            if not self.splits or self.splits[-1] != seen:
                self.splits.append(seen)
            (answer,) = self._engine.complete([self._questions[number % len(self._questions)]])
            number += 1
            if answer.ok:
                self.answers[answer.served_by] += 1
            else:
                self.problems.append(answer.problem)
