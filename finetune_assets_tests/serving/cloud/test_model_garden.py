"""Model Garden's deployment of weights: made once, known again by its endpoint's display name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from finetune_assets.serving.cloud.endpoint_state import EndpointState
from finetune_assets.serving.cloud.endpoints import claim, list_endpoints
from finetune_assets.serving.cloud.model_garden import deploy_weights, find_deployed, garden_name, list_deploy_options
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.config import EndpointMachines
from finetune_assets.tuning.cloud.errors import AmbiguousError, CloudError, JobFailedError, QuotaError
from finetune_assets_tests.fakes.fixtures import ThreadedGcs
from finetune_assets_tests.fakes.vertex import Vertex
from finetune_assets_tests.serving.cloud.conftest import CANDIDATE, QUICK, Killed, dies_at, posts

WEIGHTS = "gs://bkt/weights/final"
NAME = garden_name("router", CANDIDATE)


@pytest.fixture(autouse=True)
def weights(gcs: ThreadedGcs) -> None:
    bucket = gcs.client().bucket("bkt")
    for name, content in (("model.safetensors", b"w"), ("config.json", b"{}")):
        bucket.blob(f"weights/final/{name}").upload_from_string(content)


def garden(clients: CloudClients, **more: Any) -> EndpointState:
    facts: dict[str, Any] = {"name": NAME, "machines": EndpointMachines(), "patience": QUICK}
    return deploy_weights(clients, WEIGHTS, **(facts | more))


def test_weights_are_deployed_once(vertex: Vertex, clients: CloudClients) -> None:
    first = garden(clients)
    assert first.display_name == NAME
    assert first.deployed[0].machine_type == "g2-standard-12"
    assert garden(clients) == first
    assert posts(vertex, ":deploy") == 1


def test_a_claimed_endpoint_is_listed_with_the_tasks_own(vertex: Vertex, clients: CloudClients) -> None:
    made = garden(clients)
    assert list_endpoints(clients, task="router") == []
    for _ in range(2):
        claimed = claim(clients, made.name, "router", patience=QUICK)
    assert claimed.deployed == made.deployed
    assert [state.name for state in list_endpoints(clients, task="router")] == [made.name]


def test_a_killed_caller_attaches(vertex: Vertex, clients: CloudClients) -> None:
    noted: list[str] = []
    with pytest.raises(Killed):
        garden(clients, on_operation=lambda op: (noted.append(op), dies_at()(op)))
    assert garden(clients, operation=noted[0]).deployed
    assert posts(vertex, ":deploy") == 1


def test_a_lost_answer_is_looked_up_and_never_paid_twice(vertex: Vertex, clients: CloudClients) -> None:
    vertex.faults([{"match": "POST .*:deploy", "cut": "after_commit", "times": 1}])
    assert garden(clients, patience=replace(QUICK, visibility_s=0.2)).deployed
    assert posts(vertex, ":deploy") == 1


def test_an_unclear_answer_is_left_to_the_next_run(vertex: Vertex, clients: CloudClients) -> None:
    vertex.faults([{"match": "POST .*:deploy", "status": 503, "times": 1}])
    with pytest.raises(AmbiguousError):
        garden(clients)
    assert posts(vertex, ":deploy") == 1
    assert find_deployed(clients, NAME, patience=QUICK) is None
    assert garden(clients).deployed


def test_failures_are_typed(vertex: Vertex, clients: CloudClients) -> None:
    vertex.plan({"kind": "operation", "fail": {"status": "RESOURCE_EXHAUSTED", "message": "no NVIDIA_L4 left"}})
    with pytest.raises(JobFailedError, match="no NVIDIA_L4 left"):
        garden(clients)
    vertex.faults([{"match": "POST .*:deploy", "status": 429}])
    with pytest.raises(QuotaError):
        garden(clients)
    vertex.faults([])
    with pytest.raises(CloudError, match="safetensors"):
        deploy_weights(clients, "gs://bkt/nothing", name="x", machines=EndpointMachines(), patience=QUICK)


def test_options_are_shown_without_deploying(vertex: Vertex, clients: CloudClients) -> None:
    assert "g2-standard-12" in list_deploy_options(clients, WEIGHTS, patience=QUICK)
    assert posts(vertex, ":deploy") == 0
