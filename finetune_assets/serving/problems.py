"""Refusals: every error answer says what is wrong and how to mend it.

Two shapes: problem details (RFC 9457) with a `mend` member, and OpenAI's error object where clients of that API look
for it. Neither repeats the text that was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse

from finetune_assets.records.errors import FinetuneError

OPENAI_PATHS = ("/v1/chat/", "/v1/models")


class ApiProblem(Exception):  # noqa: N818  the name of RFC 9457 for it
    """A refusal.

    Args:
        status: HTTP status, 400 or above.
        code: a stable name in snake_case.
        detail: what is wrong, in one sentence.
        mend: what to do.
        field: the request's field at fault, "" for none.
        retry_after_s: seconds after which another try makes sense; None where it does not.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        mend: str,
        *,
        field: str = "",
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = _printable(detail)
        self.mend = _printable(mend)
        self.field = field
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}

    @staticmethod
    def is_openai(path: str) -> bool:
        """Return whether callers of this path expect OpenAI's error object."""
        return path.startswith(OPENAI_PATHS)

    def response(self, path: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
        """Return the answer in the shape that callers of `path` expect."""
        together = {**self.headers, **(headers or {})}
        if self.is_openai(path):
            return JSONResponse(self.openai_body(), self.status, headers=together)
        return JSONResponse(self._problem(), self.status, headers=together, media_type="application/problem+json")

    def _problem(self) -> dict[str, Any]:
        body = {
            "type": f"urn:finetune:{self.code}",
            "title": self.code.replace("_", " "),
            "status": self.status,
            "detail": self.detail,
            "mend": self.mend,
        }
        return {**body, "field": self.field} if self.field else body

    def openai_body(self) -> dict[str, Any]:
        """Return OpenAI's error object."""
        kinds = {429: "rate_limit_error"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        message = f"{self.detail} {self.mend}"
        return {"error": {"message": message, "type": kind, "param": self.field or None, "code": self.code}}


def line_without_mend(error: FinetuneError) -> str:
    """Return an error's line up to its mend, which an answer carries in a member of its own."""
    return str(error).partition(". Mend: ")[0] + "."


def told_of(error: Mapping[str, Any]) -> tuple[str, str]:
    """Return the place and the message of one of pydantic's errors without a word that the sender chose.

    A field that is not known has a name of the sender's making; a place within free fields has as well, but errors
    name only fields of the API's own models.

    Args:
        error: an entry of `RequestValidationError.errors()`.
    """
    parts = [str(part) for part in error["loc"] if part != "body"]
    if error["type"] == "extra_forbidden":
        return ".".join(parts[:-1]), "it has a field that is not known"
    return ".".join(parts), str(error["msg"])


def _printable(text: str) -> str:
    # A lone surrogate from a request would break the answer's UTF-8.
    return text.encode("utf-8", "replace").decode()
