"""Model Registry of the stand-in through aiplatform: versions, aliases, labels, ids, deletion, tuned models."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions

from finetune_assets_tests.fakes.fixtures import ThreadedGcs
from finetune_assets_tests.fakes.vertex import Vertex
from finetune_assets_tests.fakes.vertex_fixtures import (
    PLACE,
    ended,
    gapic,
    gemini_rows,
    genai_client,
    init_aiplatform,
    put_rows,
    tune,
)

IMAGE = "us-docker.pkg.dev/p1/r/server@sha256:00"


@pytest.fixture
def aiplatform(vertex: Vertex) -> Any:
    return init_aiplatform(vertex.url)


def upload(aiplatform: Any, **more: Any) -> Any:
    """Upload a model or a version."""
    found = {"display_name": "router", "artifact_uri": "gs://bkt/w", "serving_container_image_uri": IMAGE, **more}
    return aiplatform.Model.upload(**found)


def aliases(model: Any) -> dict[str, list[str]]:
    """Return version -> aliases."""
    return {it.version_id: sorted(it.version_aliases) for it in model.versioning_registry.list_versions()}


def test_versions_and_moving_aliases(aiplatform: Any) -> None:
    first = upload(aiplatform, model_id="router", labels={"run_key": "k"}, version_aliases=["candidate"])
    assert first.resource_name == f"{PLACE}/models/router"
    second = upload(
        aiplatform, parent_model=first.resource_name, is_default_version=False, version_aliases=["challenger"]
    )
    assert (first.version_id, second.version_id) == ("1", "2")
    assert aliases(first) == {"1": ["candidate", "default"], "2": ["challenger"]}
    registry = first.versioning_registry
    registry.add_version_aliases(["champion"], version="1")
    assert aiplatform.Model(f"{first.resource_name}@champion").version_id == "1"
    registry.add_version_aliases(["champion", "default"], version="2")
    registry.remove_version_aliases(["challenger"], version="2")
    assert aliases(first) == {"1": ["candidate"], "2": ["champion", "default"]}
    assert aiplatform.Model(f"{first.resource_name}@champion").version_id == "2"
    assert aiplatform.Model(first.resource_name).version_id == "2"
    third = upload(aiplatform, parent_model=first.resource_name)
    assert aliases(first)[third.version_id] == ["default"]
    registry.delete_version("1")
    assert set(aliases(first)) == {"2", "3"}
    with pytest.raises(exceptions.GoogleAPICallError, match="default"):
        registry.delete_version("3")


def test_an_id_is_taken_once(vertex: Vertex, aiplatform: Any) -> None:
    upload(aiplatform, model_id="router")
    with pytest.raises(exceptions.GoogleAPICallError) as caught:
        upload(aiplatform, model_id="router")
    assert caught.value.code == 409
    with pytest.raises(exceptions.GoogleAPICallError):
        upload(aiplatform, version_aliases=["7"])
    with pytest.raises(exceptions.NotFound):
        upload(aiplatform, parent_model=f"{PLACE}/models/none")
    assert [it.name for it in aiplatform.Model.list()] == ["router"]
    assert any("/ui/" in entry["path"] or "upload" in entry["path"] for entry in vertex.log())


def test_labels_lists_and_deletion(aiplatform: Any) -> None:
    from google.cloud import aiplatform_v1

    model = upload(aiplatform, labels={"task": "router"})
    model.update(labels={"task": "router", "gate": "pass"}, description="good")
    again = aiplatform.Model(model.resource_name)
    assert dict(again.labels) == {"task": "router", "gate": "pass"}
    assert again.description == "good"
    upload(aiplatform, display_name="other", labels={"task": "speech"})
    assert [it.name for it in aiplatform.Model.list(filter='labels.task="router"')] == [model.name]
    assert [it.display_name for it in aiplatform.Model.list(filter='display_name="other"')] == ["other"]
    service = gapic(aiplatform_v1.ModelServiceClient, aiplatform.initializer.global_config.api_endpoint)
    assert [it.version_id for it in service.list_model_versions(name=model.resource_name)] == ["1"]
    model.delete()
    with pytest.raises(exceptions.NotFound):
        aiplatform.Model(model.resource_name)


def test_a_tuned_gemini_model_is_registered_by_the_service(gcs: ThreadedGcs, vertex: Vertex, aiplatform: Any) -> None:
    client = genai_client(vertex.url)
    uri = put_rows(gcs, "train.jsonl", gemini_rows(9))
    job = ended(client, tune(client, uri, labels={"run_key": "k"}, tuned_model_display_name="router-ab"))
    model = aiplatform.Model(job.tuned_model.model)
    assert (model.display_name, model.version_id) == ("router-ab", "1")
    assert model.labels["run_key"] == "k"
    model.versioning_registry.add_version_aliases(["champion"], version="1")
    endpoint = aiplatform.Endpoint(job.tuned_model.endpoint)
    assert [it.model for it in endpoint.list_models()] == [model.resource_name]
    with pytest.raises(exceptions.GoogleAPICallError, match="deployed"):
        model.delete()
    with pytest.raises(exceptions.GoogleAPICallError, match="generateContent"):
        endpoint.predict(instances=[{"prompt": "x"}])
