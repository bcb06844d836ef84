"""Secrets of the trainer: from the environment, else from Secret Manager by the reference that the job gives.

They are never written to a file, a log or a message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from finetune_assets.training.container.errors import BadJobError

_HTTP_NOTES = {403: "grant roles/secretmanager.secretAccessor on the secret to the job's service account"}


def find_secrets(
    wanted: Mapping[str, str | None], environ: Mapping[str, str], fetch: Callable[[str], str]
) -> dict[str, str]:
    """Return those of the wanted secrets that there are.

    Args:
        wanted: each secret's name and its reference in Secret Manager, None where the job gives none.
        environ: where secrets are looked up first.
        fetch: takes a reference and returns the secret.

    Raises:
        BadJobError: when a reference cannot be read.
    """
    found = {}
    for name, reference in wanted.items():
        if environ.get(name):
            found[name] = environ[name]
        elif reference:
            found[name] = fetch(reference)
    return found


def fetch_secret(reference: str, client: Any = None) -> str:
    """Read a secret's version from Secret Manager.

    Args:
        reference: projects/P/secrets/NAME/versions/N.
        client: a `SecretManagerServiceClient`; None makes one with the machine's own identity.

    Raises:
        BadJobError: when it cannot be read; the message holds the reference, never the secret.
    """
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import secretmanager

    try:
        service = client if client is not None else secretmanager.SecretManagerServiceClient()
        answer = service.access_secret_version(name=reference, timeout=30.0)
    except (GoogleAPICallError, RetryError, GoogleAuthError) as error:
        code = getattr(error, "code", None)
        raise BadJobError(
            "a secret cannot be read",
            where=reference,
            found=type(error).__name__,
            mend=_HTTP_NOTES.get(int(code) if code else 0, "check its name, its version and who may read it"),
        ) from None
    return bytes(answer.payload.data).decode().strip()
