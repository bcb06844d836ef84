"""Probes of the bucket: there, in a fitting region, written, read and deleted, and readable by the service's agents."""

from __future__ import annotations

import uuid
from typing import Any

from finetune_assets.tuning.cloud.config import CloudConfig
from finetune_assets.tuning.cloud.errors import CloudError, MissingError, PermissionDeniedError
from finetune_assets.tuning.cloud.faults import Action
from finetune_assets.tuning.config import TuningConfig
from finetune_assets.tuning.findings import Finding
from finetune_assets.tuning.preflight.probes import ProbeResult, asked, failed, skipped

TIMEOUT_S = 20.0
PERMISSIONS = ("storage.objects.create", "storage.objects.get", "storage.objects.list", "storage.objects.delete")
# Service agents that read datasets and write results, by backend. Source: Google's documentation of tuning, 2026-09-25.
AGENTS = {
    "gemini": ("gcp-sa-vertex-tune", "gcp-sa-aiplatform"),
    "open_model": ("gcp-sa-vertex-moss-ft", "gcp-sa-aiplatform"),
    "custom_job": ("gcp-sa-aiplatform-cc", "gcp-sa-aiplatform"),
}
_READS = frozenset(
    {
        "roles/storage.objectUser",
        "roles/storage.objectAdmin",
        "roles/storage.admin",
        "roles/storage.objectViewer",
        "roles/storage.legacyObjectReader",
        "roles/storage.legacyBucketOwner",
    }
)
_MULTI_REGIONS = {"US": ("us-", "us"), "EU": ("europe-", "eu"), "ASIA": ("asia-",), "NAM4": ("us-central1", "us-east1")}
_CONTENT = b"finetune_assets asks whether it may write here; this object can be deleted\n"


def bucket_name(cloud: CloudConfig) -> str:
    """Return the bucket's name, "" for none."""
    return cloud.bucket.removeprefix("gs://").split("/", 1)[0]


def probe_bucket(storage: Any, cloud: CloudConfig) -> tuple[ProbeResult, Any]:
    """Look whether the bucket is there and where it lies.

    Returns:
        The result and the bucket, None where there is none to probe further.
    """
    name = bucket_name(cloud)
    action = Action("the bucket cannot be seen", where=f"gs://{name}", project=cloud.project)
    try:
        bucket = asked(action, lambda: storage.lookup_bucket(name, timeout=TIMEOUT_S, retry=None))
    except PermissionDeniedError as problem:
        # Who may write objects need not see the bucket itself; its region then stays unknown.
        told = f"its region may not be seen ({problem.found})"
        mend = f"run `{_grant(name, 'user:YOU_OR_serviceAccount:NAME', 'roles/storage.legacyBucketReader')}`"
        finding = Finding("bucket_region", "warning", f"gs://{name}", told, "storage.buckets.get", mend)
        return ProbeResult("bucket", "its region may not be seen", (finding,), checked=False), storage.bucket(name)
    except CloudError as problem:
        return failed("bucket", problem), None
    if bucket is None:
        make = f"run `gcloud storage buckets create gs://{name} --project {cloud.project} --location {_place(cloud)}`"
        finding = Finding("bucket", "error", f"gs://{name}", "no such bucket", "", f"correct cloud.bucket, or {make}")
        return ProbeResult("bucket", "not there", (finding,)), None
    place = str(bucket.location or "").upper()
    if fits_region(place, cloud.location):
        return ProbeResult("bucket", f"in {place}"), bucket
    finding = Finding(
        "bucket_region",
        "error",
        f"gs://{name}",
        f"the bucket is in {place}",
        f"the region of the job, {cloud.location}",
        "take a bucket in that region or in its multi-region, or set cloud.location to the bucket's",
    )
    return ProbeResult("bucket", f"in {place}", (finding,)), bucket


def fits_region(place: str, location: str) -> bool:
    """Whether a job at a location may use a bucket at a place: its region, or a multi-region around it."""
    if location == "global" or place.lower() == location.lower():
        return True
    return location.startswith(_MULTI_REGIONS.get(place.upper(), ("\0",)))


def probe_write(bucket: Any, cloud: CloudConfig) -> ProbeResult:
    """Write an object of our own, read it back and delete it; whatever happens, it is deleted."""
    prefix = cloud.bucket.removeprefix("gs://").partition("/")[2].strip("/")
    path = "/".join(part for part in (prefix, f".finetune-probe-{uuid.uuid4().hex}") if part)
    blob = bucket.blob(path)
    findings: list[Finding] = []
    written = False
    try:
        written = _step(findings, "write", cloud, path, lambda: _write(blob))
        if written and _step(findings, "read", cloud, path, lambda: _read(blob)) is False:
            findings.append(Finding("bucket_read", "error", _uri(cloud, path), "other bytes than were written"))
    finally:
        # A write whose answer was lost may be there all the same.
        _delete(findings, blob, cloud, path, was_written=written)
    told = "written, read and deleted" if not findings else "; ".join(sorted({finding.rule for finding in findings}))
    return ProbeResult("bucket access", told, tuple(findings))


def probe_permissions(bucket: Any, cloud: CloudConfig) -> ProbeResult:
    """Ask which permissions this identity holds on the bucket."""
    action = Action("the permissions cannot be asked for", where=f"gs://{bucket.name}", project=cloud.project)
    try:
        held = asked(action, lambda: bucket.test_iam_permissions(list(PERMISSIONS), timeout=TIMEOUT_S))
    except CloudError as problem:
        return failed("bucket permissions", problem)
    lacking = [permission for permission in PERMISSIONS if permission not in held]
    if not lacking:
        return ProbeResult("bucket permissions", f"{len(PERMISSIONS)} of {len(PERMISSIONS)}")
    mend = f"run `{_grant(bucket.name, 'user:YOU_OR_serviceAccount:NAME', 'roles/storage.objectUser')}`"
    finding = Finding("bucket_permissions", "error", f"gs://{bucket.name}", f"lacking: {', '.join(lacking)}", "", mend)
    return ProbeResult("bucket permissions", f"lacking {len(lacking)}", (finding,))


def probe_agents(bucket: Any, cloud: CloudConfig, config: TuningConfig) -> ProbeResult:
    """Look whether the service's agents may read the bucket; roles on the project are not seen from here."""
    members = agent_members(config, cloud, str(bucket.project_number or "PROJECT_NUMBER"))
    if not members:
        return skipped("service agents", "a local job has none")
    role = "roles/storage.objectUser"
    grants = "; ".join(f"`{_grant(bucket.name, member, role)}`" for member in members)
    action = Action("the bucket's policy cannot be read", where=f"gs://{bucket.name}", project=cloud.project)
    try:
        policy = asked(action, lambda: bucket.get_iam_policy(requested_policy_version=3, timeout=TIMEOUT_S, retry=None))
    except CloudError as problem:
        return skipped("service agents", f"{problem.what}; where a job cannot read its files, run {grants}")
    granted = {member for binding in policy.bindings if binding["role"] in _READS for member in binding["members"]}
    missing = [member for member in members if member not in granted]
    if not missing:
        return ProbeResult("service agents", f"{len(members)} granted on the bucket")
    finding = Finding(
        "service_agents",
        "warning",
        f"gs://{bucket.name}",
        f"no grant on the bucket for {', '.join(missing)}",
        "read and write, unless a role on the bucket's project gives it",
        "run " + "; ".join(f"`{_grant(bucket.name, member, role)}`" for member in missing),
    )
    return ProbeResult("service agents", f"{len(missing)} without a grant on the bucket", (finding,))


def agent_members(config: TuningConfig, cloud: CloudConfig, project_number: str) -> list[str]:
    """Return who reads the dataset and writes results, as IAM members."""
    if cloud.service_account and config.is_cloud:
        return [f"serviceAccount:{cloud.service_account}"]
    return [
        f"serviceAccount:service-{project_number}@{agent}.iam.gserviceaccount.com"
        for agent in AGENTS.get(config.backend, ())
    ]


def _write(blob: Any) -> bool:
    blob.upload_from_string(_CONTENT, if_generation_match=0, checksum="crc32c", timeout=TIMEOUT_S, retry=None)
    return True


def _read(blob: Any) -> bool:
    return bool(blob.download_as_bytes(timeout=TIMEOUT_S, retry=None) == _CONTENT)


def _step(findings: list[Finding], verb: str, cloud: CloudConfig, path: str, call: Any) -> bool:
    """Return what a step gives; a refusal becomes a finding and counts as done, so that it is said once."""
    try:
        return bool(asked(_action(verb, cloud, path), call))
    except CloudError as problem:
        findings.append(_refused(verb, problem, cloud, path))
        return verb != "write"


def _delete(findings: list[Finding], blob: Any, cloud: CloudConfig, path: str, *, was_written: bool) -> None:
    try:
        asked(_action("delete", cloud, path), lambda: blob.delete(timeout=TIMEOUT_S, retry=None))
    except MissingError:
        return
    except CloudError as problem:
        if was_written:
            left = f"the probe's object is left: {_uri(cloud, path)}"
            findings.append(_refused("delete", problem, cloud, path, left))


def _refused(verb: str, problem: CloudError, cloud: CloudConfig, path: str, more: str = "") -> Finding:
    name = bucket_name(cloud)
    mend = f"run `{_grant(name, 'user:YOU_OR_serviceAccount:NAME', 'roles/storage.objectUser')}`"
    found = "; ".join(part for part in (f"{type(problem).__name__}: {problem.found}", more) if part)
    return Finding(f"bucket_{verb}", "error", _uri(cloud, path), found, f"objects can be {_DONE[verb]}", mend)


_DONE = {"write": "written", "read": "read", "delete": "deleted"}


def _action(verb: str, cloud: CloudConfig, path: str) -> Action:
    return Action(f"the bucket cannot be probed ({verb})", where=_uri(cloud, path), project=cloud.project)


def _uri(cloud: CloudConfig, path: str) -> str:
    return f"gs://{bucket_name(cloud)}/{path}"


def _grant(bucket: str, member: str, role: str) -> str:
    return f"gcloud storage buckets add-iam-policy-binding gs://{bucket} --member={member} --role={role}"


def _place(cloud: CloudConfig) -> str:
    return "us" if cloud.location == "global" else cloud.location
