"""Endpoints against the stand-in: at most one of each, traffic that sums to 100, and state that is read anew."""

from __future__ import annotations

from typing import Any

import pytest

from finetune_assets.serving.cloud import endpoints
from finetune_assets.serving.cloud.deployments import deploy, deployed_id
from finetune_assets.serving.cloud.endpoint_state import EndpointState
from finetune_assets.serving.cloud.endpoints import ensure_endpoint, list_endpoints, roll_back, shift, show, undeploy
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.config import EndpointMachines
from finetune_assets.tuning.cloud.errors import (
    DeadlineError,
    JobFailedError,
    MissingError,
    QuotaError,
    RejectedError,
    UnavailableError,
)
from finetune_assets_tests.fakes.vertex import Vertex
from finetune_assets_tests.serving.cloud.conftest import CANDIDATE, OTHER, QUICK, Killed, dies_at, posts
from finetune_assets_tests.serving.cloud.test_model_registry import register

TASK = "router_task"
BLUE, GREEN = deployed_id(CANDIDATE), deployed_id(OTHER)


def placed(clients: CloudClients, candidate: str = CANDIDATE, percent: int = 10, **more: Any) -> EndpointState:
    version = register(clients, candidate)
    endpoint = ensure_endpoint(clients, TASK, patience=QUICK)
    facts: dict[str, Any] = {
        "model": version.name,
        "candidate": candidate,
        "display_name": f"router {candidate[:4]}",
        "machines": EndpointMachines(),
        "percent": percent,
        "patience": QUICK,
    }
    return deploy(clients, endpoint.name, **(facts | more))


def test_an_endpoint_is_made_once(vertex: Vertex, clients: CloudClients) -> None:
    first = ensure_endpoint(clients, TASK, labels={"cost": "research"}, patience=QUICK)
    assert ensure_endpoint(clients, TASK, patience=QUICK) == first
    assert first.name == "projects/p1/locations/us-central1/endpoints/router-task"
    assert first.labels["cost"] == "research"
    assert posts(vertex, "endpoints?") == 1
    assert [item.name for item in list_endpoints(clients, task=TASK, patience=QUICK)] == [first.name]
    assert list_endpoints(clients, task="another", patience=QUICK) == []


@pytest.mark.parametrize("fault", [{"cut": "after_commit"}, {"status": 503, "when": "after_commit"}, {"status": 429}])
def test_a_lost_answer_makes_no_second_endpoint(vertex: Vertex, clients: CloudClients, fault: dict[str, Any]) -> None:
    vertex.faults([{"match": "POST .*/endpoints\\?", "times": 1, **fault}])
    ensure_endpoint(clients, TASK, patience=QUICK)
    assert vertex.fault_hits() == [1]
    assert len(list_endpoints(clients, patience=QUICK)) == 1


def test_an_endpoint_of_somebody_else_is_not_taken_over(clients: CloudClients) -> None:
    client = clients.gapic("EndpointServiceClient")
    request = {"parent": clients.parent, "endpoint_id": "router-task", "endpoint": {"display_name": "theirs"}}
    client.create_endpoint(request).result()
    with pytest.raises(RejectedError, match="belongs to somebody else"):
        ensure_endpoint(clients, TASK, patience=QUICK)


def test_the_first_gets_all_and_a_newcomer_its_share(vertex: Vertex, clients: CloudClients) -> None:
    first = placed(clients)
    assert dict(first.traffic) == {BLUE: 100}
    found = first.find(BLUE)
    assert found is not None
    assert (found.machine_type, found.accelerator_type, found.accelerator_count) == ("g2-standard-12", "NVIDIA_L4", 1)
    assert (found.version, found.min_replicas) == ("1", 1)
    both = placed(clients, OTHER)
    assert dict(both.traffic) == {BLUE: 90, GREEN: 10}
    assert placed(clients, OTHER) == both  # what is there is left as it is
    assert posts(vertex, ":deployModel") == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"match": ":deployModel", "cut": "after_commit", "times": 1},
        {"match": ":deployModel", "status": 504, "when": "after_commit", "times": 1},
        {"match": ":deployModel", "status": 429, "times": 2},
        {"match": "GET .*operations", "status": 429, "times": 3},
        {"match": "GET .*operations", "status": 500, "times": 3},
        {"match": "GET .*operations", "status": 504, "times": 3},
        {"match": "GET .*operations", "cut": "before", "times": 3},
    ],
)
def test_a_deployment_survives_what_passes(vertex: Vertex, clients: CloudClients, fault: dict[str, Any]) -> None:
    vertex.faults([fault])
    seen = placed(clients)
    assert seen.ids == {BLUE}
    assert vertex.fault_hits()[0] == fault["times"]


def test_a_killed_caller_attaches_to_its_deployment(vertex: Vertex, clients: CloudClients) -> None:
    noted: list[str] = []
    with pytest.raises(Killed):
        placed(clients, on_operation=lambda op: (noted.append(op), dies_at()(op)))
    assert placed(clients, operation=noted[0]).ids == {BLUE}
    assert posts(vertex, ":deployModel") == 1


def test_a_killed_caller_that_wrote_nothing_down_waits_for_what_is_under_way(
    vertex: Vertex, clients: CloudClients
) -> None:
    with pytest.raises(Killed):
        placed(clients, on_operation=dies_at())
    assert placed(clients).ids == {BLUE}
    assert dict(show(clients, endpoints.endpoint_name(clients, TASK), patience=QUICK).traffic) == {BLUE: 100}


def test_two_deployments_wait_for_each_other(clients: CloudClients) -> None:
    with pytest.raises(Killed):
        placed(clients, on_operation=dies_at())
    both = placed(clients, OTHER)  # the endpoint takes one operation at a time
    assert GREEN in both.ids
    assert sum(both.traffic.values()) == 100


def test_a_failed_deployment_says_why_and_leaves_the_traffic(vertex: Vertex, clients: CloudClients) -> None:
    placed(clients)
    vertex.plan(
        {"kind": "operation", "fail": {"status": "RESOURCE_EXHAUSTED", "message": "Quota of NVIDIA_L4 is used up"}}
    )
    with pytest.raises(JobFailedError, match=r"NVIDIA_L4.*quota") as caught:
        placed(clients, OTHER)
    assert "\n" not in str(caught.value)
    assert dict(show(clients, endpoints.endpoint_name(clients, TASK), patience=QUICK).traffic) == {BLUE: 100}
    assert placed(clients, OTHER).ids == {BLUE, GREEN}  # asked again, it works


def test_what_takes_too_long_is_told_and_attached_to(vertex: Vertex, clients: CloudClients) -> None:
    from dataclasses import replace

    vertex.speed(1.0)
    noted: list[str] = []
    hasty = replace(QUICK, deadline_s=0.3)
    with pytest.raises((DeadlineError, UnavailableError)):
        placed(clients, on_operation=noted.append, patience=hasty)
    vertex.speed(2000.0)
    assert placed(clients, operation=noted[0]).ids == {BLUE}


def test_a_refusal_is_typed(vertex: Vertex, clients: CloudClients) -> None:
    endpoint = ensure_endpoint(clients, TASK, patience=QUICK)
    facts: dict[str, Any] = {"candidate": CANDIDATE, "display_name": "x", "percent": 10, "patience": QUICK}
    gone = f"{clients.parent}/models/none@1"
    with pytest.raises(MissingError):
        deploy(clients, endpoint.name, model=gone, machines=EndpointMachines(), **facts)
    version = register(clients)
    with pytest.raises(RejectedError, match=r"no such accelerator.*NVIDIA_L5"):
        deploy(
            clients, endpoint.name, model=version.name, machines=EndpointMachines(accelerator_type="NVIDIA_L5"), **facts
        )
    assert posts(vertex, ":deployModel") == 1


def test_a_quota_that_stays_used_up_is_said(vertex: Vertex, clients: CloudClients) -> None:
    from dataclasses import replace

    version = register(clients)
    endpoint = ensure_endpoint(clients, TASK, patience=QUICK)
    vertex.faults([{"match": ":deployModel", "status": 429, "message": "Quota CustomModelServingL4GPUsPerProject"}])
    with pytest.raises(QuotaError):
        deploy(
            clients,
            endpoint.name,
            model=version.name,
            candidate=CANDIDATE,
            display_name="x",
            machines=EndpointMachines(),
            percent=10,
            patience=replace(QUICK, deadline_s=0.5),
        )


def test_traffic_is_shifted_and_read_again(vertex: Vertex, clients: CloudClients) -> None:
    placed(clients)
    name = placed(clients, OTHER).name
    assert dict(shift(clients, name, {GREEN: 100}, patience=QUICK).traffic) == {BLUE: 0, GREEN: 100}
    before = posts(vertex, "router-task")
    shift(clients, name, {GREEN: 100, BLUE: 0}, patience=QUICK)
    assert posts(vertex, "router-task") == before  # it stands so already
    vertex.faults([{"match": "PATCH", "cut": "after_commit", "times": 1}])
    assert dict(shift(clients, name, {BLUE: 50, GREEN: 50}, patience=QUICK).traffic) == {BLUE: 50, GREEN: 50}
    for wrong, words in (({BLUE: 50}, "sum to 100"), ({"12": 100}, "not deployed"), ({BLUE: 150, GREEN: -50}, "sum")):
        with pytest.raises(RejectedError, match=words):
            shift(clients, name, wrong, patience=QUICK)


def test_somebody_elses_change_is_seen(clients: CloudClients) -> None:
    """The endpoint is in another state than an earlier run remembers."""
    placed(clients)
    name = placed(clients, OTHER).name
    undeploy(clients, name, BLUE, patience=QUICK)  # by another hand
    with pytest.raises(RejectedError, match="not deployed"):
        shift(clients, name, {BLUE: 90, GREEN: 10}, patience=QUICK)
    assert dict(placed(clients).traffic) == {BLUE: 10, GREEN: 90}


def test_undeploying_gives_the_traffic_to_the_others_first(vertex: Vertex, clients: CloudClients) -> None:
    placed(clients)
    name = placed(clients, OTHER).name
    vertex.faults([{"match": ":undeployModel", "cut": "after_commit", "times": 1}])
    seen = undeploy(clients, name, BLUE, patience=QUICK)
    assert seen is not None
    assert dict(seen.traffic) == {GREEN: 100}
    asked = [entry for entry in vertex.log() if entry["method"] == "PATCH" or ":undeploy" in entry["path"]]
    assert [entry["method"] for entry in asked][:2] == ["PATCH", "POST"]
    assert undeploy(clients, name, BLUE, patience=QUICK) == seen
    last = undeploy(clients, name, GREEN, patience=QUICK)
    assert last is not None
    assert (last.deployed, dict(last.traffic), last.costs) == ((), {}, False)


def test_a_rollback_moves_the_traffic_and_then_takes_away(vertex: Vertex, clients: CloudClients) -> None:
    placed(clients)
    name = placed(clients, OTHER).name
    shift(clients, name, {GREEN: 100}, patience=QUICK)
    back = roll_back(clients, name, to=BLUE, patience=QUICK)
    assert dict(back.traffic) == {BLUE: 100, GREEN: 0}
    gone = roll_back(clients, name, to=BLUE, away=GREEN, patience=QUICK)
    assert (gone.ids, dict(gone.traffic)) == ({BLUE}, {BLUE: 100})
    assert roll_back(clients, name, to=BLUE, away=GREEN, patience=QUICK) == gone


def test_deleting_takes_everything_and_twice_is_fine(vertex: Vertex, clients: CloudClients) -> None:
    placed(clients)
    name = placed(clients, OTHER).name
    vertex.faults([{"match": "DELETE", "cut": "after_commit", "times": 1}])
    endpoints.delete(clients, name, patience=QUICK)
    endpoints.delete(clients, name, patience=QUICK)
    assert endpoints.find(clients, name, patience=QUICK) is None
    assert undeploy(clients, name, BLUE, patience=QUICK) is None
    with pytest.raises(MissingError):
        shift(clients, name, {BLUE: 100}, patience=QUICK)


@pytest.mark.parametrize("name", ["a" * 80, "Über_uns", "3d-models"])
def test_ids_are_made_of_what_they_stand_for(name: str) -> None:
    import re

    found = endpoints.endpoint_id_of(name)
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", found)
    assert re.fullmatch(r"[1-9][0-9]{8}", deployed_id(name))
