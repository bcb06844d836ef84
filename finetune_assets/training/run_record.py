"""What a training run writes down about its surroundings, so that its weights can be explained later.

Here belong versions, threads and the processor's capability; nothing that knows what was trained.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

RECORD_FILE = "training.json"
_PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "tokenizers", "safetensors")


def surroundings(threads: int) -> dict[str, Any]:
    """Return versions, thread count, CPU capability and device names: what bit-identity depends on.

    Args:
        threads: CPU threads that the run used.
    """
    import torch

    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "versions": {name: _version(name) for name in _PACKAGES},
        "threads": threads,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "devices": devices,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
