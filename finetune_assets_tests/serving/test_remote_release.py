"""A release whose weights are in the cloud: loaded from its manifest, asked at its endpoint, served by the gateway."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from finetune_assets.records.errors import FinetuneError
from finetune_assets.releases.manifest import EndpointReference, ReleaseManifest, store_manifest
from finetune_assets.serving.listing import ReleaseRef
from finetune_assets.serving.probe import probe_release
from finetune_assets.serving.process import start_gateway
from finetune_assets.serving.release import load_release
from finetune_assets_tests.datasets.generation.server import Reply, serving
from finetune_assets_tests.serving.conftest import TASK

NAME = "projects/p1/locations/us-central1/endpoints/router"


def remote(workshop: Any, adapter: Any, **changes: Any) -> tuple[ReleaseRef, ReleaseManifest]:
    reference = EndpointReference(
        kind="vertex_endpoint", endpoint=NAME, project="p1", location="us-central1", deployed_model_id="7"
    )
    local = workshop.manifest(adapter)
    facts = {name: getattr(local, name) for name in ReleaseManifest.model_fields}
    manifest = ReleaseManifest(**(facts | {"base": None, "adapter": None, "endpoint": reference} | changes))
    key = store_manifest(workshop.store, manifest).key
    return ReleaseRef(task=TASK, version=1, candidate=manifest.candidate, artifact_key=key), manifest


def answering(manifest: ReleaseManifest, write: Callable[[str], str] = lambda text: text) -> Any:
    """Return a server's answers: each recorded question gets its recorded text, as `write` changes it."""
    texts = {probe.fields["text"]: probe.text for probe in manifest.probes}

    def answer(body: dict[str, Any], _: int) -> Reply:
        question = body["instances"][0]["messages"][-1]["content"]
        text = next((found for known, found in texts.items() if known in question), "none")
        choice = {"message": {"content": write(text)}, "finish_reason": "stop"}
        return Reply(body=json.dumps({"predictions": {"choices": [choice]}, "deployedModelId": "7"}).encode())

    return answer


def environ(url: str) -> dict[str, str]:
    return {"FINETUNE_VERTEX_ENDPOINT": url.removesuffix("/v1"), "FINETUNE_ALLOW_EMULATOR": "1"}


def test_it_asks_its_endpoint(workshop, adapters):
    reference, manifest = remote(workshop, adapters[0])
    with serving(answering(manifest)) as server:
        served = load_release(workshop.store, reference, environ=environ(server.url))
        asked = [served.task_type.input_messages(probe.fields) for probe in manifest.probes]
        answers = served.engine.complete(asked)
        assert [answer.text for answer in answers] == [probe.text for probe in manifest.probes]
        assert {answer.served_by for answer in answers} == {"7"}
        assert all(body["path"] == f"/v1/{NAME}:predict" for body in server.asked)
        assert server.asked[0]["instances"][0]["max_tokens"] == manifest.max_new_tokens


def test_another_prompt_is_refused(workshop, adapters):
    reference, _ = remote(workshop, adapters[0], template_hash="0" * 64)
    with pytest.raises(FinetuneError, match="prompt is not the one that was judged"):
        load_release(workshop.store, reference, environ={})


def test_a_gateway_serves_it_and_the_rule_judges_its_probes(workshop, adapters, tmp_path):
    import os

    reference, manifest = remote(workshop, adapters[0])
    legal = workshop.task_type.choices()
    turned: list[bool] = []

    def write(text: str) -> str:
        return next(choice for choice in legal if choice != text) if turned else text

    with serving(answering(manifest, write)) as server:
        environment = {**os.environ, **environ(server.url)}
        with start_gateway(
            workshop.home, log=tmp_path / "gateway.log", releases=[reference], environ=environment
        ) as gateway:
            gateway.wait_ready(timeout_s=90, task=TASK, candidate=reference.candidate)

            def passes(rule: str) -> bool:
                return probe_release(gateway.url, manifest.model_copy(update={"probe_rule": rule})).passed

            assert [passes(rule) for rule in ("exact", "label", "valid")] == [True, True, True]
            turned.append(True)
            assert [passes(rule) for rule in ("exact", "label", "valid")] == [False, False, True]
