from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.config import CloudConfig
from finetune_assets.tuning.config import TuningConfig
from finetune_assets.tuning.preflight.bucket import agent_members, fits_region
from finetune_assets.tuning.preflight.environment import check_environment, is_ready, render
from finetune_assets.tuning.preflight.image import probe_image
from finetune_assets.tuning.preflight.probes import ProbeResult
from finetune_assets_tests.fakes.fixtures import ThreadedGcs
from finetune_assets_tests.fakes.vertex import Vertex

GEMINI = TuningConfig(backend="gemini", base_model="gemini-2.5-flash", epochs=3)
DIGEST = "sha256:" + "a" * 64
IMAGE = f"us-docker.pkg.dev/p1/finetune/trainer@{DIGEST}"


def clients(gcs: ThreadedGcs, vertex: Vertex, **cloud: Any) -> CloudClients:
    values = {"project": "p1", "bucket": "gs://bkt/tasks", **cloud}
    environ = {"FINETUNE_VERTEX_ENDPOINT": vertex.url, "FINETUNE_ALLOW_EMULATOR": "1"}
    return CloudClients(CloudConfig(**values), environ, storage=gcs.client())


def states(results: list[ProbeResult]) -> dict[str, str]:
    return {result.name: result.state for result in results}


def of(results: list[ProbeResult], name: str) -> ProbeResult:
    (found,) = (result for result in results if result.name == name)
    return found


def test_a_ready_project_is_ok_and_nothing_is_left(gcs: ThreadedGcs, vertex: Vertex) -> None:
    results = check_environment(clients(gcs, vertex), GEMINI)
    assert is_ready(results)
    assert states(results) == {
        "credentials": "ok",
        "project": "ok",
        "API": "ok",
        "jobs": "ok",
        "bucket": "ok",
        "bucket access": "ok",
        "bucket permissions": "ok",
        "service agents": "warning",
    }
    assert list(gcs.client().list_blobs("bkt")) == []
    (finding,) = of(results, "service agents").findings
    assert "@gcp-sa-vertex-tune.iam.gserviceaccount.com --role=roles/storage.objectUser" in finding.mend
    assert "gcloud storage buckets add-iam-policy-binding gs://bkt --member=serviceAccount:service-" in finding.mend
    assert any("bucket access: ok (written, read and deleted)" in line for line in render(results))


def test_granted_agents_are_ok(gcs: ThreadedGcs, vertex: Vertex) -> None:
    bucket = gcs.client().get_bucket("bkt")
    policy = bucket.get_iam_policy(requested_policy_version=3)
    members = agent_members(GEMINI, CloudConfig(), str(bucket.project_number))
    policy.bindings.append({"role": "roles/storage.objectUser", "members": set(members)})
    bucket.set_iam_policy(policy)
    assert of(check_environment(clients(gcs, vertex), GEMINI), "service agents").state == "ok"
    own = clients(gcs, vertex, service_account="tuner@p1.iam.gserviceaccount.com")
    assert "tuner@p1" in of(check_environment(own, GEMINI), "service agents").findings[0].found


def test_a_policy_that_may_not_be_read_is_not_checked_and_says_the_grants(gcs: ThreadedGcs, vertex: Vertex) -> None:
    gcs.deny("storage.buckets.getIamPolicy")
    result = of(check_environment(clients(gcs, vertex), GEMINI), "service agents")
    assert (result.state, result.findings) == ("not checked", ())
    assert "gcloud storage buckets add-iam-policy-binding" in result.told


def test_no_such_bucket(gcs: ThreadedGcs, vertex: Vertex) -> None:
    results = check_environment(clients(gcs, vertex, bucket="gs://nowhere-at-all"), GEMINI)
    assert of(results, "bucket").state == "failed"
    assert "gcloud storage buckets create gs://nowhere-at-all" in of(results, "bucket").findings[0].mend
    assert of(results, "bucket access").state == "not checked"
    assert not is_ready(results)


def test_a_bucket_that_may_not_be_seen_is_probed_all_the_same(gcs: ThreadedGcs, vertex: Vertex) -> None:
    gcs.deny("storage.buckets.get")
    results = check_environment(clients(gcs, vertex), GEMINI)
    assert (of(results, "bucket").state, of(results, "bucket access").state) == ("not checked", "ok")
    assert is_ready(results)


def test_a_bucket_in_another_region(gcs: ThreadedGcs, vertex: Vertex) -> None:
    result = of(check_environment(clients(gcs, vertex, location="europe-west4"), GEMINI), "bucket")
    assert (result.state, result.findings[0].rule) == ("failed", "bucket_region")
    assert result.findings[0].found == "the bucket is in US-CENTRAL1"


@pytest.mark.parametrize(
    ("permission", "rule", "left"),
    [
        ("storage.objects.create", "bucket_write", 0),
        ("storage.objects.get", "bucket_read", 0),
        ("storage.objects.delete", "bucket_delete", 1),
    ],
)
def test_a_missing_permission_is_named_by_what_it_keeps_from(
    gcs: ThreadedGcs, vertex: Vertex, permission: str, rule: str, left: int
) -> None:
    gcs.deny(permission)
    results = check_environment(clients(gcs, vertex), GEMINI)
    (finding,) = of(results, "bucket access").findings
    assert finding.rule == rule
    assert "roles/storage.objectUser" in finding.mend
    assert permission in of(results, "bucket permissions").findings[0].found
    gcs.deny()
    names = [blob.name for blob in gcs.client().list_blobs("bkt")]
    assert len(names) == left
    assert all(f"the probe's object is left: gs://bkt/{name}" in finding.found for name in names)


def test_a_write_whose_answer_is_lost_is_cleaned_up(gcs: ThreadedGcs, vertex: Vertex) -> None:
    gcs.fault({"match": "POST .*upload", "cut": "after_commit", "times": 1})
    result = of(check_environment(clients(gcs, vertex), GEMINI), "bucket access")
    assert (result.state, result.findings[0].rule) == ("failed", "bucket_write")
    assert list(gcs.client().list_blobs("bkt")) == []


@pytest.mark.parametrize(
    ("status", "message", "name", "mend"),
    [
        (
            403,
            "Vertex AI API has not been used in project p1 before or it is disabled. aiplatform.googleapis.com",
            "API",
            "gcloud services enable aiplatform.googleapis.com --project p1",
        ),
        (
            403,
            "Permission denied on resource project p1 (or it may not exist): project p1 not found",
            "project",
            "gcloud projects list",
        ),
        (
            401,
            "Request had invalid authentication credentials.",
            "credentials",
            "gcloud auth application-default login",
        ),
        (403, "Permission 'aiplatform.tuningJobs.list' denied", "jobs", "roles/aiplatform.user"),
        (503, "The service is unavailable.", "jobs", ""),
    ],
)
def test_what_keeps_from_the_service_is_named(
    gcs: ThreadedGcs, vertex: Vertex, status: int, message: str, name: str, mend: str
) -> None:
    vertex.faults([{"match": "GET .*tuningJobs", "status": status, "message": message}])
    results = check_environment(clients(gcs, vertex), GEMINI)
    failed = of(results, name)
    assert failed.state == "failed"
    assert mend in failed.findings[0].mend
    assert [result.name for result in results if result.state == "failed"] == [name]
    assert of(results, "bucket access").state == "ok"
    if status == 503:
        assert of(results, "API").state == "not checked"


def test_no_project_and_no_bucket(gcs: ThreadedGcs, vertex: Vertex) -> None:
    results = check_environment(clients(gcs, vertex, project="", bucket=""), GEMINI)
    assert [result.name for result in results if result.state == "failed"] == ["project", "bucket"]
    assert all(result.state in ("failed", "not checked") for result in results)


def test_jobs_under_way_are_held_against_the_quota(gcs: ThreadedGcs, vertex: Vertex) -> None:
    from google.genai import types

    vertex.speed(0.001)
    made = clients(gcs, vertex)
    gcs.client().bucket("bkt").blob("t.jsonl").upload_from_string(b"{}\n")
    made.genai.tunings.tune(
        base_model="gemini-2.5-flash",
        training_dataset=types.TuningDataset(gcs_uri="gs://bkt/t.jsonl"),
        config=types.CreateTuningJobConfig(tuned_model_display_name="x", epoch_count=1),
    )
    result = of(check_environment(made, GEMINI), "jobs")
    assert (result.state, result.findings[0].rule) == ("warning", "quota")
    assert "1 jobs under way" in result.findings[0].found
    more = of(check_environment(clients(gcs, vertex, concurrent_jobs=2), GEMINI), "jobs")
    assert more.state == "ok"


def test_a_custom_job_s_project_is_asked_for_its_own_jobs(gcs: ThreadedGcs, vertex: Vertex) -> None:
    custom = TuningConfig(backend="custom_job", base_model="a/b", custom_job={"image": IMAGE})  # type: ignore[arg-type]
    results = check_environment(clients(gcs, vertex), custom)
    assert (of(results, "jobs").state, of(results, "image").state) == ("ok", "not checked")
    assert "gcp-sa-aiplatform-cc" in of(results, "service agents").findings[0].found


@pytest.mark.parametrize(
    ("place", "location", "fits"),
    [
        ("US-CENTRAL1", "us-central1", True),
        ("US", "us-east5", True),
        ("US", "europe-west4", False),
        ("EU", "europe-west4", True),
        ("ASIA", "asia-southeast1", True),
        ("EUROPE-WEST1", "europe-west4", False),
        ("EUROPE-WEST1", "global", True),
        ("", "us-central1", False),
    ],
)
def test_regions_that_fit(place: str, location: str, fits: bool) -> None:
    assert fits_region(place, location) is fits


def registry(answer: int | Exception, seen: list[httpx.Request]) -> httpx.Client:
    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer)

    return httpx.Client(transport=httpx.MockTransport(handle))


def token() -> str:
    return "tok-of-a-person"


@pytest.mark.parametrize(
    ("answer", "state"),
    [(200, "ok"), (404, "failed"), (403, "failed"), (401, "failed"), (500, "not checked"), (302, "not checked")],
)
def test_the_image_is_looked_up_by_its_manifest(answer: int, state: str) -> None:
    seen: list[httpx.Request] = []
    result = probe_image(IMAGE, registry(answer, seen), token)
    assert result.state == state
    assert (seen[0].method, str(seen[0].url)) == (
        "HEAD",
        f"https://us-docker.pkg.dev/v2/p1/finetune/trainer/manifests/{DIGEST}",
    )
    assert seen[0].headers["Authorization"] == "Bearer tok-of-a-person"
    assert "tok-of" not in str(result)


def test_the_token_goes_to_googles_registries_only() -> None:
    seen: list[httpx.Request] = []
    for image in ("evil.example/p/i@" + DIGEST, "us-docker.pkg.dev.evil.example/p/i", "docker.io/library/x:1"):
        assert probe_image(image, registry(200, seen), token).state == "not checked" or image.endswith(("i", ":1"))
    assert seen == []


def test_an_image_that_cannot_be_asked_for_is_never_ok() -> None:
    asked: Callable[[], str] | None = token
    assert probe_image(IMAGE, None, None).state == "not checked"
    assert probe_image(IMAGE, registry(httpx.ConnectError("no way"), []), asked).state == "not checked"
    assert probe_image("", None, None).state == "failed"
    tagged = probe_image("us-docker.pkg.dev/p1/finetune/trainer:latest", registry(200, []), asked)
    assert (tagged.state, tagged.findings[0].rule) == ("warning", "image_digest")
