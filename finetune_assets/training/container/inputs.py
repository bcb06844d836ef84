"""What the container fetches before training: the job itself, the rows and the base, each held against its checksum."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from finetune_assets.records.digests import digest_of_file, digest_of_text
from finetune_assets.storage.files import write_json_atomic
from finetune_assets.training.container.errors import BadJobError, StorageFailedError
from finetune_assets.training.container.remote import Remote
from finetune_assets.tuning.container_job import BASE_FILES, ContainerJob, HubBase, StoredBase
from finetune_assets.tuning.local import HUB_SECRET

_JOB_URI = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]/[^\s#?*\[\]]+")
_MAX_JOB_BYTES = 4 << 20


def fetch_job(remote: Remote, uri: str, sha256: str) -> ContainerJob:
    """Read and validate the job file.

    Args:
        remote: Cloud Storage.
        uri: where the job file is.
        sha256: what its bytes must hash to; "" takes any.

    Raises:
        BadJobError: when it is missing, changed or not valid; the first wrong field is named, its content is not.
        StorageFailedError: when it cannot be read.
    """
    if not _JOB_URI.fullmatch(uri):
        raise BadJobError("job is not named", where="--job", found=uri, expected="gs://bucket/jobs/KEY/job.json")
    data = remote.read(uri)
    if len(data) > _MAX_JOB_BYTES:
        raise BadJobError("job file is too large", where=uri, found=f"{len(data)} bytes", expected="4 MiB at most")
    try:
        text = data.decode()
        job = ContainerJob.model_validate_json(text)
    except UnicodeDecodeError as error:
        raise BadJobError("job file is not UTF-8", where=uri, found=str(error)) from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "(the whole file)"
        raise BadJobError(
            "job file is not valid",
            where=f"{uri}: {place}",
            found=first["msg"],
            mend="submit the job with the release of this project that its image holds",
        ) from error
    if sha256 and digest_of_text(text) != sha256:
        raise BadJobError(
            "job file is not the one that was submitted",
            where=uri,
            found=f"sha256 {digest_of_text(text)}",
            expected=f"sha256 {sha256}",
            mend="submit the job anew, and look who may write to the bucket",
        )
    return job


def write_trainer_job(
    remote: Remote, job: ContainerJob, work: Path, download_hub: Callable[[HubBase, Path], None], parent: int | None
) -> Path:
    """Fetch rows and base and write the job file that the trainer reads.

    Args:
        remote: Cloud Storage.
        job: what is to be trained.
        work: an existing folder of this machine.
        download_hub: fetches a base from the hub into a folder.
        parent: process whose end ends the trainer; None where a launcher stands between.

    Returns:
        The trainer's job file. Checkpoints go to `checkpoints`, the result to `out` beside it.

    Raises:
        BadJobError: when a file is missing or another one.
        StorageFailedError: when a file cannot be read, or the disk is full.
    """
    remote.download(job.train.uri, work / "train.jsonl", job.train.sha256)
    if job.validation is not None:
        remote.download(job.validation.uri, work / "validation.jsonl", job.validation.sha256)
    base = work / "base"
    base.mkdir(exist_ok=True)
    if isinstance(job.base, StoredBase):
        for name, sha256 in sorted(job.base.files.items()):
            remote.download(f"{job.base.uri.rstrip('/')}/{name}", base / name, sha256)
    else:
        download_hub(job.base, base)
        check_files(base, job.base.files, f"{job.base.id} at {job.base.revision}")
    (work / "out").mkdir(exist_ok=True)
    path = work / "job.json"
    content: dict[str, Any] = {
        "base": str(base),
        "train": str(work / "train.jsonl"),
        "validation": str(work / "validation.jsonl") if job.validation is not None else None,
        "work": str(work / "checkpoints"),
        "out": str(work / "out"),
        "request": job.request.model_dump(mode="json"),
        "chat_template": job.chat_template,
        "expected_parent": parent,
    }
    write_json_atomic(path, content)
    return path


def check_files(folder: Path, files: Mapping[str, str], what: str) -> None:
    """Hold a downloaded base against the checksums of the job, and remove what the job does not name.

    Raises:
        BadJobError: naming the first file that is missing or another one.
    """
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in files and path.suffix in BASE_FILES:
            path.unlink()
    for name, sha256 in sorted(files.items()):
        path = folder / name
        found = digest_of_file(path) if path.is_file() else "nothing"
        if found != sha256:
            raise BadJobError(
                "a file of the base model is not the one that the job names",
                where=f"{what}: {name}",
                found=found,
                expected=sha256,
                mend="submit the job anew from the base as it is now",
            )


def hub_downloader(token: str | None) -> Callable[[HubBase, Path], None]:
    """Return a function that fetches the named files of a base from the hub.

    Args:
        token: for gated models; None asks without one.
    """

    def download(base: HubBase, folder: Path) -> None:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

        try:
            snapshot_download(
                base.id, revision=base.revision, local_dir=folder, allow_patterns=sorted(base.files), token=token
            )
        except RepositoryNotFoundError as error:
            raise BadJobError(
                "base model cannot be had",
                where=f"{base.id} at {base.revision}",
                found=str(error).splitlines()[0],
                mend=f"check id and commit; a gated model needs {HUB_SECRET}",
            ) from None
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise StorageFailedError(
                "base model cannot be fetched",
                where=f"{base.id} at {base.revision}",
                found=str(error).splitlines()[0],
                mend="let the machine reach the hub, or put the base into Cloud Storage",
            ) from None

    return download
