"""Merging a LoRA adapter into its base model in memory.

Plain LoRA is one line of algebra, W += B·A·alpha/r (Hu et al. 2021, https://arxiv.org/abs/2106.09685), and is merged
here from the safetensors file. Anything beyond it (DoRA, patterns of ranks, retrained modules) goes through peft, whose
import costs seconds that a gateway should not pay at each start.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.files import read_json

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"

# Fields of adapter_config.json that do not change what is added to the base: names, what was tuned (the file's own keys
# say it), and how training began. A field that is not listed here and has a value sends the merge to peft, so that a
# later peft's new kinds of LoRA are never merged by the wrong formula.
_WITHOUT_EFFECT = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "exclude_modules",
        "inference_mode",
        "layers_pattern",
        "layers_to_transform",
        "megatron_core",
        "peft_version",
        "qalora_group_size",
        "revision",
        "target_modules",
        "task_type",
    }
)
_PLAIN = frozenset({"peft_type", "bias", "init_lora_weights", "lora_alpha", "lora_dropout", "r", "use_rslora"})


def check_adapter_files(adapter: Path) -> dict[str, Any]:
    """Return the adapter's configuration after looking that its weights are safetensors.

    Raises:
        FinetuneError: when a file is missing or the weights are in a format that can run code when read.
    """
    for name in (CONFIG, WEIGHTS):
        if not (adapter / name).is_file():
            pickled = sorted(path.name for path in adapter.glob("*.bin"))
            raise FinetuneError(
                "adapter file is missing",
                where=str(adapter / name),
                found=", ".join(pickled),
                expected=f"{CONFIG} and {WEIGHTS}; pickled weights are never read",
                mend="save the adapter with save_pretrained(..., safe_serialization=True)",
            )
    config: dict[str, Any] = read_json(adapter / CONFIG)
    return config


def merge_adapter(model: Any, adapter: Path) -> Any:
    """Merge a LoRA adapter into `model` in place.

    Args:
        model: the base, a `transformers.PreTrainedModel` in full precision (a quantised base rounds the merged weight).
        adapter: folder with adapter_config.json and adapter_model.safetensors.

    Returns:
        The model with the adapter's weights in it; without adapter layers.

    Raises:
        FinetuneError: when files are missing or the adapter does not fit this base.
    """
    config = check_adapter_files(adapter)
    if not _is_plain(config):
        return _merge_with_peft(model, adapter)
    from safetensors.torch import load_file

    pairs = _pairs(load_file(adapter / WEIGHTS))
    if pairs is None:
        return _merge_with_peft(model, adapter)
    scale = _scale(config)
    modules = dict(model.named_modules())
    for name, (lora_a, lora_b) in sorted(pairs.items()):
        _add(modules, name, lora_a, lora_b, scale, adapter)
    return model


def _is_plain(config: dict[str, Any]) -> bool:
    beyond = [name for name, value in config.items() if value and name not in _WITHOUT_EFFECT | _PLAIN]
    return (
        not beyond
        and str(config.get("peft_type", "")).upper() == "LORA"
        and config.get("bias", "none") == "none"
        # PiSSA, OLoRA and their like change the base as they start, so B·A alone is not what they learned.
        and config.get("init_lora_weights", True) in (True, False, "gaussian")
    )


def _scale(config: dict[str, Any]) -> float:
    rank = int(config["r"])
    # Rank-stabilised LoRA divides by the root of the rank (https://arxiv.org/abs/2312.03732).
    return float(config["lora_alpha"]) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _pairs(tensors: dict[str, Any]) -> dict[str, tuple[Any, Any]] | None:
    """Return module name → (A [r, in], B [out, r]), or None when the file holds anything besides."""
    halves: dict[str, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        stem, dot, half = key.removeprefix("base_model.model.").removesuffix(".weight").rpartition(".")
        if not dot or half not in ("lora_A", "lora_B") or tensor.dim() != 2:
            return None
        halves.setdefault(stem, {})[half] = tensor
    if not all(len(pair) == 2 for pair in halves.values()):
        return None
    return {name: (pair["lora_A"], pair["lora_B"]) for name, pair in halves.items()}


def _add(modules: dict[str, Any], name: str, lora_a: Any, lora_b: Any, scale: float, adapter: Path) -> None:
    import torch

    weight = getattr(modules.get(name), "weight", None)
    expected = (lora_b.shape[0], lora_a.shape[1])
    if weight is None or tuple(weight.shape) != expected or lora_a.shape[0] != lora_b.shape[1]:
        raise FinetuneError(
            "adapter does not fit this base model",
            where=f"{adapter / WEIGHTS}: {name}",
            found="no such module" if weight is None else f"base weight of shape {tuple(weight.shape)}",
            expected=f"shape {tuple(expected)}",
            mend="serve the adapter with the base model that it was trained on",
        )
    with torch.no_grad():
        delta = (lora_b.float() @ lora_a.float()) * scale
        weight.add_(delta.to(device=weight.device, dtype=weight.dtype))


def _merge_with_peft(model: Any, adapter: Path) -> Any:
    from peft import PeftModel

    # PeftModel reads safetensors first; check_adapter_files has made sure that they are there.
    return PeftModel.from_pretrained(model, str(adapter), is_trainable=False).merge_and_unload(safe_merge=True)
