"""From an endpoint's configuration to the engine that asks it."""

from __future__ import annotations

from collections.abc import Mapping

from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.records.errors import FinetuneError
from finetune_assets.serving.engines.openai_endpoint import OpenAIAsker
from finetune_assets.serving.engines.patient import Asker, PatientEngine
from finetune_assets.storage.emulators import vertex_emulator

_STAND_IN_TOKEN = "stand-in"  # noqa: S105 -- made up: a stand-in is never given a real one


def endpoint_engine(config: EndpointConfig, environment: Mapping[str, str]) -> PatientEngine:
    """Return the engine that asks an endpoint. The caller closes it.

    Args:
        config: where and how to ask.
        environment: where the key is looked up by its name, and stand-ins of Vertex AI; `os.environ` in earnest.

    Raises:
        FinetuneError: when the named variable is empty, or no credentials are to be had.
        StorageError: when the environment points to a stand-in that is not allowed.
    """
    if config.kind == "openai":
        return PatientEngine(OpenAIAsker(config, _key(config, environment)), config)
    # A base URL on this machine is a stand-in of its own; any other gives way to the one that the environment names.
    emulator = "" if config.is_loopback else vertex_emulator(environment)
    token = _STAND_IN_TOKEN if emulator else _key(config, environment)
    return PatientEngine(_vertex(config, token, emulator), config)


def _vertex(config: EndpointConfig, token: str, stand_in: str) -> Asker:
    if config.kind == "vertex":
        from finetune_assets.serving.engines.vertex import VertexAsker

        return VertexAsker(config, token, stand_in=stand_in)
    from finetune_assets.serving.engines.vertex_predict import VertexPredictAsker

    return VertexPredictAsker(config, token, stand_in=stand_in)


def _key(config: EndpointConfig, environment: Mapping[str, str]) -> str:
    key = environment.get(config.key_env, "").strip() if config.key_env else ""
    if config.key_env and not key:
        raise FinetuneError(
            "the key of an endpoint is missing",
            where=f"environment variable {config.key_env}",
            found="nothing",
            expected=f"the key for {config.place}",
            mend=f"export {config.key_env}=…, or leave key_env empty for an endpoint that asks for none",
        )
    return key
