"""Streamed answers, recorded when they end or break off: nobody has read a stream's end whose answer is not kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from finetune_assets.feedback.predictions import Outcome
from finetune_assets.serving.problems import ApiProblem


class RecordedStream(StreamingResponse):
    """Server-sent events whose answer is recorded before the events that say its end.

    Args:
        request: the question's request.
        events: the events; the first one carries the whole text.
        record: records the answer with how the stream went; raises ApiProblem when it cannot.
    """

    def __init__(self, request: Request, events: Iterator[str], record: Callable[[Outcome], Awaitable[None]]) -> None:
        self._request = request
        self._record = record
        self._settled = False
        super().__init__(self._recorded(events), media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream; what its reader did not wait for is recorded as broken off."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if not self._settled:
                await asyncio.shield(self._settle("broken_off"))

    async def _recorded(self, events: Iterator[str]) -> AsyncIterator[str]:
        yield next(events)
        # The server waits for a slow reader only when it is given more: an empty piece, which is not sent.
        yield ""
        problem = await self._settle("broken_off" if await self._request.is_disconnected() else "complete")
        if problem is not None:
            # The head is sent already, so that the refusal can only stand where the end would.
            yield f"data: {json.dumps(problem.openai_body())}\n\n"
            return
        for event in events:
            yield event

    async def _settle(self, outcome: Outcome) -> ApiProblem | None:
        self._settled = True
        try:
            await self._record(outcome)
        except ApiProblem as problem:
            return problem
        return None
