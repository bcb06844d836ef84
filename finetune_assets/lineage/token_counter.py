"""Which tokenizer counts a task's tokens: that of its base model where it is at hand, else an estimate.

A check of data must not wait for a download, so of the hub only what is on this machine already counts.
"""

from pathlib import Path

from finetune_assets.datasets.rendered import template_of
from finetune_assets.datasets.tokens import TokenCounter, estimated_counter, tokenizer_counter
from finetune_assets.lineage.bases import EMBEDDED_STAGE, chat_template_of
from finetune_assets.lineage.runtime import PLATFORM_TASK, TaskRun
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage import stages
from finetune_assets.storage.namespaces import MAIN


def token_counter(task: TaskRun) -> TokenCounter:
    """Return what counts the task's tokens."""
    render = task.config.dataset.render
    folder = _base_folder(task)
    chosen = template_of(render)
    if folder is None:
        return estimated_counter(chosen)
    own = _model_template(folder) if render.template == "model" else None
    name = "its own template" if own else f"template {chosen.name}"
    counter = tokenizer_counter(folder, own or chosen.source, name=f"{task.config.tuning.base_model}, {name}")
    return counter or estimated_counter(chosen)


def tokenizer_at_hand(task: TaskRun) -> str:
    """Return the name of the base model whose tokenizer counts, "" where tokens are estimated."""
    folder = _base_folder(task)
    return folder.name if folder else ""


def _base_folder(task: TaskRun) -> Path | None:
    """Return the folder of the task's base model, None where it is not on this machine."""
    config = task.config.tuning
    if config.is_managed:
        return None  # its provider keeps the tokenizer, too
    if config.is_embedded:
        return _embedded_folder(task)
    folder = (task.folder / config.base_model).resolve()
    if folder.is_dir():
        return folder
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(config.base_model, "tokenizer.json", revision=config.revision)
    return Path(found).parent if isinstance(found, str) else None


def _embedded_folder(task: TaskRun) -> Path | None:
    found = stages.find_stage(task.database, PLATFORM_TASK, MAIN, EMBEDDED_STAGE, task.run_id)
    artifact = task.artifacts.find(found.kind, found.key) if found else None
    return artifact.path if artifact else None


def _model_template(folder: Path) -> str | None:
    """Return the model's own chat template, None where it has none."""
    try:
        return chat_template_of(folder)
    except FinetuneError:
        return None
