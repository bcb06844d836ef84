"""The job file of the trainer's container: what a custom job's machines download, train and write back.

Here belongs the form that the backend writes to Cloud Storage and that `training/container` reads there. It holds no
secret, only references to them; every file that it names carries its checksum.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from finetune_assets.records.digests import digest_of_text
from finetune_assets.tuning.request import Digest, TuningRequest

CONTAINER_MODULE = "finetune_assets.training.container"
JOB_FILE = "job.json"
RESULT_MANIFEST = "manifest.json"
# Exit codes of the container; Vertex AI shows them in the job's error.
BAD_JOB_EXIT = 65
TRAINING_FAILED_EXIT = 70
STORAGE_FAILED_EXIT = 74
STOPPED_EXIT = 143
# Weights are safetensors; nothing that runs code when it is loaded is ever downloaded.
BASE_FILES = frozenset({".safetensors", ".json", ".jinja", ".txt", ".model"})

_BUCKET = r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"
ObjectUri = Annotated[str, StringConstraints(pattern=rf"^{_BUCKET}/[^\s#?*\[\]]*[^\s#?*\[\]/]$")]
FolderUri = Annotated[str, StringConstraints(pattern=rf"^{_BUCKET}(/[^\s#?*\[\]]*)?$")]
SecretVersion = Annotated[
    str, StringConstraints(pattern=r"^projects/[a-z0-9:.-]+/secrets/[A-Za-z0-9_-]+/versions/([0-9]+|latest)$")
]


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and name of a gs:// URI; the name has no slash at its start and is "" for the bucket itself."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return bucket, name


def _plain_name(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or path.as_posix() != name or name == ".":
        raise ValueError("a relative name with forward slashes and without .. is needed")
    if any(sign in name for sign in "*?["):
        raise ValueError("a plain name without the signs of a pattern is needed")
    if path.suffix not in BASE_FILES:
        raise ValueError(f"a base's files end in {', '.join(sorted(BASE_FILES))}; weights are safetensors")
    return name


BaseFileName = Annotated[str, AfterValidator(_plain_name)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RemoteFile(_Part):
    """One file in Cloud Storage."""

    uri: ObjectUri = Field(description="Where it lies: gs://bucket/name.")
    sha256: Digest = Field(description="SHA-256 of its bytes.")


class StoredBase(_Part):
    """A base model's files in Cloud Storage: the embedded base, or a folder of one's own."""

    kind: Literal["stored"] = Field(default="stored", description="A folder in Cloud Storage.")
    uri: FolderUri = Field(description="The folder.")
    files: dict[BaseFileName, Digest] = Field(
        min_length=1, description="Each file's name and SHA-256; no other is read."
    )


class HubBase(_Part):
    """A base model on the Hugging Face hub."""

    kind: Literal["hub"] = Field(default="hub", description="A model on the hub.")
    id: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9._-]+$", description="Its id, such as microsoft/Phi-3-mini."
    )
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="The commit; a branch or tag could move.")
    files: dict[BaseFileName, Digest] = Field(
        min_length=1, description="Files and their SHA-256; every weights file must be among them."
    )


class PipesPlace(_Part):
    """Where the container speaks to the Dagster run that waits for it."""

    context: dict[str, Any] = Field(
        description="What the context loader takes: `bucket` and `key` of the context in Cloud Storage, or `data`."
    )
    messages: dict[str, Any] = Field(
        description="What the message writer takes: `bucket` and `key_prefix`. With a prefix that belongs to the job, "
        "a run that attaches to it again reads on."
    )

    @model_validator(mode="after")
    def _places_are_named(self) -> Self:
        if "data" not in self.context and not {"bucket", "key"} <= self.context.keys():
            raise ValueError("context: bucket and key, or data, are needed")
        if "bucket" not in self.messages:
            raise ValueError("messages: a bucket is needed")
        return self


class ContainerJob(_Part):
    """What the trainer's container is to do; the backend writes it as JSON before it submits the job."""

    request: TuningRequest = Field(description="What decides the adapter's weights.")
    train: RemoteFile = Field(description="Training rows as chat JSONL; the request names the same checksum.")
    validation: RemoteFile | None = Field(default=None, description="Validation rows; null skips evaluation.")
    base: Annotated[StoredBase | HubBase, Field(discriminator="kind")] = Field(description="The base model.")
    chat_template: str | None = Field(
        default=None, description="Jinja template; null takes the base's own. Serving must use the same."
    )
    output: FolderUri = Field(
        description="Where result and checkpoints go (`model/`, `checkpoints/`) unless Vertex AI names its own folders."
    )
    pipes: PipesPlace | None = Field(default=None, description="The Dagster run that waits; null reports to stdout.")
    secrets: dict[Literal["HF_TOKEN", "WANDB_API_KEY"], SecretVersion] = Field(
        default_factory=dict,
        description="Secrets that the trainer may see, by reference: projects/P/secrets/NAME/versions/N.",
    )

    @model_validator(mode="after")
    def _rows_are_the_requested_ones(self) -> Self:
        named = self.validation.sha256 if self.validation is not None else None
        if self.train.sha256 != self.request.train_digest:
            raise ValueError("train.sha256 is not the request's train_digest")
        if named != self.request.validation_digest:
            raise ValueError("validation.sha256 is not the request's validation_digest")
        return self

    def to_json(self) -> str:
        """Return the job file's text, the same for equal jobs."""
        return self.model_dump_json(indent=1) + "\n"

    @property
    def sha256(self) -> str:
        """SHA-256 of `to_json()`; the custom job passes it on, so that a job file that was changed is refused."""
        return digest_of_text(self.to_json())


class ResultFile(_Part):
    """One file of a result."""

    sha256: Digest = Field(description="SHA-256 of its bytes.")
    crc32c: str = Field(min_length=8, max_length=8, description="CRC-32C as Cloud Storage writes it (base64).")
    bytes: int = Field(ge=0, description="Its size.")
    generation: int = Field(ge=1, description="Its generation in Cloud Storage.")


class ContainerResult(_Part):
    """The manifest of a result, written last: without it there is none."""

    format: Literal[1] = Field(default=1, description="Form of this file.")
    request_key: str = Field(min_length=1, description="The request's key.")
    dataset_digest: str = Field(min_length=1, description="The dataset version's digest.")
    base_digest: str = Field(min_length=1, description="The base's identity.")
    template_hash: str = Field(min_length=1, description="Hash of prompt and chat template.")
    adapter_digest: Digest = Field(description="The adapter's identity: tensors and canonical configuration.")
    tokens: int = Field(ge=0, description="Tokens of one pass over the training rows.")
    epochs: float = Field(ge=0.0, description="Passes over them.")
    files: dict[str, ResultFile] = Field(min_length=1, description="Every file beside the manifest, by its name.")


def container_arguments(job_uri: str, sha256: str) -> list[str]:
    """Return what the container's command (`python -m finetune_assets.training.container`) is called with."""
    return ["--job", job_uri, "--sha256", sha256]


def container_command() -> list[str]:
    """Return the command that starts the trainer in the image, for a worker pool's `container_spec.command`."""
    return ["python", "-m", CONTAINER_MODULE]
