"""The Model Registry: one version for each candidate, whatever is lost on the way."""

from __future__ import annotations

from typing import Any

import pytest

from finetune_assets.serving.cloud.containers import vllm
from finetune_assets.serving.cloud.model_registry import (
    ModelVersion,
    add_labels,
    delete_version,
    find_version,
    get_version,
    list_versions,
    model_id_of,
    model_name,
    register_version,
    set_alias,
)
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.config import EndpointMachines
from finetune_assets.tuning.cloud.errors import MissingError, PermissionDeniedError
from finetune_assets_tests.fakes.vertex import Vertex
from finetune_assets_tests.serving.cloud.conftest import CANDIDATE, OTHER, QUICK, Killed, dies_at, posts

WEIGHTS = "gs://bkt/tuning/key/postprocess/node-0/checkpoints/final"


def register(clients: CloudClients, candidate: str = CANDIDATE, **more: Any) -> ModelVersion:
    facts: dict[str, Any] = {
        "model_id": model_id_of("router_task"),
        "artifact_uri": WEIGHTS,
        "container": vllm(EndpointMachines(), WEIGHTS, context_length=4096),
        "display_name": "router",
        "candidate": candidate,
        "labels": {"dataset": "d" * 20, "gate": "pass"},
        "patience": QUICK,
    }
    return register_version(clients, **(facts | more))


def name(clients: CloudClients) -> str:
    return model_name(clients, "router_task")


def test_a_candidate_is_one_version_however_often_it_is_registered(vertex: Vertex, clients: CloudClients) -> None:
    first = register(clients, aliases=["candidate"])
    again = register(clients, aliases=["candidate"])
    assert first.name == again.name == f"{name(clients)}@1"
    assert posts(vertex, "models:upload") == 1
    assert first.labels["dataset"] == "d" * 20
    assert first.candidate == CANDIDATE[:40]
    assert first.artifact_uri == WEIGHTS
    assert "candidate" in again.aliases
    second = register(clients, OTHER, aliases=["candidate"])
    assert second.version == "2"
    assert "default" not in second.aliases  # a candidate is not what others get by the model's bare name
    versions = list_versions(clients, name(clients), patience=QUICK)
    assert [("candidate" in item.aliases, item.candidate) for item in versions] == [
        (False, CANDIDATE[:40]),
        (True, OTHER[:40]),
    ]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        {"cut": "after_commit"},
        {"cut": "before"},
        {"status": 503, "when": "after_commit"},
        {"status": 500},
        {"status": 504, "when": "after_commit"},
        {"status": 429},
    ],
)
def test_a_lost_answer_makes_no_second_version(
    vertex: Vertex, clients: CloudClients, fault: dict[str, Any], first: bool
) -> None:
    if not first:
        register(clients, OTHER)
    vertex.faults([{"match": "POST .*models:upload", "times": 1, **fault}])
    found = register(clients)
    assert found.candidate == CANDIDATE[:40]
    assert vertex.fault_hits() == [1]
    assert len(list_versions(clients, name(clients), patience=QUICK)) == (1 if first else 2)


def test_a_killed_caller_attaches_to_its_operation(vertex: Vertex, clients: CloudClients) -> None:
    noted: list[str] = []
    with pytest.raises(Killed):
        register(clients, on_operation=lambda op: (noted.append(op), dies_at()(op)))
    found = register(clients, operation=noted[0])
    assert found.version == "1"
    assert posts(vertex, "models:upload") == 1


def test_an_operation_that_is_forgotten_is_no_obstacle(clients: CloudClients) -> None:
    gone = f"{name(clients)}/operations/99"
    assert register(clients, operation=gone).version == "1"


def test_a_storm_of_failures_is_waited_out(vertex: Vertex, clients: CloudClients) -> None:
    vertex.faults(
        [
            {"match": "GET ", "status": status, "probability": 0.3, "seed": number}
            for number, status in enumerate((429, 500, 503, 504))
        ]
    )
    assert register(clients, aliases=["candidate"]).version == "1"


def test_two_versions_of_one_candidate_become_one(clients: CloudClients) -> None:
    from google.cloud import aiplatform_v1

    first = register(clients)
    client = clients.gapic("ModelServiceClient")
    copy = aiplatform_v1.Model(
        display_name="router",
        labels=dict(first.labels),
        version_description=f"candidate {CANDIDATE[:40]}",
        version_aliases=["c-ab12ab12ab12"],
        container_spec=vllm(EndpointMachines(), WEIGHTS).spec(),
    )
    client.upload_model(parent=clients.parent, model=copy)  # a first one, so to say
    request = aiplatform_v1.UploadModelRequest(parent=clients.parent, parent_model=name(clients), model=copy)
    client.upload_model(request).result()
    assert len(list_versions(clients, name(clients), patience=QUICK)) == 2
    assert register(clients).name == first.name
    assert [item.name for item in list_versions(clients, name(clients), patience=QUICK)] == [first.name]


def test_an_alias_stands_at_one_version(clients: CloudClients) -> None:
    first, second = register(clients), register(clients, OTHER)
    set_alias(clients, first, ["champion"], patience=QUICK)
    set_alias(clients, second, ["champion"], patience=QUICK)
    set_alias(clients, second, ["champion"], patience=QUICK)
    found = find_version(clients, name(clients), alias="champion", patience=QUICK)
    assert found is not None
    assert found.name == second.name
    assert get_version(clients, f"{name(clients)}@champion", patience=QUICK).version == "2"


def test_what_the_service_registered_gets_labels(clients: CloudClients) -> None:
    version = register(clients)
    labelled = add_labels(clients, version, {"gate": "fail", "run": "r1"}, patience=QUICK)
    assert labelled.labels == {**version.labels, "gate": "fail", "run": "r1"}
    assert labelled.name == version.name


def test_deleting_twice_is_fine_and_the_last_goes_with_its_model(clients: CloudClients) -> None:
    first, second = register(clients), register(clients, OTHER)
    delete_version(clients, first, patience=QUICK)
    delete_version(clients, first, patience=QUICK)
    assert [item.name for item in list_versions(clients, name(clients), patience=QUICK)] == [second.name]
    delete_version(clients, second, patience=QUICK)
    assert list_versions(clients, name(clients), patience=QUICK) == []
    with pytest.raises(MissingError):
        get_version(clients, second.name, patience=QUICK)


def test_a_refusal_is_typed_and_nothing_is_repeated(vertex: Vertex, clients: CloudClients) -> None:
    vertex.faults(
        [{"match": "models:upload", "status": 403, "message": "Permission 'aiplatform.models.upload' denied"}]
    )
    with pytest.raises(PermissionDeniedError):
        register(clients)
    assert posts(vertex, "models:upload") == 1


@pytest.mark.parametrize(
    ("task", "expected"), [("router", "router"), ("early_years", "early-years"), ("3d", "task-3d"), ("ä b", "task---b")]
)
def test_a_model_id_is_made_of_the_task(task: str, expected: str) -> None:
    assert model_id_of(task) == expected
