"""The stand-in's own hands in Cloud Storage: plain HTTP to the GCS stand-in, and what its agents may not touch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import httpx


@dataclass
class GcsError(Exception):
    """The service agent could not read or write: `status` is a google.rpc word."""

    status: str
    message: str


def split_uri(uri: str) -> tuple[str, str]:
    """Return (bucket, object) of a gs:// URI."""
    hit = re.fullmatch(r"gs://([^/]+)/?(.*)", uri or "")
    if hit is None:
        raise GcsError("INVALID_ARGUMENT", f"Invalid Cloud Storage URI: {uri!r}. It must start with gs://.")
    return hit.group(1), hit.group(2)


class Gcs:
    """Reads, writes and lists objects; `agent` is the principal that error messages name."""

    def __init__(self, url: str | None) -> None:
        self.url = (url or "").rstrip("/")
        self.closed_buckets: list[str] = []
        self._http = httpx.Client(timeout=30, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _check(self, bucket: str, agent: str, verb: str) -> None:
        if not self.url:
            raise GcsError("UNAVAILABLE", "the stand-in was started without --gcs")
        if bucket in self.closed_buckets:
            raise self._denied(bucket, agent, verb)

    @staticmethod
    def _denied(bucket: str, agent: str, verb: str) -> GcsError:
        return GcsError(
            "PERMISSION_DENIED",
            f"{agent} does not have storage.{verb} access to the Google Cloud Storage bucket {bucket}. "
            f"Permission 'storage.{verb}' denied on resource (or it may not exist).",
        )

    def _call(self, method: str, path: str, bucket: str, agent: str, verb: str, **more: object) -> httpx.Response:
        self._check(bucket, agent, verb)
        try:
            answer = self._http.request(method, f"{self.url}{path}", **more)  # type: ignore[arg-type]
        except httpx.TransportError as error:
            raise GcsError("UNAVAILABLE", f"Cloud Storage does not answer: {type(error).__name__}") from error
        if answer.status_code in {401, 403}:
            raise self._denied(bucket, agent, verb)
        if answer.status_code in {429, 500, 502, 503, 504}:
            raise GcsError("UNAVAILABLE", f"Cloud Storage answered {answer.status_code}")
        return answer

    def read(self, uri: str, agent: str) -> bytes:
        """Return an object's bytes.

        Raises:
            GcsError: PERMISSION_DENIED (also for an unknown bucket, as the service words it), NOT_FOUND, UNAVAILABLE.
        """
        bucket, name = split_uri(uri)
        path = f"/storage/v1/b/{quote(bucket, safe='')}/o/{quote(name, safe='')}"
        answer = self._call("GET", path, bucket, agent, "objects.get", params={"alt": "media"})
        if answer.status_code == 404:
            if not self.has_bucket(bucket, agent):
                raise self._denied(bucket, agent, "objects.get")
            raise GcsError("NOT_FOUND", f"The Cloud Storage object {uri} was not found.")
        return answer.content

    def has_bucket(self, bucket: str, agent: str) -> bool:
        """Return whether a bucket exists."""
        path = f"/storage/v1/b/{quote(bucket, safe='')}"
        return self._call("GET", path, bucket, agent, "buckets.get").status_code == 200

    def write(self, uri: str, data: bytes, agent: str) -> None:
        """Write an object, replacing what stood there."""
        bucket, name = split_uri(uri)
        path = f"/upload/storage/v1/b/{quote(bucket, safe='')}/o"
        kind = {"Content-Type": "application/octet-stream"}
        more = {"params": {"uploadType": "media", "name": name}, "content": data, "headers": kind}
        answer = self._call("POST", path, bucket, agent, "objects.create", **more)
        if answer.status_code == 404:
            raise self._denied(bucket, agent, "objects.create")
        if answer.status_code >= 400:
            raise GcsError("INTERNAL", f"Cloud Storage refused {uri}: {answer.status_code}")

    def names(self, uri_prefix: str, agent: str) -> Iterator[str]:
        """Yield the gs:// URIs below a prefix, in order."""
        bucket, prefix = split_uri(uri_prefix)
        token = ""
        while True:
            query = {"prefix": prefix, **({"pageToken": token} if token else {})}
            path = f"/storage/v1/b/{quote(bucket, safe='')}/o"
            answer = self._call("GET", path, bucket, agent, "objects.list", params=query)
            if answer.status_code == 404:
                raise self._denied(bucket, agent, "objects.list")
            found = answer.json()
            yield from (f"gs://{bucket}/{item['name']}" for item in found.get("items", []))
            token = found.get("nextPageToken", "")
            if not token:
                return
