"""The result in Cloud Storage: the adapter's files, then the manifest that makes them one."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from finetune_assets.records.digests import digest_of_file
from finetune_assets.storage.files import read_json, write_atomic
from finetune_assets.training.container.errors import BadJobError, StorageFailedError
from finetune_assets.training.container.remote import Remote
from finetune_assets.training.digest import adapter_digest
from finetune_assets.training.run_record import RECORD_FILE
from finetune_assets.tuning.container_job import RESULT_MANIFEST, ContainerJob, ContainerResult, ResultFile


def find_result(remote: Remote, folder: str, job: ContainerJob) -> ContainerResult | None:
    """Return the complete result of this job that an earlier start left, None when there is none.

    Raises:
        BadJobError: when the folder holds another request's result.
        StorageFailedError: when it cannot be read, or its files are not what its manifest says.
    """
    uri = f"{folder.rstrip('/')}/{RESULT_MANIFEST}"
    if remote.look(uri) is None:
        return None
    try:
        result = ContainerResult.model_validate_json(remote.read(uri))
    except ValidationError as error:
        raise BadJobError(
            "the output folder holds a manifest of another kind",
            where=uri,
            found=error.errors(include_input=False)[0]["msg"],
            mend="give the job an output folder of its own",
        ) from error
    if result.request_key != job.request.request_key:
        raise BadJobError(
            "the output folder holds another request's result",
            where=uri,
            found=result.request_key,
            expected=job.request.request_key,
            mend="give the job an output folder of its own",
        )
    for name, file in sorted(result.files.items()):
        there = remote.look(f"{folder.rstrip('/')}/{name}")
        if there is None or (there.crc32c, there.size) != (file.crc32c, file.bytes):
            raise StorageFailedError(
                "a file of the result is not what its manifest says",
                where=f"{folder.rstrip('/')}/{name}",
                expected=f"crc32c {file.crc32c}, {file.bytes} bytes",
                mend=f"remove {uri} and start the job again; it goes on from its newest checkpoint",
            )
    return result


def store_result(remote: Remote, out: Path, folder: str, job: ContainerJob) -> ContainerResult:
    """Upload an adapter, its manifest last.

    Files of an earlier start that got no further take no harm: without a manifest they are replaced.

    Args:
        remote: Cloud Storage.
        out: the trainer's output folder.
        folder: gs:// folder for the result.
        job: what was trained.

    Raises:
        StorageFailedError: when something cannot be written.
    """
    files = {}
    for path in sorted(out.iterdir()):
        stored = remote.put(path, f"{folder.rstrip('/')}/{path.name}", replace=True)
        files[path.name] = ResultFile(
            sha256=digest_of_file(path), crc32c=stored.crc32c, bytes=stored.size, generation=stored.generation
        )
    training = read_json(out / RECORD_FILE)
    result = ContainerResult(
        request_key=job.request.request_key,
        dataset_digest=job.request.dataset_digest,
        base_digest=job.request.base_digest,
        template_hash=job.request.template_hash,
        adapter_digest=adapter_digest(out),
        tokens=int(training["tokens"]),
        epochs=float(training["epochs"]),
        files=files,
    )
    manifest = out.parent / RESULT_MANIFEST
    write_atomic(manifest, result.model_dump_json(indent=1) + "\n")
    remote.put(manifest, f"{folder.rstrip('/')}/{RESULT_MANIFEST}", replace=True)
    return result
