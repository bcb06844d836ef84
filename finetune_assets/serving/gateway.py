"""The gateway: one HTTP application in front of the live releases.

It knows tasks, releases and limits; prompts come from the release's task type, answers from its engine. Where it has a
home, every answer is recorded there before it is sent. Who may ask for what, `serving/doors` decides: a route says
which role it needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from finetune_assets import __version__
from finetune_assets.feedback.predictions import Outcome
from finetune_assets.records.errors import FinetuneError
from finetune_assets.serving.answering import Answer, Answering
from finetune_assets.serving.approval_door import add_approvals
from finetune_assets.serving.batching import MicroBatcher
from finetune_assets.serving.body_limit import BodyLimit
from finetune_assets.serving.config import GatewaySettings
from finetune_assets.serving.doors import caller_of, everybody, needs
from finetune_assets.serving.doors.callers import is_loopback
from finetune_assets.serving.doors.description import describe
from finetune_assets.serving.doors.keyring import KeyRing
from finetune_assets.serving.doors.keys import WRONG_KEYS, Keys
from finetune_assets.serving.doors.origins import Origins
from finetune_assets.serving.doors.rates import Rates
from finetune_assets.serving.doors.roles import GuardedRoute
from finetune_assets.serving.feedback_door import add_feedback
from finetune_assets.serving.live import LiveReleases
from finetune_assets.serving.metrics import GatewayMetrics
from finetune_assets.serving.one_body import OneBodyRoute
from finetune_assets.serving.openai import ChatRequest, completion_body, completion_events, model_entry
from finetune_assets.serving.problems import ApiProblem, line_without_mend, told_of
from finetune_assets.serving.release import ReleaseSource, ServedRelease
from finetune_assets.serving.request_counter import RequestCounter
from finetune_assets.serving.request_ids import RequestIds
from finetune_assets.serving.streaming import RecordedStream
from finetune_assets.serving.witness import GatewayWitness
from finetune_assets.storage.home import Home


class PredictRequest(BaseModel):
    """A question: all fields of an input, or its text alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: dict[str, Any] | None = Field(default=None, description="The input's fields under canonical names.")
    text: str | None = Field(default=None, description="The input's text, for tasks that read one text field.")


class PredictResponse(BaseModel):
    """The answer, and which release gave it."""

    request_id: str = Field(description="Id of the request, for feedback on the answer.")
    task: str = Field(description="The task asked.")
    release: dict[str, Any] = Field(description="`version` and `candidate` of the release that answered.")
    answer: dict[str, Any] = Field(description="The answer with what the task knows besides; empty when not valid.")
    label_path: list[str] = Field(description="The label's parts, outermost first; empty when not valid.")
    valid: bool = Field(description="Whether the answer is a legal one of this task.")
    latency_ms: float = Field(description="Milliseconds from question to answer, waiting included.")


class Gateway:
    """The parts of one running gateway.

    Args:
        source: where the pointer and the releases are read.
        settings: limits and times.
        on_started: called once, when what was live at the start answers or has failed to.
        home: where answers are recorded; None records none.
    """

    def __init__(
        self,
        source: ReleaseSource,
        settings: GatewaySettings,
        on_started: Callable[[], None] | None = None,
        home: Home | None = None,
    ) -> None:
        self.witness = None if home is None else GatewayWitness(home, settings)
        self.keys = KeyRing("" if home is None else home.database_url)
        self.metrics = GatewayMetrics()
        self.batcher = MicroBatcher(
            self.metrics,
            max_batch=settings.max_batch,
            wait_s=settings.batch_wait_ms / 1000,
            max_waiting=settings.max_waiting,
        )
        self.live = LiveReleases(source, self.batcher, self.metrics, poll_s=settings.poll_s, on_started=on_started)
        self.answering = Answering(self.live, self.batcher, settings.timeout_s)
        self._prune_every_s = settings.prune_every_s
        self._workers: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the recorder, the batcher and the pointer's follower while the application lives."""
        if self.witness is not None:
            self.witness.start()
        self._workers = [
            asyncio.create_task(self.batcher.run(), name="batcher"),
            asyncio.create_task(self.live.follow(), name="follower"),
            asyncio.create_task(self.keys.follow(), name="keyring"),
            asyncio.create_task(self._prune(), name="pruner"),
        ]
        try:
            yield
        finally:
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
            await asyncio.to_thread(self.keys.close)
            if self.witness is not None:
                await asyncio.to_thread(self.witness.close)

    async def _prune(self) -> None:
        """Delete from time to time the records that are too old; runs until it is cancelled."""
        while True:
            await asyncio.sleep(self._prune_every_s)
            if self.witness is not None:
                for task, release in list(self.live.serving.items()):
                    await asyncio.to_thread(self.witness.prune, task, release.feedback)

    def dead_worker(self) -> str:
        """Return the name of a worker that has ended, which only a bug or the shutdown does; "" while all work."""
        if self.witness is not None and not self.witness.alive:
            return "recorder"
        return next((worker.get_name() for worker in self._workers if worker.done()), "")

    async def answer(self, release: ServedRelease, fields: Mapping[str, Any]) -> Answer:
        """Answer one input, unless the answer could not be recorded; see `Answering.fields`."""
        if self.witness is not None:
            self.witness.refuse_unless_alive()
        return await self.answering.fields(release, fields)

    async def record(self, answer: Answer, request_id: str, outcome: Outcome = "complete") -> None:
        """Return when an answer is on the disk; at once for a gateway that records none."""
        if self.witness is not None:
            await self.witness.record(answer, request_id, outcome=outcome)


def create_app(
    source: ReleaseSource,
    settings: GatewaySettings | None = None,
    *,
    on_started: Callable[[], None] | None = None,
    home: Home | None = None,
) -> FastAPI:
    """Return the gateway's application.

    Args:
        source: where the pointer and the releases are read; see `serving/release.py`.
        settings: limits and times; defaults fit one machine.
        on_started: called once, when what was live at the start answers or has failed to.
        home: the installation's home, where answers are recorded and feedback is kept; None for a rehearsal, which
            records nothing.

    Raises:
        FinetuneError, StorageError: when answers cannot be recorded there.
    """
    settings = settings or GatewaySettings()
    gateway = Gateway(source, settings, on_started, home)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with gateway.running():
            yield

    # The interactive pages load scripts from elsewhere; the schema itself stays at /openapi.json.
    app = FastAPI(title="finetune gateway", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.router.route_class = GuardedRoute
    _add_questions(app, gateway)
    _add_state(app, gateway)
    add_feedback(app, gateway.witness, gateway.answering.release)
    add_approvals(app, home)
    _add_error_shapes(app)
    describe(app)
    _add_layers(app, gateway, settings)
    return app


def _add_layers(app: FastAPI, gateway: Gateway, settings: GatewaySettings) -> None:
    """Put the layers around the application, the innermost first: who may not ask is refused before a body is read."""
    app.state.rates = Rates(
        {
            "predict": settings.predict_per_minute,
            "feedback": settings.feedback_per_minute,
            "approve": settings.approve_per_minute,
            "admin": settings.admin_per_minute,
            WRONG_KEYS: settings.wrong_keys_per_minute,
        }
    )
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, timeout_s=settings.body_timeout_s)
    app.add_middleware(Keys, ring=gateway.keys, rates=app.state.rates)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
            expose_headers=["X-Request-Id", "Retry-After"],
        )
    app.add_middleware(
        Origins,
        hosts=settings.allowed_hosts,
        origins=settings.allowed_origins,
        addresses=not is_loopback(settings.host),
    )
    app.add_middleware(RequestCounter, metrics=gateway.metrics)
    app.add_middleware(RequestIds)


def _add_questions(app: FastAPI, gateway: Gateway) -> None:
    answering = gateway.answering
    add_question = partial(
        app.router.add_api_route,
        methods=["POST"],
        dependencies=[Depends(needs("predict"))],
        route_class_override=OneBodyRoute,
    )

    async def predict(task: str, body: PredictRequest, request: Request) -> PredictResponse:
        release = answering.release(task)
        request.state.task = task
        if (body.fields is None) == (body.text is None):
            raise ApiProblem(
                422,
                "unusable_input",
                "The body needs either `fields` or `text`, and not both.",
                'Send {"fields": {"name": "…"}} or {"text": "…"}.',
            )
        fields = body.fields if body.fields is not None else release.fields_of_text(body.text or "")
        answer = await gateway.answer(release, fields)
        await gateway.record(answer, request.state.request_id)
        return _prediction(answer, request.state.request_id)

    async def chat(body: ChatRequest, request: Request) -> Response:
        release = answering.release(body.model)
        request.state.task = body.model
        answer = await gateway.answer(release, release.fields_of_text(body.input_text()))
        request_id = request.state.request_id
        if not body.stream:
            await gateway.record(answer, request_id)
            return JSONResponse(completion_body(answer, request_id))
        include_usage = body.stream_options is not None and body.stream_options.include_usage
        events = completion_events(answer, request_id, include_usage=include_usage)
        return RecordedStream(request, events, partial(gateway.record, answer, request_id))

    add_question("/v1/tasks/{task}/predict", predict)
    add_question(
        "/v1/chat/completions",
        chat,
        response_model=None,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )

    @app.get("/v1/models", dependencies=[Depends(needs("predict"))])
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [model_entry(task) for task in sorted(gateway.live.serving)]}


def _add_state(app: FastAPI, gateway: Gateway) -> None:
    @app.get("/healthz", dependencies=[Depends(everybody)], responses={500: {"description": "A worker has ended."}})
    async def healthz() -> JSONResponse:
        dead = gateway.dead_worker()
        body = {"status": f"worker {dead} has ended; restart the gateway" if dead else "ok"}
        return JSONResponse(body, 500 if dead else 200)

    @app.get("/readyz", dependencies=[Depends(everybody)], responses={503: {"description": "Nothing answers yet."}})
    async def readyz(request: Request) -> JSONResponse:
        # Strangers are told no names of tasks, and no errors, which name files and servers.
        told = gateway.live.describe() if caller_of(request).roles else {"ready": gateway.live.ready}
        return JSONResponse(told, 200 if gateway.live.ready else 503)

    @app.get("/metrics", response_class=PlainTextResponse, dependencies=[Depends(needs("admin", or_loopback=True))])
    async def metrics() -> Response:
        return Response(gateway.metrics.exposition(), media_type=gateway.metrics.content_type)


def _add_error_shapes(app: FastAPI) -> None:
    @app.exception_handler(ApiProblem)
    async def refused(request: Request, problem: ApiProblem) -> JSONResponse:
        return problem.response(request.url.path)

    @app.exception_handler(FinetuneError)
    async def broken(request: Request, error: FinetuneError) -> JSONResponse:
        mend = error.mend or "Look at the gateway's log."
        return ApiProblem(500, "release_failed", line_without_mend(error), mend).response(request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place, message = told_of(first)
        detail = f"The request body is not valid{f' at {place}' if place else ''}: {message}."
        problem = ApiProblem(422, "invalid_body", detail, "Correct the body; /openapi.json describes it.", field=place)
        if problem.is_openai(request.url.path):
            problem.status = 400  # as OpenAI's own servers answer
        return problem.response(request.url.path)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
        problem = ApiProblem(error.status_code, code, f"{error.detail}.", "See /openapi.json for what can be asked.")
        return problem.response(request.url.path, error.headers)


def _prediction(answer: Answer, request_id: str) -> PredictResponse:
    ref = answer.release.ref
    return PredictResponse(
        request_id=request_id,
        task=ref.task,
        release={"version": ref.version, "candidate": ref.candidate},
        answer=answer.parsed.value,
        label_path=list(answer.parsed.label_path),
        valid=answer.parsed.valid,
        latency_ms=round(answer.latency_s * 1000, 3),
    )
