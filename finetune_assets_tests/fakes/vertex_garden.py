"""Model Garden: deploying open weights from Cloud Storage; each call makes a new model and a new endpoint."""

from __future__ import annotations

from finetune_assets_tests.fakes.vertex_app import App, Call, route
from finetune_assets_tests.fakes.vertex_custom import check_machine
from finetune_assets_tests.fakes.vertex_endpoints import new_endpoint
from finetune_assets_tests.fakes.vertex_gcs import GcsError
from finetune_assets_tests.fakes.vertex_models import CUSTOM_MODEL, register_version
from finetune_assets_tests.fakes.vertex_operations import effect, start_operation
from finetune_assets_tests.fakes.vertex_store import Resource
from finetune_assets_tests.fakes.vertex_tuned import PROJECT_NUMBER
from finetune_assets_tests.fakes.vertex_wire import ApiError, Json, camel, invalid, stamp

AGENT = f"service-{PROJECT_NUMBER}@gcp-sa-aiplatform.iam.gserviceaccount.com"
IMAGE = "us-docker.pkg.dev/vertex-ai/vertex-vision-model-garden-dockers/pytorch-vllm-serve:standin"
DEFAULT_MACHINE = {"machineType": "g2-standard-12", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 1}


def _check_weights(app: App, uri: str) -> None:
    try:
        names = [name.rsplit("/", 1)[-1] for name in app.gcs.names(f"{uri.rstrip('/')}/", AGENT)]
    except GcsError as problem:
        raise ApiError(403 if problem.status == "PERMISSION_DENIED" else 503, problem.message) from problem
    if not any(name.endswith(".safetensors") for name in names):
        raise invalid(f"No safetensors files were found in {uri}.")
    if not {"config.json", "adapter_config.json"} & set(names):
        raise invalid(f"No config.json was found in {uri}.")


@route("POST", r":deploy")
def _deploy(app: App, call: Call) -> Json:
    body = camel(call.body)
    uri = body.get("customModel", {}).get("gcsUri", "")
    publisher = body.get("publisherModelName", "") or body.get("huggingFaceModelId", "")
    if not uri and not publisher:
        raise invalid("One of publisher_model_name, hugging_face_model_id or custom_model must be set.")
    if publisher and not body.get("modelConfig", {}).get("acceptEula"):
        raise invalid(f"The EULA of {publisher} has not been accepted; set accept_eula.")
    if uri:
        _check_weights(app, uri)
    machine = body.get("deployConfig", {}).get("dedicatedResources", {}).get("machineSpec") or DEFAULT_MACHINE
    check_machine(app, machine, 1)
    work = ("garden", {"place": call.place, "uri": uri, "publisher": publisher, "machine": machine, "body": body})
    seconds = app.store.settings["operation_seconds"].get("garden", 120.0)
    words = ("DeployResponse", {}, "DeployOperationMetadata")
    return start_operation(app, call.version, call.place, seconds, *words, work)


@effect("garden")
def _deployed(app: App, operation: Resource, work: Json) -> Json:
    place, config = work["place"], work["body"]
    shown = config.get("modelConfig", {}).get("modelDisplayName") or f"garden-{operation.seq}"
    model_body = {"displayName": shown, "containerSpec": {"imageUri": IMAGE}, "isDefaultVersion": True}
    model_body.update(CUSTOM_MODEL)
    if work["uri"]:
        model_body["artifactUri"] = work["uri"]
    model_id = config.get("modelConfig", {}).get("modelUserId") or f"{operation.seq}"
    model, number = register_version(app, place, model_id, model_body, {"lessons": []})
    endpoint_shown = config.get("endpointConfig", {}).get("endpointDisplayName") or f"{shown}-endpoint"
    endpoint_id = config.get("endpointConfig", {}).get("endpointUserId", "")
    labels = config.get("endpointConfig", {}).get("labels", {})
    it = new_endpoint(app, place, endpoint_id, {"displayName": endpoint_shown, "labels": labels})
    resources = {"machineSpec": work["machine"], "minReplicaCount": 1, "maxReplicaCount": 1}
    deployed = {"id": str(app.store.next_seq()), "model": model.name, "modelVersionId": number, "displayName": shown}
    deployed.update(dedicatedResources=resources, createTime=stamp(app.store.real_of(operation.end_v or 0.0)))
    it.body.update(deployedModels=[deployed], trafficSplit={deployed["id"]: 100})
    app.store.save(it)
    publisher = work["publisher"] or "publishers/google/models/custom"
    return {"publisherModel": publisher, "endpoint": it.name, "model": f"{model.name}@{number}"}


@route("POST", r":recommendSpec")
def _recommend(app: App, call: Call) -> Json:
    uri = camel(call.body).get("gcsUri", "")
    _check_weights(app, uri)
    spec = {"machineSpec": DEFAULT_MACHINE, "containerSpec": {"imageUri": IMAGE}}
    recommended = [{"region": call.params["location"], "spec": spec, "userQuotaState": "QUOTA_STATE_USER_HAS_QUOTA"}]
    return {"baseModel": "publishers/meta/models/llama3_1", "recommendations": recommended, "specs": [spec]}
