"""Probe of the trainer's image: named by digest, and there in its registry (the registry's own HTTP interface)."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx

from finetune_assets.tuning.findings import Finding
from finetune_assets.tuning.preflight.probes import ProbeResult, skipped

_GOOGLE = re.compile(
    r"^([a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io)/(.+?)(?:@(sha256:[0-9a-f]{64})|:([\w.-]+))?$"
)
_TYPES = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_WHERE = "tuning.custom_job.image"
TIMEOUT_S = 20.0


def probe_image(image: str, http: httpx.Client | None, token: Callable[[], str] | None) -> ProbeResult:
    """Look whether an image is in its registry.

    Args:
        image: its name, by tag or digest.
        http: the client to ask with, None where the registry must not be asked.
        token: gives an access token of this identity; it goes to Google's registries only, over https.
    """
    if not image:
        finding = Finding("image", "error", _WHERE, "no image", "an image of this project", "build and push it first")
        return ProbeResult("image", "none is named", (finding,))
    found = _GOOGLE.match(image)
    loose = () if found and found[3] else (_by_tag(),)
    if found is None or http is None or token is None:
        why = "not one of Google's registries" if found is None else "the registry is not asked here"
        return ProbeResult("image", why, loose, checked=False)
    host, path, digest, tag = found.groups()
    url = f"https://{host}/v2/{path}/manifests/{digest or tag or 'latest'}"
    headers = {"Authorization": f"Bearer {token()}", "Accept": _TYPES}
    try:
        status = http.head(url, headers=headers, timeout=TIMEOUT_S, follow_redirects=False).status_code
    except httpx.TransportError as error:
        return skipped("image", f"{host} cannot be reached ({type(error).__name__})")
    return _judged(image, status, loose)


def _judged(image: str, status: int, loose: tuple[Finding, ...]) -> ProbeResult:
    if status == httpx.codes.OK:
        return ProbeResult("image", "it is there", loose)
    if status == httpx.codes.NOT_FOUND:
        mend = "build and push it, or correct tuning.custom_job.image"
        return ProbeResult("image", "not there", (Finding("image", "error", _WHERE, image, "an image", mend),))
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        mend = "grant this identity and the service's agent roles/artifactregistry.reader"
        finding = Finding("image", "error", _WHERE, f"HTTP {status} for {image}", "an image that can be read", mend)
        return ProbeResult("image", "may not be read", (finding,))
    return ProbeResult("image", f"the registry answers {status}", loose, checked=False)


def _by_tag() -> Finding:
    return Finding(
        "image_digest",
        "warning",
        _WHERE,
        "an image without a digest",
        "…@sha256:…",
        "pin it: a tag may be moved to another image between two jobs",
    )
