"""Base models: the embedded one that all tasks share, a local folder, or one from the hub.

Here belongs how a task's `tuning.base_model` becomes files on disk with an identity.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from finetune_assets.datasets.render import template_hash
from finetune_assets.datasets.text_templates import text_template
from finetune_assets.lineage.runtime import PLATFORM_TASK, StageBook, TaskRun
from finetune_assets.records.digests import digest_of
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.task_type import TaskType
from finetune_assets.serving.engines.weights import weights_digest
from finetune_assets.storage.namespaces import MAIN
from finetune_assets.tuning.cloud.catalogue import find_model
from finetune_assets.tuning.config import TuningConfig

EMBEDDED_STAGE = "embedded_base_model"


@dataclass(frozen=True)
class Base:
    """A base model, on disk or kept by a provider.

    Attributes:
        name: what a person calls it.
        place: the folder of its files, weights as safetensors only; None where a provider keeps it.
        digest: identity of weights, configuration and tokenizer; of a provider's model, its name.
        chat_template: the template that renders its prompts; of a provider's model, the rows that it takes.
    """

    name: str
    place: Path | None
    digest: str
    chat_template: str

    @property
    def folder(self) -> Path:
        """The folder of its files.

        Raises:
            FinetuneError: when a provider keeps it.
        """
        if self.place is None:
            raise FinetuneError(
                "the base model's files are not here", where=self.name, mend="ask it where its provider serves it"
            )
        return self.place

    def template_hash(self, task_type: TaskType) -> str:
        """Return the hash of everything that turns a record into this base's prompt."""
        return template_hash(task_type.prompt_manifest(), self.chat_template)


def find_base(task: TaskRun) -> Base:
    """Return the base model that the task's settings name.

    Raises:
        FinetuneError: when it is not there or holds no safetensors weights.
    """
    config = task.config.tuning
    if config.is_managed:
        return provider_base(config)
    if config.is_embedded:
        shared = StageBook(
            task=PLATFORM_TASK, namespace=MAIN, run_id=task.run_id, artifacts=task.artifacts, database=task.database
        )
        artifact = shared.result(EMBEDDED_STAGE)
        return Base("embedded", artifact.path, artifact.digest, chat_template_of(artifact.path))
    folder = _local_folder(config, task.folder)
    template = task.config.dataset.render.template
    stand_in = None if template == "model" else text_template(template).source
    return Base(config.base_model, folder, weights_digest(folder), chat_template_of(folder, stand_in))


def is_here(task: TaskRun) -> bool:
    """Return whether the base model of local or container training is on this machine, so that nothing is fetched."""
    config = task.config.tuning
    if config.is_embedded or (task.folder / config.base_model).resolve().is_dir():
        return True
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        snapshot_download(config.base_model, revision=config.revision, local_files_only=True)
    except (LocalEntryNotFoundError, ValueError):
        return False
    return True


def provider_base(config: TuningConfig) -> Base:
    """Return the base of managed tuning; its provider renders prompts, from messages as we send them."""
    name = find_model(config.base_model).id
    digest = digest_of({"backend": config.backend, "model": name})
    return Base(name, None, digest, f"messages, by {config.backend}")


def _local_folder(config: TuningConfig, start: Path) -> Path:
    folder = (start / config.base_model).resolve()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        path = snapshot_download(
            config.base_model,
            revision=config.revision,
            allow_patterns=["*.safetensors", "*.json", "*.jinja", "tokenizer*", "*.model", "*.txt"],
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError, OSError) as error:
        raise FinetuneError(
            "base model cannot be had",
            where=f"tuning.base_model {config.base_model}",
            found=str(error).splitlines()[0],
            expected="`embedded`, a folder with safetensors weights, or a hub id that this machine reaches",
            mend="check the name, the network and HF_TOKEN, or name a folder",
        ) from None
    return Path(path)


def chat_template_of(folder: Path, stand_in: str | None = None) -> str:
    """Return the chat template of a model's tokenizer.

    Args:
        folder: the model's files.
        stand_in: the template to use where the tokenizer has none.

    Raises:
        FinetuneError: when there is neither.
    """
    template = folder / "chat_template.jinja"
    if template.is_file():
        return template.read_text(encoding="utf-8")
    config = folder / "tokenizer_config.json"
    text = json.loads(config.read_text(encoding="utf-8")).get("chat_template") if config.is_file() else None
    if not isinstance(text, str):
        if stand_in is not None:
            return stand_in
        raise FinetuneError(
            "base model's tokenizer has no chat template",
            where=str(folder),
            expected="chat_template.jinja, or chat_template in tokenizer_config.json",
            mend="take the instruction-tuned model, put a chat_template.jinja into the folder, or name a shipped one "
            "in dataset.render.template",
        )
    return text
