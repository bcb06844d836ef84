"""What a tuning job reads and makes: data statistics, the tuned model with its endpoints, an open model's files."""

from __future__ import annotations

import json
import math
from typing import Any

from finetune_assets_tests.fakes.vertex_app import App
from finetune_assets_tests.fakes.vertex_catalogue import ADAPTERS, REGION_OF_GLOBAL
from finetune_assets_tests.fakes.vertex_dataset import (
    BadDatasetError,
    Dataset,
    check_validation,
    distribution,
    read_dataset,
)
from finetune_assets_tests.fakes.vertex_gcs import GcsError
from finetune_assets_tests.fakes.vertex_models import register_version
from finetune_assets_tests.fakes.vertex_store import Resource
from finetune_assets_tests.fakes.vertex_wire import Json, rpc_status, stamp

PROJECT_NUMBER = "123456789012"
LESSONS_KEPT = 50_000
STATS_KEYS = {
    "supervised": "supervisedTuningDataStats",
    "preference": "preferenceOptimizationDataStats",
    "distillation": "distillationDataStats",
}
SPECS = ("supervisedTuningSpec", "preferenceOptimizationSpec", "distillationSpec")


CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def spec_of(body: Json) -> Json:
    """Return the tuning spec of a job, whichever method it has."""
    found: Json = next(body[key] for key in SPECS if key in body)
    if "promptDatasetUri" in found:  # distillation's own name for its training file
        found.setdefault("trainingDatasetUri", found["promptDatasetUri"])
    return found


def agent_of(it: Resource) -> str:
    """Return the service agent that reads a job's files."""
    kind = "vertex-moss-ft" if it.private["quota_class"] == "open" else "vertex-tune"
    account = it.body.get("serviceAccount")
    return account or f"service-{PROJECT_NUMBER}@gcp-sa-{kind}.iam.gserviceaccount.com"


def examine(app: App, it: Resource) -> Json | None:
    """Read and check a job's files, and remember what they teach. Returns the job's error, or None.

    Raises:
        GcsError: UNAVAILABLE: Cloud Storage does not answer; try again later.
    """
    spec, form, agent = spec_of(it.body), it.private["form"], agent_of(it)
    try:
        training = read_dataset(app.gcs.read(spec["trainingDatasetUri"], agent), form, it.private["max_tokens"])
        if spec.get("validationDatasetUri"):
            data = app.gcs.read(spec["validationDatasetUri"], agent)
            kind = "open" if form == "prompts" else form
            check_validation(training, read_dataset(data, kind, it.private["max_tokens"], "validation dataset"), form)
        custom = it.body.get("customBaseModel")
        if custom and not any(name.endswith(".safetensors") for name in app.gcs.names(custom, agent)):
            raise BadDatasetError(f"No safetensors file was found below the custom base model {custom}.")
    except BadDatasetError as error:
        return rpc_status("INVALID_ARGUMENT", f"Invalid dataset. {error}")
    except UnicodeDecodeError:
        return rpc_status("INVALID_ARGUMENT", "Invalid dataset. The training dataset is not valid UTF-8.")
    except GcsError as problem:
        if problem.status == "UNAVAILABLE":
            raise
        return rpc_status(problem.status, problem.message)
    _note(app, it, training, spec)
    return None


def _note(app: App, it: Resource, training: Dataset, spec: Json) -> None:
    hyper = spec.setdefault("hyperParameters", {})
    count = len(training.rows)
    # A user's report: the service chose 40 epochs for 166 examples. Who sets no epochs pays for them.
    epochs = int(hyper.get("epochCount") or max(1, min(40, 6_640 // count)))
    hyper["epochCount"] = str(epochs)
    batch = int(hyper.get("batchSize") or (8 if count >= 8 else 1))
    plan: Json = it.private["plan"]
    truncated, dropped = _cut_rows(it, training, plan)
    it.private["epochs"], it.private["steps"] = epochs, epochs * math.ceil(count / batch)
    kept = [row for number, row in enumerate(training.rows) if number not in dropped]
    stats = {
        "tuningDatasetExampleCount": str(count),
        "totalBillableTokenCount": str(epochs * sum(row.input_tokens + row.output_tokens for row in kept)),
        "tuningStepCount": str(it.private["steps"]),
        "userInputTokenDistribution": distribution([row.input_tokens for row in training.rows]),
        "userOutputTokenDistribution": distribution([row.output_tokens for row in training.rows]),
        "droppedExampleReasons": [reason for reason in dropped.values()],
    }
    if it.private["method"] == "supervised":
        stats["totalTruncatedExampleCount"] = str(len(truncated))
        stats["truncatedExampleIndices"] = [str(number) for number in truncated]
    if it.private["method"] == "distillation":
        stats = {"trainingDatasetStats": stats}
    it.private["data"] = {STATS_KEYS[it.private["method"]]: stats}
    app.store.learn(it.name, [(row.prompt, row.answer) for row in kept[:LESSONS_KEPT]])


def _cut_rows(it: Resource, training: Dataset, plan: Json) -> tuple[list[int], dict[int, str]]:
    limit = it.private["max_tokens"]
    too_long = [n for n, row in enumerate(training.rows) if row.input_tokens + row.output_tokens > limit]
    truncated = sorted({*too_long, *plan.get("truncated", [])})
    planned = plan.get("dropped", {})
    if isinstance(planned, list):  # reasons alone: the first rows are dropped
        planned = dict(enumerate(planned))
    return truncated, {int(number): reason for number, reason in planned.items()}


def _endpoint_place(it: Resource) -> str:
    """Return where the tuned model is served: Gemini 3 in a multi-region, a job on `global` in a real region."""
    project, location = it.parent.split("/")[1], it.parent.split("/")[3]
    if location == "global":
        location = REGION_OF_GLOBAL
    if it.private["model"].startswith("gemini-3"):
        location = "eu" if location.startswith("europe") else "us"
    return f"projects/{project}/locations/{location}"


def harvest(app: App, it: Resource) -> None:
    """Make what a successful job leaves behind: once, in the transaction that ends it.

    Raises:
        GcsError: The output could not be written.
    """
    if it.private["quota_class"] == "open":
        write_weights(app, it, f"{it.body['outputUri'].rstrip('/')}/postprocess/node-0/checkpoints/final")
    it.body["tuningDataStats"] = it.private["data"]
    it.body["pipelineJob"] = f"{it.parent}/pipelineJobs/tune-{it.seq}"
    epochs, steps = it.private["epochs"], it.private["steps"]
    it.body["tuningJobMetadata"] = {"completedEpochCount": str(epochs), "completedStepCount": str(steps)}
    unnamed = not app.store.settings["open_models_set_tuned_model"] or it.private["plan"].get("no_tuned_model")
    if it.private["quota_class"] == "open" and unnamed:
        return
    _register(app, it, epochs, steps)


def _register(app: App, it: Resource, epochs: int, steps: int) -> None:
    project, location = it.parent.split("/")[1], it.parent.split("/")[3]
    place = f"projects/{project}/locations/{REGION_OF_GLOBAL if location == 'global' else location}"
    lessons = [it.name, *it.private["lessons"]]
    before = it.body.get("preTunedModel")
    model_id = before["tunedModelName"].partition("@")[0].rsplit("/", 1)[-1] if before else str(it.seq)
    body = {
        "displayName": it.body.get("tunedModelDisplayName") or f"tuned-{it.seq}",
        "labels": {**it.body.get("labels", {}), "google-vertex-llm-tuning-base-model-id": _label(it.private["model"])},
        "isDefaultVersion": True,
        "modelSourceInfo": {"sourceType": "GENIE" if it.private["quota_class"] == "gemini" else "MODEL_GARDEN"},
    }
    if it.private["quota_class"] == "open":
        body["artifactUri"] = f"{it.body['outputUri'].rstrip('/')}/postprocess/node-0/checkpoints/final"
    ids = [str(number) for number in range(1, min(epochs, 10) + 1)]
    last_only = spec_of(it.body).get("exportLastCheckpointOnly", False)
    shown_ids = [] if last_only else ids
    private = {"lessons": lessons, "base": it.private["model"], "checkpoints": shown_ids or ids[-1:], "job": it.name}
    model, version = register_version(app, place, model_id, body, private)
    tuned: dict[str, Any] = {"model": f"{model.name}@{version}"}
    if it.private["quota_class"] == "gemini":
        tuned.update(_endpoints(app, it, model.name, version, shown_ids, (epochs, steps)))
    it.body["tunedModel"] = tuned


def _endpoints(app: App, it: Resource, model: str, version: str, ids: list[str], size: tuple[int, int]) -> Json:
    epochs, steps = size
    checkpoints = []
    endpoint = ""
    for number in ids or [""]:
        endpoint = _endpoint(app, it, model, version, number)
        epoch = round(int(number or epochs) * epochs / max(1, len(ids)))
        step = str(max(1, steps * epoch // epochs))
        checkpoints.append({"checkpointId": number, "epoch": str(epoch), "step": step, "endpoint": endpoint})
    return {"endpoint": endpoint, **({"checkpoints": checkpoints} if ids else {})}


def _endpoint(app: App, it: Resource, model: str, version: str, checkpoint: str) -> str:
    place, number = _endpoint_place(it), app.store.next_seq()
    name = f"{place}/endpoints/{number}"
    shown = it.body.get("tunedModelDisplayName") or f"tuned-{it.seq}"
    deployed = {"id": str(number), "model": model, "modelVersionId": version, "displayName": shown}
    if checkpoint:
        deployed["checkpointId"] = checkpoint
    now = stamp(app.store.real_of(app.store.now()))
    body = {
        "name": name,
        "displayName": shown,
        "labels": it.body.get("labels", {}),
        "createTime": now,
        "updateTime": now,
    }
    body.update(deployedModels=[deployed], trafficSplit={str(number): 100})
    private = {"shared": True, "base": it.private["model"], "count": 0}
    app.store.add(Resource(name, "Endpoint", place, body, private, seq=number))
    return name


def _label(text: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in text.lower())[:63]


def write_weights(app: App, it: Resource, folder: str) -> None:
    """Write a small adapter (or a small full model) with the files that real ones have; the same bytes for one job.

    Raises:
        GcsError: The output could not be written.
    """
    import numpy as np
    from safetensors.numpy import save

    spec = spec_of(it.body) if any(key in it.body for key in SPECS) else {}
    full = "FULL" in str(spec.get("tuningMode", ""))
    size = str(spec.get("hyperParameters", {}).get("adapterSize", "")).removeprefix("ADAPTER_SIZE_")
    rank = ADAPTERS.get(size, 16)
    dice = np.random.default_rng(it.seq)
    base = it.private.get("model", "custom")
    key = "model.layers.0.self_attn.q_proj"
    if full:
        tensors = {f"{key}.weight": dice.standard_normal((8, 8), dtype=np.float32)}
        files = {"model.safetensors": save(tensors, metadata={"format": "pt"})}
        files["config.json"] = _json({"model_type": "llama", "hidden_size": 8, "_name_or_path": base})
    else:
        tensors = {
            f"base_model.model.{key}.lora_A.weight": dice.standard_normal((rank, 8), dtype=np.float32),
            f"base_model.model.{key}.lora_B.weight": np.zeros((8, rank), dtype=np.float32),
        }
        files = {"adapter_model.safetensors": save(tensors, metadata={"format": "pt"})}
        config = {"peft_type": "LORA", "base_model_name_or_path": base, "r": rank, "lora_alpha": 2 * rank}
        files["adapter_config.json"] = _json({**config, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"})
    template = {"chat_template": CHATML, "eos_token": "<|im_end|>"}
    files["tokenizer_config.json"] = _json({"tokenizer_class": "PreTrainedTokenizerFast", **template})
    agent = agent_of(it) if "quota_class" in it.private else f"service-{PROJECT_NUMBER}@gcp-sa-aiplatform"
    for name, data in files.items():
        app.gcs.write(f"{folder.rstrip('/')}/{name}", data, agent)


def _json(value: Json) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True).encode()
