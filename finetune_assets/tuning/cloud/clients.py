"""CloudClients: Google's clients for one project and place, made when they are first asked for.

With a stand-in (see `storage/emulators.py`) they speak REST to this machine with made-up credentials; else Google's
own hosts with the machine's credentials, which are never read from a file that YAML names.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

from finetune_assets.storage.emulators import vertex_emulator
from finetune_assets.tuning.cloud.config import CloudConfig
from finetune_assets.tuning.cloud.errors import NoCredentialsError

REQUEST_TIMEOUT_S = 60.0
_SHOWN = 160

T = TypeVar("T")


class CloudClients:
    """Google's clients for one project and location.

    Args:
        config: project and location.
        environ: where stand-ins are looked up; `os.environ` in earnest.
        location: another location than the configuration's, for instance where an endpoint is.
        storage: the client for Cloud Storage; the caller makes it (see `resources/cloud.py`).
        timeout_s: seconds after which google-genai gives a request up.

    Raises:
        StorageError: when the environment points to a stand-in that is not allowed.
    """

    def __init__(
        self,
        config: CloudConfig,
        environ: Mapping[str, str],
        *,
        location: str = "",
        storage: Any = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self.config = config
        self.project = config.project
        self.location = location or config.location
        self.emulator = vertex_emulator(environ)
        self._environ = environ
        self._storage = storage
        self._made: dict[str, Any] = {}
        self._elsewhere: dict[str, CloudClients] = {}
        self._timeout_s = timeout_s

    def at(self, location: str) -> CloudClients:
        """Return the clients for another location of the same project.

        They are kept: google-genai closes its connections as soon as nobody holds the client, `tunings` or not.
        """
        if location not in self._elsewhere:
            self._elsewhere[location] = CloudClients(
                self.config, self._environ, location=location, storage=self._storage, timeout_s=self._timeout_s
            )
        return self._elsewhere[location]

    @property
    def storage(self) -> Any:
        """The `google.cloud.storage.Client` that was handed in.

        Raises:
            RuntimeError: when none was, which is a fault of the program.
        """
        if self._storage is None:
            raise RuntimeError("this CloudClients was made without a storage client")
        return self._storage

    @cached_property
    def genai(self) -> Any:
        """A `google.genai.Client` in Vertex mode, without retries of its own: it would repeat a POST."""
        from google import genai
        from google.genai import types
        from google.oauth2.credentials import Credentials

        options: dict[str, Any] = {"timeout": round(self._timeout_s * 1000)}
        if self.emulator:
            options["base_url"] = self.emulator
        # genai refuses AnonymousCredentials, so that the stand-in gets a made-up token.
        credentials = Credentials(token="stand-in") if self.emulator else None  # type: ignore[no-untyped-call]  # noqa: S106
        return _with_credentials(
            lambda: genai.Client(
                vertexai=True,
                project=self.project,
                location=self.location,
                credentials=credentials,
                http_options=types.HttpOptions(**options),
            )
        )

    def aiplatform(self) -> Any:
        """Return the module `google.cloud.aiplatform`, set to this project and location; its state is global."""
        from google.cloud import aiplatform

        staging = self.config.bucket.split("/")[2] if self.config.bucket else None
        place: dict[str, Any] = {"api_endpoint": self.emulator, "api_transport": "rest"} if self.emulator else {}
        _with_credentials(
            lambda: aiplatform.init(
                project=self.project,
                location=self.location,
                staging_bucket=f"gs://{staging}" if staging else None,
                credentials=self._anonymous(),
                **place,
            )
        )
        return aiplatform

    def gapic(self, name: str) -> Any:
        """Return a client of `google.cloud.aiplatform_v1`, such as `EndpointServiceClient`; one of each is made."""
        from google.cloud import aiplatform_v1

        if name not in self._made:
            self._made[name] = _with_credentials(
                lambda: getattr(aiplatform_v1, name)(
                    transport="rest" if self.emulator else "grpc",
                    credentials=self._anonymous(),
                    client_options={"api_endpoint": self.emulator or host_of(self.location)},
                )
            )
        return self._made[name]

    @property
    def parent(self) -> str:
        """`projects/P/locations/L`."""
        return f"projects/{self.project}/locations/{self.location}"

    def _anonymous(self) -> Any:
        from google.auth.credentials import AnonymousCredentials

        return AnonymousCredentials() if self.emulator else None  # type: ignore[no-untyped-call]


def host_of(location: str) -> str:
    """Return Google's host for a location: a region's own, or that of the multi-regions and of `global`."""
    if location == "global":
        return "aiplatform.googleapis.com"
    if location in ("us", "eu"):
        return f"aiplatform.{location}.rep.googleapis.com"
    return f"{location}-aiplatform.googleapis.com"


@contextmanager
def knowing_it_is_experimental() -> Iterator[None]:
    """Keep Google's notice that a part of its client is experimental out of the terminal: the pins answer it."""
    from google.genai.errors import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def _with_credentials(make: Callable[[], T]) -> T:
    from google.auth.exceptions import DefaultCredentialsError

    try:
        return make()
    except DefaultCredentialsError as error:
        raise NoCredentialsError(
            "no credentials for Google Cloud",
            where="application default credentials",
            found=str(error)[:_SHOWN],
            mend="run `gcloud auth application-default login`, or give the workload an identity",
        ) from error
