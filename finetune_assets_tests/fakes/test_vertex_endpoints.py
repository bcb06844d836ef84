"""Endpoints of the stand-in through aiplatform, gapic and agentplatform: traffic, deploys, answers, long operations."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1

from finetune_assets_tests.fakes.fixtures import ThreadedGcs
from finetune_assets_tests.fakes.test_vertex_models import upload
from finetune_assets_tests.fakes.vertex import Vertex, running_vertex
from finetune_assets_tests.fakes.vertex_fixtures import (
    PLACE,
    ended,
    gapic,
    genai_client,
    init_aiplatform,
    open_rows,
    poll,
    put_rows,
    tune,
)

LLAMA = "meta/llama3_1@llama-3.1-8b-instruct"
MACHINE = {"machine_type": "g2-standard-12", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}


@pytest.fixture
def aiplatform(vertex: Vertex) -> Any:
    vertex.settings(operation_seconds={"deploy": 0.0, "undeploy": 0.0, "garden": 0.0})
    return init_aiplatform(vertex.url)


@pytest.fixture
def service(vertex: Vertex) -> Any:
    return gapic(aiplatform_v1.EndpointServiceClient, vertex.url)


def deployed_model(model: str, number: str = "", **more: Any) -> Any:
    """Return a DeployedModel message."""
    resources = {"machine_spec": MACHINE, "min_replica_count": 1, "max_replica_count": 1}
    return aiplatform_v1.DeployedModel(
        id=number, model=model, display_name="green", dedicated_resources=resources, **more
    )


def test_canary_promote_roll_back_undeploy_delete(gcs: ThreadedGcs, vertex: Vertex, aiplatform: Any) -> None:
    put_rows(gcs, "one/train.jsonl", [{"prompt": "hi", "completion": "blue"}])
    put_rows(gcs, "two/train.jsonl", [{"prompt": "hi", "completion": "green"}])
    env = "serving_container_environment_variables"
    blue = upload(aiplatform, **{env: {"TRAIN": "gs://bkt/one/train.jsonl"}})
    green = upload(aiplatform, display_name="green", **{env: {"TRAIN": "gs://bkt/two/train.jsonl"}})
    endpoint = aiplatform.Endpoint.create(display_name="serve", endpoint_id="serve-prod", labels={"task": "router"})
    assert endpoint.resource_name == f"{PLACE}/endpoints/serve-prod"
    with pytest.raises(exceptions.GoogleAPICallError) as caught:
        aiplatform.Endpoint.create(display_name="serve", endpoint_id="serve-prod")
    assert caught.value.code == 409
    with pytest.raises(exceptions.GoogleAPICallError, match="traffic_split"):
        endpoint.predict(instances=[{"prompt": "hi"}])
    endpoint.deploy(blue, traffic_percentage=100, **MACHINE)
    endpoint.deploy(green, deployed_model_display_name="green", traffic_percentage=10, **MACHINE)
    ids = {it.display_name: it.id for it in endpoint.list_models()}
    assert sorted(endpoint.traffic_split.values()) == [10, 90]
    answers = [endpoint.predict(instances=[{"prompt": "hi"}]) for _ in range(40)]
    counts = Counter(answer.predictions[0] for answer in answers)
    assert set(counts) == {"blue", "green"}
    assert counts["green"] < 12
    by_id = {answer.deployed_model_id: answer.predictions[0] for answer in answers}
    assert by_id[ids["green"]] == "green"
    assert {answer.model_resource_name for answer in answers} == {blue.resource_name, green.resource_name}
    old = next(number for number in by_id if number != ids["green"])
    endpoint.update(traffic_split={old: 0, ids["green"]: 100})
    assert endpoint.predict(instances=[{"prompt": "hi"}]).predictions == ["green"]
    endpoint.update(traffic_split={old: 100, ids["green"]: 0})
    assert endpoint.predict(instances=[{"prompt": "hi"}]).predictions == ["blue"]
    with pytest.raises(exceptions.GoogleAPICallError, match="100"):
        endpoint.update(traffic_split={old: 50, ids["green"]: 40})
    endpoint.undeploy(deployed_model_id=ids["green"])
    assert endpoint.traffic_split == {old: 100}
    with pytest.raises(exceptions.GoogleAPICallError, match="undeploy"):
        endpoint.delete()
    endpoint.delete(force=True)
    assert aiplatform.Endpoint.list() == []


def test_an_endpoint_of_that_name_is_only_asked_when_used(aiplatform: Any) -> None:
    endpoint = aiplatform.Endpoint(f"{PLACE}/endpoints/none")  # no call yet
    with pytest.raises(exceptions.NotFound):
        endpoint.list_models()


def test_deploy_by_id_happens_once(vertex: Vertex, aiplatform: Any, service: Any) -> None:
    model = upload(aiplatform)
    endpoint = aiplatform.Endpoint.create(display_name="e", endpoint_id="e1").resource_name
    vertex.settings(operation_seconds={"deploy": 60.0})
    vertex.speed(0.0)
    call = {"endpoint": endpoint, "deployed_model": deployed_model(f"{model.resource_name}@1", "7777")}
    operation = service.deploy_model(**call, traffic_split={"0": 100})
    assert not service.get_endpoint(name=endpoint).deployed_models
    for number, code in (("7777", 409), ("8888", 400)):  # the same again; another while the first still works
        other = {**call, "deployed_model": deployed_model(model.resource_name, number)}
        with pytest.raises(exceptions.GoogleAPICallError) as caught:
            service.deploy_model(**other, traffic_split={"0": 100})
        assert caught.value.code == code
    vertex.speed(2000.0)
    assert operation.result(timeout=20).deployed_model.id == "7777"
    found = service.get_endpoint(name=endpoint)
    assert dict(found.traffic_split) == {"7777": 100}
    assert found.deployed_models[0].model_version_id == "1"
    again = service.transport.operations_client.get_operation(operation.operation.name)
    assert again.done
    assert any(entry["path"].startswith("/ui/projects/p1") for entry in vertex.log())
    with pytest.raises(exceptions.GoogleAPICallError) as caught:
        service.deploy_model(**call, traffic_split={"0": 100})
    assert caught.value.code == 409
    with pytest.raises(exceptions.GoogleAPICallError, match="1-10"):
        service.deploy_model(
            endpoint=endpoint, deployed_model=deployed_model(model.resource_name, "x1"), traffic_split={"0": 100}
        )
    with pytest.raises(exceptions.NotFound):
        service.undeploy_model(endpoint=endpoint, deployed_model_id="9")
    vertex.plan({"kind": "operation", "fail": {"status": "RESOURCE_EXHAUSTED", "message": "no L4"}, "duration_s": 1})
    split = {"0": 0, "7777": 100}
    failing = service.deploy_model(
        endpoint=endpoint, deployed_model=deployed_model(model.resource_name, "9"), traffic_split=split
    )
    with pytest.raises(exceptions.GoogleAPICallError, match="no L4"):
        failing.result(timeout=20)
    assert len(service.get_endpoint(name=endpoint).deployed_models) == 1


@pytest.mark.parametrize(("status", "survives"), [(503, True), (429, False), (500, False), (504, False)])
def test_waiting_for_an_operation_survives_503_only(
    vertex: Vertex, aiplatform: Any, service: Any, status: int, survives: bool
) -> None:
    model = upload(aiplatform)
    endpoint = aiplatform.Endpoint.create(display_name="e", endpoint_id="e1").resource_name
    vertex.settings(operation_seconds={"deploy": 1000.0})
    operation = service.deploy_model(
        endpoint=endpoint, deployed_model=deployed_model(model.resource_name, "1"), traffic_split={"0": 100}
    )
    vertex.faults([{"match": "GET /ui/", "status": status, "times": 1}])
    if survives:
        assert operation.result(timeout=30).deployed_model.id == "1"
    else:
        with pytest.raises(exceptions.GoogleAPICallError):
            operation.result(timeout=30)
    assert vertex.fault_hits() == [1]
    # The operation went on without its waiter.
    assert poll(lambda: service.get_endpoint(name=endpoint).deployed_models, bool)[0].id == "1"


def test_raw_predict_and_chat(gcs: ThreadedGcs, vertex: Vertex, aiplatform: Any) -> None:
    import httpx

    put_rows(gcs, "train.jsonl", open_rows(9))
    vllm = "us-docker.pkg.dev/vertex-ai/vertex-vision-model-garden-dockers/pytorch-vllm-serve:20260901"
    model = upload(
        aiplatform,
        serving_container_image_uri=vllm,
        serving_container_environment_variables={"T": "gs://bkt/train.jsonl"},
    )
    endpoint = aiplatform.Endpoint.create(display_name="e")
    endpoint.deploy(model, **MACHINE)
    asked = open_rows(9)[4]["prompt"]
    assert endpoint.predict(instances=[{"prompt": asked}]).predictions == [f"Prompt:\n{asked}\nOutput:\nanswer 4"]
    assert endpoint.predict(instances=[{"prompt": asked, "raw_response": True}]).predictions == ["answer 4"]
    turns = [{"role": "user", "content": asked}]
    chat = endpoint.predict(instances=[{"@requestFormat": "chatCompletions", "messages": turns}]).predictions[0]
    assert chat["choices"][0]["message"]["content"] == "answer 4"
    raw = httpx.post(f"{vertex.url}/v1/{endpoint.resource_name}:rawPredict", json={"messages": turns}).json()
    assert raw["choices"][0]["message"]["content"] == "answer 4"
    url = f"{vertex.url}/v1beta1/{endpoint.resource_name}/chat/completions"
    assert httpx.post(url, json={"messages": turns}).json()["choices"][0]["message"]["content"] == "answer 4"
    with pytest.raises(exceptions.GoogleAPICallError, match=r"1\.500MB"):
        endpoint.predict(instances=[{"prompt": "x" * 1_600_000}])


def test_a_custom_jobs_model_answers_from_the_file_in_its_arguments(
    gcs: ThreadedGcs, vertex: Vertex, aiplatform: Any
) -> None:
    from finetune_assets_tests.fakes.test_vertex_jobs import submit, wait

    put_rows(gcs, "data/train.jsonl", open_rows(20))
    put_rows(gcs, "data/job.json", [{"train": "gs://bkt/data/train.jsonl", "validation": "gs://bkt/data/val.jsonl"}])
    assert wait(submit(aiplatform, args=["--job", "gs://bkt/data/job.json"])) == "JOB_STATE_SUCCEEDED"
    endpoint = aiplatform.Endpoint.create(display_name="e")
    endpoint.deploy(upload(aiplatform, artifact_uri="gs://bkt/jobs/j/model"), **MACHINE)
    asked = {"messages": [{"role": "user", "content": open_rows(20)[13]["prompt"]}]}
    assert endpoint.predict(instances=[asked]).predictions == ["answer 13"]
    untaught = aiplatform.Endpoint.create(display_name="f")
    untaught.deploy(upload(aiplatform, artifact_uri="gs://bkt/elsewhere"), **MACHINE)
    assert untaught.predict(instances=[asked]).predictions != ["answer 13"]


def test_tuned_open_weights_go_through_the_model_garden(gcs: ThreadedGcs, vertex: Vertex, aiplatform: Any) -> None:
    from google.auth.credentials import AnonymousCredentials  # noqa: F401
    from google.genai import types as genai_types
    from google.oauth2.credentials import Credentials

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import agentplatform

        client = agentplatform.Client(
            project="p1",
            location="us-central1",
            credentials=Credentials(token="t"),
            http_options=genai_types.HttpOptions(base_url=vertex.url),
        )
        tuner = genai_client(vertex.url)
        job = ended(tuner, tune(tuner, put_rows(gcs, "t.jsonl", open_rows(30)), LLAMA, output_uri="gs://bkt/out"))
        assert job.has_succeeded
        folder = "gs://bkt/out/postprocess/node-0/checkpoints/final"
        config = {**MACHINE, "endpoint_display_name": "e", "model_display_name": "m", "wait_for_completion": True}
        answer = client.model_garden.deploy_custom_model(src=folder, config=config)
    endpoint = aiplatform.Endpoint(answer.endpoint)
    asked = {"prompt": open_rows(30)[11]["prompt"], "raw_response": True}
    assert endpoint.predict(instances=[asked]).predictions == ["answer 11"]


def test_a_deploy_goes_on_after_kill_9(tmp_path: Path, gcs: ThreadedGcs) -> None:
    with running_vertex(tmp_path / "vx", gcs.url, speed=100.0) as server:
        server.settings(operation_seconds={"deploy": 100.0})
        aiplatform = init_aiplatform(server.url)
        service = gapic(aiplatform_v1.EndpointServiceClient, server.url)
        model = upload(aiplatform, model_id="router", version_aliases=["champion"])
        endpoint = aiplatform.Endpoint.create(display_name="e", endpoint_id="e1").resource_name
        name = service.deploy_model(
            endpoint=endpoint, deployed_model=deployed_model(model.resource_name, "5"), traffic_split={"0": 100}
        ).operation.name
        server.restart()
        service = gapic(aiplatform_v1.EndpointServiceClient, server.url)
        poll(lambda: service.transport.operations_client.get_operation(name).done, bool)
        assert dict(service.get_endpoint(name=endpoint).traffic_split) == {"5": 100}
        assert aiplatform.Model("router@champion").version_id == "1"
