"""ServedRelease: a release that can answer, and the sources that releases come from.

A release is loaded from its own manifest. It is refused when its prompt is not the one that its adapter was trained
with, or when base or adapter are not the ones that were judged. A release whose weights are in the cloud is asked at
its endpoint.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from finetune_assets.datasets.render import template_hash
from finetune_assets.evaluation.engine import Engine
from finetune_assets.feedback.config import FeedbackConfig
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Message
from finetune_assets.records.task_type import TaskType
from finetune_assets.releases.manifest import EndpointReference, ReleaseManifest, base_folder, load_manifest
from finetune_assets.releases.registry import Registry
from finetune_assets.serving.engines.endpoints import endpoint_engine
from finetune_assets.serving.engines.local import LocalEngine
from finetune_assets.serving.engines.weights import weights_digest
from finetune_assets.serving.listing import ReleaseRef, read_listing
from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home
from finetune_assets.task_types import task_type_from_manifest


@dataclass(frozen=True)
class ServedRelease:
    """A release with its engine loaded.

    Attributes:
        ref: which release it is.
        task_type: asks its questions and reads its answers.
        engine: answers.
        example_fields: an input that it is known to answer, the first of its recorded probes.
        feedback: what may be kept of its questions and answers.
    """

    ref: ReleaseRef
    task_type: TaskType
    engine: Engine = field(repr=False)
    example_fields: Mapping[str, Any] = field(repr=False)
    feedback: FeedbackConfig = field(default_factory=FeedbackConfig, repr=False)

    def first_question(self) -> list[Message]:
        """Return the question that shows that it answers."""
        return self.task_type.input_messages(self.example_fields)

    def fields_of_text(self, text: str) -> dict[str, Any]:
        """Return the fields of an input of which only the text is given."""
        return {self.task_type.text_field: text}


class ReleaseSource(Protocol):
    """Where a gateway learns what to serve. Called from one thread, never from the event loop."""

    def prepare(self) -> None:
        """Load the libraries that the first release will need."""

    def current(self) -> dict[str, ReleaseRef]:
        """Return what is to be served, by task; a cheap look.

        Raises:
            StorageError: when it cannot be known now.
        """

    def load(self, ref: ReleaseRef) -> ServedRelease:
        """Load a release.

        Raises:
            FinetuneError, StorageError: when it cannot be served; the message says why.
        """


class StoredReleases:
    """Loads releases from the artifact store.

    Args:
        home: the platform's home.
        threads: CPU threads of the model.
    """

    def __init__(self, home: Home, *, threads: int = 1) -> None:
        self._store = ArtifactStore(home.artifacts)
        self._threads = threads

    def prepare(self) -> None:
        """Import torch and transformers, which takes most of a gateway's start."""
        import transformers.modeling_utils
        from transformers import AutoModelForCausalLM, AutoTokenizer

        # These names are lazy: their modules load when an attribute is asked for.
        _ = transformers.modeling_utils.PreTrainedModel, AutoModelForCausalLM.register, AutoTokenizer.register

    def load(self, ref: ReleaseRef) -> ServedRelease:
        """Load a release after holding it against what was judged; see `ReleaseSource`."""
        return load_release(self._store, ref, threads=self._threads)


class PointerReleases(StoredReleases):
    """What the live pointers say, and the releases they stand at."""

    def __init__(self, home: Home, *, threads: int = 1) -> None:
        super().__init__(home, threads=threads)
        self._url = home.database_url
        self._registry: Registry | None = None

    def current(self) -> dict[str, ReleaseRef]:
        """Return the live release of every task."""
        if self._registry is None:
            self._registry = Registry(Database.open(self._url))
        return {
            task: ReleaseRef(task=task, version=live.version, candidate=live.candidate, artifact_key=live.artifact_key)
            for task, live in self._registry.live_all().items()
        }


class ListedReleases(StoredReleases):
    """The releases that a file lists, live or not: how a candidate is rehearsed before it becomes live.

    Args:
        home: the platform's home.
        listing: the file; see `serving/listing.py`.
        threads: CPU threads of the model.
    """

    def __init__(self, home: Home, listing: Path, *, threads: int = 1) -> None:
        super().__init__(home, threads=threads)
        self._listing = listing

    def current(self) -> dict[str, ReleaseRef]:
        """Return what the file lists."""
        return read_listing(self._listing)


def load_release(
    store: ArtifactStore, ref: ReleaseRef, *, threads: int = 1, environ: Mapping[str, str] | None = None
) -> ServedRelease:
    """Load a release from its manifest.

    Args:
        store: the artifact store.
        ref: which release.
        threads: CPU threads of the model.
        environ: where stand-ins of a cloud service are looked up; None takes this process's environment.

    Raises:
        FinetuneError: when the manifest is another release's, the prompt is not the trained one, or the files are not
            the judged ones.
        StorageError: when an artifact is missing.
    """
    manifest = load_manifest(store, ref.artifact_key)
    place = f"{ref.task} version {ref.version}"
    _expect(
        "manifest belongs to another release", place, (manifest.task, manifest.candidate), (ref.task, ref.candidate)
    )
    task_type = task_type_from_manifest(manifest.task_type)
    engine: Engine
    if manifest.endpoint is not None:
        _check_prompt(manifest, task_type, place)
        engine = _remote_engine(manifest.endpoint, manifest, os.environ if environ is None else environ)
    else:
        engine = _local_engine(store, manifest, task_type, place, threads)
    return ServedRelease(ref, task_type, engine, manifest.probes[0].fields, _feedback_of(manifest, place))


def _feedback_of(manifest: ReleaseManifest, place: str) -> FeedbackConfig:
    try:
        return FeedbackConfig.model_validate(manifest.feedback or {})
    except ValidationError as error:
        # Serving with the defaults could keep what the task forbids.
        raise FinetuneError(
            "the release's section `feedback:` cannot be read",
            where=place,
            found=error.errors()[0]["msg"],
            mend="deploy the release again with this version of finetune_assets",
        ) from error


def _remote_engine(endpoint: EndpointReference, manifest: ReleaseManifest, environ: Mapping[str, str]) -> Engine:
    return endpoint_engine(endpoint.config(manifest.max_new_tokens), environ)


def _local_engine(
    store: ArtifactStore, manifest: ReleaseManifest, task_type: TaskType, place: str, threads: int
) -> Engine:
    _, reference = manifest.local()
    adapter = store.open(reference.kind, reference.key)
    _check_template(manifest, task_type, adapter, place)
    _expect(
        "adapter is not the one that was judged", place, adapter.manifest.get("adapter_digest", ""), reference.digest
    )
    _refuse_changes(adapter.verify(), adapter.path)
    return LocalEngine(
        _checked_base(store, manifest, place),
        adapter.path,
        task_type.choices(),
        manifest.chat_template,
        threads=threads,
        max_new_tokens=manifest.max_new_tokens,
    )


def prompt_hash(task_type: TaskType, chat_template: str) -> str:
    """Return the hash of all that turns an input into this model's prompt, as training recorded it."""
    return template_hash(task_type.prompt_manifest(), chat_template)


def _check_prompt(manifest: ReleaseManifest, task_type: TaskType, place: str) -> str:
    rendered = prompt_hash(task_type, manifest.chat_template)
    _expect("prompt is not the one that was judged", place, rendered, manifest.template_hash)
    return rendered


def _check_template(manifest: ReleaseManifest, task_type: TaskType, adapter: Artifact, place: str) -> None:
    # Three witnesses: the code that will render, the manifest that was judged, and the adapter that was trained.
    rendered = _check_prompt(manifest, task_type, place)
    trained = adapter.manifest.get("template_hash", "")
    _expect("prompt is not the one that the adapter was trained with", place, rendered, trained)


def _checked_base(store: ArtifactStore, manifest: ReleaseManifest, place: str) -> Path:
    folder = base_folder(store, manifest)
    base, _ = manifest.local()
    if base.artifact_kind:
        artifact = store.open(base.artifact_kind, base.artifact_key)
        _refuse_changes(artifact.verify(), folder)
        found = artifact.digest
    else:
        found = weights_digest(folder)
    _expect("base model is not the one that was judged", place, found, base.digest)
    return folder


def _refuse_changes(problems: Sequence[str], folder: Path) -> None:
    if problems:
        raise FinetuneError(
            "files were changed since they were judged",
            where=str(folder),
            found="; ".join(problems),
            mend="restore them, or roll back to another release",
        )


def _expect(what: str, where: str, found: object, expected: object) -> None:
    if found != expected:
        raise FinetuneError(
            what,
            where=where,
            found=str(found) or "nothing",
            expected=str(expected) or "a recorded one",
            mend="tune and judge again, or roll back to another release",
        )
