"""Which managed backend a name in YAML means."""

from __future__ import annotations

from collections.abc import Callable

from finetune_assets.records.errors import FinetuneError
from finetune_assets.tuning.backends.custom_job import CustomJobBackend
from finetune_assets.tuning.backends.gemini import GeminiBackend
from finetune_assets.tuning.backends.open_model import OpenModelBackend
from finetune_assets.tuning.backends.protocol import Backend
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.retries import ReadPolicy

_BACKENDS: dict[str, Callable[[CloudClients, ReadPolicy | None], Backend]] = {
    "gemini": GeminiBackend,
    "open_model": OpenModelBackend,
    "custom_job": CustomJobBackend,
}
CLOUD_BACKENDS = tuple(_BACKENDS)


def backend_of(name: str, clients: CloudClients, policy: ReadPolicy | None = None) -> Backend:
    """Return the managed backend of a name.

    Args:
        name: as in `tuning.backend`.
        clients: Google's clients of the project and location.
        policy: how often reads are repeated.

    Raises:
        FinetuneError: for a name that is no managed backend.
    """
    if name not in _BACKENDS:
        raise FinetuneError(
            "not a managed backend", where="tuning.backend", found=name, expected=" or ".join(CLOUD_BACKENDS)
        )
    return _BACKENDS[name](clients, policy)
