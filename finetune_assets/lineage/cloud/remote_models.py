"""Models that a provider keeps: how they are asked when they are judged, registered, and taken for a release.

A tuned Gemini model has an endpoint of the provider's from the start. Weights of an open model are registered in Model
Registry and asked by batch prediction, so that nothing has to be deployed before it was judged.
"""

import json
import os
from typing import TYPE_CHECKING, Any

from finetune_assets.datasets.text_templates import text_template
from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.lineage.bases import Base
from finetune_assets.lineage.cloud.doors import open_clients, open_store, patience_of
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.manifest import EndpointReference
from finetune_assets.storage.artifacts import Artifact
from finetune_assets.storage.gcs.calls import GcsUri
from finetune_assets.storage.gcs.objects import read_bytes
from finetune_assets.storage.gcs.store import GcsStore
from finetune_assets.tuning.cloud.catalogue import find_model

if TYPE_CHECKING:
    from finetune_assets.serving.cloud.batch_engine import BatchEngine
    from finetune_assets.serving.cloud.model_registry import ModelVersion
    from finetune_assets.serving.engines.patient import PatientEngine

CANDIDATE_ALIAS = "candidate"
BATCHES = "batches"
_BATCH_FIRST_S = 15.0
_BATCH_H = 24.0
# Documented for tuned models: thinking off, or as little as the model allows.
_LEAST_THINKING = {"pro": 128}


def is_remote(base: Base) -> bool:
    """Whether a provider keeps the model."""
    return base.place is None


def asks_in_batches(task: TaskRun) -> bool:
    """Whether candidates of the task are asked by batch prediction."""
    wanted = task.config.cloud.inference
    return wanted == "batch" or (wanted == "auto" and task.config.tuning.backend == "open_model")


def remote_engine(
    task: TaskRun, base: Base, adapter: Artifact | None, candidate: str, max_tokens: int
) -> "PatientEngine | BatchEngine":
    """Return the engine that asks a model which its provider keeps. The caller closes it.

    Args:
        task: the task as the model's variant sees it.
        base: what was tuned.
        adapter: the tuned model's artifact, None for the base alone.
        candidate: the candidate's id, "" for the base alone.
        max_tokens: the longest answer.
    """
    if adapter is None:
        config = _config_of_base(task, base, max_tokens)
    elif task.config.tuning.backend == "gemini":
        config = _config_of_gemini(task, adapter, max_tokens)
    else:
        config = _config_of_weights(task, base, adapter, candidate, max_tokens)
    if not asks_in_batches(task):
        from finetune_assets.serving.engines.endpoints import endpoint_engine

        return endpoint_engine(config, os.environ)
    return _batch_engine(task, config, adapter)


def decoding_of(task: TaskRun, base: Base, max_tokens: int) -> dict[str, Any]:
    """Return what decides a remote model's answers beside its identity, known without asking."""
    config = EndpointConfig(
        kind="vertex", model=base.name, project="any", location="any", max_tokens=max_tokens,
        thinking_budget=_thinking(base.name) if task.config.tuning.backend == "gemini" else None,
    )  # fmt: skip
    return config.decoding()


def _config_of_base(task: TaskRun, base: Base, max_tokens: int) -> EndpointConfig:
    """Return how the untuned base is asked: as its publisher offers it."""
    entry, cloud = find_model(base.name), task.config.cloud
    if entry.backend != "gemini":
        raise FinetuneError(
            "the untuned base is served nowhere",
            where=f"{task.task}: {entry.id}",
            mend="name an endpoint that serves it as `base` under evaluation.contenders",
        )
    return EndpointConfig(
        kind="vertex",
        model=entry.id,
        project=cloud.project,
        location=cloud.serves_in,
        max_tokens=max_tokens,
        thinking_budget=_thinking(entry.id),
        context_length=entry.context_tokens,
    )


def _config_of_gemini(task: TaskRun, adapter: Artifact, max_tokens: int) -> EndpointConfig:
    managed = adapter.manifest["managed"]
    name = managed["model"].partition("@")[0] if asks_in_batches(task) else managed["endpoint"]
    return EndpointConfig(
        kind="vertex",
        model=name,
        project=managed["project"],
        location=task.config.cloud.serving_location or managed["location"],
        max_tokens=max_tokens,
        thinking_budget=_thinking(adapter.manifest["base"]["name"]),
        context_length=find_model(adapter.manifest["base"]["name"]).context_tokens,
    )


def _config_of_weights(task: TaskRun, base: Base, adapter: Artifact, candidate: str, max_tokens: int) -> EndpointConfig:
    version = registered(task, adapter, candidate)
    return EndpointConfig(
        kind="vertex_endpoint",
        model=version.name,
        project=task.config.cloud.project,
        location=task.config.cloud.serves_in,
        max_tokens=max_tokens,
        context_length=find_model(base.name).max_tokens,
    )


def _batch_engine(task: TaskRun, config: EndpointConfig, adapter: Artifact | None) -> "BatchEngine":
    from finetune_assets.serving.cloud.batch_engine import BatchEngine

    store, cloud = open_store(task), task.config.cloud
    template = ""
    tokens: dict[str, str] = {}
    if config.kind == "vertex_endpoint" and adapter is not None:
        template, tokens = weights_template(task, store, adapter.manifest["managed"]["weights_uri"])
    return BatchEngine(
        open_clients(task, cloud.serves_in),
        config,
        folder=f"{store.root}/{BATCHES}",
        machines=cloud.endpoint,
        chat_template=template,
        special_tokens=tokens,
        labels={"task": task.task},
        patience=patience_of(task, first_s=_BATCH_FIRST_S, deadline_h=_BATCH_H),
    )


def registered(task: TaskRun, adapter: Artifact, candidate: str) -> "ModelVersion":
    """Return the candidate's version in Model Registry, made at most once."""
    from finetune_assets.serving.cloud.containers import vllm
    from finetune_assets.serving.cloud.model_registry import model_id_of, register_version

    managed, cloud = adapter.manifest["managed"], task.config.cloud
    entry = find_model(adapter.manifest["base"]["name"])
    return register_version(
        open_clients(task, cloud.serves_in),
        model_id=model_id_of(task.task),
        artifact_uri=managed["weights_uri"],
        container=vllm(cloud.endpoint, managed["weights_uri"], context_length=entry.max_tokens, model_id=entry.id),
        display_name=task.task,
        candidate=candidate,
        labels={
            "dataset": adapter.manifest["request"]["dataset_digest"][:40],
            "request_key": adapter.key,
            "run_key": managed["run_key"],
        },
        aliases=[CANDIDATE_ALIAS],
        patience=patience_of(task),
    )


def weights_template(task: TaskRun, store: GcsStore, weights_uri: str) -> tuple[str, dict[str, str]]:
    """Return the chat template that lies beside weights, and the special tokens that it names.

    Raises:
        FinetuneError: when there is none and YAML names none that could stand in.
    """
    folder = GcsUri.parse(weights_uri.rstrip("/"))

    def text(name: str) -> str:
        found = read_bytes(store.client, folder.child(name), store.patience)
        return found[0].decode() if found else ""

    settings = json.loads(text("tokenizer_config.json") or "{}")
    template = text("chat_template.jinja") or str(settings.get("chat_template") or "")
    if not template and task.config.dataset.render.template != "model":
        template = text_template(task.config.dataset.render.template).source
    if not template:
        raise FinetuneError(
            "the weights come without a chat template",
            where=weights_uri,
            expected="chat_template.jinja, or chat_template in tokenizer_config.json",
            mend="name a shipped one in dataset.render.template",
        )
    tokens = {name: settings.get(name) for name in ("bos_token", "eos_token", "pad_token")}
    return template, {name: value for name, value in tokens.items() if isinstance(value, str)}


def gemini_reference(task: TaskRun, adapter: Artifact) -> EndpointReference:
    """Return how a release asks a tuned Gemini model: at the endpoint that the service made for it."""
    managed = adapter.manifest["managed"]
    return EndpointReference(
        kind="vertex",
        endpoint=managed["endpoint"],
        model=managed["model"],
        base_model=adapter.manifest["base"]["name"],
        project=managed["project"],
        location=task.config.cloud.serving_location or managed["location"],
        thinking_budget=_thinking(adapter.manifest["base"]["name"]),
    )


def _thinking(model: str) -> int:
    return next((tokens for word, tokens in _LEAST_THINKING.items() if word in model), 0)
