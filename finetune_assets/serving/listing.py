"""ReleaseRef, the name of a release to serve, and the file that lists such names for a rehearsal.

Light on purpose: the process that starts a gateway imports this, not what serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.files import read_json, write_json_atomic


class ReleaseRef(BaseModel):
    """A release to serve."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str = Field(min_length=1, description="The task.")
    version: int = Field(ge=0, description="The release's number within the task; 0 before it has one.")
    candidate: str = Field(min_length=1, description="Identity of base, adapter and template together.")
    artifact_key: str = Field(description="Key of its manifest in the artifact store, kind `release`.")


_LISTING = TypeAdapter(list[ReleaseRef])


def write_listing(path: Path, releases: Sequence[ReleaseRef]) -> None:
    """Write which releases a gateway is to serve; at most one of each task.

    Raises:
        ValueError: when two of them are of one task.
    """
    if len({ref.task for ref in releases}) < len(releases):
        raise ValueError("a gateway serves one release of each task")
    write_json_atomic(path, _LISTING.dump_python(list(releases), mode="json"))


def read_listing(path: Path) -> dict[str, ReleaseRef]:
    """Return what `write_listing` wrote, by task.

    Raises:
        StorageError: when the file is missing or no JSON.
        FinetuneError: when it lists something else.
    """
    try:
        return {ref.task: ref for ref in _LISTING.validate_python(read_json(path))}
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise FinetuneError(
            "list of releases cannot be read", where=f"{path}: {place}", found=first["msg"], mend="write it anew"
        ) from error
