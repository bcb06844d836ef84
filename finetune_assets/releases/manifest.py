"""The release manifest: all that serving needs to answer as the report saw it, and nothing from defs.yaml.

It lies in the artifact store under the kind `release`, named by its own content.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from finetune_assets.evaluation.endpoint_config import EndpointConfig
from finetune_assets.records.digests import digest_of
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.files import read_json, write_json_atomic

KIND = "release"
FILE = "release.json"
_KEY_DIGITS = 20
# Parts that came later: a manifest without them reads, and is named, as it always was.
_LATER: dict[str, Any] = {"endpoint": None, "base": None, "adapter": None, "probe_rule": "exact", "feedback": None}
# A gateway gives a question 30 s; a try that hangs has to leave room for another.
_TRY_S = 12.0
_QUESTION_S = 25.0

ProbeRule = Literal["exact", "label", "valid"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BaseReference(_Part):
    """The base model of a release."""

    name: str = Field(description="What a person calls it: `embedded`, a hub id or a folder.")
    digest: str = Field(description="Identity of its weights, configuration and tokenizer.")
    artifact_kind: str = Field(default="", description="Kind of its artifact; empty when it is no artifact.")
    artifact_key: str = Field(default="", description="Key of its artifact; empty when it is no artifact.")
    folder: str = Field(default="", description="Where its files lay when the release was made; no part of identity.")


class AdapterReference(_Part):
    """The adapter of a release, an artifact."""

    kind: str = Field(default="tuned_adapter", description="Kind of its artifact.")
    key: str = Field(description="Key of its artifact.")
    digest: str = Field(description="Identity of its tensors and canonical configuration.")


class EndpointReference(_Part):
    """The endpoint that answers for a release whose weights are in the cloud."""

    kind: Literal["vertex", "vertex_endpoint"] = Field(
        description="vertex: a tuned Gemini; vertex_endpoint: weights of one's own behind an endpoint."
    )
    endpoint: str = Field(min_length=1, description="Resource name of the endpoint, projects/…/endpoints/….")
    model: str = Field(default="", description="The registered version, projects/…/models/ID@1.")
    base_model: str = Field(default="", description="What it was tuned from, as a person calls it.")
    project: str = Field(min_length=1, description="Google Cloud project.")
    location: str = Field(min_length=1, description="Region that serves.")
    deployed_model_id: str = Field(
        default="", description="Id of the candidate at the endpoint; empty where the endpoint holds nothing else."
    )
    host: str = Field(default="", description="Base URL of an endpoint with a host of its own; empty for the region's.")
    thinking_budget: int | None = Field(default=None, ge=-1, description="Tokens that Gemini may think.")
    seed: int | None = Field(default=0, ge=0, lt=1 << 31, description="Seed sent along.")

    def config(self, max_tokens: int) -> EndpointConfig:
        """Return how the endpoint is asked live.

        Args:
            max_tokens: the longest answer.
        """
        return EndpointConfig(
            kind=self.kind,
            base_url=self.host,
            model=self.endpoint,
            project=self.project,
            location=self.location,
            thinking_budget=self.thinking_budget,
            seed=self.seed,
            max_tokens=max_tokens,
            timeout_s=_TRY_S,
            question_deadline_s=_QUESTION_S,
            retries=3,
            concurrency=16,
        )


class Probe(_Part):
    """A question with the answer that the report saw; a deployed release has to answer the same."""

    fields: dict[str, Any] = Field(description="The input, under canonical field names.")
    text: str = Field(description="The model's answer, as it wrote it.")
    label_path: tuple[str, ...] = Field(default=(), description="The answer's label, outermost part first.")


class ReleaseManifest(_Part):
    """What a release is."""

    format: Literal[1] = Field(default=1, description="Version of this form.")
    task: str = Field(description="The task.")
    candidate: str = Field(description="Identity of base, adapter and template together.")
    task_type: dict[str, Any] = Field(description="The task type's own manifest: labels, fields, prompt.")
    template_hash: str = Field(description="Hash of everything that turns a record into a prompt.")
    chat_template: str = Field(description="The base's chat template, Jinja.")
    base: BaseReference | None = Field(default=None, description="The base model; null behind an endpoint.")
    adapter: AdapterReference | None = Field(default=None, description="The adapter; null behind an endpoint.")
    endpoint: EndpointReference | None = Field(
        default=None, description="Who answers where the weights are in the cloud; null for a release that runs here."
    )
    max_new_tokens: int = Field(default=128, ge=1, description="The longest answer, in tokens.")
    report_key: str = Field(default="", description="Artifact of the report that judged it.")
    report_digest: str = Field(default="", description="That report's digest.")
    probes: tuple[Probe, ...] = Field(min_length=1, description="Recorded questions and answers.")
    probe_rule: ProbeRule = Field(
        default="exact",
        description="When a live answer agrees with the recorded one: `exact`: equal in every field; `label`: the same "
        "label path; `valid`: a legal answer of the task. Remote models do not repeat themselves to the letter.",
    )
    feedback: dict[str, Any] | None = Field(
        default=None,
        description="The task's section `feedback:`, which says what a gateway keeps of questions and answers; null "
        "for the defaults.",
    )

    @model_validator(mode="after")
    def _says_who_answers(self) -> Self:
        local = self.base is not None and self.adapter is not None
        if local == (self.endpoint is not None) or (self.base is None) != (self.adapter is None):
            raise ValueError("a release has base and adapter, or an endpoint")
        return self

    def identity(self) -> dict[str, Any]:
        """Return the manifest as JSON without the place of the base's files, which differs between machines."""
        return self.content(exclude={"base": {"folder"}})

    def content(self, *, exclude: Any = None) -> dict[str, Any]:
        """Return the manifest as JSON, without later parts that say nothing."""
        found = self.model_dump(mode="json", exclude=exclude)
        return {name: value for name, value in found.items() if name not in _LATER or value != _LATER[name]}

    def local(self) -> tuple[BaseReference, AdapterReference]:
        """Return base and adapter of a release that runs here.

        Raises:
            FinetuneError: when its weights are in the cloud.
        """
        if self.base is None or self.adapter is None:
            raise FinetuneError(
                "the release's weights are in the cloud",
                where=self.task,
                found=self.endpoint.endpoint if self.endpoint else "",
                expected="a release with base and adapter",
                mend="ask its endpoint, or roll back to a release that runs here",
            )
        return self.base, self.adapter

    @property
    def key(self) -> str:
        """Name of its artifact: equal content, equal key."""
        return digest_of(self.identity())[:_KEY_DIGITS]


def store_manifest(store: ArtifactStore, manifest: ReleaseManifest) -> Artifact:
    """Keep a manifest as an artifact; one that is there already is returned.

    The artifact's own manifest holds the same fields, next to what the store adds.

    Args:
        store: the artifact store.
        manifest: what to keep.

    Raises:
        StorageError: when the disk is full.
    """
    known = store.find(KIND, manifest.key)
    if known is not None:
        return known
    content = manifest.content()
    with store.create(KIND, manifest.key) as staging:
        write_json_atomic(staging.path / FILE, content)
        return staging.commit(content, identity=manifest.identity(), outside_digest=[FILE])


def load_manifest(store: ArtifactStore, key: str) -> ReleaseManifest:
    """Read the manifest of a release.

    Args:
        store: the artifact store.
        key: `Release.artifact_key`.

    Raises:
        StorageError: when the artifact is missing.
        FinetuneError: when its content was changed, or this program cannot read it.
    """
    artifact = store.open(KIND, key)
    path = artifact.file(FILE)
    try:
        manifest = ReleaseManifest.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise FinetuneError(
            "release manifest cannot be read",
            where=f"{path}: {'.'.join(str(part) for part in first['loc'])}",
            found=first["msg"],
            mend="deploy the release again with this version of finetune_assets",
        ) from error
    if manifest.key != key:
        raise FinetuneError(
            "release manifest was changed",
            where=str(path),
            found=manifest.key,
            expected=key,
            mend="restore the file, or roll back to another release",
        )
    return manifest


def base_folder(store: ArtifactStore, manifest: ReleaseManifest) -> Path:
    """Return where the base's files are: its artifact, else the folder that the manifest remembers.

    Raises:
        StorageError: when the artifact is missing.
        FinetuneError: when the folder is gone.
    """
    base, _ = manifest.local()
    if base.artifact_kind:
        return store.open(base.artifact_kind, base.artifact_key).path
    folder = Path(base.folder)
    if not base.folder or not folder.is_dir():
        raise FinetuneError(
            "base model of the release is gone",
            where=f"{manifest.task}: {base.name}",
            found=base.folder or "no folder",
            mend="fetch the base model again, or roll back to another release",
        )
    return folder


def adapter_folder(store: ArtifactStore, manifest: ReleaseManifest) -> Path:
    """Return the folder of the release's adapter.

    Raises:
        StorageError: when its artifact is missing.
    """
    _, adapter = manifest.local()
    return store.open(adapter.kind, adapter.key).path
