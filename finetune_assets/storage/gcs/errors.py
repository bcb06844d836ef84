"""What can go wrong with Cloud Storage, each with the place and the mend, made from the client's exceptions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from finetune_assets.storage.errors import StorageError

_DENIED = re.compile(r"(?P<principal>\S+) does not have (?P<permission>storage\.[\w.]+) access")
_PERMISSION = re.compile(r"storage\.(?:objects|buckets|multipartUploads)\.\w+")
_SECRET = re.compile(r"(upload_id=)[^&\s\"']+")
# The narrowest predefined role that holds a permission, for a grant on the bucket (docs, IAM roles for Cloud Storage).
_ROLES = {
    "storage.objects.create": "roles/storage.objectCreator",
    "storage.objects.get": "roles/storage.objectViewer",
    "storage.objects.list": "roles/storage.objectViewer",
    "storage.objects.delete": "roles/storage.objectUser",
    "storage.objects.update": "roles/storage.objectUser",
    "storage.buckets.get": "roles/storage.legacyBucketReader",
    "storage.buckets.getIamPolicy": "roles/storage.legacyBucketOwner",
}
RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})


class CloudStorageError(StorageError):
    """Cloud Storage refused something, or did not answer."""


class BucketMissingError(CloudStorageError):
    """There is no bucket of this name."""


class ObjectMissingError(CloudStorageError):
    """There is no object of this name, or not of this generation."""


class PermissionMissingError(CloudStorageError):
    """A permission is missing.

    Attributes:
        permission: its name, such as `storage.objects.create`; "" where Google did not say.
        principal: who lacks it; "" where unknown.
    """

    permission = ""
    principal = ""


class QuotaError(CloudStorageError):
    """Too many requests, or a quota is used up, after patient retries."""


class BucketElsewhereError(CloudStorageError):
    """The bucket is in another region than expected."""


class ContentChangedError(CloudStorageError):
    """Bytes are not those that they should be: other content under a name, or changed on the way."""


class NoCredentialsError(CloudStorageError):
    """There are no credentials, or they are no longer good."""


class UnavailableError(CloudStorageError):
    """Cloud Storage did not answer in time; the work is kept and can be taken up again."""


def failures() -> tuple[type[BaseException], ...]:
    """Return the exceptions by which google-cloud-storage and its transport say that a call failed."""
    import requests.exceptions
    import urllib3.exceptions
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

    return (
        GoogleAPIError,
        GoogleAuthError,
        DataCorruption,
        InvalidResponse,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        ConnectionError,
    )


@contextmanager
def explained(uri: str, client: Any = None) -> Iterator[None]:
    """Turn what the client raises into a `CloudStorageError` that names the mend.

    Args:
        uri: the object or bucket that the block works on.
        client: the storage client; its principal is named where Google does not name one.

    Raises:
        CloudStorageError: or the subclass that fits.
    """
    try:
        yield
    except failures() as error:
        raise explain(error, uri, client) from error


def explain(error: BaseException, uri: str, client: Any = None) -> CloudStorageError:
    """Return the error of ours for one of the client's."""
    from google.api_core.exceptions import RetryError
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.cloud.storage.exceptions import DataCorruption

    if isinstance(error, RetryError) and error.cause is not None:
        error = error.cause
    if isinstance(error, DataCorruption):
        return content_changed(uri, "other bytes than were sent", "bytes of the same crc32c")
    if isinstance(error, GoogleAuthError) and not isinstance(error, TransportError):
        return _no_credentials(uri, type(error).__name__)
    status, words = status_of(error), _words(error)
    if status == 401:
        return _no_credentials(uri, words)
    if status == 403:
        return _forbidden(uri, words, client)
    if status == 404:
        return _missing(uri, words)
    if status == 429:
        return _quota(uri, words)
    if status in {400, 412}:
        return _refused(uri, status, words)
    if status and status not in RETRYABLE:
        return CloudStorageError("Cloud Storage refused", where=uri, found=f"{status}: {words}")
    return UnavailableError(
        "Cloud Storage does not answer",
        where=uri,
        found=words,
        mend="run again once the network and status.cloud.google.com are well; what was uploaded is kept",
    )


def status_of(error: BaseException) -> int:
    """Return the HTTP status of a failed call, 0 for one without an answer."""
    code = getattr(error, "code", None)
    if code is None:
        code = getattr(getattr(error, "response", None), "status_code", None)
    return int(code) if isinstance(code, int) else 0


def is_transient(error: BaseException) -> bool:
    """Tell whether the same call may succeed later: no answer, or one that says so."""
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.cloud.storage.exceptions import DataCorruption

    if isinstance(error, GoogleAuthError):
        return isinstance(error, TransportError)
    if isinstance(error, DataCorruption):
        return False
    status = status_of(error)
    return status in RETRYABLE or status == 0 or status < 400


def content_changed(uri: str, found: str, expected: str, mend: str = "") -> ContentChangedError:
    """Return the error for bytes that are not those that they should be."""
    return ContentChangedError(
        "content is not what it should be",
        where=uri,
        found=found,
        expected=expected,
        mend=mend or "look who writes to this prefix besides this platform; then run again",
    )


def grant(bucket: str, principal: str, permission: str) -> str:
    """Return the gcloud command that gives `principal` a permission on a bucket."""
    role = _ROLES.get(permission, "roles/storage.objectUser")
    if not principal:
        member = "serviceAccount:NAME@PROJECT.iam.gserviceaccount.com"
    elif ":" in principal:
        member = principal
    else:
        member = f"{'serviceAccount' if principal.endswith('.gserviceaccount.com') else 'user'}:{principal}"
    return f"gcloud storage buckets add-iam-policy-binding gs://{bucket} --member={member} --role={role}"


def principal_of(client: Any) -> str:
    """Return the service account's address that a client works as, "" where its credentials do not say."""
    credentials = getattr(client, "_credentials", None)
    name = getattr(credentials, "service_account_email", None) or getattr(credentials, "signer_email", None)
    return str(name) if name and name != "default" else ""


def _bucket(uri: str) -> str:
    return uri.removeprefix("gs://").partition("/")[0]


def _no_credentials(uri: str, found: str) -> NoCredentialsError:
    return NoCredentialsError(
        "no usable Google credentials",
        where=uri,
        found=found,
        expected="application default credentials",
        mend="run `gcloud auth application-default login`, or give the machine a service account",
    )


def _forbidden(uri: str, words: str, client: Any) -> CloudStorageError:
    if words.startswith("Anonymous caller"):
        return _no_credentials(uri, words)
    if "rate limit" in words.lower() or "quota" in words.lower():
        return _quota(uri, words)
    match = _DENIED.search(words)
    named = _PERMISSION.search(words)
    permission = match["permission"] if match else named[0] if named else ""
    principal = (match["principal"] if match else "") or principal_of(client)
    error = PermissionMissingError(
        f"permission {permission} is missing" if permission else "access is denied",
        where=uri,
        found=words,
        expected=f"{principal or 'the account of this machine'} may do this",
        mend=grant(_bucket(uri), principal, permission),
    )
    error.permission = permission
    error.principal = principal
    return error


def _missing(uri: str, words: str) -> CloudStorageError:
    if "bucket" in words.lower() and "no such object" not in words.lower():
        bucket = _bucket(uri)
        return BucketMissingError(
            f"bucket {bucket} does not exist",
            where=uri,
            mend=f"correct the name, or run `gcloud storage buckets create gs://{bucket} --location=REGION "
            "--uniform-bucket-level-access`",
        )
    return ObjectMissingError("object is missing", where=uri, mend="run the step that writes it, or restore it")


def _quota(uri: str, words: str) -> QuotaError:
    return QuotaError(
        "Cloud Storage takes no more requests now",
        where=uri,
        found=words,
        mend="run again later, or ask for more quota in the console under IAM & Admin > Quotas",
    )


def _refused(uri: str, status: int, words: str) -> CloudStorageError:
    if status == 412:
        return content_changed(uri, "another generation than expected", "the generation that was read before")
    if "match" in words and ("crc32c" in words.lower() or "md5" in words.lower()):
        return content_changed(uri, words, "bytes that stay as they are while they are uploaded")
    return CloudStorageError("Cloud Storage refused", where=uri, found=f"{status}: {words}")


def _words(error: BaseException) -> str:
    """Return Google's own message without URLs of upload sessions; of a broken connection only its kind."""
    details = getattr(error, "errors", None)
    if isinstance(details, list) and details and isinstance(details[0], dict) and details[0].get("message"):
        return _SECRET.sub(r"\1...", str(details[0]["message"]))
    text = getattr(getattr(error, "response", None), "text", "") or ""
    try:
        return _SECRET.sub(r"\1...", str(json.loads(text)["error"]["message"]))
    except (ValueError, KeyError, TypeError):
        pass
    if not status_of(error):
        return type(error).__name__
    return _SECRET.sub(r"\1...", str(getattr(error, "message", "") or text or type(error).__name__))
