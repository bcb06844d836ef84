"""Reading a base model and its tokenizer: safetensors only, and never code that comes with a model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finetune_assets.records.digests import digest_of, digest_of_file
from finetune_assets.records.errors import FinetuneError
from finetune_assets.serving.engines.lora import check_adapter_files, merge_adapter

# Records of how the files came to be: times and places, nothing that decides an answer.
_RECORDS = frozenset({"training.json", "manifest.json"})


def load_model(base: Path | str, adapter: Path | None, revision: str | None) -> tuple[Any, Any]:
    """Load a base model, merge an adapter into it, and load the tokenizer.

    A folder is read as it is and never looked up elsewhere; a hub id goes through the local cache or the hub, as
    `HF_HUB_OFFLINE` says.

    Args:
        base: a folder in transformers' layout, or a hub id.
        adapter: folder of a LoRA adapter, None for the bare base.
        revision: branch, tag or commit of a hub id.

    Returns:
        The model in evaluation mode, on the GPU where there is one, and its tokenizer.

    Raises:
        FinetuneError: when files are missing, the weights are no safetensors, or the model needs code of its own.
    """
    folder = base_folder(base)
    if folder is not None:
        _check_base_files(folder)
    if adapter is not None:
        check_adapter_files(adapter)  # before the base is read, which may take minutes
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = str(folder or base)
    common: dict[str, Any] = {"revision": revision} if folder is None and revision else {}
    if folder is not None:
        common["local_files_only"] = True
    on_gpu = torch.cuda.is_available()
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **common)
        with _without_progress_bar():
            model = AutoModelForCausalLM.from_pretrained(
                source,
                use_safetensors=True,
                trust_remote_code=False,
                # A CPU computes half precision slower and rounds more; a GPU takes the precision of the weights.
                dtype="auto" if on_gpu else torch.float32,
                **common,
            )
    except (OSError, ValueError) as problem:
        raise FinetuneError(
            "base model cannot be loaded",
            where=source,
            found=str(problem),
            expected="a causal language model known to transformers, with safetensors weights and a tokenizer",
            mend="name a folder or a hub id that holds one; models that need their own code are not run",
        ) from problem
    if adapter is not None:
        model = merge_adapter(model, adapter)
    model.eval().requires_grad_(False)
    return (model.to("cuda") if on_gpu else model), tokenizer


def base_folder(base: Path | str) -> Path | None:
    """Return the folder that `base` names, None when it is a hub id.

    A `Path` and a text that looks like a path always mean a folder, so that a mistyped folder is never looked up on
    the hub.
    """
    if isinstance(base, Path):
        return base
    looks_like_path = base.startswith((".", "/", "~")) or base.count("/") > 1
    path = Path(base).expanduser()
    return path if looks_like_path or path.is_dir() else None


def weights_digest(folder: Path) -> str:
    """Return a digest over a model folder's weights, configuration and tokenizer (64 hex digits)."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".json", ".model", ".jinja"))
    return digest_of({path.name: digest_of_file(path) for path in files if path.name not in _RECORDS})


def _check_base_files(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise FinetuneError(
            "base model is missing",
            where=str(folder / "config.json"),
            expected="a folder with config.json, *.safetensors and a tokenizer",
            mend="materialize the base model again, or correct the folder's name",
        )
    if not any(folder.glob("*.safetensors")):
        raise FinetuneError(
            "base model has no safetensors weights",
            where=str(folder),
            found=", ".join(sorted(path.name for path in folder.glob("*.bin"))),
            expected="model.safetensors; pickled weights are never read",
            mend="save the model with save_pretrained, which writes safetensors",
        )


@contextlib.contextmanager
def _without_progress_bar() -> Iterator[None]:
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
