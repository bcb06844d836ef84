from __future__ import annotations

from typing import Any

import httpx
import pytest
import requests
from google.api_core import exceptions as api_core
from google.auth import exceptions as auth
from google.genai import errors as genai

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
from finetune_assets.tuning.cloud.faults import Action, Explained, cloud_error
from finetune_assets.tuning.cloud.retries import ReadPolicy, read

READ = Action("the job could not be looked at", where="job 7", project="p1", location="us-central1")
CREATE = Action(
    "the job was not submitted",
    where="job 7",
    creates=True,
    project="p1",
    location="us-central1",
    model="qwen/qwen3@x",
    data="gs://bkt/datasets/d/train.jsonl",
    agent="gcp-sa-vertex-tune",
    alternatives=lambda: "qwen/qwen3@qwen3-32b (peft or full)",
)


def spoken(code: int, message: str, status: str = "", details: list[Any] | None = None) -> list[Exception]:
    """Return the same answer as each of Google's clients raises it."""
    body = {"error": {"code": code, "message": message, "status": status, "details": details or []}}
    kind = genai.ServerError if code >= 500 else genai.ClientError
    found: list[Exception] = [kind(code, body)]
    reason = (details or [{}])[0].get("reason", "")
    text = f"{message} {reason}"
    found.append(api_core.from_http_status(code, text))
    return found


LOST: list[Exception] = [
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("slow"),
    httpx.RemoteProtocolError("cut"),
    requests.ConnectionError("cut"),
    requests.exceptions.ChunkedEncodingError("cut"),
    ConnectionResetError("cut"),
    TimeoutError("slow"),
    auth.TransportError("no way to the token server"),
    api_core.RetryError("gave up", cause=ConnectionError("cut")),
    *spoken(500, "Internal error"),
    *spoken(502, "Bad gateway"),
    *spoken(503, "Unavailable"),
    *spoken(504, "Deadline"),
    *spoken(408, "Timeout"),
]


@pytest.mark.parametrize("error", LOST, ids=lambda error: f"{type(error).__module__}.{type(error).__name__}")
def test_what_got_lost_is_ambiguous_for_a_create_only(error: Exception) -> None:
    assert type(cloud_error(error, CREATE)) is AmbiguousError
    assert type(cloud_error(error, READ)) is UnavailableError


@pytest.mark.parametrize(
    ("code", "message", "kind", "words"),
    [
        (401, "Request had invalid authentication credentials.", NoCredentialsError, "gcloud auth"),
        (403, "Permission 'aiplatform.tuningJobs.create' denied", PermissionDeniedError, "roles/aiplatform.user"),
        (
            403,
            "Vertex AI API has not been used in project p1 before or it is disabled. aiplatform.googleapis.com",
            ApiDisabledError,
            "gcloud services enable aiplatform.googleapis.com --project p1",
        ),
        (
            403,
            "service-77@gcp-sa-vertex-tune.iam.gserviceaccount.com does not have storage.objects.get access to gs://bkt",
            PermissionDeniedError,
            "--member=serviceAccount:service-77@gcp-sa-vertex-tune.iam.gserviceaccount.com",
        ),
        (404, "The dataset file was not found", PermissionDeniedError, "service-PROJECT_NUMBER@gcp-sa-vertex-tune"),
        (403, "Permission iam.serviceAccounts.actAs denied", PermissionDeniedError, "serviceAccountUser"),
        (
            403,
            "the project is not yet eligible to tune the base model qwen",
            ModelDeniedError,
            "qwen3-32b (peft or full)",
        ),
        (400, "Base model x is not supported for tuning.", ModelDeniedError, "take one of qwen/qwen3@qwen3-32b"),
        (404, "The project p9 does not exist", ProjectError, "gcloud projects list"),
        (429, "Quota exceeded for concurrent tuning jobs", QuotaError, "Quotas"),
        (400, "The validation file is too large", RejectedError, "finetune doctor"),
        (404, "The tuning job 7 does not exist.", MissingError, "cloud.location"),
    ],
)
def test_each_refusal_names_its_mend(code: int, message: str, kind: type[CloudError], words: str) -> None:
    for error in spoken(code, message):
        problem = cloud_error(error, CREATE)
        assert type(problem) is kind
        assert words in str(problem)


def test_a_project_without_billing_is_mended_by_linking_an_account() -> None:
    details = [{"reason": "BILLING_DISABLED", "metadata": {"service": "aiplatform.googleapis.com"}}]
    problem = cloud_error(spoken(403, "This API method requires billing to be enabled.", details=details)[0], CREATE)
    assert type(problem) is ProjectError
    assert "gcloud billing projects link" in problem.mend


def test_details_tell_a_disabled_api() -> None:
    details = [{"reason": "SERVICE_DISABLED", "metadata": {"service": "storage.googleapis.com"}}]
    problem = cloud_error(spoken(403, "Denied", details=details)[0], CREATE)
    assert type(problem) is ApiDisabledError
    assert "enable storage.googleapis.com" in problem.mend


@pytest.mark.parametrize(
    "error", [auth.DefaultCredentialsError("none"), auth.RefreshError("expired"), auth.InvalidOperation("anonymous")]
)
def test_credentials_are_an_error_of_their_own(error: Exception) -> None:
    assert type(cloud_error(error, CREATE)) is NoCredentialsError


def test_tokens_do_not_get_into_errors() -> None:
    problem = cloud_error(httpx.ConnectError("Authorization: Bearer ya29.secret and ya29.more"), READ)
    assert "ya29" not in str(problem)


def test_errors_of_the_program_stay_what_they_are() -> None:
    with pytest.raises(KeyError), Explained(READ):
        raise KeyError("a fault of ours")


def test_reads_are_repeated_within_their_policy() -> None:
    slept: list[float] = []
    policy = ReadPolicy(sleep=slept.append, clock=lambda: sum(slept))

    def fail() -> None:
        raise httpx.ConnectError("refused")

    with pytest.raises(UnavailableError):
        read(fail, READ, policy)
    assert len(slept) == 4
    assert all(0.8 * wanted <= pause <= 1.2 * wanted for pause, wanted in zip(slept, (1, 2, 4, 8), strict=True))
    slept.clear()
    with pytest.raises(UnavailableError):
        read(fail, READ, ReadPolicy(attempts=50, deadline_s=60.0, sleep=slept.append, clock=lambda: sum(slept)))
    assert sum(slept) <= 60.0
    assert max(slept) <= 36.0
