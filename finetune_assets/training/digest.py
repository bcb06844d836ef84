"""An adapter's identity: its tensors and its canonical configuration.

Here belongs the reading of safetensors files for hashing; the format is plain enough to need no library
(https://huggingface.co/docs/safetensors: 8 bytes length, a JSON header, then the tensors' bytes).
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from finetune_assets.records.digests import digest_of
from finetune_assets.records.errors import FinetuneError

ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
BASE_WEIGHTS = "model.safetensors"
_MAX_HEADER_BYTES = 100 << 20
# Where it was trained and with which release of peft says nothing about what it computes.
_NOT_IDENTITY = frozenset({"base_model_name_or_path", "peft_version", "revision", "inference_mode"})


def _broken(path: Path, found: str) -> FinetuneError:
    return FinetuneError(
        "weights file is not valid safetensors", where=str(path), found=found, mend="train or download it again"
    )


def tensors_digest(path: Path) -> str:
    """Return the SHA-256 over all tensors of a safetensors file: name, type, shape and bytes, in name order.

    The order of tensors in the file and its free-form metadata do not matter.

    Raises:
        FinetuneError: when the file is not complete safetensors.
        OSError: when it cannot be read.
    """
    size = path.stat().st_size
    sha = hashlib.sha256()
    with path.open("rb") as stream:
        prefix = stream.read(8)
        if len(prefix) < 8:
            raise _broken(path, f"{size} bytes")
        (length,) = struct.unpack("<Q", prefix)
        if length > min(_MAX_HEADER_BYTES, size - 8):
            raise _broken(path, f"a header of {length} bytes in a file of {size}")
        try:
            header: dict[str, Any] = json.loads(stream.read(length))
        except ValueError as error:
            raise _broken(path, str(error)) from error
        header.pop("__metadata__", None)
        for name in sorted(header):
            tensor = header[name]
            begin, end = tensor["data_offsets"]
            sha.update(f"{name}\n{tensor['dtype']}\n{tensor['shape']}\n".encode())
            stream.seek(8 + length + begin)
            _update(sha, stream, end - begin, path)
    return sha.hexdigest()


def _update(sha: Any, stream: Any, count: int, path: Path) -> None:
    while count > 0:
        block = stream.read(min(count, 1 << 20))
        if not block:
            raise _broken(path, f"the file ends {count} bytes before a tensor does")
        sha.update(block)
        count -= len(block)


def canonical_adapter_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return a peft configuration without places and versions, its unordered lists sorted."""
    kept = {key: value for key, value in config.items() if key not in _NOT_IDENTITY}
    return {
        key: sorted(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else value
        for key, value in kept.items()
    }


def adapter_digest(folder: Path) -> str:
    """Return an adapter's identity (64 hex digits): equal weights and settings give an equal digest on any machine.

    Args:
        folder: holds `adapter_config.json` and `adapter_model.safetensors`.

    Raises:
        FinetuneError: when one of them is missing or broken.
    """
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (folder / name).is_file():
            raise FinetuneError("adapter file is missing", where=str(folder / name), mend="train the adapter again")
    try:
        config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise FinetuneError(
            "adapter configuration is not JSON", where=str(folder / ADAPTER_CONFIG), found=str(error)
        ) from error
    return digest_of({"config": canonical_adapter_config(config), "tensors": tensors_digest(folder / ADAPTER_WEIGHTS)})
