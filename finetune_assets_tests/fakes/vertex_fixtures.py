"""Google's real clients pointed at the Vertex stand-in, training rows, and the fixture `vertex`.

    from finetune_assets_tests.fakes.vertex_fixtures import vertex  # noqa: F401 - in a conftest.py

`vertex` needs the fixture `gcs` (fixtures.py) beside it: bucket `bkt` exists.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from finetune_assets_tests.fakes.fixtures import ThreadedGcs
from finetune_assets_tests.fakes.vertex import Vertex, vertex_server

PROJECT, LOCATION = "p1", "us-central1"
PLACE = f"projects/{PROJECT}/locations/{LOCATION}"


@pytest.fixture
def vertex(tmp_path: Path, gcs: ThreadedGcs) -> Iterator[Vertex]:
    """A stand-in in this process, beside the Cloud Storage stand-in; a tuning job of 300 s takes 0.15 s."""
    with vertex_server(tmp_path / "vertex", gcs.url, speed=2000.0) as server:
        yield server


def genai_client(url: str, location: str = LOCATION, timeout_ms: int | None = 20_000, **http: Any) -> Any:
    """Return a google-genai client for the stand-in."""
    from google import genai
    from google.genai import types
    from google.oauth2.credentials import Credentials

    options = types.HttpOptions(base_url=url, timeout=timeout_ms, **http)
    return genai.Client(
        vertexai=True, project=PROJECT, location=location, credentials=Credentials(token="test"), http_options=options
    )


def init_aiplatform(url: str) -> Any:
    """Point google-cloud-aiplatform at the stand-in, and return the module."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    aiplatform.init(
        project=PROJECT,
        location=LOCATION,
        api_endpoint=url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
        staging_bucket="gs://bkt",
    )
    return aiplatform


def gapic(client: Any, url: str) -> Any:
    """Return a gapic client (a class of aiplatform_v1) for the stand-in."""
    from google.auth.credentials import AnonymousCredentials

    options = {"api_endpoint": url}
    return client(transport="rest", credentials=AnonymousCredentials(), client_options=options)


def gemini_rows(count: int, words: str = "question") -> list[dict[str, Any]]:
    """Return rows of Gemini's supervised form."""
    return [
        {
            "systemInstruction": {"role": "system", "parts": [{"text": "Answer."}]},
            "contents": [
                {"role": "user", "parts": [{"text": f"{words} number {number} about topic{number % 7}"}]},
                {"role": "model", "parts": [{"text": f"answer {number}"}]},
            ],
        }
        for number in range(count)
    ]


def open_rows(count: int) -> list[dict[str, Any]]:
    """Return rows of an open model's prompt/completion form."""
    return [{"prompt": f"question number {n} about topic{n % 7}", "completion": f"answer {n}"} for n in range(count)]


def put_rows(gcs: Any, name: str, rows: list[Any], bucket: str = "bkt") -> str:
    """Write JSON lines to a bucket and return their gs:// URI."""
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    gcs.client().bucket(bucket).blob(name).upload_from_string(lines)
    return f"gs://{bucket}/{name}"


def tune(client: Any, uri: str, model: str = "gemini-2.5-flash", **config: Any) -> Any:
    """Create a tuning job."""
    from google.genai import types

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return client.tunings.tune(
            base_model=model,
            training_dataset=types.TuningDataset(gcs_uri=uri),
            config=types.CreateTuningJobConfig(**{"epoch_count": 2, **config}),
        )


def poll(read: Callable[[], Any], done: Callable[[Any], bool], timeout_s: float = 30.0) -> Any:
    """Read until `done`."""
    until = time.monotonic() + timeout_s
    while True:
        found = read()
        if done(found):
            return found
        if time.monotonic() > until:
            raise TimeoutError(f"still {found}")
        time.sleep(0.01)


def ended(client: Any, job: Any) -> Any:
    """Wait for a tuning job's end and return it."""
    return poll(lambda: client.tunings.get(name=job.name), lambda it: it.has_ended)
