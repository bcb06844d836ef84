"""The words of Vertex AI on the wire: errors, enums, key style, time stamps, operations. No state, no rules."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

ENDED_STATES = {
    "JOB_STATE_SUCCEEDED",
    "JOB_STATE_FAILED",
    "JOB_STATE_CANCELLED",
    "JOB_STATE_EXPIRED",
    "JOB_STATE_PARTIALLY_SUCCEEDED",
}
STATUS_OF_HTTP = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
RPC_CODES = {
    "OK": 0,
    "CANCELLED": 1,
    "UNKNOWN": 2,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "UNAUTHENTICATED": 16,
}
# google.cloud.aiplatform.v1.AcceleratorType and Scheduling.Strategy, read in aiplatform 2.7.0 (2026-11-21): gapic sends
# enums as integers over REST.
ACCELERATORS = {
    1: "NVIDIA_TESLA_K80",
    2: "NVIDIA_TESLA_P100",
    3: "NVIDIA_TESLA_V100",
    4: "NVIDIA_TESLA_P4",
    5: "NVIDIA_TESLA_T4",
    8: "NVIDIA_TESLA_A100",
    9: "NVIDIA_A100_80GB",
    11: "NVIDIA_L4",
    13: "NVIDIA_H100_80GB",
    14: "NVIDIA_H100_MEGA_80GB",
    15: "NVIDIA_H200_141GB",
    16: "NVIDIA_B200",
    17: "NVIDIA_GB200",
    18: "NVIDIA_RTX_PRO_6000",
}
STRATEGIES = {1: "ON_DEMAND", 2: "LOW_COST", 3: "STANDARD", 4: "SPOT", 6: "FLEX_START"}
# Maps whose keys belong to the caller.
FREE_MAPS = {"labels", "trafficSplit", "env", "instances", "parameters", "metadata", "modelParameters"}


@dataclass
class ApiError(Exception):
    """An error answer of the service: an HTTP status and a google.rpc status word."""

    http: int
    message: str
    status: str = ""
    details: list[Json] = field(default_factory=list)

    def body(self) -> Json:
        """Return the answer's JSON, as Google's front end writes it."""
        error: Json = {
            "code": self.http,
            "message": self.message,
            "status": self.status or STATUS_OF_HTTP.get(self.http, "UNKNOWN"),
        }
        if self.details:
            error["details"] = self.details
        return {"error": error}


def invalid(message: str) -> ApiError:
    """Return a 400 INVALID_ARGUMENT."""
    return ApiError(400, message)


def precondition(message: str) -> ApiError:
    """Return a 400 FAILED_PRECONDITION."""
    return ApiError(400, message, "FAILED_PRECONDITION")


def not_found(what: str, name: str) -> ApiError:
    """Return a 404 for a resource."""
    return ApiError(404, f"The {what} {name} does not exist.")


def rpc_status(status: str, message: str) -> Json:
    """Return a google.rpc.Status, as jobs and operations carry it."""
    return {"code": RPC_CODES[status], "message": message}


def camel(value: Any) -> Any:
    """Return the JSON with its message keys in camelCase: proto JSON may come in snake_case (genai does)."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    found: Json = {}
    for key, item in value.items():
        name = re.sub(r"_([a-z0-9])", lambda hit: hit.group(1).upper(), key)
        found[name] = item if name in FREE_MAPS else camel(item)
    return found


def check_names(body: Json) -> None:
    """Refuse labels and display names that the service refuses.

    Raises:
        ApiError: 400.
    """
    labels = body.get("labels", {})
    if len(labels) > 64:
        raise invalid(f"At most 64 labels are allowed, found {len(labels)}.")
    for key, value in labels.items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) or not re.fullmatch(r"[a-z0-9_-]{0,63}", str(value)):
            raise invalid(
                f"Invalid label {key!r}: {value!r}. Keys and values take lowercase letters, digits, _ and -, "
                "at most 63; keys start with a letter."
            )
    for key in ("displayName", "tunedModelDisplayName"):
        if len(body.get(key, "")) > 128:
            raise invalid(f"{key} must not be longer than 128 characters.")


def accelerator_name(value: Any) -> str:
    """Return the accelerator's name of an enum's integer or string."""
    return ACCELERATORS.get(value, "") if isinstance(value, int) else str(value or "")


def strategy_name(value: Any) -> str:
    """Return the scheduling strategy's name of an enum's integer or string."""
    return STRATEGIES.get(value, "STANDARD") if isinstance(value, int) else str(value or "STANDARD")


def stamp(seconds: float) -> str:
    """Return RFC 3339 of Unix seconds, with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_of(duration: Any, default: float) -> float:
    """Return the seconds of a proto Duration (`"21600s"`)."""
    return float(str(duration).removesuffix("s")) if duration else default


def any_of(version: str, message: str, body: Json) -> Json:
    """Return a proto Any whose type is of the API version that made the call."""
    if message == "google.protobuf.Empty":
        return {"@type": "type.googleapis.com/google.protobuf.Empty"}
    return {"@type": f"type.googleapis.com/google.cloud.aiplatform.{version}.{message}", **body}


def matches_filter(text: str, body: Json) -> bool:
    """Return whether a resource fits a list filter: terms like `labels.x="y"` or `state="..."`, joined by AND."""
    for term in re.split(r"\s+AND\s+", text.strip()):
        hit = re.fullmatch(r'\(?\s*([\w.\-]+)\s*(!?=|:)\s*"?([^"]*)"?\s*\)?', term)
        if hit is None:
            raise invalid(f"Invalid filter: {text}")
        key, sign, wanted = hit.groups()
        if key.startswith("labels."):
            found = body.get("labels", {}).get(key.removeprefix("labels."))
        else:
            key = re.sub(r"_([a-z])", lambda part: part.group(1).upper(), key)
            found = body.get(key)
            if key in {"model", "endpoint"} and isinstance(found, str):
                found = found.rsplit("/", 1)[-1] if "/" not in wanted else found
        fits = found is not None if (sign == ":" and wanted == "*") else str(found) == wanted
        if fits == (sign == "!="):
            return False
    return True


def dumps(value: Any) -> str:
    """Return compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
