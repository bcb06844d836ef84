"""From an endpoint's configuration to the engine that asks it."""

from __future__ import annotations

from collections.abc import Mapping

from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.records.errors import FinetuneError
from finetune_assets.serving.engines.openai_endpoint import OpenAIAsker
from finetune_assets.serving.engines.patient import PatientEngine


def endpoint_engine(config: EndpointConfig, environment: Mapping[str, str]) -> PatientEngine:
    """Return the engine that asks an endpoint. The caller closes it.

    Args:
        config: where and how to ask.
        environment: where the key is looked up by its name, `os.environ` in earnest.

    Raises:
        FinetuneError: when the named variable is empty, or no credentials are to be had.
    """
    key = environment.get(config.key_env, "").strip() if config.key_env else ""
    if config.key_env and not key:
        raise FinetuneError(
            "the key of an endpoint is missing",
            where=f"environment variable {config.key_env}",
            found="nothing",
            expected=f"the key for {config.place}",
            mend=f"export {config.key_env}=…, or leave key_env empty for an endpoint that asks for none",
        )
    if config.kind == "vertex":
        from finetune_assets.serving.engines.vertex import VertexAsker

        return PatientEngine(VertexAsker(config, key), config)
    return PatientEngine(OpenAIAsker(config, key), config)
