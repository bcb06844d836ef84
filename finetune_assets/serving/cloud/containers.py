"""The container that serves weights of one's own, as the Model Registry keeps it with a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from finetune_assets.tuning.cloud.config import EndpointMachines

# Routes and port of Model Garden's vLLM image, as its own deployments name them (docs.cloud.google.com, 2026).
_PREDICT = "/generate"
_HEALTH = "/ping"
_PORT = 8080
_SHARED_MEMORY_MB = 16 * 1024
_START_S = 7200


@dataclass(frozen=True)
class Container:
    """An image and how it is started.

    Attributes:
        image: the image, by digest for a release that matters.
        args: its command line.
        env: environment variables; no secrets, for everybody who may read the model reads them.
        port: where it listens.
        predict_route: path of questions.
        health_route: path of the health check.
        shared_memory_mb: shared memory in megabytes, which several GPUs talk through.
        start_s: seconds that it may take until it is healthy.
    """

    image: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = _PORT
    predict_route: str = _PREDICT
    health_route: str = _HEALTH
    shared_memory_mb: int = _SHARED_MEMORY_MB
    start_s: int = _START_S

    def spec(self) -> Any:
        """Return the `aiplatform_v1.ModelContainerSpec`."""
        from google.cloud import aiplatform_v1

        return aiplatform_v1.ModelContainerSpec(
            image_uri=self.image,
            args=list(self.args),
            env=[{"name": name, "value": value} for name, value in sorted(self.env.items())],
            ports=[{"container_port": self.port}],
            predict_route=self.predict_route,
            health_route=self.health_route,
            shared_memory_size_mb=self.shared_memory_mb,
            deployment_timeout=timedelta(seconds=self.start_s),
        )


def vllm(machines: EndpointMachines, weights_uri: str, *, context_length: int = 0, model_id: str = "") -> Container:
    """Return Model Garden's vLLM container for weights in Cloud Storage.

    Args:
        machines: the image and the number of accelerators, over which the model is spread.
        weights_uri: gs:// folder with safetensors, configuration and tokenizer.
        context_length: longest conversation in tokens, 0 for the model's own.
        model_id: what a person calls the base model; shown in the container's metrics.
    """
    args = [
        "python",
        "-m",
        "vllm.entrypoints.api_server",
        "--host=0.0.0.0",
        f"--port={_PORT}",
        f"--model={weights_uri.rstrip('/')}",
        f"--tensor-parallel-size={max(1, machines.accelerator_count)}",
        "--swap-space=16",
        "--gpu-memory-utilization=0.95",
        "--disable-log-stats",
    ]
    if context_length:
        args.append(f"--max-model-len={context_length}")
    env = {"DEPLOY_SOURCE": "finetune_assets"} | ({"MODEL_ID": model_id} if model_id else {})
    return Container(machines.container, tuple(args), env)
