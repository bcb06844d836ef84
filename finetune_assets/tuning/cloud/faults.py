"""What Google's clients raise, turned into our errors: one class for each thing that is mended differently.

Here belongs the reading of status codes and messages, whichever client they come from. When to try again stands in
`retries.py`, what to do about an unclear answer in `backends/submission.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from finetune_assets.tuning.cloud.errors import (
    AmbiguousError,
    ApiDisabledError,
    CloudError,
    MissingError,
    ModelDeniedError,
    NoCredentialsError,
    PermissionDeniedError,
    ProjectError,
    QuotaError,
    RejectedError,
    UnavailableError,
)

# Clients let errors of their transport through as they are. google-genai 3 changes from httpx to httpx2, so that the
# module's name is looked at and nothing is imported.
_TRANSPORT = ("httpx", "httpcore", "requests", "urllib3", "h11", "h2", "ssl", "socket", "grpc")
_TRANSPORT_NAMES = frozenset({"TransportError", "UnknownApiResponseError", "JSONDecodeError", "ParseError"})
_PRINCIPAL = re.compile(r"[\w.-]+@[\w.-]+\.gserviceaccount\.com")
_API = re.compile(r"[a-z0-9-]+\.googleapis\.com")
_BEARER = re.compile(r"(?i)bearer\s+\S+|ya29\.\S+")
_SERVER_FAULT = 500


@dataclass(frozen=True)
class Action:
    """What was asked of the service, for the error's words.

    Attributes:
        what: what did not work, in a few words ("the tuning job was not submitted").
        where: job, request or place.
        creates: it makes something that must not be made twice, so that an unclear answer is an AmbiguousError.
        project: Google Cloud project id.
        location: region.
        model: base model, "" where none is meant.
        data: gs:// URI that the service reads, "" for none.
        agent: service agent that reads it (`gcp-sa-vertex-tune`), "" where it is not known.
        alternatives: what may be tuned instead, asked for only when it is needed.
    """

    what: str
    where: str = ""
    creates: bool = False
    project: str = ""
    location: str = ""
    model: str = ""
    data: str = ""
    agent: str = ""
    alternatives: Callable[[], str] = lambda: ""


@dataclass(frozen=True)
class Fault:
    """What a client said: an HTTP status (0: the request or its answer got lost), the service's word and message."""

    http: int
    status: str
    message: str

    def says(self, pattern: str) -> bool:
        """Whether status or message matches, whatever the case."""
        return re.search(pattern, f"{self.status} {self.message}", re.IGNORECASE) is not None


class Explained:
    """A block whose errors come out as ours: `with Explained(action): client.call()`."""

    def __init__(self, action: Action) -> None:
        self._action = action

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        problem = cloud_error(error, self._action) if error is not None else None
        if problem is not None:
            raise problem from error


def cloud_error(error: BaseException, action: Action) -> CloudError | None:
    """Return our error for what a client raised; None for an error that is none of the cloud's."""
    if isinstance(error, CloudError):
        return None
    if _is_of(error, "google.auth") and not _is_lost(error):
        return NoCredentialsError(
            "the credentials for Google Cloud are missing or not taken",
            where="application default credentials",
            found=_plain(str(error)),
            mend="run `gcloud auth application-default login`, or give the workload an identity",
        )
    fault = _fault(error)
    return None if fault is None else _explain(fault, action)


def _fault(error: BaseException) -> Fault | None:
    code = getattr(error, "code", None)
    if _is_of(error, "google.genai.errors") and isinstance(code, int):
        message = getattr(error, "message", None) or str(error)
        details = getattr(error, "details", None)
        return Fault(code, str(getattr(error, "status", None) or ""), _plain(f"{message} {_reasons(details)}"))
    if _is_of(error, "google.api_core"):
        return _api_core_fault(error)
    return Fault(0, type(error).__name__, _plain(str(error))) if _is_lost(error) else None


def _api_core_fault(error: BaseException) -> Fault:
    code = getattr(error, "code", None)
    cause = getattr(error, "cause", None)
    if cause is not None and code is None:  # RetryError: what it gave up on
        return _fault(cause) or Fault(0, type(error).__name__, _plain(str(cause)))
    message = str(getattr(error, "message", "") or error)
    reason = str(getattr(error, "reason", "") or "")
    return Fault(int(code) if code is not None else 0, reason, _plain(message))


def _is_lost(error: BaseException) -> bool:
    """Whether the request, or its answer, got lost on the way."""
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if getattr(error, "retryable", False) and _is_of(error, "google.auth"):
        return True
    kind = type(error)
    return kind.__module__.split(".")[0] in _TRANSPORT or kind.__name__ in _TRANSPORT_NAMES


def _is_of(error: BaseException, package: str) -> bool:
    return any(kind.__module__.startswith(package) for kind in type(error).__mro__)


def _reasons(answer: Any) -> str:
    """Return the reasons in an answer's details (`SERVICE_DISABLED`) and the services that they name."""
    inner = answer.get("error", answer) if isinstance(answer, dict) else {}
    entries = inner.get("details", []) if isinstance(inner, dict) else []
    found = []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            metadata: Any = entry.get("metadata")
            service = metadata.get("service", "") if isinstance(metadata, dict) else ""
            found += [str(entry.get("reason", "")), str(service)]
    return " ".join(word for word in found if word)


def _plain(text: str) -> str:
    return _BEARER.sub("(hidden)", " ".join(text.split()))


def _explain(fault: Fault, action: Action) -> CloudError:
    lost = fault.http == 0 or fault.http in (408, 409, 499) or fault.http >= _SERVER_FAULT
    if lost and action.creates:
        return AmbiguousError(
            f"{action.what}, or it is not known",
            where=action.where,
            found=_found(fault),
            mend="look the job up by its run key before anything is tried again; `finetune run` does",
        )
    if fault.http == 409:
        return _rejected(fault, action)
    if lost:
        return UnavailableError(
            f"{action.what}: the service cannot be reached or fails at the moment",
            where=action.where,
            found=_found(fault),
            mend="run again later; what is under way at the service goes on",
        )
    return _refusal(fault, action)


def _refusal(fault: Fault, action: Action) -> CloudError:
    if fault.http == 429:
        return _quota(fault, action)
    if fault.http == 401:
        return _unauthenticated(fault)
    for pattern, codes, explain in _RULES:
        if fault.http in codes and fault.says(pattern):
            return explain(fault, action)
    if fault.http == 403:
        return _denied(fault, action)
    return _missing(fault, action) if fault.http == 404 else _rejected(fault, action)


def _found(fault: Fault) -> str:
    code = str(fault.http) if fault.http else ""
    return " ".join(part for part in (code, fault.status, fault.message) if part)


def _unauthenticated(fault: Fault) -> CloudError:
    return NoCredentialsError(
        "Google Cloud does not take the credentials",
        where="application default credentials",
        found=_found(fault),
        mend="run `gcloud auth application-default login`, or give the workload an identity",
    )


def _quota(fault: Fault, action: Action) -> CloudError:
    return QuotaError(
        f"{action.what}: a quota is used up",
        where=action.where,
        found=_found(fault),
        mend="wait for the jobs that are under way, or ask for more of "
        '"Global concurrent tuning jobs" in IAM & Admin, Quotas',
    )


def _disabled(fault: Fault, action: Action) -> CloudError:
    named = _API.search(fault.message)
    api = named.group() if named else "aiplatform.googleapis.com"
    return ApiDisabledError(
        f"the API {api} is not enabled",
        where=f"project {action.project}",
        found=_found(fault),
        mend=f"run `gcloud services enable {api} --project {action.project}` and wait a few minutes",
    )


def _billing(fault: Fault, action: Action) -> CloudError:
    return ProjectError(
        "billing is not enabled in the project",
        where=f"project {action.project}",
        found=_found(fault),
        mend=f"run `gcloud billing projects link {action.project} --billing-account=ACCOUNT`",
    )


def _project(fault: Fault, action: Action) -> CloudError:
    return ProjectError(
        "the project does not exist, or is not this identity's",
        where=f"project {action.project}",
        found=_found(fault),
        mend="correct cloud.project; `gcloud projects list` names those that this identity sees",
    )


def _model(fault: Fault, action: Action) -> CloudError:
    alternatives = action.alternatives()
    return ModelDeniedError(
        f"{action.model or 'the model'} cannot be tuned, or not in this way or place",
        where=f"project {action.project}, {action.location}",
        found=_found(fault),
        mend=f"take one of {alternatives}" if alternatives else "take another base_model, mode or cloud.location",
    )


def _data(fault: Fault, action: Action) -> CloudError:
    named = _PRINCIPAL.search(fault.message)
    agent = named.group() if named else f"service-PROJECT_NUMBER@{action.agent}.iam.gserviceaccount.com"
    bucket = "/".join(action.data.split("/")[:3]) or "gs://BUCKET"
    return PermissionDeniedError(
        f"{agent} cannot read the dataset, or it is not there",
        where=action.data or action.where,
        found=_found(fault),
        mend=f"run `gcloud storage buckets add-iam-policy-binding {bucket} --member=serviceAccount:{agent} "
        "--role=roles/storage.objectViewer`",
    )


def _act_as(fault: Fault, action: Action) -> CloudError:
    return PermissionDeniedError(
        "this identity may not let the job run under its service account",
        where=action.where,
        found=_found(fault),
        mend="grant it roles/iam.serviceAccountUser on the account that cloud.service_account names",
    )


def _denied(fault: Fault, action: Action) -> CloudError:
    return PermissionDeniedError(
        f"{action.what}: this identity lacks a permission",
        where=action.where or f"project {action.project}",
        found=_found(fault),
        mend=f"grant it roles/aiplatform.user in project {action.project}; `finetune doctor` names each permission",
    )


def _missing(fault: Fault, action: Action) -> CloudError:
    return MissingError(
        f"{action.what}: it is not there",
        where=action.where,
        found=_found(fault),
        mend="check cloud.project and cloud.location; what was deleted at the service cannot be attached to again",
    )


def _rejected(fault: Fault, action: Action) -> CloudError:
    return RejectedError(
        f"{action.what}: the service refuses the request",
        where=action.where,
        found=_found(fault),
        mend="mend what the message names; `finetune doctor TASK` checks the settings without submitting",
    )


# The first rule that fits decides; the order is from the most to the least particular.
_RULES: tuple[tuple[str, tuple[int, ...], Callable[[Fault, Action], CloudError]], ...] = (
    (r"SERVICE_DISABLED|has not been used in project|API .*(is|are) (disabled|not enabled)", (403, 400), _disabled),
    (r"BILLING_DISABLED|requires billing|billing account", (403, 400), _billing),
    (
        r"CONSUMER_INVALID|USER_PROJECT_DENIED|on resource '?\"?projects/[^/ ]+'? \(or it may not|"
        r"(?<![\w/-])project\b[^.]*(not found|does not exist|not exist|has been deleted)",
        (403, 404, 400),
        _project,
    ),
    (r"actAs|serviceAccountUser|service account .*(act|impersonat)", (403, 400), _act_as),
    (r"gs://|storage\.(objects|buckets)\.|bucket|dataset", (403, 404), _data),
    (
        r"(base )?model .*(not (supported|eligible|found|available)|can't be tuned|cannot be tuned|not allowed)|"
        r"eligible to tune|tuning (mode|method) .* not supported|Publisher Model",
        (400, 403, 404),
        _model,
    ),
)
