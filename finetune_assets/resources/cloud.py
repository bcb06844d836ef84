"""The client for Cloud Storage, made when it is needed and from nothing but the environment."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from finetune_assets.storage.emulators import refuse_emulators, storage_emulator

if TYPE_CHECKING:
    from google.cloud.storage import Client

_PROJECT = "GOOGLE_CLOUD_PROJECT"
_STAND_IN_PROJECT = "stand-in"


def storage_client(environ: Mapping[str, str], project: str = "") -> "Client":
    """Return a client with the application default credentials, or one of a stand-in without any.

    Args:
        environ: the environment, usually `os.environ`.
        project: the project that is asked and billed; else GOOGLE_CLOUD_PROJECT, else that of the credentials.

    Raises:
        StorageError: when a variable points to another host and that is not allowed.
        NoCredentialsError: when there are no credentials.
    """
    refuse_emulators(environ)
    project = project or environ.get(_PROJECT, "")
    stand_in = storage_emulator(environ)
    if stand_in:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        return storage.Client(
            project=project or _STAND_IN_PROJECT,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": stand_in},
        )
    from dagster_gcp import GCSResource

    from finetune_assets.storage.gcs.errors import explained

    with explained("gs://"):
        return GCSResource(project=project or None).get_client()
