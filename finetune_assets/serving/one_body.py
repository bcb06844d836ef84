"""A route that reads one JSON body itself: the way of the questions, which have to be cheap.

FastAPI's own way through content types, dependencies, body and answer took a third of a question's CPU time
(FastAPI 0.165, 2026-11-21). What /openapi.json says of such a route still comes from its function's signature.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from finetune_assets.serving.doors.roles import GuardedRoute

_JSON = re.compile(r"\s*application/(?:[\w.-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)


class OneBodyRoute(GuardedRoute):
    """A guarded route whose function takes the parts of its path, `body` (a model) and `request`, and nothing else."""

    def get_body_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what reads the body, calls the function and writes its answer."""
        endpoint = self.endpoint
        model: type[BaseModel] = inspect.get_annotations(endpoint, eval_str=True)["body"]

        async def handle(request: Request) -> Response:
            body = _read(model, request.headers.get("content-type", ""), await request.body())
            found = await endpoint(**request.path_params, body=body, request=request)
            if isinstance(found, Response):
                return found
            return Response(found.model_dump_json(), media_type="application/json")

        return handle


def _read(model: type[BaseModel], content_type: str, raw: bytes) -> BaseModel:
    """Return a body.

    Raises:
        RequestValidationError: when it is no JSON, says that it is something else, or does not fit the model.
    """
    if not raw or not _JSON.fullmatch(content_type):
        # A page of another origin may send plain text without asking first, so that JSON has to be called so.
        problem = {"type": "missing", "loc": ("body",), "msg": "Field required", "input": None}
        if raw:
            problem = {"type": "content_type", "loc": ("body",), "msg": "Send it as application/json", "input": None}
        raise RequestValidationError([problem])
    try:
        return model.model_validate(json.loads(raw))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        placed = [{**item, "loc": ("body", *item["loc"]), "input": None} for item in found]
        raise RequestValidationError(placed) from None
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or more levels than can be read
        problem = {"type": "json_invalid", "loc": ("body",), "msg": "JSON decode error", "input": None}
        raise RequestValidationError([problem]) from error
